"""Stock Autobahn on Twisted, with its compiled UTF-8 check and masking."""

from __future__ import annotations

from asked import BACKLOG, LARGEST, asked, listening
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from twisted.internet import reactor, ssl


class Echo(WebSocketServerProtocol):
    """A message comes back."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


everyone: set[WebSocketServerProtocol] = set()


class Everyone(WebSocketServerProtocol):
    """A message goes to all, framed once."""

    def onOpen(self) -> None:
        everyone.add(self)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        everyone.discard(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        prepared = self.factory.prepareMessage(payload, isBinary)
        for each in everyone:
            each.sendPreparedMessage(prepared)


def accept(offers: list[object]) -> PerMessageDeflateOfferAccept | None:
    deflate = [offer for offer in offers if isinstance(offer, PerMessageDeflateOffer)]
    return PerMessageDeflateOfferAccept(deflate[0]) if deflate else None


factory = WebSocketServerFactory()
factory.protocol = Everyone if asked.fanout else Echo
factory.setProtocolOptions(maxMessagePayloadSize=LARGEST, maxFramePayloadSize=LARGEST, tcpNoDelay=True)
if asked.deflate:
    factory.setProtocolOptions(perMessageCompressionAccept=accept)
if asked.tls:
    tls = ssl.DefaultOpenSSLContextFactory(asked.tls, asked.tls, ssl.SSL.TLS_METHOD)
    port = reactor.listenSSL(0, factory, tls, backlog=BACKLOG, interface="127.0.0.1")
else:
    port = reactor.listenTCP(0, factory, backlog=BACKLOG, interface="127.0.0.1")
listening(port.getHost().port)
reactor.run()
