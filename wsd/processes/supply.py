"""Processes that can become workers: one is kept ready, so that a worker that has died is soon back."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.processes.channel import ChannelMessage, ProcessChannel

CHANNEL = 3
"""The descriptor of a worker's end of the channel."""


class WorkerProcess(ProcessProtocol):
    """
    A process that can become a worker, and the channel to it.

    It imports what it needs, which takes most of the time of a start, and waits for the message "start". `received` is
    called with its messages, and `exited` when it has ended. Raises OSError if it cannot be started.
    """

    def __init__(self, reactor: Any, command: Sequence[str], prepare: dict[str, Any]) -> None:
        self.received: Callable[[ChannelMessage], object] = lambda message: None
        self.exited: Callable[[Failure], object] = lambda reason: None
        self.isRunning = True
        near, far = socket.socketpair()
        with far:
            descriptors: Any = {0: 0, 1: 1, 2: 2, CHANNEL: far.fileno()}
            try:
                self._process = reactor.spawnProcess(self, sys.executable, command, None, childFDs=descriptors)
            except OSError:
                near.close()
                raise
        self.pid: int = self._process.pid
        self.channel = ProcessChannel(reactor, near, lambda message: self.received(message), self._lost)
        self.channel.send("prepare", prepare)

    def kill(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        with suppress(ProcessExitedAlready):
            self._process.signalProcess(number)

    def _lost(self, reason: Failure) -> None:
        """Called when the channel has ended: so has the process, or it is of no use any more."""
        self.kill(signal.SIGTERM)

    def processExited(self, reason: Failure) -> None:
        """Called by the reactor."""
        self.isRunning = False
        self.channel.readRest()
        self.channel.close()
        self.exited(reason)


class ProcessSupply:
    """
    Starts processes with the command line `command`, and keeps a spare one.

    `arguments` are the options that they get.
    """

    log = Logger(namespace="wsd")

    def __init__(self, reactor: Any, command: Sequence[str], arguments: dict[str, Any]) -> None:
        self._make = lambda: WorkerProcess(reactor, command, arguments)
        self._spare: WorkerProcess | None = None
        self._hasFailed = False

    def take(self) -> WorkerProcess:
        """The spare process if there is one, else a new one. Raises OSError if none can be started."""
        spare, self._spare = self._spare, None
        return spare if spare is not None and spare.isRunning else self._make()

    def keepSpare(self) -> None:
        """Start a spare process if there is none. If that fails, the next call tries again."""
        if self._spare is not None:
            return
        try:
            self._spare = self._make()
            self._hasFailed = False
        except OSError as error:
            if not self._hasFailed:
                self.log.warn(
                    "no spare worker can be started: {reason}; one that dies will be back later",
                    event="worker.nospare",
                    reason=str(error),
                )
            self._hasFailed = True

    def close(self) -> None:
        """Let the spare process end."""
        if self._spare is not None:
            self._spare.channel.close()
