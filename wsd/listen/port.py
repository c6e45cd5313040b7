"""
Listening sockets: Twisted's ports with our transports. One turn of the reactor accepts many pending connections.

When no descriptor is left, pending clients are answered and closed with the help of a spare descriptor.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.connection.request import newId
from wsd.listen.records import READ
from wsd.listen.transport import TCPTransport, UNIXTransport

_ANY = ("0.0.0.0", "::")
_BATCH = 256
"""Connections accepted in one turn of the reactor."""

_TURN = 0.002
"""Seconds after which a port accepts no more in this turn, so that open connections do not wait for new ones."""

_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors of accept() when descriptors or memory have run out; the connection stays in the queue."""
_PAUSE = 0.25
"""Seconds without accepting after such an error, so that pending clients do not keep the daemon busy."""
_QUIET = 10.0
"""Seconds between two log lines about such errors."""

_NO_DESCRIPTOR = (
    "the process is out of file descriptors; raise LimitNOFILE= of the unit (ulimit -n), or lower max_connections"
)

_SENTENCE = b"the server has no descriptor left for your connection; try again\n"
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nX-Request-Id: {id}\r\nConnection: close\r\n\r\n%b" % (len(_SENTENCE), _SENTENCE)
)
"""`{id}` becomes the id of the line in the log that tells why."""


class Shortage:
    """
    Turns away connections for which no descriptor is left, by means of a spare one. Logs at most every ten seconds.

    Calls `count` with the name of the error and the number of connections.
    """

    log = Logger(namespace="wsd")

    def __init__(self, seconds: Callable[[], float], count: Callable[[str, int], object]) -> None:
        self._seconds = seconds
        self._count = count
        self._spare: int | None = None
        self._failed = 0
        self._reportedAt: float | None = None
        self._id = ""
        """The id of the newest line in the log, and of the clients that were turned away since."""

    def prepare(self) -> None:
        """Open the spare descriptor, if there is none."""
        if self._spare is None:
            with suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the spare descriptor."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def turnAway(self, listening: socket.socket, error: OSError, answer: bytes) -> None:
        """Send this answer to pending clients and close their connections, as many as one turn allows."""
        if self._mayReport:
            self._id = newId()
        answer = answer.replace(b"{id}", self._id.encode())
        failed = 0
        while failed < _BATCH and self._spare is not None:
            self.close()
            try:
                client, _ = listening.accept()
            except OSError:
                break
            else:
                failed += 1
                _end(client, answer)
            finally:
                self.prepare()
        self.prepare()
        self._report(error, max(failed, 1))

    def _report(self, error: OSError, failed: int) -> None:
        name = errno.errorcode.get(error.errno or 0, "unknown")
        self._count(name, failed)
        self._failed += failed
        if self._mayReport:
            self.log.error(
                "{count} connections could not be accepted: {reason}",
                event="listener.short",
                id=self._id,
                count=self._failed,
                error=name,
                reason=_NO_DESCRIPTOR if name == "EMFILE" else error.strerror,
            )
            self._reportedAt, self._failed = self._seconds(), 0

    @property
    def _mayReport(self) -> bool:
        return self._reportedAt is None or self._seconds() - self._reportedAt >= _QUIET


def _end(client: socket.socket, answer: bytes) -> None:
    """Send the answer and close. Reads first what was received, because unread bytes would cause a reset."""
    with client, suppress(OSError):
        client.setblocking(False)
        client.send(answer)
        client.shutdown(socket.SHUT_WR)
        client.recv(READ)


if TYPE_CHECKING:
    _Base = tcp.Port
else:
    _Base = object


class _Accepting(_Base):
    """A mixin for Twisted's ports that accepts connections."""

    log = Logger()

    _isPaused = False
    shortage: Shortage | None = None
    """Turns away connections that cannot be accepted; without it Twisted logs each failure."""
    batch = _BATCH
    """The most connections that are accepted in one turn."""
    ring: Any = None
    """What serves the connections; None for the reactor of the port."""
    isSecure = False
    """Whether its clients begin with TLS. They would not understand an answer in plain HTTP."""

    def doRead(self) -> None:
        """Accept pending connections. Other errors are left to Twisted's method, which is half as fast."""
        most, end = min(self.numberAccepts, self.batch), monotonic() + _TURN
        own: Any = self
        for accepted in range(most):
            try:
                # The public `accept` looks up two members of an Enum for each connection.
                descriptor, name = own.socket._accept()
            except BlockingIOError:
                # Next time accept only so many, which saves the call that finds none.
                self.numberAccepts = max(1, accepted)
                return
            except OSError as error:
                if self.shortage is None or error.errno not in _SHORT:
                    super().doRead()
                    return
                self.shortage.turnAway(own.socket, error, b"" if self.isSecure else _ANSWER)
                self.stopReading()
                own.reactor.callLater(_PAUSE, self._resume)
                return
            try:
                self._begin(socket.socket(own.addressFamily, socket.SOCK_STREAM, 0, descriptor), name)
            except Exception:
                self.log.failure("a connection could not be started", event="connection.error")
            if monotonic() >= end:
                return
        self.numberAccepts = min(most + 20, _BATCH)

    def _resume(self) -> None:
        if self.connected and not self.disconnecting and not self._isPaused:
            self.startReading()

    def pause(self, isPaused: bool) -> None:
        """Stop accepting, or go on."""
        self._isPaused = isPaused
        if isPaused:
            self.stopReading()
        else:
            self._resume()

    def stopListening(self, connDone: Failure = connectionDone) -> Deferred[None]:
        """Stop at once, not in a later turn: what is said after a stop, such as READY=1, must be true."""
        if self.connected:
            self.stopReading()
            self.connectionLost(connDone)
        return succeed(None)

    def acceptRest(self) -> None:
        """Accept all connections that are waiting."""
        before, waiting = self.numberAccepts, -1
        while self.connected and waiting != self.sessionno:
            waiting, self.numberAccepts = self.sessionno, _BATCH
            self.doRead()
        self.numberAccepts = before

    def _begin(self, client: Any, name: Any) -> None:
        factory: Any = self.factory
        # No factory here looks at the address. It would be made for each connection; `getPeer` makes it when asked.
        protocol = factory.buildProtocol(None)
        if protocol is None:
            client.close()
            return
        self.sessionno += 1
        build: Any = self.transport
        protocol.makeConnection(build(client, protocol, name, self, self.sessionno, self.ring or self.reactor))

    def _logConnectionLostMsg(self) -> None:
        """Log nothing, since the daemon logs its own stop."""


class TCPPort(_Accepting, tcp.Port):
    """Twisted's TCP port."""

    transport = TCPTransport  # type: ignore[assignment]

    host: IAddress | None = None
    """The local address of its connections; None if it listens on every address."""

    def startListening(self) -> None:
        """Begin to accept. Connections inherit TCP_NODELAY, which saves a system call for each."""
        super().startListening()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host = self.getHost()
        self.host = None if host.host in _ANY else host

    def _begin(self, client: Any, name: Any) -> None:
        if len(name) == 4 and name[3]:
            # The text of a link-local address includes its interface.
            name = (socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0], *name[1:])
        super()._begin(client, name)


class UNIXPort(_Accepting, unix.Port):
    """Twisted's unix port. The path of an inherited socket is not removed."""

    transport = UNIXTransport
    ownsPath = True
    _shouldShutdown = False
    """Closing it ends nothing for systemd or another process that has the socket too."""

    def startListening(self) -> None:
        """Begin to accept. The path keeps its mode, which Twisted would set to 666."""
        tcp._reservedFD.reserve()
        own: Any = self
        own.factory.doStart()
        own.socket, own._preexistingSocket = own._preexistingSocket, None
        own.fileno = own.socket.fileno
        self.connected = True
        self.numberAccepts = _BATCH
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        """Stop, and remove the path if it is ours. Somebody may have removed it already."""
        if self.ownsPath:
            with suppress(OSError):
                os.unlink(self.getHost().name)
        tcp.Port.connectionLost(self, reason)
