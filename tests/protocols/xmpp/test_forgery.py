"""Elements that only servers and rooms may add to a stanza are removed when a client sends them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import Host, Talker, condition
from tests.protocols.xmpp.test_rooms import MUC, ROOM, bodies, join, opened, say
from wsd.protocols.xmpp.stanza import Element

FORGED = {
    "delay": "<delay xmlns='urn:xmpp:delay' from='{room}' stamp='2001-01-01T00:00:00Z'/>",
    "delay of somebody else": "<delay xmlns='urn:xmpp:delay' from='alice@localhost' stamp='2001-01-01T00:00:00Z'/>",
    "delay that is none": "<delay xmlns='urn:xmpp:delay' from='{room}' stamp='garbage'/>",
    "old delay": "<x xmlns='jabber:x:delay' stamp='20010101T00:00:00'/>",
    "stanza-id of the room": "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{room}'/>",
    "stanza-id of the server": "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='localhost'/>",
    "stanza-id of the user": "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='Bob@LOCALHOST'/>",
    "stanza-id of nobody": "<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>",
    "status": "<x xmlns='http://jabber.org/protocol/muc#user'><status code='301'/></x>",
    "invitation": "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='carol@localhost'/></x>",
    "addresses": "<addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='a@b'/></addresses>",
    "occupant-id": "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='1'/>",
    "carbon sent": "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
    "carbon received": "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>",
    "forwarded": "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded>",
    "archived": "<result xmlns='urn:xmpp:mam:2' id='1'/>",
}
KEPT = (
    "<origin-id xmlns='urn:xmpp:sid:0' id='7'/><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='elsewhere.example'/>"
    "<x xmlns='jabber:x:conference' jid='den@conference.localhost'/><delayed xmlns='urn:xmpp:delay'/>"
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob", "carol")


def message(to: str, inner: str, stanzaType: str = "chat") -> str:
    return f"<message xmlns='jabber:client' to='{to}' type='{stanzaType}' id='m'><body>hello</body>{inner}</message>"


def direct(host: Host, forged: str) -> Element:
    bob = host.login("bob")
    host.login("alice").say(message(bob.jid, forged))
    return bob.heard()[0]


def offline(host: Host, forged: str) -> Element:
    host.login("alice").say(message("bob@localhost", forged))
    heard = host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")
    return next(each for each in heard if each.name == "message")


def carbon(host: Host, forged: str) -> Element:
    alice, other = host.login("alice"), host.login("alice")
    other.ask("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
    alice.say(message("bob@localhost", forged))
    copied = other.heard()[-1].first()
    assert copied is not None
    forwarded = copied.first()
    assert forwarded is not None
    return next(forwarded.elements())


def groupchat(host: Host, forged: str) -> Element:
    alice, bob = opened(host, "alice", "bob")
    alice.say(message(ROOM, forged, "groupchat"))
    return bob.heard()[0]


def history(host: Host, forged: str) -> Element:
    (alice,) = opened(host, "alice")
    alice.say(message(ROOM, forged, "groupchat"))
    return next(each for each in join(host.login("bob"), "bob") if bodies([each]))


def subject(host: Host, forged: str) -> Element:
    (alice,) = opened(host, "alice")
    alice.say(message(ROOM, "<subject>s</subject>" + forged, "groupchat").replace("<body>hello</body>", ""))
    return join(host.login("bob"), "bob")[-1]


def whisper(host: Host, forged: str) -> Element:
    alice, bob = opened(host, "alice", "bob")
    alice.say(message(f"{ROOM}/bob", forged))
    return bob.heard()[0]


def presence(host: Host, forged: str) -> Element:
    bob = host.login("bob")
    host.login("alice").say(f"<presence xmlns='jabber:client' to='{bob.jid}'>{forged}</presence>")
    return bob.heard()[0]


def broadcast(host: Host, forged: str) -> Element:
    other = host.login("alice")
    host.login("alice", presence=False).say(f"<presence xmlns='jabber:client'>{forged}</presence>")
    return other.heard()[0]


def occupant(host: Host, forged: str) -> Element:
    (alice,) = opened(host, "alice")
    bob = host.login("bob")
    bob.say(f"<presence xmlns='jabber:client' to='{ROOM}/bob'><x xmlns='{MUC}'/>{forged}</presence>")
    return alice.heard()[0]


def request(host: Host, forged: str) -> Element:
    host.login("alice").say(f"<presence xmlns='jabber:client' type='subscribe' to='bob@localhost'>{forged}</presence>")
    heard = host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")
    return next(each for each in heard if each.get("type") == "subscribe")


MESSAGES = (direct, offline, carbon, groupchat, history, subject, whisper)
PRESENCES = (presence, broadcast, occupant, request)


class TestForgeries:
    @pytest.mark.parametrize("way", [*MESSAGES, *PRESENCES], ids=lambda way: str(way.__name__))
    @pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
    def test_are_removed(self, host: Host, way: Callable[[Host, str], Element], forged: str) -> None:
        told = "".join(each.toXml() for each in way(host, forged.format(room=ROOM)).elements())
        for word in ("2001-01-01", "garbage", "20010101", "stanza-id", '"301"', "invite", "address ", "occupant-id"):
            assert word not in told
        assert not any(f"<{name} " in told for name in ("sent", "received", "forwarded", "result"))

    @pytest.mark.parametrize("way", MESSAGES, ids=lambda way: str(way.__name__))
    def test_are_not_confused_with_elements_that_clients_may_send(
        self, host: Host, way: Callable[[Host, str], Element]
    ) -> None:
        names = [each.name for each in way(host, KEPT).elements() if each.ns != f"{MUC}#user"]
        assert [name for name in names if name in ("origin-id", "stanza-id", "x", "delayed")] == [
            "origin-id",
            "stanza-id",
            "x",
            "delayed",
        ]

    def test_do_not_change_the_time_in_a_history(self, host: Host) -> None:
        (alice,) = opened(host, "alice")
        forged = "<delay xmlns='urn:xmpp:delay' from='{room}' stamp='{stamp}'/>"
        say(alice, "first", forged.format(room=ROOM, stamp="garbage"))
        say(alice, "second", forged.format(room=ROOM, stamp="2035-01-01T00:00:00Z"))
        host.pass_(60)
        say(alice, "third", forged.format(room=ROOM, stamp="1970-01-01T00:00:00Z"))
        heard = join(host.login("bob"), "bob", "<history seconds='30'/>")
        assert bodies(heard) == ["third"]


class TestPushes:
    @pytest.mark.parametrize("ns", ["jabber:iq:roster", "urn:xmpp:blocking"])
    @pytest.mark.parametrize("isInRoom", [False, True])
    def test_cannot_be_sent_from_one_client_to_another(self, host: Host, ns: str, isInRoom: bool) -> None:
        alice, bob = opened(host, "alice", "bob")
        to = f"{ROOM}/bob" if isInRoom else bob.jid
        answer = alice.ask("set", f"<query xmlns='{ns}'><item jid='evil@localhost' subscription='both'/></query>", to)
        assert condition(answer) == "forbidden"
        assert bob.heard() == []


def test_a_forgery_does_not_end_the_stream(host: Host) -> None:
    alice: Talker = host.login("alice")
    for forged in FORGED.values():
        assert alice.say(message(alice.jid, forged.format(room=ROOM)))[0].name == "message"
