"""Starts the version on the disk with the command line of this process, and talks with it."""

from __future__ import annotations

import getopt
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.processes.channel import ChannelMessage, ProcessChannel
from wsd.processes.given import Given

_STARTING = 60.0
"""Seconds that the new process may take to check its configuration and to start its routes."""

_ANSWERING = 30.0
"""Seconds that it may take for an answer."""


class NotTakenOver(Exception):
    """The new process cannot take over. The message is one sentence."""


class Command(NamedTuple):
    """How this process was started."""

    arguments: Sequence[str]
    folder: str
    """The folder in which it was started."""


def commandOf(parent: Any) -> Command:
    """
    The command that starts this daemon again, in the foreground; `parent` has the options of twistd, if it runs that.
    """
    arguments = [sys.executable, *sys.orig_argv[1:]]
    longOptions = getattr(parent, "longOpt", None)
    if longOptions is None or "pidfile=" not in longOptions:
        return Command(arguments, os.getcwd())
    # Of twistd: its process ID and its log stay where they are, and the new process does not detach itself.
    ours = sys.argv[1:]
    _, rest = getopt.getopt(ours, parent.shortOpt, longOptions)
    more = ["--nodaemon", "--pidfile="]
    if not parent.get("nodaemon", True):
        more.append(f"--logfile={parent.get('logfile') or 'twistd.log'}")
    place = len(arguments) - len(rest)
    return Command([*arguments[:place], *more, *arguments[place:]], os.getcwd())


class PidFile:
    """The file with the process ID of twistd, if there is one."""

    def __init__(self, path: str | None, parent: Any) -> None:
        """`parent` has the options of twistd, if this process runs that."""
        self.path = path
        self._parent = parent

    def give(self, pid: int) -> None:
        """Write the ID of the new process. twistd in this process does not remove the file any more. Raises OSError."""
        if self.path is not None:
            Path(self.path).write_text(str(pid))
            if self._parent:
                self._parent["pidfile"] = ""


class NewProcess:
    """The process that takes over, and the channel to it. It answers each question with one message."""

    def __init__(self, reactor: Any, command: Command, environ: Mapping[str, str], given: Given) -> None:
        """`given` has no channel yet. Raises OSError."""
        self._reactor = reactor
        self._answer: Deferred[ChannelMessage] | None = None
        self._ended: str | None = None
        ours, theirs = socket.socketpair()
        with theirs:
            complete = Given(theirs.fileno(), given.bound, given.passed, given.locked, given.pidFile)
            variables = dict(environ)
            complete.put(variables)
            try:
                self._process = subprocess.Popen(
                    list(command.arguments),
                    cwd=command.folder,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    pass_fds=complete.descriptors,
                )
            except OSError:
                ours.close()
                raise
        self._channel = ProcessChannel(reactor, ours, self._received, self._lost)

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    def ready(self) -> Deferred[ChannelMessage]:
        """Fires with its first message. Fails with `NotTakenOver`."""
        return self._await(_STARTING)

    def ask(
        self, kind: str, fields: dict[str, Any], body: bytes = b"", descriptors: Sequence[int] = ()
    ) -> Deferred[ChannelMessage]:
        """Send a message. Fires with the answer; fails with `NotTakenOver`."""
        self._channel.send(kind, fields, body, descriptors)
        return self._await(_ANSWERING)

    def tell(self, kind: str) -> None:
        """Send a message that is not answered."""
        self._channel.send(kind, {})

    def _await(self, seconds: float) -> Deferred[ChannelMessage]:
        answer: Deferred[ChannelMessage] = Deferred()
        self._answer = answer
        if self._ended is not None:
            self._fail(self._ended)
            return answer
        late = self._reactor.callLater(
            seconds, self._fail, f"the new process did not answer within {seconds:g} seconds"
        )

        def cancel(result: Any) -> Any:
            if late.active():
                late.cancel()
            return result

        return answer.addBoth(cancel)

    def _received(self, message: ChannelMessage) -> None:
        if message.kind == "failed":
            message.closeDescriptors()
            self._fail(str(message.fields.get("sentence")))
            return
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.callback(message)

    def _lost(self, reason: Failure) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        status = self._process.poll()
        self._ended = "the new process has closed its channel" if status is None else _endOf(status)
        self._fail(self._ended)

    def _fail(self, sentence: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(NotTakenOver(sentence))

    def kill(self) -> None:
        """End it now, so that it does nothing more to the connections that it was passed."""
        self._ended = self._ended or "the upgrade was ended"
        self._channel.close()
        with suppress(OSError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._fail(self._ended)


def _endOf(status: int) -> str:
    if status < 0:
        return f"the new process was ended by the signal {-status}"
    return f"the new process has ended with the status {status}; its reason is above this line, or on its terminal"
