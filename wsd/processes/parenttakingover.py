"""
An upgrade of several workers, on the side of the new parent: it starts workers that take over, and reports.

Each of its workers is connected with the old one of its place, and takes over as a daemon of one process does:
`takingover`. Until the old parent says "commit", whatever goes wrong ends all new processes at once.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.processes.channel import ChannelMessage, ProcessChannel
from wsd.processes.given import Given, GivenToWorker, Takeover
from wsd.processes.parent import Parent
from wsd.processes.worker import OWNER


class ParentTakingOver:
    """Takes over from the parent that has started this process: a `wsd.processes.given.ParentPredecessor`."""

    log = Logger(namespace="wsd")

    def __init__(self, reactor: Any, given: Given) -> None:
        self._progress = Takeover.undecided
        self._isServing = self._isAsked = False
        self._parent: Any = None
        self._given: dict[int, GivenToWorker] = {}
        self._ends: list[socket.socket] = []
        """The old workers' ends of the channels."""
        for number in range(given.workers):
            near, far = socket.socketpair()
            self._given[number] = GivenToWorker(near, given.locked if number == OWNER else {})
            self._ends.append(far)
        self._channel = ProcessChannel(reactor, given.channelSocket(), self._received, self._lost)

    @property
    def isCommitted(self) -> bool:
        """Whether connections go on here: from then on, this daemon may not just end."""
        return self._progress is not Takeover.undecided

    def forWorker(self, number: int) -> GivenToWorker | None:
        """What a worker gets at its first start. One that is started again begins with nothing."""
        return self._given.pop(number, None)

    def takeOver(self, parent: Parent) -> None:
        """Pass the ends of the channels on to the old workers, by their parent."""
        self._parent = parent
        self._channel.send("ready", {}, b"", [each.fileno() for each in self._ends])
        for each in self._ends:
            each.close()

    def serving(self) -> None:
        """Called when all workers serve."""
        self._isServing = True
        if self._isAsked:
            self._channel.send("serving", {})
        if self._progress is Takeover.alone:
            self._becomeMain()

    def stopping(self) -> None:
        """Called when this daemon stops. What the old workers can take back is not closed here."""
        if not self.isCommitted:
            self.refused("the new process was told to stop")
        self._progress = Takeover.stopping

    def refused(self, sentence: str) -> None:
        """End without closing anything."""
        self.log.critical("not taken over: {sentence}", event="upgrade.failed", sentence=sentence)
        self._channel.send("failed", {"sentence": sentence})
        # A clean end would close the connections that the old workers take back.
        for child in self._parent.children if self._parent is not None else ():
            child.kill(signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def _received(self, message: ChannelMessage) -> None:
        if message.kind == "commit":
            self._progress = Takeover.committed
            self._channel.send("committed", {})
        elif message.kind == "serve":
            self._isAsked = True
            if self._isServing:
                self._channel.send("serving", {})
        elif message.kind == "main":
            self._becomeMain()
        elif message.kind == "stop":
            self._stop()
        elif message.kind == "now":
            self._parent.stopNow()
        else:
            self.refused(f"the old process has sent {message.kind!r}, which this version does not know")

    def _becomeMain(self) -> None:
        if self._progress is not Takeover.main:
            self._progress = Takeover.main
            self._parent.becomeMain()

    def _stop(self) -> None:
        """The old parent was told to stop, and the new workers have some of the connections."""
        if self._parent.running:
            os.kill(os.getpid(), signal.SIGTERM)

    def _lost(self, reason: Failure) -> None:
        """The old parent has given up or, after connections have gone on here, it has ended."""
        if not self.isCommitted:
            self.refused("the old process has given up the upgrade")
        if self._progress in (Takeover.main, Takeover.stopping):
            return
        self.log.warn("the old process has ended early; going on without it", event="upgrade.alone")
        self._progress = Takeover.alone
        if self._isServing:
            self._becomeMain()
