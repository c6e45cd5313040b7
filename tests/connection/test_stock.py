"""Classes that were written for Autobahn's own server, as they come, at a route of wsd."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred

from tests.wire import Client, Daemon
from wsd.config import ConfigError
from wsd.connection import factoryOf


class Noted(WebSocketServerProtocol):
    """Echoes, and notes what it is called with."""

    calls: list[tuple[Any, ...]]

    def onConnect(self, request: ConnectionRequest) -> Any:
        self.calls.append(("connect", request.path, request.params, request.origin, self.state, (self.peer or "")[:15]))
        if "deny" in request.params:
            raise ConnectionDeny(403, "not you")
        return self.answer(request)

    def answer(self, request: ConnectionRequest) -> Any:
        return None

    def onOpen(self) -> None:
        self.calls.append(("open", self.state == self.STATE_OPEN, self.websocket_protocol_in_use))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)

    def onPong(self, payload: bytes) -> None:
        self.calls.append(("pong", payload))

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.calls.append(("close", wasClean, code, reason))


@pytest.fixture
def noted() -> type[Noted]:
    return type("Noted", (Noted,), {"calls": []})


def daemonOf(found: Any, **keys: Any) -> Daemon:
    return Daemon({"/*": factoryOf(found, "")}, **keys)


def opened(found: Any, path: str = "/", **arguments: Any) -> Client:
    return daemonOf(found).open(path, **arguments)


class TestMessages:
    def test_they_are_echoed(self, noted: type[Noted]) -> None:
        client = opened(noted)
        client.say("héllo")
        client.say(b"\x00\xff")
        assert client.messages() == ["héllo", b"\x00\xff"]

    def test_the_limit_of_the_route_holds(self, noted: type[Noted]) -> None:
        client = opened(noted)
        client.say("x" * 1_100_000)
        assert client.closeCode == 1009

    def test_an_exception_closes_with_1011(self) -> None:
        client = opened(type("Wrong", (WebSocketServerProtocol,), {"onMessage": lambda *arguments: 1 / 0}))
        client.say("x")
        assert client.closeCode == 1011

    def test_a_coroutine_is_awaited_before_the_next(self) -> None:
        waiting: Deferred[None] = Deferred()

        class Slow(WebSocketServerProtocol):
            async def onMessage(self, payload: bytes, isBinary: bool) -> None:  # type: ignore[override]
                await waiting
                self.sendMessage(payload)

        client = opened(Slow)
        client.say("a")
        assert client.messages() == []
        waiting.callback(None)
        client.exchange()
        assert client.messages() == ["a"]

    def test_pieces_are_refused_with_what_to_call(self, noted: type[Noted]) -> None:
        daemon = daemonOf(noted)
        daemon.open()
        (connection,) = daemon.connections
        with pytest.raises(NotImplementedError, match="a route sends whole messages; call sendMessage"):
            connection._stock.beginMessage()


class TestOpening:
    def test_the_request_is_as_autobahn_gives_it(self, noted: type[Noted]) -> None:
        opened(noted, "/a/b?x=1&x=2", origin="http://localhost")
        connecting = WebSocketServerProtocol.STATE_CONNECTING
        assert noted.calls == [
            ("connect", "/a/b", {"x": ["1", "2"]}, "http://localhost", connecting, "tcp4:127.0.0.1:"),
            ("open", True, None),
        ]

    def test_it_may_deny(self, noted: type[Noted]) -> None:
        client = opened(noted, "/?deny=1")
        assert client.response is not None
        assert (client.response.status_code, client.response.body) == (403, b"not you\n")
        client.wire.close()
        assert noted.calls[-1][:3] == ("close", False, 1006)

    def test_it_may_choose_a_subprotocol(self, noted: type[Noted]) -> None:
        noted.answer = lambda self, request: request.protocols[1]  # type: ignore[method-assign]
        client = opened(noted, subprotocols=["a", "b"])
        assert client.response is not None
        assert client.response.headers["Sec-WebSocket-Protocol"] == "b"
        assert noted.calls[-1] == ("open", True, "b")

    def test_and_add_header_fields_later(self, noted: type[Noted]) -> None:
        waiting: Deferred[Any] = Deferred()
        noted.answer = lambda self, request: waiting  # type: ignore[method-assign]
        client = opened(noted)
        waiting.callback((None, {"X-One": "1", "X-Two": ["2", "3"]}))
        client.exchange()
        assert client.response is not None
        assert client.response.headers["X-One"] == "1"
        assert client.response.headers.get_all("X-Two") == ["2", "3"]

    def test_the_origins_of_the_route_hold(self, noted: type[Noted]) -> None:
        client = opened(noted, origin="https://else.example")
        assert client.response is not None
        assert client.response.status_code == 403
        assert noted.calls == []


class TestTheEnd:
    def test_the_peers_close_is_clean(self, noted: type[Noted]) -> None:
        client = opened(noted)
        client.close(4000, "enough")
        assert noted.calls[-1] == ("close", True, 4000, "enough")

    def test_a_lost_connection_is_not(self, noted: type[Noted]) -> None:
        client = opened(noted)
        client.wire.reset()
        assert noted.calls[-1] == ("close", False, 1006, "connection was closed uncleanly (lost)")

    def test_it_closes_itself(self) -> None:
        client = opened(type("Short", (WebSocketServerProtocol,), {"onOpen": lambda self: self.sendClose(4001, "bye")}))
        assert (client.closeCode, client.protocol.close_reason) == (4001, "bye")

    def test_it_drops(self) -> None:
        client = opened(type("Short", (WebSocketServerProtocol,), {"onOpen": lambda self: self.dropConnection()}))
        assert client.wire.ended

    def test_pings_are_answered(self, noted: type[Noted]) -> None:
        def ping(self: Any) -> None:
            self.sendPing(b"hi")

        noted.onOpen = ping  # type: ignore[method-assign]
        client = opened(noted)
        client.exchange()
        assert ("pong", b"hi") in noted.calls


class Member(WebSocketServerProtocol):
    """As in Autobahn's examples of a broadcast."""

    def onOpen(self) -> None:
        self.factory.register(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.broadcast(payload)

    def connectionLost(self, reason: Any = None) -> None:
        WebSocketServerProtocol.connectionLost(self, reason)
        self.factory.unregister(self)


class BroadcastFactory(WebSocketServerFactory):
    protocol = Member

    def __init__(self, url: str) -> None:
        WebSocketServerFactory.__init__(self, url, reactor=object())
        self.clients: list[Any] = []

    def register(self, client: Any) -> None:
        self.clients.append(client)

    def unregister(self, client: Any) -> None:
        self.clients.remove(client)

    def broadcast(self, payload: bytes) -> None:
        message = self.prepareMessage(payload)
        for client in self.clients:
            client.sendPreparedMessage(message)


class TestAFactory:
    @pytest.mark.parametrize("isInstance", [False, True], ids=["class", "instance"])
    def test_its_connections_know_it(self, isInstance: bool) -> None:
        daemon = daemonOf(BroadcastFactory("ws://localhost") if isInstance else BroadcastFactory)
        stock = daemon.factories["/*"].stock
        one, two = daemon.open(), daemon.open()
        assert stock.countConnections == 2
        one.say("hello")
        two.exchange()
        assert one.messages() == two.messages() == ["hello"]
        one.close()
        assert (len(stock.clients), stock.countConnections) == (1, 1)

    def test_it_is_started_and_stopped(self) -> None:
        calls: list[str] = []
        started = {"startFactory": lambda self: calls.append("start"), "stopFactory": lambda self: calls.append("stop")}
        factory = daemonOf(type("Own", (BroadcastFactory,), started)).factories["/*"]
        factory.started()
        factory.stopped()
        assert calls == ["start", "stop"]

    def test_one_that_needs_more_is_told(self) -> None:
        def init(self: Any, url: str, name: str) -> None: ...

        with pytest.raises(ConfigError, match=r"^Own\(\) needs arguments; name an instance of it"):
            daemonOf(type("Own", (BroadcastFactory,), {"__init__": init}))
