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
"""Limit of a program's header in bytes."""

_ERRORS = 4096
"""The last bytes of a program's stderr that are kept for the log."""

_PATIENCE = 2.0
"""Seconds for which a program may write nothing to a half-closed client, which may be gone."""

_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER")
"""The variables of the daemon's environment that programs get."""

_OWN = {"HTTP_AUTHORIZATION"}
"""Variables that programs do not get, because the daemon has authenticated the client (RFC 3875 4.1.18)."""


class Programs:
    """Runs CGI programs, no more than `MOST` at once."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._running: set[_CgiProcess] = set()

    def render(self, request: Any, path: str) -> int:
        """Answer with what the program says. Raises `Refused`: 403 when it is none, 503 when too many run."""
        if not os.access(path, os.X_OK):
            raise Refused(403, "this is no program: its file is not executable")
        if len(self._running) >= MOST:
            raise Refused(503, "too many programs run already; try again", [("Retry-After", "1")])
        request.patience = _PATIENCE
        request.postpath = [part.decode("utf-8", "replace") for part in request.postpath]
        return int(_CgiScript(path, self).render(request))

    def spawn(self, request: Any, path: str, env: dict[Any, Any]) -> None:
        """Start one."""
        program = _CgiProcess(request, self._running)
        self._reactor.spawnProcess(program, path, [path], env, os.path.dirname(path))

    def stop(self) -> None:
        """End all processes."""
        for program in list(self._running):
            program.stopProducing()


class _CgiScript(CGIScript):
    """Twisted's CGIScript, with the client's true address in the environment, and little of the daemon's own."""

    def __init__(self, path: str, programs: Programs) -> None:
        super().__init__(path, reactor=object())
        self._programs = programs

    def runProcess(self, env: dict[Any, Any], request: Any, qargs: object = ()) -> None:
        """Run the program. A query never becomes arguments of its command line."""
        ours = {name for name, value in os.environ.items() if name not in _INHERITED and env.get(name) == value}
        env = {name: value for name, value in env.items() if _text(name) not in ours | _OWN}
        self._programs.spawn(request, self.filename, {**env, "REMOTE_ADDR": request.peer.address})


def _text(name: str | bytes) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else name


class _CgiProcess(CGIProcessProtocol):
    """One process. Its output is bounded, and it is ended when its client is gone."""

    transport: Any

    def __init__(self, request: Any, running: set[_CgiProcess]) -> None:
        super().__init__(request)
        self._running = running

    def connectionMade(self) -> None:
        """The process runs."""
        self._running.add(self)
        super().connectionMade()

    def errReceived(self, data: bytes) -> None:
        """Keep the end of stderr for the log."""
        self.errortext = (self.errortext + data)[-_ERRORS:]

    def outReceived(self, data: bytes) -> None:
        """The answer."""
        if self.handling_headers and len(self.headertext) > _HEAD:
            self.stopProducing()
        elif not self._requestFinished:
            super().outReceived(data)

    def stopProducing(self) -> None:
        """The client is gone."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def processEnded(self, reason: Failure) -> None:
        """The process has ended."""
        self._running.discard(self)
        super().processEnded(reason)
