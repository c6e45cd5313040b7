"""The delivery of messages: RFC 6121 8, offline storage, carbons, blocking."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import CLOSE, Host, Talker, condition, message
from wsd.protocols.xmpp.stanza import Element

CARBONS = "<enable xmlns='urn:xmpp:carbons:2'/>"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob", "carol")


def bodies(heard: list[Element]) -> list[str]:
    return [each.textOf("jabber:client", "body") for each in heard if each.name == "message"]


def available(talker: Talker, priority: int) -> None:
    talker.say(f"<presence xmlns='jabber:client'><priority>{priority}</priority></presence>")
    talker.forget()


class TestByAddress:
    def test_a_full_address_reaches_that_session_alone(self, host: Host) -> None:
        alice, one, two = host.login("alice"), host.login("bob", "one"), host.login("bob", "two")
        one.forget()
        alice.say(message(one.jid))
        assert (bodies(one.heard()), bodies(two.heard())) == (["hello"], [])

    def test_a_bare_address_reaches_the_session_with_the_highest_priority(self, host: Host) -> None:
        alice, low, high = host.login("alice"), host.login("bob", "low"), host.login("bob", "high")
        available(high, 5)
        low.forget()
        alice.say(message("bob@localhost"))
        assert (bodies(low.heard()), bodies(high.heard())) == ([], ["hello"])

    def test_a_full_address_without_a_session_is_treated_as_the_bare_one(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob", "one")
        alice.say(message("bob@localhost/two"))
        assert bodies(bob.heard()) == ["hello"]

    def test_a_negative_priority_is_never_chosen(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob", presence=False)
        available(bob, -1)
        alice.say(message("bob@localhost"))
        assert bodies(bob.heard()) == []
        available_heard = bob.say("<presence xmlns='jabber:client'/>")
        assert bodies(available_heard) == ["hello"]

    def test_a_headline_reaches_all_available_sessions_and_is_not_stored(self, host: Host) -> None:
        alice, one, two = host.login("alice"), host.login("bob", "one"), host.login("bob", "two")
        one.forget()
        alice.say(message("bob@localhost", stanzaType="headline"))
        alice.say(message("carol@localhost", stanzaType="headline"))
        assert (bodies(one.heard()), bodies(two.heard())) == (["hello"], ["hello"])
        carol = host.login("carol", presence=False)
        assert bodies(carol.say("<presence xmlns='jabber:client'/>")) == []

    def test_a_message_without_an_address_reaches_its_sender(self, host: Host) -> None:
        alice = host.login("alice")
        heard = alice.say("<message xmlns='jabber:client' type='chat'><body>note</body></message>")
        assert bodies(heard) == ["note"]

    def test_the_content_of_a_message_passes_through(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        inner = (
            "<body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
            "<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='7'/>"
        )
        alice.say(f"<message xmlns='jabber:client' to='{bob.jid}' type='chat' id='1'>{inner}</message>")
        (heard,) = bob.heard()
        assert [child.name for child in heard.elements()] == ["body", "active", "request", "origin-id"]


class TestOfflineMessages:
    def test_they_wait_and_say_when_they_were_sent(self, host: Host) -> None:
        alice = host.login("alice")
        alice.say(message("bob@localhost", "one"))
        alice.say(message("bob@localhost", "two", stanzaType="normal"))
        bob = host.login("bob", presence=False)
        heard = bob.say("<presence xmlns='jabber:client'/>")
        assert bodies(heard) == ["one", "two"]
        delay = next(each for each in heard if each.name == "message").child("urn:xmpp:delay", "delay")
        assert delay is not None
        assert delay.get("from") == "localhost"
        assert delay.get("stamp").endswith("Z")

    def test_they_come_once(self, host: Host) -> None:
        host.login("alice").say(message("bob@localhost"))
        bob = host.login("bob", presence=False)
        assert bodies(bob.say("<presence xmlns='jabber:client'/>")) == ["hello"]
        bob.say(CLOSE)
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == []

    def test_a_mere_chat_state_does_not_wait(self, host: Host) -> None:
        alice = host.login("alice")
        state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
        alice.say(f"<message xmlns='jabber:client' to='bob@localhost' type='chat'>{state}</message>")
        alice.say(
            "<message xmlns='jabber:client' to='bob@localhost' type='chat'><body>x</body>"
            "<no-store xmlns='urn:xmpp:hints'/></message>"
        )
        bob = host.login("bob", presence=False)
        assert [each for each in bob.say("<presence xmlns='jabber:client'/>") if each.name == "message"] == []

    def test_they_are_limited_in_number(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", offline=2)
        alice = host.login("alice")
        answers = [alice.say(message("bob@localhost")) for _ in range(3)]
        assert answers[:2] == [[], []]
        assert condition(answers[2][0]) == "service-unavailable"

    def test_they_are_limited_in_bytes(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", max_stanza=10_000)
        alice = host.login("alice")
        answers = [alice.say(message("bob@localhost", "x" * 9_000)) for _ in range(75)]
        assert [condition(each[0]) for each in answers if each] == ["service-unavailable"] * 11
        bob = host.login("bob", presence=False)
        assert len(bodies(bob.say("<presence xmlns='jabber:client'/>"))) >= 8
        while bodies(bob.heard()):
            pass
        assert alice.say(message("bob@localhost", "again")) == []

    def test_they_survive_a_restart(self, host: Host) -> None:
        host.login("alice").say(message("bob@localhost"))
        host.kill()
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == ["hello"]

    def test_a_session_that_was_unavailable_gets_them_when_it_is_available_again(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        bob.say("<presence xmlns='jabber:client' type='unavailable'/>")
        alice.say(message("bob@localhost"))
        assert bodies(bob.heard()) == []
        assert bodies(bob.say("<presence xmlns='jabber:client'/>")) == ["hello"]

    def test_another_session_gets_them_if_the_first_leaves_before_they_are_read(self, host: Host) -> None:
        alice = host.login("alice")
        alice.say(message("bob@localhost", "one"))
        first, second = host.login("bob", presence=False), host.login("bob", presence=False)
        host.pool.slow = True
        first.say("<presence xmlns='jabber:client'/>")
        first.say("<presence xmlns='jabber:client' type='unavailable'/>")
        alice.say(message("bob@localhost", "two"))
        second.say("<presence xmlns='jabber:client'/>")
        host.pool.catchUp()
        assert bodies(second.heard()) == ["one", "two"]
        assert bodies(first.heard()) == []

    def test_nothing_waits_for_an_anonymous_user(self, host: Host) -> None:
        alice, someone = host.login("alice"), host.login("", mechanism="ANONYMOUS")
        alice.say(message(someone.jid))
        assert bodies(someone.heard()) == ["hello"]
        someone.say(CLOSE)
        assert condition(alice.say(message(someone.bare))[0]) == "service-unavailable"


class TestCarbons:
    def test_the_other_sessions_see_what_is_sent_and_what_comes(self, host: Host) -> None:
        alice, one, two = host.login("alice"), host.login("bob", "one"), host.login("bob", "two")
        assert two.ask("set", CARBONS).get("type") == "result"
        one.forget()
        alice.say(message(one.jid, "in"))
        one.say(message(alice.jid, "out"))
        received, sent = two.heard()
        assert (received.get("from"), received.get("to")) == ("bob@localhost", two.jid)
        assert [each.first().name for each in (received, sent)] == ["received", "sent"]  # type: ignore[union-attr]
        assert "<body>in</body>" in received.toXml()
        assert f'from="{one.jid}"' in sent.toXml()

    def test_private_messages_and_groupchats_are_not_copied(self, host: Host) -> None:
        alice, one, two = host.login("alice"), host.login("bob", "one"), host.login("bob", "two")
        two.ask("set", CARBONS)
        one.forget()
        for inner in ("<private xmlns='urn:xmpp:carbons:2'/>", "<no-copy xmlns='urn:xmpp:hints'/>"):
            alice.say(f"<message xmlns='jabber:client' to='{one.jid}' type='chat'><body>x</body>{inner}</message>")
        assert two.heard() == []

    def test_a_message_to_the_bare_address_comes_once(self, host: Host) -> None:
        alice, one, two = host.login("alice"), host.login("bob", "one"), host.login("bob", "two")
        one.ask("set", CARBONS)
        two.ask("set", CARBONS)
        one.forget()
        alice.say(message("bob@localhost"))
        assert [len(one.heard()), len(two.heard())] == [1, 1]

    def test_they_are_switched_off_again(self, host: Host) -> None:
        alice, one, two = host.login("alice"), host.login("bob", "one"), host.login("bob", "two")
        two.ask("set", CARBONS)
        two.ask("set", "<disable xmlns='urn:xmpp:carbons:2'/>")
        alice.say(message(one.jid))
        assert two.heard() == []


def block(talker: Talker, *addresses: str, name: str = "block") -> Element:
    items = "".join(f"<item jid='{address}'/>" for address in addresses)
    return talker.ask("set", f"<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>")


class TestBlocking:
    @pytest.mark.parametrize("address", ["bob@localhost", "localhost", "bob@localhost/home"])
    def test_nothing_comes_from_a_blocked_contact(self, host: Host, address: str) -> None:
        alice, bob = host.login("alice"), host.login("bob", "home")
        block(alice, address)
        assert condition(bob.say(message(alice.jid))[0]) == "service-unavailable"
        ping = bob.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=alice.jid)
        assert condition(ping) == "service-unavailable"
        bob.say(f"<presence xmlns='jabber:client' to='{alice.jid}'/>")
        assert alice.heard() == []

    def test_nothing_can_be_sent_to_a_blocked_contact(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        block(alice, "bob@localhost")
        (error,) = alice.say(message(bob.jid))
        assert condition(error) == "not-acceptable"
        assert 'blocked xmlns="urn:xmpp:blocking:errors"' in error.toXml()

    def test_nothing_comes_as_the_answer_to_a_question_that_nobody_asked(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        block(alice, "bob@localhost")
        for stanzaType in ("result", "error"):
            said = f"<iq xmlns='jabber:client' type='{stanzaType}' id='1' to='{alice.jid}'><a xmlns='b'/></iq>"
            assert bob.say(said) == []
        assert alice.heard() == []

    def test_nothing_comes_by_way_of_a_room(self, host: Host) -> None:
        room, user = "den@conference.localhost", "http://jabber.org/protocol/muc#user"
        alice, bob = host.login("alice"), host.login("bob")
        for talker, nick in ((alice, "a"), (bob, "b")):
            talker.say(f"<presence xmlns='jabber:client' to='{room}/{nick}'/>")
        block(alice, "bob@localhost")
        alice.forget()
        for name in ("invite", "decline"):
            bob.say(
                f"<message xmlns='jabber:client' to='{room}'><x xmlns='{user}'><{name} to='alice@localhost'>"
                f"<reason>it is me</reason></{name}></x></message>"
            )
        assert condition(bob.say(message(f"{room}/a"))[0]) == "item-not-found"
        assert condition(bob.ask("get", "<a xmlns='b'/>", to=f"{room}/a")) == "item-not-found"
        bob.say(f"<iq xmlns='jabber:client' type='result' id='1' to='{room}/a'/>")
        bob.say(f"<presence xmlns='jabber:client' to='{room}/b' type='unavailable'/>")
        assert [each.get("type") for each in alice.heard()] == ["unavailable"]
        bob.say(
            f"<message xmlns='jabber:client' to='{room}'><x xmlns='{user}'><decline to='alice@localhost'>"
            "<reason>it is me</reason></decline></x></message>"
        )
        assert alice.heard() == []

    def test_nothing_comes_from_an_address_in_a_room(self, host: Host) -> None:
        room = "den@conference.localhost"
        alice, bob = host.login("alice"), host.login("bob")
        for talker, nick in ((alice, "a"), (bob, "b")):
            talker.say(f"<presence xmlns='jabber:client' to='{room}/{nick}'/>")
        block(alice, f"{room}/b")
        alice.forget()
        assert condition(bob.say(message(f"{room}/a"))[0]) == "item-not-found"
        assert alice.heard() == []

    def test_the_list_is_pushed_read_kept_and_emptied(self, host: Host) -> None:
        alice, other = host.login("alice", "one"), host.login("alice", "two")
        other.ask("get", "<blocklist xmlns='urn:xmpp:blocking'/>")
        block(alice, "bob@localhost", "evil.example")
        (pushed,) = [each for each in other.heard() if each.name == "iq"]
        assert pushed.get("type") == "set"
        host.kill()
        alice = host.login("alice")
        listed = alice.ask("get", "<blocklist xmlns='urn:xmpp:blocking'/>").toXml()
        assert listed.count("<item ") == 2
        block(alice, name="unblock")
        assert "<item" not in alice.ask("get", "<blocklist xmlns='urn:xmpp:blocking'/>").toXml()

    @pytest.mark.parametrize(("addresses", "expected"), [((), "bad-request"), (("@",), "jid-malformed")])
    def test_anything_but_an_address_is_refused(self, host: Host, addresses: tuple[str, ...], expected: str) -> None:
        assert condition(block(host.login("alice"), *addresses)) == expected

    def test_a_blocked_contact_sees_the_user_go_and_come_back(self, host: Host) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        bob.say("<presence xmlns='jabber:client' type='subscribe' to='alice@localhost'/>")
        alice.say("<presence xmlns='jabber:client' type='subscribed' to='bob@localhost'/>")
        bob.forget()
        block(alice, "bob@localhost")
        assert [(each.get("type"), each.get("from")) for each in bob.heard()] == [("unavailable", alice.jid)]
        block(alice, "bob@localhost", name="unblock")
        assert [(each.get("type"), each.get("from")) for each in bob.heard()] == [("", alice.jid)]
