"""Stream management (XEP-0198): acknowledged stanzas are never lost, and missed ones come once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import CLOSE, OPEN, Host, Talker, condition, message
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.streammanagement import Entry, Outbound

SM = "urn:xmpp:sm:3"
R = f"<r xmlns='{SM}'/>"


def a(number: int | str) -> str:
    return f"<a xmlns='{SM}' h='{number}'/>"


def bodies(heard: list[Element]) -> list[str]:
    return [each.textOf("jabber:client", "body") for each in heard if each.name == "message"]


def handled(heard: list[Element]) -> list[str]:
    return [each.get("h") for each in heard if each.name == "a"]


def managed(host: Host, user: str, resume: bool = True) -> tuple[Talker, str]:
    """A client with stream management, and the id that resumes its session."""
    talker = host.login(user)
    (enabled,) = talker.say(f"<enable xmlns='{SM}' resume='{str(resume).lower()}'/>")
    assert enabled.name == "enabled"
    return talker, enabled.get("id")


def resume(host: Host, user: str, resumeId: str, number: int) -> tuple[Talker, list[Element]]:
    """A new connection that resumes a session, and the answers to it."""
    talker = host.connect()
    talker.say(OPEN)
    talker.authenticate(user, "SCRAM-SHA-256", user)
    talker.say(OPEN)
    return talker, talker.say(f"<resume xmlns='{SM}' previd='{resumeId}' h='{number}'/>")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob")


class TestTheCircle:
    """Numbers wrap at 2 ** 32 (XEP-0198 4): half of them are ahead, and half behind."""

    def test_less_than_before_is_ignored(self, host: Host) -> None:
        alice, _ = managed(host, "alice")
        assert alice.say(a(2**31)) == []
        assert alice.say(a(2**32 - 1)) == []
        assert handled(alice.say(R)) == ["0"]

    @pytest.mark.parametrize("number", [1, 2**30, 2**31 - 1])
    def test_more_than_was_sent_ends_the_stream(self, host: Host, number: int) -> None:
        alice, _ = managed(host, "alice")
        assert "handled-count-too-high" in "".join(each.toXml() for each in alice.say(a(number)))


class Receiver:
    """The session that the entries are sent to."""

    def spool(self, entry: Entry) -> None:
        raise AssertionError("nothing is stored here")


def test_unacknowledged_stanzas_are_measured() -> None:
    outbound = Outbound()
    assert outbound.size == 0
    entries = [Entry("<message/>" * number, Receiver(), None, 0) for number in range(1, 4)]
    for entry in entries:
        outbound.add(entry)
    assert outbound.size == sum(entry.size for entry in entries)
    assert outbound.acknowledge(1) == entries[:1]
    assert outbound.size == sum(entry.size for entry in entries[1:])
    assert outbound.clear() == entries[1:]
    assert outbound.size == 0


class TestWhatIsAcknowledged:
    def test_nothing_before_the_first_stanza(self, host: Host) -> None:
        alice, _ = managed(host, "alice")
        assert handled(alice.say(R)) == ["0"]

    def test_a_change_when_it_is_written_and_not_before(self, host: Host) -> None:
        alice, _ = managed(host, "alice")
        host.pool.slow = True
        alice.say(
            "<iq xmlns='jabber:client' type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='c@d'/></query></iq>"
        )
        assert handled(alice.say(R)) == []
        host.pool.catchUp()
        assert handled(alice.heard()) == ["1"]

    def test_a_message_for_an_offline_user_when_it_is_written_and_not_before(self, host: Host) -> None:
        alice, _ = managed(host, "alice")
        host.pool.slow = True
        alice.say(message("bob@localhost"))
        assert handled(alice.say(R)) == []
        host.pool.catchUp()
        assert handled(alice.heard()) == ["1"]

    def test_a_message_for_an_online_user_when_it_has_been_acknowledged(self, host: Host) -> None:
        (alice, _), (bob, _) = managed(host, "alice"), managed(host, "bob")
        alice.say(message(bob.jid))
        assert handled(alice.say(R)) == []
        heard = bob.heard()
        assert [each.name for each in heard] == ["message", "r"]
        bob.say(a(1))
        assert handled(alice.heard()) == ["1"]

    def test_by_a_client_without_stream_management_with_the_pong_after_it(self, host: Host) -> None:
        (alice, _), bob = managed(host, "alice"), host.login("bob")
        bob.wire.frozen = True
        alice.say(message(bob.jid))
        assert handled(alice.say(R)) == []
        bob.wire.frozen = False
        assert bodies(bob.heard()) == ["hello"]
        assert handled(alice.heard()) == ["1"]

    def test_or_after_a_while_when_it_is_stored_for_a_receiver_that_does_not_acknowledge(self, host: Host) -> None:
        (alice, _), (bob, _) = managed(host, "alice"), managed(host, "bob")
        alice.say(message(bob.jid))
        assert handled(alice.say(R)) == []
        host.pass_(0.5)
        assert handled(alice.heard()) == ["1"]
        host.kill()
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == ["hello"]

    def test_a_later_stanza_does_not_count_before_an_earlier_one(self, host: Host) -> None:
        (alice, _), (bob, _) = managed(host, "alice"), managed(host, "bob")
        alice.say(message(bob.jid))
        alice.say("<iq xmlns='jabber:client' type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        assert handled(alice.say(R)) == []
        bob.say(a(1))
        assert handled(alice.heard()) == ["2"]

    def test_no_stanza_that_is_still_being_processed(self, host: Host) -> None:
        """The second receiver must be looked up in the store; the arrival of the first message does not complete it."""
        (alice, _), (bob, _) = managed(host, "alice", False), managed(host, "bob")
        alice.say(message(bob.jid))
        host.pool.slow = True
        alice.say(message("carol@localhost"))
        alice.say(R)
        bob.say(a(1))
        assert handled(alice.heard()) == []

    def test_an_acknowledgement_comes_before_a_close(self, host: Host) -> None:
        alice, _ = managed(host, "alice")
        alice.say(message("bob@localhost"))
        assert [each.name for each in alice.say(CLOSE)] == ["a", "close"]


class TestAcknowledgementsOfTheClient:
    def test_less_than_before_is_no_error(self, host: Host) -> None:
        (alice, _), (bob, _) = managed(host, "alice"), managed(host, "bob")
        for _ in range(2):
            alice.say(message(bob.jid))
        bob.say(a(2))
        assert bob.say(a(1)) == bob.say(a(0)) == []

    @pytest.mark.parametrize(
        ("number", "expected"),
        [(9, "undefined-condition"), ("x", "bad-format"), ("", "bad-format"), ("0" * 11, "bad-format")],
    )
    def test_more_than_was_sent_is_an_error(self, host: Host, number: int | str, expected: str) -> None:
        alice, _ = managed(host, "alice")
        error = next(each for each in alice.say(a(number)) if each.name == "error")
        assert condition(error) == expected

    def test_the_error_says_how_many_were_sent(self, host: Host) -> None:
        alice, _ = managed(host, "alice")
        told = "".join(each.toXml() for each in alice.say(a(9)))
        assert '<handled-count-too-high xmlns="urn:xmpp:sm:3" h="9" send-count="0"/>' in told

    def test_a_client_that_acknowledges_nothing_is_sent_a_limited_number(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", unacknowledged=10)
        alice, (bob, _) = host.login("alice"), managed(host, "bob")
        for _ in range(11):
            alice.say(message(bob.jid))
        host.pass_(0)
        assert [each.name for each in bob.heard()][-2:] == ["error", "close"]
        again = host.login("bob", presence=False)
        heard = again.say("<presence xmlns='jabber:client'/>")
        assert len(bodies(heard)) == 11


class TestResume:
    def test_each_missed_stanza_comes_once_and_in_order(self, host: Host) -> None:
        alice, (bob, resumeId) = host.login("alice"), managed(host, "bob")
        alice.say(message(bob.jid, "0"))
        bob.heard()
        bob.lose()
        for number in range(1, 4):
            alice.say(message(bob.jid, str(number)))
        again, heard = resume(host, "bob", resumeId, 1)
        assert heard[0].name == "resumed"
        assert bodies(heard) == ["1", "2", "3"]
        again.say(a(4))
        alice.say(message(bob.jid, "4"))
        assert bodies(again.heard()) == ["4"]
        again.say(CLOSE)
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == ["4"]

    def test_it_says_how_many_stanzas_of_the_client_were_handled(self, host: Host) -> None:
        alice, resumeId = managed(host, "alice")
        alice.say(message("bob@localhost"))
        alice.lose()
        _, heard = resume(host, "alice", resumeId, 0)
        assert (heard[0].get("previd"), heard[0].get("h")) == (resumeId, "1")

    def test_contacts_do_not_see_it_leave(self, host: Host) -> None:
        alice, other = managed(host, "alice")[0], host.login("alice")
        alice.forget()
        other.forget()
        alice.lose()
        host.pass_(299)
        assert other.heard() == []
        host.pass_(2)
        assert [each.get("type") for each in other.heard()] == ["unavailable"]

    def test_a_connection_that_is_still_there_ends(self, host: Host) -> None:
        bob, resumeId = managed(host, "bob")
        _, heard = resume(host, "bob", resumeId, 0)
        assert heard[0].name == "resumed"
        assert [each.name for each in bob.heard()][-2:] == ["error", "close"]

    def test_what_its_receiver_has_not_acknowledged_is_not_asked_for_again(self, host: Host) -> None:
        (alice, resumeId), (bob, _) = managed(host, "alice"), managed(host, "bob")
        alice.say(message(bob.jid))
        alice.lose()
        alice, heard = resume(host, "alice", resumeId, 0)
        assert (heard[0].name, heard[0].get("h")) == ("resumed", "1")
        assert handled(alice.say(R)) == ["1"]
        assert bodies(bob.heard()) == ["hello"]

    def test_it_waits_until_what_was_sent_before_is_written(self, host: Host) -> None:
        alice, resumeId = managed(host, "alice")
        talker = host.connect()
        talker.say(OPEN)
        talker.authenticate("alice", "SCRAM-SHA-256", "alice")
        talker.say(OPEN)
        host.pool.slow = True
        alice.say(message("bob@localhost"))
        assert talker.say(f"<resume xmlns='{SM}' previd='{resumeId}' h='0'/>") == []
        host.pool.catchUp()
        assert [(each.name, each.get("h")) for each in talker.heard()] == [("resumed", "1")]

    def test_a_client_that_leaves_meanwhile_takes_nothing_over(self, host: Host) -> None:
        alice, resumeId = managed(host, "alice")
        talker = host.connect()
        talker.say(OPEN)
        talker.authenticate("alice", "SCRAM-SHA-256", "alice")
        talker.say(OPEN)
        host.pool.slow = True
        alice.say(message("bob@localhost"))
        talker.say(f"<resume xmlns='{SM}' previd='{resumeId}' h='0'/>")
        talker.lose()
        host.pool.catchUp()
        assert handled(alice.say(R)) == ["1"]

    @pytest.mark.parametrize("resumeId", ["none", ""])
    def test_an_unknown_id_fails_and_a_resource_may_be_bound(self, host: Host, resumeId: str) -> None:
        talker, heard = resume(host, "bob", resumeId, 0)
        assert heard[0].toXml().startswith('<failed xmlns="urn:xmpp:sm:3"><item-not-found')
        assert talker.bind().get("type") == "result"

    def test_the_session_of_another_user_cannot_be_resumed(self, host: Host) -> None:
        bob, resumeId = managed(host, "bob")
        bob.lose()
        _, heard = resume(host, "alice", resumeId, 0)
        assert heard[0].name == "failed"

    def test_one_that_acknowledges_too_much_leaves_the_session_as_it_was(self, host: Host) -> None:
        bob, resumeId = managed(host, "bob")
        _, heard = resume(host, "bob", resumeId, 9)
        assert [condition(each) for each in heard if each.name == "error"] == ["undefined-condition"]
        assert "handled-count-too-high" in heard[0].toXml()
        assert handled(bob.say(R)) == ["0"]
        bob.lose()
        resume(host, "bob", resumeId, 9)
        host.pass_(299)
        assert resume(host, "bob", resumeId, 0)[1][0].name == "resumed"

    def test_and_does_not_keep_it_from_ending(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "bob", sessions=2)
        for _ in range(2):
            bob, resumeId = managed(host, "bob")
            resume(host, "bob", resumeId, 9)
            bob.lose()
            resume(host, "bob", resumeId, 9)
        host.pass_(301)
        assert host.server.accounts.users["bob@localhost"].sessions == {}
        assert host.login("bob").jid

    def test_sessions_that_wait_for_it_make_room_for_one_that_is_there(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "bob", sessions=2)
        ids = []
        for _ in range(2):
            bob, resumeId = managed(host, "bob")
            ids.append(resumeId)
            bob.lose()
            host.pass_(1)
        host.login("bob")
        assert [resume(host, "bob", resumeId, 0)[1][0].name for resumeId in ids] == ["failed", "resumed"]

    def test_one_that_is_cut_off_amid_its_answer_may_be_tried_again(self, host: Host) -> None:
        alice, (bob, resumeId) = host.login("alice"), managed(host, "bob")
        bob.lose()
        alice.say(message(bob.jid, "missed"))
        second = host.connect()
        second.say(OPEN)
        second.authenticate("bob", "SCRAM-SHA-256", "bob")
        second.say(OPEN)
        second.wire.text = lambda _: second.lose()
        second.say(f"<resume xmlns='{SM}' previd='{resumeId}' h='0'/>")
        assert bodies(resume(host, "bob", resumeId, 0)[1]) == ["missed"]

    def test_stanzas_without_a_pong_before_stream_management_are_sent_again(self, host: Host) -> None:
        (alice, _), bob = managed(host, "alice"), host.login("bob")
        bob.wire.frozen = True
        alice.say(message(bob.jid, "early"))
        (enabled,) = [each for each in bob.say(f"<enable xmlns='{SM}' resume='true'/>") if each.name == "enabled"]
        bob.lose()
        again, heard = resume(host, "bob", enabled.get("id"), 0)
        assert bodies(heard) == ["early"]
        again.say(a(1))
        assert handled(alice.say(R)) == ["1"]

    @pytest.mark.parametrize("wish", ["resume='maybe'", "resume='true' max='x'", "max='-1'", f"max='{'9' * 400}'"])
    def test_a_malformed_enable_is_refused_and_begins_nothing(self, host: Host, wish: str) -> None:
        bob = host.login("bob")
        (refused,) = bob.say(f"<enable xmlns='{SM}' {wish}/>")
        assert "bad-request" in refused.toXml()
        assert bob.say(f"<enable xmlns='{SM}'/>")[0].name == "enabled"

    def test_nothing_is_held_for_an_anonymous_user(self, host: Host) -> None:
        someone = host.login("", mechanism="ANONYMOUS")
        (enabled,) = someone.say(f"<enable xmlns='{SM}' resume='true'/>")
        assert enabled.attrs == {}
        someone.lose()
        assert someone.bare not in host.server.accounts.users

    def test_after_its_time_the_missed_stanzas_wait(self, host: Host) -> None:
        alice, (bob, resumeId) = host.login("alice"), managed(host, "bob")
        bob.lose()
        alice.say(message(bob.jid, "late"))
        host.pass_(301)
        again, heard = resume(host, "bob", resumeId, 0)
        assert heard[0].name == "failed"
        again.bind()
        assert bodies(again.say("<presence xmlns='jabber:client'/>")) == ["late"]

    def test_it_is_not_promised_if_it_is_off(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "bob", resume=0)
        (enabled,) = host.login("bob").say(f"<enable xmlns='{SM}' resume='true'/>")
        assert enabled.attrs == {}


class TestWhatAConnectedClientHasNotAcknowledged:
    """It is counted as well, though it has a limit of its own; never twice, and not when it is gone."""

    @pytest.fixture
    def alice(self, host: Host) -> Talker:
        alice: Talker = host.login("alice")
        return alice

    def test_counts_until_it_is_acknowledged(self, host: Host, alice: Talker) -> None:
        bob, _ = managed(host, "bob")
        before = host.server.sessionMemory.connected
        alice.say(message(bob.jid, "x" * 5_000))
        assert host.server.sessionMemory.connected - before > 5_000
        bob.say(a(sum(each.name in ("message", "presence", "iq") for each in bob.heard())))
        assert host.server.sessionMemory.connected == before

    def test_counts_once_when_the_connection_is_lost_and_resumed(self, host: Host, alice: Talker) -> None:
        memory = host.server.sessionMemory
        bob, resumeId = managed(host, "bob")
        before = memory.connected
        alice.say(message(bob.jid, "x" * 5_000))
        counted = memory.connected
        bob.lose()
        assert memory.connected == before
        assert memory.total > 5_000
        resume(host, "bob", resumeId, 0)
        assert (memory.connected, memory.total) == (counted, 0)

    @pytest.mark.parametrize("isResumable", [True, False])
    def test_is_given_back_with_the_session(self, host: Host, alice: Talker, isResumable: bool) -> None:
        before = host.server.sessionMemory.connected
        bob, _ = managed(host, "bob", isResumable)
        alice.say(message(bob.jid, "x" * 5_000))
        assert host.server.sessionMemory.connected > before + 5_000
        bob.lose()
        host.pass_(301)
        assert (host.server.sessionMemory.connected, host.server.sessionMemory.total) == (before, 0)

    def test_is_given_back_when_it_is_too_much(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", max_stanza=10_000)
        alice, (bob, _) = host.login("alice"), managed(host, "bob")
        for _ in range(17):
            alice.say(message(bob.jid, "x" * 9_500))
        assert host.server.sessionMemory.connected > 16 * 9_500
        host.pass_(0)
        assert host.server.sessionMemory.connected < 9_500


class TestWhatIsHeld:
    """The memory of a session whose connection is lost: bytes are counted, not stanzas."""

    def lose(self, host: Host, number: int = 1) -> list[tuple[Talker, str]]:
        lost = []
        for _ in range(number):
            bob, resumeId = managed(host, "bob")
            bob.lose()
            lost.append((bob, resumeId))
        return lost

    def test_one_session_has_sixteen_of_the_largest_messages_at_the_most(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", max_stanza=10_000)
        alice, ((bob, resumeId),) = host.login("alice"), self.lose(host)
        for number in range(17):
            alice.say(message(bob.jid, f"{number}{'x' * 9_500}"))
        assert host.server.sessionMemory.total < 17 * 10_000
        host.pass_(0)
        assert resume(host, "bob", resumeId, 0)[1][0].name == "failed"
        waiting = bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>"))
        assert [body.rstrip("x") for body in waiting[:8]] == [str(number) for number in range(8)]

    def test_stanzas_that_take_long_to_parse_count_for_more(self, host: Host) -> None:
        alice, ((bob, resumeId),) = host.login("alice"), self.lose(host)
        dense = f"<message xmlns='jabber:client' to='{bob.jid}' type='chat'><body>x</body>{'<a/>' * 3_000}</message>"
        for _ in range(9):
            alice.say(dense)
        host.pass_(0)
        assert resume(host, "bob", resumeId, 0)[1][0].name == "failed"

    def test_a_connected_session_that_acknowledges_nothing_is_limited_too(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", max_stanza=10_000)
        alice, (bob, _) = host.login("alice"), managed(host, "bob")
        for _ in range(17):
            alice.say(message(bob.jid, "x" * 9_500))
        host.pass_(0)
        assert [each.name for each in bob.heard()][-2:] == ["error", "close"]

    def test_all_from_one_address_have_a_quarter(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", max_held=1 << 20, sessions=100)
        alice, lost = host.login("alice"), self.lose(host, 3)
        for bob, _ in lost[:2]:
            alice.say(message(bob.jid, "x" * 110_000))
        assert 220_000 < host.server.sessionMemory.held("127.0.0.1") <= 1 << 18
        alice.say(message(lost[2][0].jid, "x" * 110_000))
        host.pass_(0)
        assert [resume(host, "bob", resumeId, 0)[1][0].name for _, resumeId in lost] == ["resumed", "resumed", "failed"]

    def test_nothing_stays_charged_when_they_are_back_or_gone(self, host: Host) -> None:
        alice, lost = host.login("alice"), self.lose(host, 3)
        for bob, _ in lost:
            alice.say(message(bob.jid))
        assert host.server.sessionMemory.total > 3 * 4_000
        resume(host, "bob", lost[0][1], 0)
        host.login("bob", lost[1][0].jid.partition("/")[2])
        host.pass_(301)
        assert host.server.sessionMemory.total == 0

    def test_in_a_room_occupants_that_read_nothing_leave_and_the_others_see_it(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "alice", "bob", unacknowledged=10)
        alice, (bob, _), other = host.login("alice"), managed(host, "bob"), host.login("alice")
        room = "den@conference.localhost"
        for talker, nick in ((alice, "a"), (bob, "b"), (other, "o")):
            talker.say(f"<presence xmlns='jabber:client' to='{room}/{nick}'/>")
            talker.forget()
        for number in range(12):
            alice.say(message(room, str(number), "groupchat"))
        host.pass_(0)
        assert bodies(other.heard()) == [str(number) for number in range(12)]
        assert [each.name for each in bob.heard()][-2:] == ["error", "close"]


class TestAfterTheProcessHasDied:
    def test_resume_fails_and_says_how_many_stanzas_were_handled(self, host: Host) -> None:
        alice, resumeId = managed(host, "alice")
        for _ in range(3):
            alice.say(message("bob@localhost"))
        assert handled(alice.say(R)) == ["3"]
        host.kill()
        _, heard = resume(host, "alice", resumeId, 0)
        assert (heard[0].name, heard[0].get("h")) == ("failed", "3")

    def test_a_message_acknowledged_to_the_sender_but_not_by_the_receiver_waits(self, host: Host) -> None:
        (alice, _), (bob, _) = managed(host, "alice"), managed(host, "bob")
        alice.say(message(bob.jid, "kept"))
        alice.say(R)
        host.pass_(0.5)
        assert handled(alice.heard()) == ["1"]
        host.kill()
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == ["kept"]

    def test_a_message_that_the_receiver_has_acknowledged_is_not_sent_again(self, host: Host) -> None:
        (alice, _), (bob, _) = managed(host, "alice"), managed(host, "bob")
        alice.say(message(bob.jid, "had"))
        bob.say(a(1))
        host.kill()
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == []
