"""XMPP in memory: a server whose threads finish at once, and clients that send stanzas by hand."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from scramp import ScramClient
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.pool import PoolAtOnce
from tests.wire import Client
from wsd.logs import ConnectionLog
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.clientinfo import ClientInfo
from wsd.protocols.xmpp.framing import XmlLimits, parse
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.server import Server
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.stream import XmppStream

OPEN = '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>'
CLOSE = '<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>'
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
LOCAL = ClientInfo("127.0.0.1", True, True, 5)
REMOTE = ClientInfo("192.0.2.1", False, False, 5)
LIMITS = XmlLimits(1 << 20, 200, 100_000, 200)

_KEYS: dict[str, str] = {}
"""Derived once for all tests, since it takes a while, as it should."""


def keysOf(password: str) -> str:
    if password not in _KEYS:
        _KEYS[password] = credentials.derive(password)
    return _KEYS[password]


class Host:
    """A server without a network, with a store in `folder`. The password of each user is its name."""

    def __init__(self, folder: Path, *users: str, **keys: Any) -> None:
        self.folder = folder
        self._stores: list[SqliteStore] = []
        self.options = XmppOptions(store=str(folder / "xmpp.sqlite"), **keys)
        store = SqliteStore(folder / "xmpp.sqlite")
        for user in users:
            with store.transaction():
                credentials.add(store, f"{user}@localhost", keysOf(user))
        store.close()
        self.start()

    def start(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000_000)
        self.pool = PoolAtOnce(self.clock)
        store = AsyncStore(self.pool.share("xmpp", "/xmpp", threads=1), self._open, self.clock)
        deriving = self.pool.share("scram", "/xmpp", threads=2)
        self.server = Server(self.options, self.clock, self.clock.seconds, store, deriving)
        self.started = Deferred.fromCoroutine(self.server.start(True))

    def _open(self) -> SqliteStore:
        store = SqliteStore(self.folder / "xmpp.sqlite")
        self._stores.append(store)
        return store

    def close(self) -> None:
        """Close the files of all stores."""
        for store in self._stores:
            store.close()

    def kill(self) -> None:
        """The process dies without storing anything, and another begins."""
        self.start()

    def connect(self, client: ClientInfo = LOCAL) -> Talker:
        return Talker(Wire(self.server, client))

    def login(self, user: str, resource: str = "", presence: bool = True, **more: Any) -> Talker:
        """A client that has logged in, and is available unless `presence` is false."""
        talker = self.connect()
        talker.login(user, resource, **more)
        if presence:
            talker.say("<presence xmlns='jabber:client'/>")
            talker.forget()
        return talker

    def pass_(self, seconds: float) -> None:
        self.clock.advance(seconds)


class Wire:
    """The WebSocket of a stream. It answers pings when the client reads, unless it is `frozen`."""

    log = ConnectionLog("c1")

    def __init__(self, server: Server, client: ClientInfo) -> None:
        self.sent: list[str] = []
        self.pings: list[bytes] = []
        self.closeCode: int | None = None
        self.frozen = False
        self.stream = XmppStream(server, self, client)

    def text(self, message: str) -> None:
        self.sent.append(message)

    def ping(self, payload: bytes = b"") -> None:
        self.pings.append(payload)

    def finish(self) -> None:
        self.closeCode = 1000

    def say(self, message: str) -> None:
        self.stream.received(message.encode("utf-8", "surrogatepass"))

    def messages(self) -> list[str]:
        """All messages received."""
        while self.pings and not self.frozen:
            self.stream.ponged(self.pings.pop(0))
        return self.sent

    def lose(self) -> None:
        self.stream.lost()


class Socket:
    """A real WebSocket to a daemon, as a `Wire`."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def closeCode(self) -> int | None:
        return self.client.closeCode

    def say(self, message: str) -> None:
        self.client.say(message)

    def messages(self) -> list[str]:
        self.client.exchange()
        return [str(message) for message in self.client.messages()]

    def lose(self) -> None:
        self.client.wire.close()


class Talker:
    """One client."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        self.jid = ""
        self._seen = 0

    def heard(self) -> list[Element]:
        """The elements received since the last call."""
        messages = self.wire.messages()
        new, self._seen = messages[self._seen :], len(messages)
        return [parse(message.encode(), LIMITS) for message in new]

    def forget(self) -> None:
        self.heard()

    def say(self, message: str) -> list[Element]:
        """Send a message. Returns the answers."""
        self.wire.say(message)
        return self.heard()

    def ask(self, stanzaType: str, payload: str, to: str = "", stanzaId: str = "q") -> Element:
        """The answer to an iq."""
        address = f' to="{to}"' if to else ""
        answers = self.say(f'<iq xmlns="jabber:client" type="{stanzaType}" id="{stanzaId}"{address}>{payload}</iq>')
        (answer,) = [each for each in answers if each.name == "iq" and each.get("id") == stanzaId]
        return answer

    def login(self, user: str, resource: str = "", mechanism: str = "SCRAM-SHA-256", password: str = "") -> None:
        self.say(OPEN)
        answer = self.authenticate(user, mechanism, password or user)
        assert answer.name == "success", answer.toXml()
        self.say(OPEN)
        self.bind(resource)

    def authenticate(self, user: str, mechanism: str, password: str) -> Element:
        if mechanism == "ANONYMOUS":
            return self.say(f'<auth xmlns="{SASL}" mechanism="ANONYMOUS"/>')[0]
        if mechanism == "PLAIN":
            data = b64encode(f"\0{user}\0{password}".encode()).decode()
            return self.say(f'<auth xmlns="{SASL}" mechanism="PLAIN">{data}</auth>')[0]
        scram = ScramClient([mechanism], user, password)
        first = b64encode(scram.get_client_first().encode()).decode()
        (challenge,) = self.say(f'<auth xmlns="{SASL}" mechanism="{mechanism}">{first}</auth>')
        if challenge.name != "challenge":
            return challenge
        scram.set_server_first(b64decode(challenge.text).decode())
        final = b64encode(scram.get_client_final().encode()).decode()
        answer = self.say(f'<response xmlns="{SASL}">{final}</response>')[0]
        if answer.name == "success":
            scram.set_server_final(b64decode(answer.text).decode())
        return answer

    def bind(self, resource: str = "") -> Element:
        wish = f"<resource>{resource}</resource>" if resource else ""
        answer = self.ask("set", f'<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind">{wish}</bind>')
        bound = answer.first()
        if answer.get("type") == "result" and bound is not None:
            self.jid = bound.textOf(bound.ns, "jid")
        return answer

    @property
    def bare(self) -> str:
        return self.jid.partition("/")[0]

    def lose(self) -> None:
        """Lose the connection, without a close."""
        self.wire.lose()


def message(to: str, body: str = "hello", stanzaType: str = "chat", stanzaId: str = "m") -> str:
    return f'<message xmlns="jabber:client" to="{to}" type="{stanzaType}" id="{stanzaId}"><body>{body}</body></message>'


def condition(error: Element) -> str:
    """The condition of an error, of a stream or of a stanza."""
    if error.name != "error":
        found = error.child("jabber:client", "error")
        assert found is not None, error.toXml()
        error = found
    first = error.first()
    assert first is not None
    return first.name


def shape(element: Element) -> str:
    """An element on one line without its namespaces, for assertions."""
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", element.toXml())
