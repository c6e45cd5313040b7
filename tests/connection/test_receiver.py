"""The receiver of what a transport reads: once a connection is open, the plane reads from the socket itself."""

from __future__ import annotations

import pytest

from tests import wire
from tests.wire import Client, Daemon, Wire
from wsd.connection import Connection, Factory
from wsd.frames import PLANES
from wsd.listen.proxy import ProxyFactory
from wsd.web.door import Doors

PROXY_HEADER = b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\n"


class Back(Connection):
    def received(self, payload: bytes, isBinary: bool) -> None:
        self.send(payload, isBinary)


class BackFactory(Factory):
    connection = Back


@pytest.fixture(params=["direct", "behind PROXY"])
def client(request: pytest.FixtureRequest, plane: str) -> Client:
    """An open connection, and its daemon's side as `connection`."""
    daemon = Daemon({"/": BackFactory})
    if request.param == "direct":
        return Client(daemon.connect()).handshake()
    bare = Wire(daemon, factory=ProxyFactory(daemon.reactor, Doors(daemon.site), lambda address: True, 5))
    bare.send(PROXY_HEADER)
    return Client(bare).handshake()


@pytest.fixture(params=PLANES)
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(wire, "PLANE", PLANES[request.param])
    return str(request.param)


def test_the_plane_receives_and_sends_by_itself(client: Client, plane: str) -> None:
    [connection] = client.wire.daemon.connections
    transport = client.wire.transport
    assert transport.receiver is connection.frames
    assert not connection.copies
    before = transport.written()
    assert client.messages(client.say(b"hello")) == [b"hello"]
    assert transport.written() - before == 7
    assert connection.frames.sent == (0 if plane == "plain" else 7)


def test_what_was_sent_is_still_known_when_the_connection_is_gone(client: Client) -> None:
    client.say(b"hello")
    transport = client.wire.transport
    written = transport.written()
    client.wire.reset()
    assert (transport.receiver, transport.written()) == (None, written)


def test_the_state_is_the_connections_and_the_plane_has_it(client: Client) -> None:
    [connection] = client.wire.daemon.connections
    frames = connection.frames
    assert (frames.isOpen, frames.held) == (True, 0)
    connection.hold()
    assert frames.held == connection.held == 1
    connection.release()
    connection.close()
    assert (frames.isOpen, frames.held) == (False, 0)
