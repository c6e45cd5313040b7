"""
The same conversation with the embedded server and with Prosody's own WebSockets: what is said, and what is answered.

Where Prosody answers something else, the difference is in a table of its own, with the sentence of the RFC that is on
our side.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest

from tests.daemon import runningDaemon
from tests.process.xmpp import CLOSE, OPEN, SASL, SM, Client, Ended, prosody
from wsd.protocols.xmpp.stanza import STREAMS, Element

FRESH, OPENED, AUTHENTICATED, REOPENED, BOUND = range(5)
"""How far a conversation has come before what is said."""

PING = "<ping xmlns='urn:xmpp:ping'/>"
SESSION = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"


def iq(payload: str, kind: str = "get", to: str = "", **more: str) -> str:
    attrs = "".join(f" {key}='{value}'" for key, value in {"type": kind, "id": "i", "to": to, **more}.items() if value)
    return f"<iq xmlns='jabber:client'{attrs}>{payload}</iq>"


def bind(resource: str) -> str:
    return iq(f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>", "set")


def auth(mechanism: str, text: str = "") -> str:
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{text}</auth>"


def response(text: str) -> str:
    return f"<response xmlns='{SASL}'>{text}</response>"


def own(inner: str, **attrs: str) -> str:
    """A message to oneself."""
    more = "".join(
        f" {key}='{value}'" for key, value in {"type": "chat", "to": "talker@localhost/here", **attrs}.items()
    )
    return f"<message xmlns='jabber:client'{more}>{inner}</message>"


FIRST = "bixhPWIscj1yT3ByTkdmd0ViZVJXZ2JORWtxTw=="
"""base64 of a first message of SCRAM with a user that is none: "n,a=b,r=..."."""
SCRAM = "biwsbj10YWxrZXIscj1yT3ByTkdmd0ViZVJXZ2JORWtxTw=="
"""base64 of "n,,n=talker,r=...", which is right."""
ROSTER = "<query xmlns='jabber:iq:roster'/>"
ITEM = "<query xmlns='jabber:iq:roster'><item jid='{}'/></query>"


class Awaited(str):
    """In the midst of what is said: an answer that is waited for."""


class Case(NamedTuple):
    """What is said, how far in, and what is answered until both have said <close/>."""

    name: str
    since: int
    said: tuple[str | bytes, ...]
    answered: tuple[str, ...]


ENDED = ("close", "1000")
GOOD = [
    Case("both open and close", FRESH, (OPEN,), ("open", "features", *ENDED)),
    Case("close without open", FRESH, (), ENDED),
    Case("the challenge of SCRAM", OPENED, (auth("SCRAM-SHA-1", SCRAM),), ("challenge", *ENDED)),
    Case(
        "a second login after one that failed",
        OPENED,
        (auth("NONE"), auth("SCRAM-SHA-1", SCRAM)),
        ("failure invalid-mechanism", "challenge", *ENDED),
    ),
    Case("bind", REOPENED, (bind("there"),), ("iq result", *ENDED)),
    Case(
        "bind without a resource of one's own",
        REOPENED,
        (iq("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>", "set"),),
        ("iq result", *ENDED),
    ),
    Case("session", BOUND, (iq(SESSION, "set"),), ("iq result", *ENDED)),
    Case("ping", BOUND, (iq(PING, to="localhost"),), ("iq result", *ENDED)),
    Case(
        "time and version",
        BOUND,
        (iq("<time xmlns='urn:xmpp:time'/>", to="localhost"), iq("<query xmlns='jabber:iq:version'/>", to="localhost")),
        ("iq result", "iq result", *ENDED),
    ),
    Case(
        "disco",
        BOUND,
        tuple(
            iq(f"<query xmlns='http://jabber.org/protocol/disco#{what}'/>", to=to)
            for what in ("info", "items")
            for to in ("localhost", "talker@localhost")
        ),
        ("iq result",) * 4 + ENDED,
    ),
    Case("the roster", BOUND, (iq(ROSTER),), ("iq result", *ENDED)),
    Case(
        "a contact and its push",
        BOUND,
        (
            iq(ROSTER),
            iq(ITEM.format("friend@localhost"), "set"),
            iq(ITEM.format("friend@localhost").replace("<item", "<item subscription='remove'"), "set"),
        ),
        ("iq result", "iq set", "iq result", "iq set", "iq result", *ENDED),
    ),
    Case("presence comes back", BOUND, ("<presence xmlns='jabber:client'/>",), ("presence", *ENDED)),
    Case("a message", BOUND, (own("<body>&lt;&amp;&gt; ünï 😀</body>"),), ("message chat", *ENDED)),
    Case(
        "receipts, chat states and ids pass",
        BOUND,
        (
            own(
                "<received xmlns='urn:xmpp:receipts' id='1'/><active xmlns='http://jabber.org/protocol/chatstates'/>"
                "<origin-id xmlns='urn:xmpp:sid:0' id='2'/>"
            ),
        ),
        ("message chat", *ENDED),
    ),
    Case("carbons", BOUND, (iq("<enable xmlns='urn:xmpp:carbons:2'/>", "set"),), ("iq result", *ENDED)),
    Case("the list of the blocked", BOUND, (iq("<blocklist xmlns='urn:xmpp:blocking'/>"),), ("iq result", *ENDED)),
    Case(
        "acknowledgements",
        BOUND,
        (f"<enable xmlns='{SM}' resume='true'/>", f"<r xmlns='{SM}'/>", Awaited("a")),
        ("enabled", "a", "a", *ENDED),
    ),
    Case(
        "a room",
        BOUND,
        (
            "<presence xmlns='jabber:client' to='den@conference.localhost/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
            iq(
                "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
                "set",
                "den@conference.localhost",
            ),
            own("<body>hi</body>", to="den@conference.localhost", type="groupchat"),
            "<presence xmlns='jabber:client' to='den@conference.localhost/me' type='unavailable'/>",
        ),
        ("presence", "message groupchat", "iq result", "message groupchat", "presence unavailable", *ENDED),
    ),
]

BAD = [
    Case("binary", OPENED, (OPEN.encode(),), ("1003",)),
    Case("an empty message", BOUND, ("",), ("error not-well-formed", *ENDED)),
    Case("a leading space", BOUND, (" " + iq(PING, to="localhost"),), ("error not-well-formed", *ENDED)),
    Case("two stanzas in one message", BOUND, (iq(PING, to="localhost") * 2,), ("error not-well-formed", *ENDED)),
    Case("half a stanza", BOUND, ("<iq xmlns='jabber:client' type='get' id='i'>",), ("error not-well-formed", *ENDED)),
    Case("an XML declaration", FRESH, ("<?xml version='1.0'?>" + OPEN,), ("open", "error restricted-xml", *ENDED)),
    Case("a document type", BOUND, ("<!DOCTYPE a>" + iq(PING),), ("error restricted-xml", *ENDED)),
    Case(
        "an entity of one's own",
        BOUND,
        ("<!DOCTYPE a [<!ENTITY e 'x'>]>" + own("<body>&e;</body>"),),
        ("error restricted-xml", *ENDED),
    ),
    Case("an entity that nobody defined", BOUND, (own("<body>&e;</body>"),), ("error not-well-formed", *ENDED)),
    Case("a processing instruction", BOUND, (own("<?a b?>"),), ("error restricted-xml", *ENDED)),
    Case("a comment", BOUND, (own("<!-- a -->"),), ("error restricted-xml", *ENDED)),
    Case(
        "open in a wrong namespace",
        FRESH,
        (OPEN.replace("framing", "faring"),),
        ("open", "error invalid-namespace", *ENDED),
    ),
    Case(
        "open without a namespace",
        FRESH,
        ("<open to='localhost' version='1.0'/>",),
        ("open", "error invalid-namespace", *ENDED),
    ),
    Case(
        "RFC 6120's header",
        FRESH,
        (f"<stream:stream xmlns='jabber:client' xmlns:stream='{STREAMS}' to='localhost' version='1.0'/>",),
        ("open", "error invalid-namespace", *ENDED),
    ),
    Case(
        "a stanza in a wrong namespace",
        BOUND,
        (iq(PING).replace("jabber:client", "jabber:server"),),
        ("error invalid-namespace", *ENDED),
    ),
    Case(
        "a stanza without a namespace",
        BOUND,
        (iq(PING).replace(" xmlns='jabber:client'", ""),),
        ("error invalid-namespace", *ENDED),
    ),
    Case(
        "an element that is no stanza",
        BOUND,
        ("<a xmlns='jabber:client'/>",),
        ("error unsupported-stanza-type", *ENDED),
    ),
    Case(
        "open to nobody", FRESH, (OPEN.replace(" to='localhost'", ""),), ("open", "error improper-addressing", *ENDED)
    ),
    Case(
        "open to a stranger", FRESH, (OPEN.replace("localhost", "elsewhere"),), ("open", "error host-unknown", *ENDED)
    ),
    Case(
        "open of another version", FRESH, (OPEN.replace("1.0", "0.9"),), ("open", "error unsupported-version", *ENDED)
    ),
    Case("a stanza before open", FRESH, (iq(PING),), ("open", "error invalid-namespace", *ENDED)),
    Case("a stanza before the login", OPENED, (iq(PING, to="localhost"),), ("error not-authorized", *ENDED)),
    Case(
        "a stanza before the second open", AUTHENTICATED, (iq(PING, to="localhost"),), ("error not-authorized", *ENDED)
    ),
    Case("a stanza before bind", REOPENED, (iq(PING, to="localhost"),), ("error not-authorized", *ENDED)),
    Case("a response before auth", OPENED, (response("AAA="),), ("failure malformed-request", *ENDED)),
    Case("auth after a login", BOUND, (auth("PLAIN"),), ("error unsupported-stanza-type", *ENDED)),
    Case("base64 that is none", OPENED, (auth("SCRAM-SHA-1", "*nonsense*"),), ("failure incorrect-encoding", *ENDED)),
    Case("a first message that is none", OPENED, (auth("SCRAM-SHA-1", FIRST),), ("failure malformed-request", *ENDED)),
    Case("a mechanism that there is not", OPENED, (auth("X-NONE"),), ("failure invalid-mechanism", *ENDED)),
    Case(
        "an aborted login",
        OPENED,
        (auth("SCRAM-SHA-1", SCRAM), f"<abort xmlns='{SASL}'/>"),
        ("challenge", "failure aborted", *ENDED),
    ),
    Case(
        "a final message that is none",
        OPENED,
        (auth("SCRAM-SHA-1", SCRAM), response("AAA=")),
        ("challenge", "failure malformed-request", *ENDED),
    ),
    Case("bind twice", BOUND, (bind("again"),), ("iq error not-allowed", *ENDED)),
    Case("an over-long resource", REOPENED, (bind("x" * 1024),), ("iq error bad-request", *ENDED)),
    Case("a resource that cannot be", REOPENED, (bind("a\u0085b"),), ("iq error bad-request", *ENDED)),
    Case(
        "addresses that are none",
        BOUND,
        tuple(iq(PING, to=to) for to in ("@localhost", "a@", "a@b@c/", "a b@localhost", "x" * 1024 + "@localhost")),
        ("iq error jid-malformed",) * 5 + ENDED,
    ),
    Case(
        "a sender that one is not",
        BOUND,
        (own("<body>a</body>", **{"from": "other@localhost"}),),
        ("error invalid-from", *ENDED),
    ),
    Case("an iq without an id", BOUND, (iq(PING, to="localhost", id=""),), ("iq error bad-request", *ENDED)),
    Case("an iq of no type", BOUND, (iq(PING, "fetch", "localhost"),), ("iq error bad-request", *ENDED)),
    Case("an iq with two children", BOUND, (iq(PING * 2, to="localhost"),), ("iq error bad-request", *ENDED)),
    Case(
        "an iq that nobody knows",
        BOUND,
        (iq("<a xmlns='b'/>", to="localhost"), iq("<a xmlns='b'/>")),
        ("iq error service-unavailable",) * 2 + ENDED,
    ),
    Case(
        "an iq to nobody",
        BOUND,
        (iq(PING, to="talker@localhost/nowhere"), iq(PING, to="nobody@localhost")),
        ("iq error service-unavailable",) * 2 + ENDED,
    ),
    Case(
        "a message to a domain that is not here",
        BOUND,
        (own("<body>a</body>", to="a@elsewhere.example"),),
        ("message error service-unavailable", *ENDED),
    ),
    Case("too deep", BOUND, (own("<a>" * 200 + "</a>" * 200),), ("error policy-violation", *ENDED)),
    Case("too large", BOUND, (own("x" * 300_000),), ("error policy-violation", *ENDED)),
    Case(
        "too many attributes",
        BOUND,
        (own("<a {}/>".format(" ".join(f"a{n}='b'" for n in range(200)))),),
        ("error policy-violation", *ENDED),
    ),
    Case("the same attribute twice", BOUND, (own("<a b='1' b='2'/>"),), ("error not-well-formed", *ENDED)),
    Case("what no XML may have", BOUND, (own("\x0b"),), ("error not-well-formed", *ENDED)),
    Case("open twice", OPENED, (OPEN,), ("error unsupported-stanza-type", *ENDED)),
    Case(
        "an acknowledgement of what was never sent",
        BOUND,
        (f"<enable xmlns='{SM}'/>", f"<a xmlns='{SM}' h='9'/>"),
        ("enabled", "a", "error undefined-condition", *ENDED),
    ),
    Case(
        "stream management twice",
        BOUND,
        (f"<enable xmlns='{SM}'/>",) * 2,
        ("enabled", "failed unexpected-request", "a", *ENDED),
    ),
    Case(
        "resume of nothing",
        REOPENED,
        (f"<resume xmlns='{SM}' previd='none' h='0'/>",),
        ("failed item-not-found", *ENDED),
    ),
]

DIFFERENT: dict[str, tuple[str, tuple[str, ...]]] = {
    "close without open": (
        "RFC 7395 3.6: either side may close; there is nothing that is not well-formed in it",
        ("open", "error not-well-formed", "close", "1000"),
    ),
    "a contact and its push": (
        "RFC 6121 2.3.1 to 2.3.3: the push is shown before the result, and no order is asked for",
        ("iq result", "iq result", "iq set", "iq result", "iq set", "close", "1000"),
    ),
    "an empty message": (
        "RFC 7395 3.3.1 and 3.5: what is no element ends the stream with an error of the stream",
        ("1007",),
    ),
    "a leading space": ("RFC 7395 3.3.3 and 3.5: so does what does not begin with <", ("1007",)),
    "two stanzas in one message": (
        "RFC 7395 3.3.3: a message is one element",
        ("iq result", "iq result", "close", "1000"),
    ),
    "an XML declaration": (
        "RFC 7395 3.3.3: a message begins with < and the name of its element",
        ("open", "features", "close", "1000"),
    ),
    "a document type": (
        "RFC 6120 4.9.3.18 and 11.1: it is restricted XML, whether it is well-formed or not",
        ("error not-well-formed", "close", "1000"),
    ),
    "an entity of one's own": ("RFC 6120 4.9.3.18 and 11.1: the same", ("error not-well-formed", "close", "1000")),
    "a processing instruction": ("RFC 6120 4.9.3.18 and 11.1: the same", ("error not-well-formed", "close", "1000")),
    "a comment": ("RFC 6120 4.9.3.18 and 11.1: the same", ("error not-well-formed", "close", "1000")),
    "RFC 6120's header": ("RFC 7395 3.3.2: a stream begins with <open/>", ("open", "features", "close", "1000")),
    "a stanza in a wrong namespace": (
        "RFC 6120 4.8.5 and 4.9.3.10: the namespace is what is wrong with it",
        ("error unsupported-stanza-type", "close", "1000"),
    ),
    "a stanza without a namespace": (
        "RFC 7395 3.3.3: each stanza says its namespace",
        ("error unsupported-stanza-type", "close", "1000"),
    ),
    "open of another version": (
        "RFC 6120 4.7.5 and 4.9.3.25: of a version before 1.0 there are neither features nor SASL",
        ("open", "features", "close", "1000"),
    ),
    "a stanza before the login": (
        "RFC 6120 4.9.3.12: what is sent before the login ends the stream",
        ("iq error service-unavailable", "close", "1000"),
    ),
    "a stanza before the second open": (
        "RFC 6120 4.9.3.12: the same",
        ("open", "error invalid-namespace", "close", "1000"),
    ),
    "a stanza before bind": ("RFC 6120 7.1 and 4.9.3.12: the same", ("iq error service-unavailable", "close", "1000")),
    "a response before auth": (
        "RFC 6120 6.5.8: no credentials were refused, the order was wrong",
        ("failure not-authorized", "close", "1000"),
    ),
    "bind twice": (
        "RFC 6120 7.7.2.2: it is served here, and not allowed",
        ("iq error service-unavailable", "close", "1000"),
    ),
    "an over-long resource": ("RFC 6122 2.4: a resource has 1023 bytes at the most", ("iq result", "close", "1000")),
    "a resource that cannot be": ("RFC 6122 B: a control character is prohibited", ("iq result", "close", "1000")),
    "a sender that one is not": ("RFC 6120 8.1.2.1 and 4.9.3.9: it ends the stream", ("message chat", "close", "1000")),
    "an iq to nobody": (
        "RFC 6121 8.5.1: of a user that there is not nothing is answered but service-unavailable",
        ("iq error service-unavailable", "iq result", "close", "1000"),
    ),
    "a message to a domain that is not here": (
        "RFC 6120 8.3.3.19: there is no federation here that could be allowed",
        ("message error not-allowed", "close", "1000"),
    ),
    "too deep": ("RFC 6120 13.12: what costs more than it can be worth is refused", ("message chat", "close", "1000")),
    "too many attributes": ("RFC 6120 13.12: the same", ("message chat", "close", "1000")),
}
"""A case's name to what is on our side, and what Prosody answers."""

CONFIG = """
[policies]
closing_timeout = 10
[route."/xmpp"]
register = true
store = "xmpp.sqlite"
"""


class Place:
    """A server to talk with, with one user."""

    def __init__(self, url: str) -> None:
        self._url = url
        client = Client(url)
        client.open()
        assert client.register("talker", "secret").get("type") == "result"
        client.cut()

    def answers(self, case: Case) -> tuple[str, ...]:
        """What is said in a case, and then <close/>: the answers."""
        client = Client(self._url)
        try:
            self._begin(client, case.since)
            heard: list[str] = []
            with suppress(Ended):
                for each in (*case.said, CLOSE):
                    if isinstance(each, Awaited):
                        while heard[-1:] != [each]:
                            heard.append(_told(client.hear()))
                    else:
                        client.say(each)
            return (*heard, *_heard(client))
        finally:
            client.cut()

    @staticmethod
    def _begin(client: Client, since: int) -> None:
        if since >= OPENED:
            client.open()
        if since >= AUTHENTICATED:
            assert client.authenticate("talker", "secret").name == "success"
        if since >= REOPENED:
            client.open()
        if since >= BOUND:
            client.bind("here")


def _heard(client: Client) -> Iterator[str]:
    try:
        while True:
            yield _told(client.hear())
    except Ended as ended:
        yield str(ended)


def _told(element: Element) -> str:
    """An element in a few words: what it is, and what was wrong."""
    words = [element.name]
    if element.get("type"):
        words.append(element.get("type"))
    error = element if element.name in ("error", "failure", "failed") else element.child("jabber:client", "error")
    if error is not None:
        words += [child.name for child in error.elements()][:1]
    return " ".join(words)


@pytest.fixture(scope="module")
def embedded() -> Iterator[Place]:
    with runningDaemon(config=CONFIG) as daemon:
        yield Place(f"ws://127.0.0.1:{daemon.port()}/xmpp")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with prosody(tmp_path_factory.mktemp("prosody"), tls=False) as server:
        yield Place(f"ws://localhost:{server.second}/xmpp-websocket")


@pytest.mark.parametrize("case", [*GOOD, *BAD], ids=lambda case: case.name)
class TestTheConversation:
    def test_with_the_embedded_server(self, embedded: Place, case: Case) -> None:
        assert embedded.answers(case) == case.answered

    def test_with_prosody(self, reference: Place, case: Case) -> None:
        _, answered = DIFFERENT.get(case.name, ("", case.answered))
        assert reference.answers(case) == answered


def test_each_difference_is_of_a_case_and_is_one() -> None:
    cases = {case.name: case for case in (*GOOD, *BAD)}
    for name, (reason, answered) in DIFFERENT.items():
        assert answered != cases[name].answered
        assert reason
