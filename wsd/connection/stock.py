"""
Runs a protocol that was written for Autobahn's own server, under the policies of a route.

Each connection of the route has an instance of the author's class. It is called with Autobahn's hooks (`onConnect`,
`onOpen`, `onMessage`, `onPong`, `onClose`), and what it sends goes through the connection.
"""

from __future__ import annotations

from inspect import signature
from typing import Any, ClassVar
from urllib.parse import parse_qs

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from wsd.config import ConfigError
from wsd.connection.connection import Connection
from wsd.connection.factory import Factory
from wsd.connection.request import Accept, Request
from wsd.frames.codes import CloseCode
from wsd.head import Refused


class _Stock(WebSocketServerProtocol):
    """The base of an author's class, between it and Autobahn's: it sends through the connection of the route."""

    connection: Connection

    @property
    def state(self) -> int:
        """The state of the connection, by Autobahn's numbers."""
        return self.connection.state

    @state.setter
    def state(self, state: int) -> None:
        """Do nothing: the connection has its own state."""

    def connectionMade(self) -> None:
        """Called before the handshake."""
        self.factory.countConnections += 1

    def connectionLost(self, reason: Any = None) -> None:
        """Called at the end."""
        self.factory.countConnections -= 1
        connection = self.connection
        self.wasClean = connection.wasClean
        if connection.wasClean:
            self.onClose(True, connection.remoteCloseCode, connection.remoteCloseReason)
        else:
            self.onClose(False, CloseCode.ABNORMAL_CLOSURE, f"connection was closed uncleanly ({connection.cause})")

    # Many classes call the method of Autobahn's own class by its full name, which then calls these.
    _connectionMade = connectionMade
    _connectionLost = connectionLost

    def sendMessage(
        self,
        payload: bytes,
        isBinary: bool = False,
        fragmentSize: int | None = None,
        sync: bool = False,
        doNotCompress: bool = False,
    ) -> None:
        """Send a message."""
        self.connection.send(payload, isBinary, fragment=fragmentSize or 0, deflate=not doNotCompress)

    def sendPreparedMessage(self, preparedMsg: Any) -> None:
        """Send a message that the author's factory has prepared."""
        self.connection.send(preparedMsg)

    def sendPing(self, payload: bytes | None = None) -> None:
        """Send a ping."""
        self.connection.ping(payload or b"")

    def sendClose(self, code: int | None = None, reason: str | None = None) -> None:
        """Begin the closing handshake."""
        self.connection.close(CloseCode.NORMAL_CLOSURE if code is None else code, reason or "")

    def dropConnection(self, abort: bool = False) -> None:
        """End the connection at once."""
        self.connection.drop()

    def beginMessage(self, isBinary: bool = False, doNotCompress: bool = False) -> None:
        """Refuse: Autobahn would write frames past the connection."""
        raise NotImplementedError("a route sends whole messages; call sendMessage, with fragmentSize if you like")

    def onPong(self, payload: bytes) -> None:
        """Called with a pong."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Called with a message."""


class StockConnection(Connection):
    """A connection that calls an instance of the author's class."""

    factory: StockFactory
    namesId = False
    _stock: Any = None

    async def opening(self, request: Request) -> Accept:
        """Let `onConnect` decide."""
        self._stock = stock = self.factory.stockProtocol()
        stock.connection, stock.factory, stock.transport = self, self.factory.stock, self.transport
        stock.connectionMade()
        given = _requestOf(request)
        stock.peer = given.peer
        stock.http_headers, stock.http_request_host = given.headers, given.host
        stock.http_request_path, stock.http_request_params = given.path, given.params
        stock.http_request_uri, stock.websocket_protocols = request.head.target, given.protocols
        try:
            accept = self._accept(await maybeDeferred(stock.onConnect, given), request)
        except ConnectionDeny as denied:
            raise Refused(denied.code, denied.reason or "this connection is not accepted") from None
        stock.websocket_protocol_in_use = accept.subprotocol
        return accept

    def _accept(self, answer: Any, request: Request) -> Accept:
        """What `onConnect` has returned: None, a subprotocol, or a pair of a subprotocol and header fields."""
        if answer is None:
            return Accept(self.factory.choose(request.subprotocols))
        if not isinstance(answer, tuple):
            return Accept(answer)
        subprotocol, headers = answer
        fields = []
        for name, value in headers.items():
            fields += [(name, each) for each in ([value] if isinstance(value, str) else value)]
        return Accept(subprotocol, fields)

    def opened(self) -> Any:
        """Called when the connection is open."""
        return self._stock.onOpen()

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """Called with a message."""
        return self._stock.onMessage(payload, isBinary)

    def onPong(self, payload: bytes) -> None:
        """Called with a pong."""
        super().onPong(payload)
        self._call(self._stock.onPong, payload)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Called at the end, also if the connection was never open."""
        super().connectionLost(reason)
        stock, self._stock = self._stock, None
        if stock is not None:
            self._call(stock.connectionLost, reason or Failure(ConnectionDone()))


class StockFactory(Factory):
    """The factory of a route for an author's class: a protocol, or the factory of one."""

    connection = StockConnection
    author: ClassVar[Any]
    """What the author wrote: a class of Autobahn's protocols or factories, or an instance of the latter."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        author = self.author
        if isinstance(author, type) and issubclass(author, WebSocketServerProtocol):
            self.stock: Any = WebSocketServerFactory(reactor=self.clock)
            self.stock.protocol = author
        else:
            self.stock = _instanceOf(author) if isinstance(author, type) else author
        self.stock.prepareMessage = self._prepareStock
        protocol = self.stock.protocol
        # As Autobahn does for each connection.
        shared = {name: getattr(self.stock, name) for name in protocol.CONFIG_ATTRS}
        self.stockProtocol: Any = type(protocol.__name__, (protocol, _Stock), shared)

    def _prepareStock(self, payload: bytes, isBinary: bool = False, doNotCompress: bool = False) -> Any:
        return self.prepare(payload if isBinary else payload.decode(), isBinary)

    def started(self) -> Deferred[Any] | None:
        """Start the author's factory."""
        self.stock.doStart()
        return None

    def stopped(self) -> Deferred[Any] | None:
        """Stop the author's factory."""
        self.stock.doStop()
        return None


def _instanceOf(author: type) -> Any:
    """An instance of the author's factory. Many such factories take the URL of the server."""
    for arguments in ((), ("ws://localhost",)):
        try:
            signature(author).bind(*arguments)
        except TypeError:
            continue
        return author(*arguments)
    raise ConfigError(f"{author.__name__}() needs arguments; name an instance of it, such as factory = ..., instead")


def _requestOf(request: Request) -> ConnectionRequest:
    """The request in Autobahn's form."""
    head, peer = request.head, request.peer
    return ConnectionRequest(
        peer=f"tcp{6 if ':' in peer.address else 4}:{peer.address}:{peer.port}",
        headers=dict(head.headers.byName),
        host=head.host,
        path=head.path,
        params=parse_qs(head.query),
        version=13,
        origin=head.headers.get("origin"),
        protocols=list(request.subprotocols),
        extensions=[],
    )
