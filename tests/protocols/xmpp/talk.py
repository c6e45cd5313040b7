"""XMPP in memory: a daemon whose threads are done with at once, and clients that say stanzas by hand."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from scramp import ScramClient
from twisted.internet.defer import Deferred, maybeDeferred

from tests.wire import Client, Daemon
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.framing import Caps, parse
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.protocol import XmppFactory
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.threads import Threads

_T = TypeVar("_T")

OPEN = '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>'
CLOSE = '<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>'
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
CAPS = Caps(1 << 20, 200, 100_000, 200)

_KEYS: dict[str, str] = {}
"""Derived but once in all tests: it takes a while, and is meant to."""


class AtOnce(Threads):
    """What is asked for is done when it is asked for; while `slow`, when somebody says so."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.slow = False
        self.due: list[tuple[Deferred[None], Callable[[], Any]]] = []

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def run(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        if not self.slow:
            return maybeDeferred(work, *arguments)
        due: Deferred[None] = Deferred()
        self.due.append((due, lambda: work(*arguments)))
        return due.addCallback(lambda _: work(*arguments))

    def catchUp(self) -> None:
        """Do what is due, and from now on all at once."""
        self.slow = False
        while self.due:
            self.due.pop(0)[0].callback(None)


class XmppAtOnce(XmppFactory):
    threads = AtOnce


def keysOf(password: str) -> str:
    if password not in _KEYS:
        _KEYS[password] = credentials.derive(password)
    return _KEYS[password]


class Host:
    """A daemon with XMPP at /xmpp, and a store below `folder`; each user's password is its name."""

    def __init__(self, folder: Path, *users: str, **keys: Any) -> None:
        self.folder = folder
        self.options = XmppOptions(store=str(folder / "xmpp.sqlite"), **keys)
        store = SqliteStore(folder / "xmpp.sqlite")
        for user in users:
            with store.transaction():
                credentials.add(store, f"{user}@localhost", keysOf(user))
        store.close()
        self.start()

    def start(self) -> None:
        self.daemon = Daemon({"/xmpp": XmppAtOnce}, options=self.options)
        self.factory = self.daemon.factories["/xmpp"]
        self.factory.meet([])
        self.factory.started()
        self.server = self.factory.server

    def kill(self) -> None:
        """The process dies, and another begins: nothing is set down."""
        self.start()

    def connect(self) -> Talker:
        return Talker(self)

    def login(self, user: str, resource: str = "", presence: bool = True, **more: Any) -> Talker:
        """Somebody who is there."""
        talker = self.connect()
        talker.login(user, resource, **more)
        if presence:
            talker.say("<presence xmlns='jabber:client'/>")
            talker.forget()
        return talker

    def pass_(self, seconds: float) -> None:
        self.daemon.reactor.advance(seconds)


class Talker:
    """One client."""

    def __init__(self, host: Host) -> None:
        self.client: Client = host.daemon.open("/xmpp", subprotocols=["xmpp"])
        self.host = host
        self.jid = ""
        self._seen = 0

    def heard(self) -> list[Element]:
        """What has come since the last look."""
        self.client.exchange()
        messages = self.client.messages()
        new, self._seen = messages[self._seen :], len(messages)
        assert all(isinstance(message, str) for message in new)
        return [parse(str(message).encode(), CAPS) for message in new]

    def forget(self) -> None:
        self.heard()

    def say(self, message: str) -> list[Element]:
        """Say it: what came in answer."""
        self.client.say(message)
        return self.heard()

    def tell(self, message: str) -> None:
        """Say it, and leave the answers for later."""
        self.client.say(message)

    def ask(self, type: str, payload: str, to: str = "", id: str = "q") -> Element:
        """The answer to an iq."""
        address = f' to="{to}"' if to else ""
        answers = self.say(f'<iq xmlns="jabber:client" type="{type}" id="{id}"{address}>{payload}</iq>')
        (answer,) = [each for each in answers if each.name == "iq" and each.get("id") == id]
        return answer

    def login(self, user: str, resource: str = "", mechanism: str = "SCRAM-SHA-256", password: str = "") -> None:
        self.say(OPEN)
        answer = self.authenticate(user, mechanism, password or user)
        assert answer.name == "success", answer.toXml()
        self.say(OPEN)
        self.bind(resource)

    def authenticate(self, user: str, mechanism: str, password: str) -> Element:
        if mechanism == "ANONYMOUS":
            return self.say(f'<auth xmlns="{SASL}" mechanism="ANONYMOUS"/>')[-1]
        if mechanism == "PLAIN":
            data = b64encode(f"\0{user}\0{password}".encode()).decode()
            return self.say(f'<auth xmlns="{SASL}" mechanism="PLAIN">{data}</auth>')[-1]
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
        """The connection ends without a word."""
        self.client.wire.close()


def message(to: str, body: str = "hello", type: str = "chat", id: str = "m") -> str:
    return f'<message xmlns="jabber:client" to="{to}" type="{type}" id="{id}"><body>{body}</body></message>'


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
