"""Listening sockets: Twisted's ports with the house's transports, which accept all that wait in one turn."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.listen.transport import TCPTransport, UNIXTransport

_ANY = ("0.0.0.0", "::")
_BATCH = 256
"""Connections accepted a turn."""


class TCPPort(tcp.Port):
    """Twisted's TCP port."""

    log = Logger()
    transport = TCPTransport  # type: ignore[assignment]

    host: IAddress | None = None
    """The address at which all its connections are accepted; None when it listens at every address."""

    def startListening(self) -> None:
        """Begin to accept."""
        super().startListening()
        host = self.getHost()
        self.host = None if host.host in _ANY else host

    def doRead(self) -> None:
        """Accept those that wait; what is out of the ordinary is left to Twisted's own, which is twice as slow."""
        most = self.numberAccepts
        for accepted in range(most):
            try:
                client, name = self.socket.accept()
            except BlockingIOError:
                # As many next time: then nobody has to find out that no more have come.
                self.numberAccepts = max(1, accepted)
                return
            except OSError:
                super().doRead()
                return
            try:
                self._begin(client, name)
            except Exception:
                self.log.failure("a connection could not begin", event="connection.error")
        self.numberAccepts = min(most + 20, _BATCH)

    def _begin(self, client: Any, name: Any) -> None:
        if len(name) == 4 and name[3]:
            # The interface of a link-local address belongs to its text.
            name = (socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0], *name[1:])
        factory: Any = self.factory
        protocol = factory.buildProtocol(self._addressType("TCP", *name))
        if protocol is None:
            client.close()
            return
        self.sessionno += 1
        protocol.makeConnection(self.transport(client, protocol, name, self, self.sessionno, self.reactor))

    def _logConnectionLostMsg(self) -> None:
        """The daemon says itself that it stops."""


class UNIXPort(unix.Port):
    """Twisted's unix port; a socket that somebody else made keeps its path."""

    transport = UNIXTransport
    ownsPath = True

    def startListening(self) -> None:
        """Begin to accept; the path keeps the mode that whoever bound it gave it, where Twisted's own sets 666."""
        tcp._reservedFD.reserve()
        own: Any = self
        own.factory.doStart()
        own.socket, own._preexistingSocket = own._preexistingSocket, None
        own.fileno = own.socket.fileno
        self.connected = True
        self.numberAccepts = _BATCH
        self.startReading()

    def _logConnectionLostMsg(self) -> None:
        """The daemon says itself that it stops."""

    def connectionLost(self, reason: Failure) -> None:
        """Stop, and remove the path if it is ours."""
        if self.ownsPath:
            super().connectionLost(reason)
        else:
            tcp.Port.connectionLost(self, reason)
