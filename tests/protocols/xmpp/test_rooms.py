"""Rooms (XEP-0045): entering, messages, history, roles and affiliations, settings, and the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import CLOSE, REMOTE, Host, Talker, condition
from wsd.protocols.xmpp.rooms.config import RoomConfig
from wsd.protocols.xmpp.stanza import Element

MUC = "http://jabber.org/protocol/muc"
ROOM = "den@conference.localhost"
CONFIG = "muc#roomconfig_"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob", "carol")


def join(talker: Talker, nick: str, inner: str = "") -> list[Element]:
    return talker.say(f"<presence xmlns='jabber:client' to='{ROOM}/{nick}'><x xmlns='{MUC}'>{inner}</x></presence>")


def leave(talker: Talker, nick: str) -> list[Element]:
    return talker.say(f"<presence xmlns='jabber:client' to='{ROOM}/{nick}' type='unavailable'/>")


def say(talker: Talker, body: str, inner: str = "") -> list[Element]:
    return talker.say(
        f"<message xmlns='jabber:client' to='{ROOM}' type='groupchat' id='g'><body>{body}</body>{inner}</message>"
    )


def configure(talker: Talker, **fields: str) -> Element:
    values = {f"{CONFIG}{name}": value for name, value in fields.items()}
    inner = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in values.items())
    form = f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"
    return talker.ask("set", f"<query xmlns='{MUC}#owner'>{form}</query>", ROOM)


def change(talker: Talker, **item: str) -> Element:
    attrs = " ".join(f"{key}='{value}'" for key, value in item.items())
    return talker.ask("set", f"<query xmlns='{MUC}#admin'><item {attrs}/></query>", ROOM)


def codes(presence: Element) -> list[str]:
    x = presence.child(f"{MUC}#user", "x")
    assert x is not None
    return sorted(each.get("code") for each in x.elements() if each.name == "status")


def item(presence: Element) -> tuple[str, str]:
    """Affiliation and role."""
    x = presence.child(f"{MUC}#user", "x")
    assert x is not None
    found = x.child(f"{MUC}#user", "item")
    assert found is not None
    return found.get("affiliation"), found.get("role")


def bodies(heard: list[Element]) -> list[str]:
    return [
        each.textOf("jabber:client", "body")
        for each in heard
        if each.name == "message" and each.child("jabber:client", "body")
    ]


def opened(host: Host, *names: str, **fields: str) -> list[Talker]:
    """A room with these occupants, the first its owner."""
    talkers = [host.login(name) for name in names]
    join(talkers[0], names[0])
    assert configure(talkers[0], **fields).get("type") == "result"
    for talker, name in list(zip(talkers, names, strict=True))[1:]:
        join(talker, name)
    for talker in talkers:
        talker.forget()
    return talkers


class TestEntering:
    def test_the_first_to_enter_creates_the_room_and_owns_it(self, host: Host) -> None:
        presence, subject = join(host.login("alice"), "alice")
        assert (presence.get("from"), item(presence)) == (f"{ROOM}/alice", ("owner", "moderator"))
        assert codes(presence) == ["110", "201"]
        assert subject.child("jabber:client", "subject") is not None

    def test_nobody_else_enters_before_it_is_configured(self, host: Host) -> None:
        join(host.login("alice"), "alice")
        (error,) = join(host.login("bob"), "bob")
        assert condition(error) == "item-not-found"

    def test_a_new_occupant_sees_all_and_is_seen_by_all(self, host: Host) -> None:
        (alice,) = opened(host, "alice")
        heard = join(host.login("bob"), "bob")
        assert [each.get("from") for each in heard if each.name == "presence"] == [f"{ROOM}/alice", f"{ROOM}/bob"]
        (seen,) = alice.heard()
        assert (seen.get("from"), item(seen)) == (f"{ROOM}/bob", ("none", "participant"))

    def test_only_moderators_see_addresses_in_a_semi_anonymous_room(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        join(host.login("carol"), "carol")
        assert "carol@localhost/" in alice.heard()[0].toXml()
        assert "carol@localhost/" not in bob.heard()[0].toXml()
        configure(alice, whois="anyone")
        bob.forget()
        join(host.login("carol"), "carol")
        assert "carol@localhost/" in bob.heard()[0].toXml()

    @pytest.mark.parametrize(
        ("fields", "inner", "expected"),
        [
            ({"membersonly": "1"}, "", "registration-required"),
            ({"roomsecret": "sesame", "passwordprotectedroom": "1"}, "", "not-authorized"),
            ({"roomsecret": "sesame", "passwordprotectedroom": "1"}, "<password>other</password>", "not-authorized"),
            ({"maxusers": "1"}, "", "service-unavailable"),
        ],
    )
    def test_a_refused_user_is_told_why(self, host: Host, fields: dict[str, str], inner: str, expected: str) -> None:
        opened(host, "alice", **fields)
        (error,) = join(host.login("bob"), "bob", inner)
        assert condition(error) == expected

    def test_a_user_with_the_password_enters(self, host: Host) -> None:
        opened(host, "alice", roomsecret="sesame", passwordprotectedroom="1")
        assert len(join(host.login("bob"), "bob", "<password>sesame</password>")) == 3

    def test_a_nickname_is_taken_once(self, host: Host) -> None:
        opened(host, "alice")
        (error,) = join(host.login("bob"), "alice")
        assert condition(error) == "conflict"

    def test_nobody_enters_without_a_nickname(self, host: Host) -> None:
        (error,) = host.login("alice").say(f"<presence xmlns='jabber:client' to='{ROOM}'/>")
        assert condition(error) == "jid-malformed"

    def test_another_session_of_the_same_user_shares_the_nickname(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        other = host.login("bob")
        assert len(join(other, "bob")) == 3
        say(alice, "both")
        assert bodies(bob.heard()) == bodies(other.heard()) == ["both"]

    def test_another_session_of_an_occupant_enters_a_full_room(self, host: Host) -> None:
        opened(host, "alice", "bob", maxusers="2")
        assert condition(join(host.login("carol"), "carol")[0]) == "service-unavailable"
        assert len(join(host.login("bob"), "bob")) == 3

    def test_a_change_of_the_nickname_is_sent_to_all(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        bob.say(f"<presence xmlns='jabber:client' to='{ROOM}/robert'/>")
        gone, there = alice.heard()
        assert (codes(gone), 'nick="robert"' in gone.toXml()) == (["303"], True)
        assert there.get("from") == f"{ROOM}/robert"


class TestMessages:
    def test_all_occupants_get_it_and_so_does_the_sender(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        (heard,) = say(alice, "&lt;&amp;&gt; ünï 😀")
        (other,) = bob.heard()
        assert heard.get("id") == other.get("id") == "g"
        assert other.get("from") == f"{ROOM}/alice"
        assert bodies([other]) == ["<&> ünï 😀"]

    def test_only_occupants_may_send_it(self, host: Host) -> None:
        opened(host, "alice")
        (error,) = say(host.login("bob"), "hello")
        assert condition(error) == "not-acceptable"

    def test_a_private_message_reaches_one_occupant(self, host: Host) -> None:
        alice, bob, carol = opened(host, "alice", "bob", "carol")
        alice.say(f"<message xmlns='jabber:client' type='chat' to='{ROOM}/bob'><body>psst</body></message>")
        (heard,) = bob.heard()
        assert (heard.get("from"), bodies([heard])) == (f"{ROOM}/alice", ["psst"])
        assert heard.child(f"{MUC}#user", "x") is not None
        assert carol.heard() == []

    def test_only_moderators_change_the_subject_unless_anyone_may(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        subject = f"<message xmlns='jabber:client' to='{ROOM}' type='groupchat'><subject>cats</subject></message>"
        (error,) = bob.say(subject)
        assert condition(error) == "forbidden"
        alice.say(subject)
        assert bob.heard()[-1].textOf("jabber:client", "subject") == "cats"
        assert join(host.login("carol"), "carol")[-1].textOf("jabber:client", "subject") == "cats"
        configure(alice, changesubject="1")
        assert bob.say(subject)[-1].get("type") == "groupchat"

    def test_without_a_voice_nobody_speaks_in_a_moderated_room(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob", moderatedroom="1")
        assert condition(say(bob, "hello")[0]) == "forbidden"
        change(alice, nick="bob", role="participant")
        bob.forget()
        assert bodies(say(bob, "hello")) == ["hello"]


class TestHistory:
    def test_a_later_occupant_gets_it_with_its_times(self, host: Host) -> None:
        (alice,) = opened(host, "alice")
        say(alice, "one")
        host.pass_(60)
        say(alice, "two")
        heard = join(host.login("bob"), "bob")
        assert bodies(heard) == ["one", "two"]
        late = next(each for each in heard if bodies([each]) == ["one"])
        delay = late.child("urn:xmpp:delay", "delay")
        assert delay is not None
        assert delay.get("from") == ROOM

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ("maxstanzas='1'", ["two"]),
            ("maxstanzas='0'", []),
            ("maxchars='0'", []),
            ("maxchars='300'", ["two"]),
            ("seconds='30'", ["two"]),
            ("since='2001-09-09T01:46:50Z'", ["two"]),
        ],
    )
    def test_as_much_as_is_asked_for(self, host: Host, wanted: str, expected: list[str]) -> None:
        (alice,) = opened(host, "alice")
        say(alice, "one")
        host.pass_(60)
        say(alice, "two")
        assert bodies(join(host.login("bob"), "bob", f"<history {wanted}/>")) == expected

    def test_a_room_remembers_a_limited_number(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", history=3)
        (alice,) = opened(host, "alice", persistentroom="1")
        for number in range(5):
            say(alice, str(number))
        assert bodies(join(host.login("bob"), "bob")) == ["2", "3", "4"]
        host.kill()
        assert bodies(join(host.login("bob"), "bob")) == ["2", "3", "4"]


class TestSelfPing:
    """XEP-0410: a client asks whether it is still in a room; only "not-acceptable" means that it is not."""

    def ping(self, talker: Talker, to: str) -> str:
        answer = talker.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to)
        return "" if answer.get("type") == "result" else condition(answer)

    def test_an_occupant_is_answered_by_the_room(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        assert self.ping(bob, f"{ROOM}/bob") == ""
        assert (alice.heard(), bob.heard()) == ([], [])

    def test_anybody_else_is_refused(self, host: Host) -> None:
        (_, bob) = opened(host, "alice", "bob")
        other = host.login("bob")
        assert self.ping(other, f"{ROOM}/bob") == "not-acceptable"
        leave(bob, "bob")
        assert self.ping(bob, f"{ROOM}/bob") == "not-acceptable"

    def test_also_when_the_room_is_gone(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        alice.ask("set", f"<query xmlns='{MUC}#owner'><destroy/></query>", ROOM)
        bob.forget()
        assert self.ping(bob, f"{ROOM}/bob") == "not-acceptable"
        assert self.ping(bob, "never@conference.localhost/bob") == "not-acceptable"

    def test_an_occupant_with_another_nickname_is_still_in_it(self, host: Host) -> None:
        _, bob = opened(host, "alice", "bob")
        bob.say(f"<presence xmlns='jabber:client' to='{ROOM}/robert'/>")
        bob.forget()
        assert self.ping(bob, f"{ROOM}/bob") == "item-not-found"
        assert self.ping(bob, f"{ROOM}/robert") == ""

    def test_disco_lists_the_optimization(self, host: Host) -> None:
        (alice,) = opened(host, "alice")
        info = alice.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", ROOM).toXml()
        assert 'var="http://jabber.org/protocol/muc#self-ping-optimization"' in info


class TestRolesAndAffiliations:
    def test_a_kick_is_announced_to_all(self, host: Host) -> None:
        alice, bob, carol = opened(host, "alice", "bob", "carol")
        assert change(alice, nick="bob", role="none").get("type") == "result"
        assert codes(bob.heard()[0]) == ["110", "307"]
        assert codes(carol.heard()[0]) == ["307"]

    def test_a_ban_lasts(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        change(alice, jid="bob@localhost", affiliation="outcast")
        assert codes(bob.heard()[0]) == ["110", "301"]
        assert condition(join(bob, "bob")[0]) == "forbidden"

    def test_members_enter_a_members_only_room(self, host: Host) -> None:
        (alice,) = opened(host, "alice", membersonly="1")
        change(alice, jid="bob@localhost", affiliation="member")
        assert item(join(host.login("bob"), "bob")[1]) == ("member", "participant")

    def test_others_leave_when_it_becomes_members_only(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        configure(alice, membersonly="1")
        assert codes(bob.heard()[0]) == ["110", "322"]

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"jid": "bob@localhost", "affiliation": "owner"}, "forbidden"),
            ({"nick": "alice", "role": "none"}, "forbidden"),
            ({"nick": "nobody", "role": "none"}, "item-not-found"),
            ({"nick": "alice", "role": "king"}, "bad-request"),
            ({"jid": "@", "affiliation": "member"}, "jid-malformed"),
        ],
    )
    def test_a_wrong_change_is_refused(self, host: Host, changes: dict[str, str], expected: str) -> None:
        _, bob = opened(host, "alice", "bob")
        assert condition(change(bob, **changes)) == expected

    def test_a_room_keeps_an_owner(self, host: Host) -> None:
        (alice,) = opened(host, "alice")
        assert condition(change(alice, jid="alice@localhost", affiliation="none")) == "conflict"

    def test_also_if_one_query_would_remove_all_owners(self, host: Host) -> None:
        alice, _ = opened(host, "alice", "bob")
        change(alice, jid="bob@localhost", affiliation="owner")
        items = "".join(f"<item jid='{name}@localhost' affiliation='member'/>" for name in ("alice", "bob"))
        query = f"<query xmlns='{MUC}#admin'>{items}</query>"
        assert condition(alice.ask("set", query, ROOM)) == "conflict"
        assert host.server.rooms is not None
        assert set(host.server.rooms.rooms[ROOM].affiliations.values()) == {"owner"}

    def test_one_query_may_pass_the_room_to_another_owner(self, host: Host) -> None:
        alice, _ = opened(host, "alice", "bob")
        items = "<item jid='alice@localhost' affiliation='none'/><item jid='bob@localhost' affiliation='owner'/>"
        assert alice.ask("set", f"<query xmlns='{MUC}#admin'>{items}</query>", ROOM).get("type") == "result"

    @pytest.mark.parametrize(
        "items",
        [
            "<item nick='bob' role='none'/><item nick='bob' role='none'/>",
            "<item jid='bob@localhost' affiliation='outcast'/><item nick='bob' role='participant'/>",
            "<item nick='bob' role='none'/><item nick='bob' affiliation='outcast'/>",
        ],
    )
    def test_an_occupant_removed_twice_by_one_query_is_out(self, host: Host, items: str) -> None:
        alice, bob = opened(host, "alice", "bob")
        answer = alice.ask("set", f"<query xmlns='{MUC}#admin'>{items}</query>", ROOM)
        assert answer.get("type") == "result"
        assert [each.get("type") for each in bob.heard()] == ["unavailable"]

    def test_lists_are_shown_to_those_who_may_see_them(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        change(alice, jid="carol@localhost", affiliation="member")
        asked = f"<query xmlns='{MUC}#admin'><item affiliation='member'/></query>"
        assert 'jid="carol@localhost"' in alice.ask("get", asked, ROOM).toXml()
        assert condition(bob.ask("get", asked, ROOM)) == "forbidden"


class TestSettings:
    def test_they_are_a_form_for_owners(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob", roomname="The den")
        asked = f"<query xmlns='{MUC}#owner'/>"
        assert "The den" in alice.ask("get", asked, ROOM).toXml()
        assert condition(bob.ask("get", asked, ROOM)) == "forbidden"

    def test_a_change_is_announced(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        configure(alice, roomname="New")
        assert codes(bob.heard()[0]) == ["104"]

    def test_an_empty_password_is_refused(self, host: Host) -> None:
        (alice,) = opened(host, "alice")
        assert condition(configure(alice, passwordprotectedroom="1")) == "not-acceptable"

    def test_a_public_room_is_listed_and_a_hidden_one_is_not(self, host: Host) -> None:
        (alice,) = opened(host, "alice")
        items = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
        info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        assert ROOM in alice.ask("get", items, "conference.localhost").toXml()
        assert "muc_open" in alice.ask("get", info, ROOM).toXml()
        configure(alice, publicroom="0")
        assert ROOM not in alice.ask("get", items, "conference.localhost").toXml()

    def test_an_invitation_arrives_and_makes_a_member(self, host: Host) -> None:
        (alice,) = opened(host, "alice", membersonly="1")
        bob = host.login("bob")
        alice.say(
            f"<message xmlns='jabber:client' to='{ROOM}'>"
            f"<x xmlns='{MUC}#user'><invite to='bob@localhost'/></x></message>"
        )
        assert "<invite" in bob.heard()[0].toXml()
        assert item(join(bob, "bob")[1]) == ("member", "participant")


class TestTheEnd:
    def test_others_see_an_occupant_leave(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        (own,) = leave(bob, "bob")
        assert codes(own) == ["110"]
        assert alice.heard()[0].get("type") == "unavailable"

    def test_an_occupant_whose_connection_is_lost_has_left(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        bob.lose()
        assert alice.heard()[0].get("type") == "unavailable"

    def test_an_empty_room_ends_unless_it_is_persistent(self, host: Host) -> None:
        (alice,) = opened(host, "alice")
        leave(alice, "alice")
        bob = host.login("bob")
        assert codes(join(bob, "bob")[0]) == ["110", "201"]
        configure(bob, persistentroom="1")
        leave(bob, "bob")
        assert codes(join(alice, "alice")[0]) == ["110"]

    def test_its_owner_destroys_it_and_names_another(self, host: Host) -> None:
        alice, bob = opened(host, "alice", "bob")
        alice.ask("set", f"<query xmlns='{MUC}#owner'><destroy jid='other@conference.localhost'/></query>", ROOM)
        assert 'destroy jid="other@conference.localhost"' in bob.heard()[0].toXml()
        assert condition(say(bob, "hello")[0]) == "item-not-found"

    def test_a_persistent_room_survives_the_process(self, host: Host) -> None:
        (alice,) = opened(host, "alice", persistentroom="1", roomname="The den")
        change(alice, jid="bob@localhost", affiliation="admin")
        say(alice, "kept")
        host.kill()
        heard = join(host.login("bob"), "bob")
        assert item(heard[0]) == ("admin", "moderator")
        assert bodies(heard) == ["kept"]


class TestWhatIsHeld:
    """The memory of all rooms, and of those of one address."""

    def guest(self, host: Host) -> Talker:
        return host.login("", mechanism="ANONYMOUS")

    def test_the_room_of_a_guest_ends_with_the_last_to_leave(self, host: Host) -> None:
        guest = self.guest(host)
        join(guest, "g")
        assert condition(configure(guest, persistentroom="1")) == "not-acceptable"
        configure(guest, persistentroom="0")
        say(guest, "x" * 100_000)
        assert host.server.roomMemory.total > 100_000
        guest.say(CLOSE)
        assert host.server.rooms is not None
        assert (host.server.rooms.rooms, host.server.roomMemory.total) == ({}, 0)

    def test_a_history_drops_the_oldest_and_does_not_keep_what_is_too_large(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", max_stanza=10_000)
        (alice,) = opened(host, "alice", persistentroom="1")
        for number in range(10):
            say(alice, f"{number}{'x' * 7_500}")
        say(alice, "10", "<a/>" * 500)
        assert [body.rstrip("x") for body in bodies(join(host.login("bob"), "bob"))] == ["6", "7", "8", "9"]
        host.kill()
        assert [body.rstrip("x") for body in bodies(join(host.login("bob"), "bob"))] == ["6", "7", "8", "9"]

    def test_rooms_of_one_address_have_a_quarter(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", max_held=1 << 20)
        alice = host.login("alice")
        made = 0
        while not conditionOf(alice.say(presenceTo(f"r{made}@conference.localhost/a"))):
            made += 1
        assert 50 <= made <= 64
        assert host.server.roomMemory.held("127.0.0.1") <= 1 << 18
        other = host.connect(REMOTE)
        other.login("bob")
        assert not conditionOf(other.say(presenceTo("another@conference.localhost/b")))

    def test_anything_beyond_the_memory_is_refused(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", max_held=1 << 20)
        (alice,) = opened(host, "alice")
        items = "".join(f"<item jid='{number}@localhost' affiliation='member'/>" for number in range(1_300))
        change = f"<query xmlns='{MUC}#admin'>{items}</query>"
        assert condition(alice.ask("set", change, ROOM)) == "resource-constraint"
        assert (
            "<item"
            not in alice.ask("get", f"<query xmlns='{MUC}#admin'><item affiliation='member'/></query>", ROOM).toXml()
        )
        subject = f"<subject>{'x' * 258_000}</subject>"
        (error,) = alice.say(f"<message xmlns='jabber:client' to='{ROOM}' type='groupchat'>{subject}</message>")
        assert condition(error) == "resource-constraint"

    def test_a_temporary_room_ends_if_nobody_returns_after_a_crash(self, host: Host) -> None:
        opened(host, "alice")
        host.kill()
        assert host.server.rooms is not None
        assert list(host.server.rooms.rooms) == [ROOM]
        host.pass_(61)
        assert (host.server.rooms.rooms, host.server.roomMemory.total) == ({}, 0)
        host.kill()
        assert host.server.rooms.rooms == {}

    def test_the_accounting_is_the_same_after_a_restart(self, host: Host) -> None:
        (alice,) = opened(host, "alice", persistentroom="1", roomname="The den")
        change(alice, jid="bob@localhost", affiliation="admin")
        say(alice, "kept")
        alice.say(f"<message xmlns='jabber:client' to='{ROOM}' type='groupchat'><subject>cats</subject></message>")
        before = host.server.roomMemory.total
        host.kill()
        assert abs(host.server.roomMemory.held("alice@localhost") - before) < 100
        alice = host.login("alice")
        join(alice, "alice")
        alice.ask("set", f"<query xmlns='{MUC}#owner'><destroy/></query>", ROOM)
        assert host.server.roomMemory.total == 0

    def test_a_large_presence_is_refused(self, host: Host) -> None:
        alice = host.login("alice")
        (error,) = alice.say(presenceTo(f"{ROOM}/a", "<a/>" * 1_000))
        assert condition(error) == "policy-violation"
        (error,) = alice.say(f"<presence xmlns='jabber:client'><status>{'x' * 40_000}</status></presence>")
        assert condition(error) == "policy-violation"
        alice.say(f"<presence xmlns='jabber:client'><status>{'x' * 10_000}</status></presence>")
        assert alice.heard() == []


def presenceTo(to: str, inner: str = "") -> str:
    return f"<presence xmlns='jabber:client' to='{to}'>{inner}</presence>"


def conditionOf(heard: list[Element]) -> str:
    """The condition of the first error in these stanzas, "" if there is none."""
    return next((condition(each) for each in heard if each.get("type") == "error"), "")


class TestStoredSettings:
    def test_have_the_names_that_older_versions_have_written(self) -> None:
        assert RoomConfig.read('{"name": "Den", "open": false}') == RoomConfig(name="Den", semiAnonymous=False)
        written = json.loads(RoomConfig(semiAnonymous=False).write())
        assert written["open"] is False
        assert list(written) == (
            "name description persistent public members_only moderated open password subjects invites most".split()
        )

    def test_do_not_read_others_under_their_names_here(self) -> None:
        assert RoomConfig.read('{"semiAnonymous": false}') == RoomConfig()
