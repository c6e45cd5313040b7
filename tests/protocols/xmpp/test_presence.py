"""The roster, subscriptions in each of their states, and presence: RFC 6121 2 to 4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import CLOSE, Host, Talker, condition
from wsd.protocols.xmpp.rosteritem import RosterItem, afterInbound, afterOutbound
from wsd.protocols.xmpp.stanza import Element

NONE = RosterItem("c", isListed=True)
OUT = replace(NONE, asks=True)
IN = replace(NONE, request="r")
BOTH_PENDING = replace(NONE, asks=True, request="r")
TO = replace(NONE, hasTo=True)
TO_IN = replace(TO, request="r")
FROM = replace(NONE, hasFrom=True)
FROM_OUT = replace(FROM, asks=True)
BOTH = replace(NONE, hasTo=True, hasFrom=True)

# RFC 6121 A.2: outbound stanzas; the state afterwards, and whether the stanza is routed.
SENT = [
    ("subscribe", {NONE: (OUT, 1), OUT: (OUT, 1), IN: (BOTH_PENDING, 1), TO: (TO, 0), FROM: (FROM_OUT, 1)}),
    ("subscribe", {TO_IN: (TO_IN, 0), FROM_OUT: (FROM_OUT, 1), BOTH: (BOTH, 0), BOTH_PENDING: (BOTH_PENDING, 1)}),
    ("unsubscribe", {NONE: (NONE, 0), OUT: (NONE, 1), IN: (IN, 0), TO: (NONE, 1), FROM: (FROM, 0)}),
    ("unsubscribe", {TO_IN: (IN, 1), FROM_OUT: (FROM, 1), BOTH: (FROM, 1), BOTH_PENDING: (IN, 1)}),
    ("subscribed", {NONE: (NONE, 0), OUT: (OUT, 0), IN: (FROM, 1), TO: (TO, 0), FROM: (FROM, 0)}),
    ("subscribed", {TO_IN: (BOTH, 1), FROM_OUT: (FROM_OUT, 0), BOTH: (BOTH, 0), BOTH_PENDING: (FROM_OUT, 1)}),
    ("unsubscribed", {NONE: (NONE, 0), OUT: (OUT, 0), IN: (NONE, 1), TO: (TO, 0), FROM: (NONE, 1)}),
    ("unsubscribed", {TO_IN: (TO, 1), FROM_OUT: (OUT, 1), BOTH: (TO, 1), BOTH_PENDING: (OUT, 1)}),
]
# RFC 6121 A.3: inbound stanzas; the state afterwards, and whether the stanza is delivered.
CAME = [
    ("subscribe", {NONE: (IN, 1), OUT: (BOTH_PENDING, 1), IN: (IN, 0), TO: (TO_IN, 1), FROM: (FROM, 0)}),
    ("subscribe", {TO_IN: (TO_IN, 0), FROM_OUT: (FROM_OUT, 0), BOTH: (BOTH, 0), BOTH_PENDING: (BOTH_PENDING, 0)}),
    ("unsubscribe", {NONE: (NONE, 0), OUT: (OUT, 0), IN: (NONE, 1), TO: (TO, 0), FROM: (NONE, 1)}),
    ("unsubscribe", {TO_IN: (TO, 1), FROM_OUT: (OUT, 1), BOTH: (TO, 1), BOTH_PENDING: (OUT, 1)}),
    ("subscribed", {NONE: (NONE, 0), OUT: (TO, 1), IN: (IN, 0), TO: (TO, 0), FROM: (FROM, 0)}),
    ("subscribed", {TO_IN: (TO_IN, 0), FROM_OUT: (BOTH, 1), BOTH: (BOTH, 0), BOTH_PENDING: (TO_IN, 1)}),
    ("unsubscribed", {NONE: (NONE, 0), OUT: (NONE, 1), IN: (IN, 0), TO: (NONE, 1), FROM: (FROM, 0)}),
    ("unsubscribed", {TO_IN: (IN, 1), FROM_OUT: (FROM, 1), BOTH: (FROM, 1), BOTH_PENDING: (IN, 1)}),
]


class TestTheStatesOfSubscriptions:
    @pytest.mark.parametrize(("stanzaType", "table"), SENT)
    def test_after_an_outbound_stanza(self, stanzaType: str, table: dict[RosterItem, tuple[RosterItem, int]]) -> None:
        for before, (after, isRouted) in table.items():
            assert afterOutbound(before, stanzaType) == (after, bool(isRouted)), before

    @pytest.mark.parametrize(("stanzaType", "table"), CAME)
    def test_after_an_inbound_stanza(self, stanzaType: str, table: dict[RosterItem, tuple[RosterItem, int]]) -> None:
        for before, (after, isDelivered) in table.items():
            assert afterInbound(before, stanzaType, "r") == (after, bool(isDelivered)), before


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob", "carol")


def presence(stanzaType: str, to: str) -> str:
    return f"<presence xmlns='jabber:client' type='{stanzaType}' to='{to}'/>"


def roster(talker: Talker) -> dict[str, tuple[str, str]]:
    answer = talker.ask("get", "<query xmlns='jabber:iq:roster'/>")
    query = answer.first()
    assert query is not None
    return {item.get("jid"): (item.get("subscription"), item.get("ask")) for item in query.elements()}


def add(talker: Talker, jid: str, inner: str = "", **attrs: str) -> Element:
    more = " ".join(f"{name}='{value}'" for name, value in attrs.items())
    return talker.ask("set", f"<query xmlns='jabber:iq:roster'><item jid='{jid}' {more}>{inner}</item></query>")


def befriend(one: Talker, other: Talker) -> None:
    for asking, asked in ((one, other), (other, one)):
        asking.say(presence("subscribe", asked.bare))
        asked.say(presence("subscribed", asking.bare))
    one.forget()
    other.forget()


def presences(heard: list[Element]) -> list[tuple[str, str]]:
    return [(each.get("from"), each.get("type")) for each in heard if each.name == "presence"]


class TestRoster:
    def test_contacts_are_added_changed_kept_and_removed(self, host: Host) -> None:
        alice = host.login("alice")
        assert add(alice, "Bob@localhost/x", "<group>Friends</group>", name="Bob").get("type") == "result"
        host.kill()
        alice = host.login("alice")
        told = alice.ask("get", "<query xmlns='jabber:iq:roster'/>").toXml()
        assert '<item jid="bob@localhost" subscription="none" name="Bob"><group>Friends</group></item>' in told
        assert add(alice, "bob@localhost", subscription="remove").get("type") == "result"
        assert roster(alice) == {}

    def test_each_change_is_pushed_to_each_session_that_asked(self, host: Host) -> None:
        one, two, silent = host.login("alice", "1"), host.login("alice", "2"), host.login("alice", "3")
        roster(one), roster(two)
        silent.forget()
        add(one, "bob@localhost", name="Bob")
        pushes = [each for each in two.heard() if each.name == "iq"]
        assert [each.get("type") for each in pushes] == ["set"]
        assert [each for each in silent.heard() if each.name == "iq"] == []

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            ("", "bad-request"),
            ("<item jid='b@c'/><item jid='d@e'/>", "bad-request"),
            ("<item/>", "bad-request"),
            ("<item jid='@'/>", "jid-malformed"),
            ("<item jid='alice@localhost'/>", "not-allowed"),
            ("<item jid='b@c' subscription='remove'/>", "item-not-found"),
            ("<item jid='b@c'><group/></item>", "not-acceptable"),
            ("<item jid='b@c'><group>x</group><group>x</group></item>", "bad-request"),
            (f"<item jid='b@c' name='{'x' * 1024}'/>", "not-acceptable"),
        ],
    )
    def test_a_wrong_change_is_refused(self, host: Host, item: str, expected: str) -> None:
        alice = host.login("alice")
        assert condition(alice.ask("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")) == expected

    def test_it_has_a_limited_number_of_contacts(self, tmp_path: Path) -> None:
        alice = Host(tmp_path, "alice", contacts=1).login("alice")
        add(alice, "b@c")
        assert condition(add(alice, "d@e")) == "resource-constraint"

    def test_removing_a_friend_ends_both_subscriptions(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        befriend(alice, bob)
        add(alice, "bob@localhost", subscription="remove")
        assert (roster(alice), roster(bob)) == ({}, {"alice@localhost": ("none", "")})
        bob.say("<presence xmlns='jabber:client'><show>away</show></presence>")
        assert presences(alice.heard()) == []


class TestSubscribing:
    def test_a_request_is_sent_granted_and_has_an_effect(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        roster(alice), roster(bob)
        heard = alice.say(presence("subscribe", "bob@localhost"))
        assert 'ask="subscribe"' in heard[0].toXml()
        (asked,) = bob.heard()
        assert (asked.get("type"), asked.get("from"), asked.get("to")) == (
            "subscribe",
            "alice@localhost",
            "bob@localhost",
        )
        bob.say(presence("subscribed", "alice@localhost"))
        heard = alice.heard()
        assert presences(heard) == [("bob@localhost", "subscribed"), (bob.jid, "")]
        assert roster(alice) == {"bob@localhost": ("to", "")}
        assert roster(bob) == {"alice@localhost": ("from", "")}

    def test_a_request_waits_for_a_user_who_is_offline_and_survives_a_restart(self, host: Host) -> None:
        host.login("alice").say(presence("subscribe", "bob@localhost"))
        for _ in range(2):
            host.kill()
            bob = host.login("bob", presence=False)
            assert ("alice@localhost", "subscribe") in presences(bob.say("<presence xmlns='jabber:client'/>"))
        assert roster(bob) == {}
        bob.say(presence("subscribed", "alice@localhost"))
        host.kill()
        assert roster(host.login("alice")) == {"bob@localhost": ("to", "")}

    def test_a_request_is_denied(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        roster(alice)
        alice.say(presence("subscribe", "bob@localhost"))
        bob.say(presence("unsubscribed", "alice@localhost"))
        assert ("bob@localhost", "unsubscribed") in presences(alice.heard())
        assert roster(alice) == {"bob@localhost": ("none", "")}

    def test_a_subscription_is_cancelled(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        roster(alice), roster(bob)
        befriend(alice, bob)
        bob.say(presence("unsubscribed", "alice@localhost"))
        assert (bob.jid, "unavailable") in presences(alice.heard())
        assert roster(alice) == {"bob@localhost": ("from", "")}

    def test_nobody_learns_which_users_exist(self, host: Host) -> None:
        assert presences(host.login("alice").say(presence("subscribe", "nobody@localhost"))) == []

    def test_a_contact_who_is_subscribed_already_is_approved_again(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        befriend(alice, bob)
        add(alice, "bob@localhost", subscription="remove")
        roster(alice), roster(bob)
        bob.say(presence("subscribe", "alice@localhost"))
        alice.say(presence("subscribed", "bob@localhost"))
        assert ("alice@localhost", "subscribed") in presences(bob.heard())


class TestStoredRequests:
    """The texts of requests, which are sent to a user at each login, and of the roster."""

    def ask(self, host: Host, user: str, inner: str = "") -> None:
        asking = f"<presence xmlns='jabber:client' type='subscribe' to='bob@localhost'>{inner}</presence>"
        host.login(user, presence=False).say(asking)

    def waiting(self, host: Host) -> list[Element]:
        heard = host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")
        return [each for each in heard if each.get("type") == "subscribe"]

    def test_keep_their_text(self, host: Host) -> None:
        nick = "<nick xmlns='http://jabber.org/protocol/nick'>Al</nick>"
        self.ask(host, "alice", f"<status>It is me</status>{nick}<a xmlns='b'/>{'<c/>' * 50}")
        (asked,) = self.waiting(host)
        assert [(each.name, each.text) for each in asked.elements()] == [("status", "It is me"), ("nick", "Al")]

    def test_are_not_kept_if_they_are_too_long(self, host: Host) -> None:
        self.ask(host, "alice", f"<status>{'x' * 20_000}</status>")
        (asked,) = self.waiting(host)
        assert list(asked.elements()) == []

    def test_are_limited_in_number(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", "carol", contacts=1)
        self.ask(host, "alice")
        self.ask(host, "carol")
        assert [each.get("from") for each in self.waiting(host)] == ["alice@localhost"]

    def test_are_limited_in_bytes(self, tmp_path: Path) -> None:
        users = [f"user{number}" for number in range(12)]
        host = Host(tmp_path, "bob", *users, max_stanza=10_000)
        for user in users:
            self.ask(host, user, f"<status>{'x' * 1_000}</status>")
        assert len(self.waiting(host)) == 8

    @pytest.mark.parametrize("stanzaType", ["subscribe", "subscribed", "unsubscribe", "unsubscribed"])
    def test_cannot_be_made_by_anonymous_users(self, host: Host, stanzaType: str) -> None:
        guest = host.login("", mechanism="ANONYMOUS")
        (error,) = guest.say(presence(stanzaType, "bob@localhost"))
        assert condition(error) == "not-allowed"
        alice = host.login("alice")
        assert presences(alice.say(presence("subscribe", guest.bare))) == []
        assert presences(guest.heard()) == []

    def test_count_in_the_limit_of_a_roster_in_bytes(self, tmp_path: Path) -> None:
        alice = Host(tmp_path, "alice", max_stanza=10_000).login("alice")
        answers = [add(alice, f"{number}@localhost", name="x" * 1_000).get("type") for number in range(41)]
        assert answers.count("result") == 39
        assert condition(add(alice, "last@localhost", name="x" * 1_000)) == "resource-constraint"
        assert add(alice, "0@localhost", name="shorter").get("type") == "result"


class TestAvailability:
    def test_friends_see_each_other_come_change_and_go(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        befriend(alice, bob)
        bob.say(CLOSE)
        assert presences(alice.heard()) == [(bob.jid, "unavailable")]
        bob = host.login("bob", presence=False)
        assert (alice.jid, "") in presences(bob.say("<presence xmlns='jabber:client'/>"))
        assert presences(alice.heard()) == [(bob.jid, "")]
        bob.say("<presence xmlns='jabber:client'><show>away</show></presence>")
        assert alice.heard()[0].textOf("jabber:client", "show") == "away"

    def test_friends_see_a_lost_connection_as_unavailable(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        befriend(alice, bob)
        bob.lose()
        assert presences(alice.heard()) == [(bob.jid, "unavailable")]

    def test_strangers_see_nothing(self, host: Host) -> None:
        alice, carol = host.login("alice"), host.login("carol")
        alice.say("<presence xmlns='jabber:client'><show>away</show></presence>")
        assert carol.heard() == []

    def test_sessions_of_one_user_see_each_other(self, host: Host) -> None:
        one, two = host.login("alice", "1"), host.login("alice", "2", presence=False)
        heard = two.say("<presence xmlns='jabber:client'/>")
        assert set(presences(heard)) == {(one.jid, ""), (two.jid, "")}
        assert presences(one.heard()) == [(two.jid, "")]

    def test_directed_presence_ends_with_the_session(self, host: Host) -> None:
        alice, carol = host.login("alice"), host.login("carol")
        alice.say(f"<presence xmlns='jabber:client' to='{carol.jid}'/>")
        assert presences(carol.heard()) == [(alice.jid, "")]
        alice.lose()
        assert presences(carol.heard()) == [(alice.jid, "unavailable")]
