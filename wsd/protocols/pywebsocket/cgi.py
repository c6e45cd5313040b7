"""CGI programs (RFC 3875): each request a process of its own, which ends with its request."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.python.failure import Failure
from twisted.web.twcgi import CGIProcessProtocol, CGIScript

from wsd.connection import Refused

MOST = 32
"""Programs that run at one time."""

_HEAD = 65536
"""Bytes in which a program's header has to end."""

_ERRORS = 4096
"""Bytes of what a program writes to stderr that are kept for the log."""

_PATIENCE = 2.0
"""Seconds that a program may write nothing to a half-closed client, which may be gone."""

_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER")
"""What programs see of the daemon's own environment: what it holds besides is the daemon's."""

_OWN = {"HTTP_AUTHORIZATION"}
"""What RFC 3875 4.1.18 keeps from programs: the daemon has seen to it."""


class Programs:
    """Runs CGI programs, no more than `MOST` at once."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._running: set[_Program] = set()

    def render(self, request: Any, path: str) -> int:
        """Answer with what the program says. Raises `Refused`: 403 when it is none, 503 when too many run."""
        if not os.access(path, os.X_OK):
            raise Refused(403, "this is no program: its file is not executable")
        if len(self._running) >= MOST:
            raise Refused(503, "too many programs run already; try again", [("Retry-After", "1")])
        request.patience = _PATIENCE
        request.postpath = [part.decode("utf-8", "replace") for part in request.postpath]
        return int(_Script(path, self).render(request))

    def spawn(self, request: Any, path: str, env: dict[Any, Any]) -> None:
        """Start one."""
        program = _Program(request, self._running)
        self._reactor.spawnProcess(program, path, [path], env, os.path.dirname(path))

    def stop(self) -> None:
        """End those that run."""
        for program in list(self._running):
            program.stopProducing()


class _Script(CGIScript):
    """Twisted's, with an environment that has the true peer, and of ours what is safe to tell."""

    def __init__(self, path: str, programs: Programs) -> None:
        super().__init__(path, reactor=object())
        self._programs = programs

    def runProcess(self, env: dict[Any, Any], request: Any, qargs: object = ()) -> None:
        """A query never becomes arguments of a command."""
        ours = {name for name, value in os.environ.items() if name not in _INHERITED and env.get(name) == value}
        env = {name: value for name, value in env.items() if _text(name) not in ours | _OWN}
        self._programs.spawn(request, self.filename, {**env, "REMOTE_ADDR": request.peer.address})


def _text(name: str | bytes) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else name


class _Program(CGIProcessProtocol):
    """One process: bounded in what is kept of it, and ended when its client is gone."""

    transport: Any

    def __init__(self, request: Any, running: set[_Program]) -> None:
        super().__init__(request)
        self._running = running

    def connectionMade(self) -> None:
        """It runs."""
        self._running.add(self)
        super().connectionMade()

    def errReceived(self, data: bytes) -> None:
        """The end of it is logged."""
        self.errortext = (self.errortext + data)[-_ERRORS:]

    def outReceived(self, data: bytes) -> None:
        """The answer."""
        if self.handling_headers and len(self.headertext) > _HEAD:
            self.stopProducing()
        elif not self._requestFinished:
            super().outReceived(data)

    def stopProducing(self) -> None:
        """Nobody waits for it any more."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def processEnded(self, reason: Failure) -> None:
        """It is gone."""
        self._running.discard(self)
        super().processEnded(reason)
