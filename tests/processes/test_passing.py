"""A connection goes on at another site, wherever it was stopped: on every plane, and from each plane to each."""

from __future__ import annotations

import os
import time
import zlib
from dataclasses import replace
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests import wire
from tests.processes.proxied import FACTS, ProxiedDoors
from tests.wire import Client, Daemon, Wire
from wsd.auth.outcome import AuthenticatedUser
from wsd.config import Policies
from wsd.connection import Connection, Factory
from wsd.frames import PLANES
from wsd.policies.address import Peer
from wsd.processes.packing import pack, unpack
from wsd.processes.passing import Arrived, Leaving, arrive, arriveNew, wireOf


class Answering(Connection):
    """Answers each message with its number and the message."""

    count = 0

    def received(self, payload: bytes, isBinary: bool) -> None:
        self.count += 1
        answer = b"%d " % self.count + payload
        self.send(answer if isBinary else answer.decode())

    def full(self) -> None:
        self.hold()

    def drained(self) -> None:
        self.release()

    def saveState(self) -> Any:
        return {"count": self.count}

    def restoreState(self, state: Any, version: int) -> None:
        self.count = state["count"]


class AnsweringFactory(Factory):
    connection = Answering
    stateVersion = 3


@pytest.fixture(params=[(old, new) for old in PLANES for new in PLANES], ids="-".join)
def planes(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The planes of the two daemons."""
    found: tuple[str, str] = request.param
    return found


def daemonOn(plane: str, monkeypatch: pytest.MonkeyPatch, **policies: Any) -> Daemon:
    monkeypatch.setattr(wire, "PLANE", PLANES[plane])
    return Daemon({"/": AnsweringFactory}, Policies(**{"ping_interval": 0, **policies}))


def stop(client: Client) -> Leaving:
    """Stop the connection of a client where it is."""
    door = client.wire.door
    assert door.connection is not None
    door.connection.freeze()
    assert door.connection.isMovable
    found = wireOf(door)
    assert found is not None
    return Leaving(door, found)


def move(client: Client, daemon: Daemon) -> Arrived:
    """Let the connection of a client go on at another daemon."""
    leaving = stop(client)
    descriptor, saved = os.dup(leaving.descriptor), unpack(pack(leaving.saved))
    leaving.confirm()
    factory = daemon.factories["/"]
    arrived = arrive(daemon.site, factory, factory.stateVersion, daemon.reactor, descriptor, saved)
    client.wire.daemon, client.wire.door, client.wire.transport = daemon, arrived.door, arrived.wire  # type: ignore[assignment]
    client.wire._ends = (client.wire.socket, arrived.wire.socket)
    arrived.start()
    return arrived


@pytest.fixture
def pair(planes: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Daemon, Daemon]:
    """The daemon that a connection leaves, and the one that it goes on at."""
    new = daemonOn(planes[1], monkeypatch)
    return daemonOn(planes[0], monkeypatch), new


def masked(first: int, payload: bytes, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A frame as a client sends it."""
    size = len(payload)
    length = bytes((size | 0x80,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first,)) + length + mask + bytes(each ^ mask[at % 4] for at, each in enumerate(payload))


def deflated(context: Any, payload: bytes) -> bytes:
    return bytes((context.compress(payload) + context.flush(zlib.Z_SYNC_FLUSH))[:-4])


def test_an_idle_connection_goes_on_with_its_state(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = old.open()
    assert client.messages(client.say("a")) == ["1 a"]
    arrived = move(client, new)
    assert client.messages(client.say("b")) == ["2 b"]
    assert not old.connections
    assert not old.site.doors
    assert old.admission.connections == 0
    assert new.connections == [arrived.connection]
    assert new.admission.connections == 1
    assert arrived.connection.request.head.path == "/"
    client.close()
    assert client.closeCode == 1000
    assert new.admission.connections == 0


def test_a_connection_keeps_its_counts(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = old.open()
    client.say("abc")
    connection = move(client, new).connection
    client.say("de")
    counts = connection.messagesReceived, connection.messagesSent, connection.bytesReceived, connection.bytesSent
    assert counts == (2, 2, len("abcde"), len("1 abc2 de"))
    traffic = new.factories["/"].counters.traffic
    assert traffic.messagesIn == 1, "those of the route are counted where they were received"


def test_a_connection_keeps_its_age(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = old.open()
    old.reactor.advance(100)
    connection = move(client, new).connection
    assert new.reactor.seconds() - connection.openedAt == 100


def test_what_identifies_a_connection_stays(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = old.open("/?a=b", headers={"Cookie": "c=d", "Origin": "http://localhost:9998"})
    (before,) = old.connections
    after = move(client, new).connection
    assert (after.id, after.peer, after.request.head.line) == (before.id, before.peer, before.request.head.line)
    assert list(after.request.head.headers) == list(before.request.head.headers)
    assert after.request.queries == {"a": "b"}
    assert after.request.head.headers.get("cookie") == "c=d"


def test_the_user_stays_and_so_does_the_end_of_the_token(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = old.open()
    (before,) = old.connections
    before.user = "ann"
    before.request.identity = AuthenticatedUser("ann", "bearer", time.time() + 60, {"sub": "ann"})
    after = move(client, new).connection
    assert after.user == "ann"
    assert after.request.identity == before.request.identity
    assert new.admission.users() == {"ann": 1}
    new.factories["/"].policies = replace(new.factories["/"].policies, ping_interval=0.0)
    new.pass_(61)
    client.exchange()
    assert client.closeCode == 4001


TEXT = "汉字 and more, ".encode() * 12
UNCOMPRESSED = [
    masked(0x81, b"one") + masked(0x82, b"\xff" * 300),
    masked(0x01, TEXT[:50]) + masked(0x89, b"ping") + masked(0x80, TEXT[50:]),
    masked(0x02, b"") + masked(0x00, b"") + masked(0x80, bytes(200)),
    masked(0x81, TEXT),
]


@pytest.mark.parametrize("sent", UNCOMPRESSED)
def test_a_connection_moves_at_any_byte(planes: tuple[str, str], monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    whole = daemonOn(planes[0], monkeypatch).open().wire.exchange(sent)
    for cut in range(0, len(sent), 11):
        new = daemonOn(planes[1], monkeypatch)
        client = daemonOn(planes[0], monkeypatch).open()
        answer = client.wire.exchange(sent[:cut])
        _moveOrWait(client, new)
        assert answer + client.wire.exchange(sent[cut:]) == whole


def _moveOrWait(client: Client, daemon: Daemon) -> bool:
    """Move, unless Autobahn reads and is within a message: then the daemon waits. Returns whether it has moved."""
    connection = client.wire.door.connection
    assert connection is not None
    connection.freeze()
    isMovable = connection.isMovable
    connection.thaw()
    if isMovable:
        move(client, daemon)
    else:
        assert wire.PLANE is not None
        assert type(connection.frames).__name__ == "Plain"
    return isMovable


@pytest.mark.parametrize("takeover", [True, False])
def test_a_deflated_connection_moves_at_any_byte(
    planes: tuple[str, str], monkeypatch: pytest.MonkeyPatch, takeover: bool
) -> None:
    offer = ClientPerMessageDeflateFactory(client_no_context_takeover=not takeover, client_max_window_bits=True)
    context = zlib.compressobj(wbits=-15)
    pieces = [deflated(context, b"the same words, %d times" % number * 9) for number in range(2)]
    if not takeover:
        pieces = [deflated(zlib.compressobj(wbits=-15), b"the same words, %d times" % at * 9) for at in range(2)]
    third = deflated(context if takeover else zlib.compressobj(wbits=-15), b"the same words, and an end" * 30)
    middle = len(third) // 2
    sent = [
        masked(0xC2, pieces[0]),
        masked(0xC2, pieces[1]),
        masked(0x42, third[:middle]),
        masked(0x00, third[middle : middle + 3]),
        masked(0x80, third[middle + 3 :]),
    ]
    data = b"".join(sent)
    expected = [
        b"1 " + b"the same words, 0 times" * 9,
        b"2 " + b"the same words, 1 times" * 9,
        b"3 " + b"the same words, and an end" * 30,
    ]
    for cut in range(0, len(data), 9):
        new = daemonOn(planes[1], monkeypatch)
        client = daemonOn(planes[0], monkeypatch).open(extensions=[offer])
        client.wire.send(data[:cut])
        client.exchange()
        _moveOrWait(client, new)
        client.wire.send(data[cut:])
        client.exchange()
        assert client.messages() == expected


def test_messages_after_a_move_are_deflated_anew(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = old.open(extensions=[ClientPerMessageDeflateFactory()])
    payload = os.urandom(400) * 3
    assert client.messages(client.say(payload)) == [b"1 " + payload]
    move(client, new)
    assert client.messages(client.say(payload)) == [b"2 " + payload]
    assert client.messages(client.say(payload)) == [b"3 " + payload]


def test_what_waits_to_be_sent_arrives_once(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = old.open()
    (connection,) = old.connections
    payloads = [os.urandom(1 << 20) for _ in range(8)]
    for payload in payloads[:-1]:
        connection.send(payload)
    connection.send(payloads[-1][:100])
    assert connection.unsent
    assert connection.held == 1
    arrived = move(client, new)
    assert arrived.connection.isFull
    assert arrived.connection.held == 1
    client.exchange()
    assert client.messages() == [*payloads[:-1], payloads[-1][:100]]
    assert arrived.connection.held == 0
    assert client.messages(client.say("on")) == ["1 on"]


def test_a_connection_that_is_held_is_not_movable(pair: tuple[Daemon, Daemon]) -> None:
    old, _new = pair
    old.open()
    (connection,) = old.connections
    connection.hold()
    connection.freeze()
    assert not connection.isMovable
    connection.release()
    assert connection.isMovable


def test_a_connection_that_was_not_taken_goes_on_where_it_was(pair: tuple[Daemon, Daemon]) -> None:
    old, _new = pair
    client = old.open()
    frame = masked(0x81, TEXT)
    # Autobahn, which reads on the plane `plain`, is only moved between messages.
    cut = 0 if type(old.connections[0].frames).__name__ == "Plain" else 20
    client.wire.exchange(frame[:cut])
    (connection,) = old.connections
    leaving = stop(client)
    connection.send(b"lost: another process may write here now")
    connection.close()
    leaving.takeBack()
    assert client.wire.exchange(frame[cut:]).endswith(b"1 " + TEXT)
    assert connection.isOpen


@pytest.mark.parametrize("isLacking", [False, True], ids=["state", "unsent"])
def test_a_connection_that_cannot_be_resumed_is_left_to_the_old_process(
    pair: tuple[Daemon, Daemon], isLacking: bool
) -> None:
    old, new = pair
    client = old.open()
    leaving = stop(client)
    saved = unpack(pack(leaving.saved))
    if isLacking:
        del saved["unsent"]
    else:
        saved["connection"]["state"] = "not what this version reads"
    with pytest.raises((TypeError, KeyError)):
        arrive(new.site, new.factories["/"], 3, new.reactor, os.dup(leaving.descriptor), saved)
    assert not new.connections
    assert not new.site.doors
    assert new.admission.connections == 0
    leaving.takeBack()
    assert client.messages(client.say("a")) == ["1 a"]


def test_what_a_proxy_has_said_goes_with_it(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = Client(Wire(old, factory=ProxiedDoors(old.site))).handshake()
    connection = move(client, new).connection
    assert (connection.tls, connection.request.tls) == (FACTS.tls, FACTS.tls)
    assert connection.peer == Peer("203.0.113.7", 51000, True, False, "10.0.0.1", FACTS.id)
    assert connection.transport.facts == FACTS


def test_an_older_version_has_not_saved_what_a_proxy_said(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = Client(Wire(old, factory=ProxiedDoors(old.site))).handshake()
    leaving = stop(client)
    saved = unpack(pack(leaving.saved))
    del saved["facts"], saved["connection"]["proxyId"], saved["connection"]["tls"]
    connection = arrive(new.site, new.factories["/"], 3, new.reactor, os.dup(leaving.descriptor), saved).connection
    leaving.confirm()
    assert (connection.tls, connection.peer.via, connection.peer.proxyId) == (None, "10.0.0.1", None)
    connection.transport.abortConnection()


def test_pings_go_on(planes: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    new = daemonOn(planes[1], monkeypatch, ping_interval=20, ping_timeout=10)
    old = daemonOn(planes[0], monkeypatch, ping_interval=20, ping_timeout=10)
    client = old.open()
    old.pass_(15)
    move(client, new)
    new.pass_(6)
    assert [frame.opcode.name for frame in client.exchange()] == ["PING"]
    new.pass_(25)
    assert client.closeCode != 1006


def test_a_connection_without_a_whole_head_moves_too(pair: tuple[Daemon, Daemon]) -> None:
    old, new = pair
    client = Client(old.connect())
    client.protocol.send_request(client.request)
    (head,) = client.protocol.data_to_send()
    client.wire.send(head[:40])
    found = wireOf(client.wire.door)
    assert found is not None
    leaving = Leaving(client.wire.door, found)
    descriptor, saved = os.dup(leaving.descriptor), unpack(pack(leaving.saved))
    leaving.confirm()
    arriveNew(new.site, new.reactor, descriptor, saved)
    assert not old.site.doors
    (door,) = new.site.doors
    client.wire.daemon, client.wire.door, client.wire.transport = new, door, door.transport  # type: ignore[assignment]
    client.wire._ends = (client.wire.socket, door.transport.socket)
    client.wire.send(head[40:])
    client.exchange()
    assert client.messages(client.say("a")) == ["1 a"]
