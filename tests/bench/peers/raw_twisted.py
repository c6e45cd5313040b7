"""Bytes come back, on Twisted: no WebSocket."""

from __future__ import annotations

from asked import BACKLOG, listening
from twisted.internet import protocol, reactor


class Raw(protocol.Protocol):
    """What is read is written."""

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


factory = protocol.Factory.forProtocol(Raw)
port = reactor.listenTCP(0, factory, backlog=BACKLOG, interface="127.0.0.1")
listening(port.getHost().port)
reactor.run()
