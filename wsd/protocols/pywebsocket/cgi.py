"""CGI programs (RFC 3875): each request has a process, which ends with the request."""

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
"""The largest header of a program's response, in bytes (RFC 3875 6.3)."""

_ERRORS = 4096
"""The last bytes of a program's stderr that are kept for the log."""

_PATIENCE = 2.0
"""Seconds for which a program may write nothing if its client is half-closed, since such a client may be gone."""

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
        """Answer with a program's output. Raises `Refused`: 403 if the file is not executable, 503 if too many run."""
        if not os.access(path, os.X_OK):
            raise Refused(403, "this file is not executable")
        if len(self._running) >= MOST:
            raise Refused(503, "too many programs are running; try again", [("Retry-After", "1")])
        request.patience = _PATIENCE
        request.postpath = [part.decode("utf-8", "replace") for part in request.postpath]
        return int(_CgiScript(path, self).render(request))

    def spawn(self, request: Any, path: str, env: dict[Any, Any]) -> None:
        """Start the process of a program."""
        program = _CgiProcess(request, self._running)
        self._reactor.spawnProcess(program, path, [path], env, os.path.dirname(path))

    def stop(self) -> None:
        """End all processes."""
        for program in list(self._running):
            program.stopProducing()


class _CgiScript(CGIScript):
    """Twisted's CGIScript with the client's true address, and without most of the daemon's own environment."""

    def __init__(self, path: str, programs: Programs) -> None:
        super().__init__(path, reactor=object())
        self._programs = programs

    def runProcess(self, env: dict[Any, Any], request: Any, qargs: object = ()) -> None:
        """Run the program. The query never becomes its command line (RFC 3875 4.4 allows that)."""
        ours = {name for name, value in os.environ.items() if name not in _INHERITED and env.get(name) == value}
        env = {name: value for name, value in env.items() if _text(name) not in ours | _OWN}
        own = {"REMOTE_ADDR": request.peer.address}
        if request.user is not None:
            # RFC 3875 4.1.1, 4.1.11.
            own |= {"REMOTE_USER": request.user, "AUTH_TYPE": request.identity.method}
        self._programs.spawn(request, self.filename, {**env, **own})


def _text(name: str | bytes) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else name


class _CgiProcess(CGIProcessProtocol):
    """One process. Its output is bounded, and it is ended when its client is gone."""

    transport: Any

    def __init__(self, request: Any, running: set[_CgiProcess]) -> None:
        super().__init__(request)
        self._running = running

    def connectionMade(self) -> None:
        """Called when the process runs."""
        self._running.add(self)
        super().connectionMade()

    def errReceived(self, data: bytes) -> None:
        """Called with output to stderr. Keep its end for the log."""
        self.errortext = (self.errortext + data)[-_ERRORS:]

    def outReceived(self, data: bytes) -> None:
        """Called with output to stdout: the response. End a process whose header is too large."""
        if self.handling_headers and len(self.headertext) > _HEAD:
            self.stopProducing()
        elif not self._requestFinished:
            super().outReceived(data)

    def stopProducing(self) -> None:
        """Called when the client is gone. End the process."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def processEnded(self, reason: Failure) -> None:
        """Called when the process has ended."""
        self._running.discard(self)
        super().processEnded(reason)
