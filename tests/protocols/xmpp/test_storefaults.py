"""A store that fails under a server: every request gets an error, and what was acknowledged is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.xmpp.talk import OPEN, REMOTE, Host, Talker, condition, message
from tests.protocols.xmpp.test_streammanagement import R, bodies, handled, managed
from wsd.protocols.xmpp.rosteritem import ROSTER
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.stanza import CLIENT, Element
from wsd.protocols.xmpp.store import StoreError

DEN = "den@conference.localhost"
REGISTER = "jabber:iq:register"
_LONG = "x" * 20_000


def store(host: Host) -> SqliteStore:
    found = host.server.store._worker._store
    assert isinstance(found, SqliteStore)
    return found


def fill(host: Host) -> None:
    """Fill the disk; nothing has been tried since."""
    db = store(host)._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    while True:
        db.execute(f"PRAGMA max_page_count = {pages}")
        try:
            db.execute("INSERT INTO record VALUES ('filler', '', hex(randomblob(8)), hex(randomblob(1000)))")
        except Exception:
            return


def clear(host: Host) -> None:
    """Make room again, and let the store find out."""
    store(host)._db.execute("PRAGMA max_page_count = 100000")
    host.pass_(1)


def breakDown(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every transaction fail."""

    def fail(*_: object) -> None:
        raise StoreError("disk I/O error")

    monkeypatch.setattr(SqliteStore, "transaction", fail)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob", register=True)


def contact(talker: Talker, jid: str = "c@d", name: str = "") -> Element:
    return talker.ask("set", f"<query xmlns='{ROSTER}'><item jid='{jid}' name='{name}'/></query>")


CHANGES: dict[str, Callable[[Talker], Element]] = {
    "the roster": lambda talker: contact(talker, name=_LONG[:1000]),
    "blocking": lambda talker: talker.ask(
        "set", "<block xmlns='urn:xmpp:blocking'>" + "".join(f"<item jid='{n}@d'/>" for n in range(400)) + "</block>"
    ),
    "the settings of a room": lambda talker: talker.ask(
        "set",
        f"<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"
        f"<field var='muc#roomconfig_roomdesc'><value>{_LONG[:1000]}</value></field></x></query>",
        DEN,
    ),
    "affiliations": lambda talker: talker.ask(
        "set",
        "<query xmlns='http://jabber.org/protocol/muc#admin'>"
        + "".join(f"<item jid='{n}@d' affiliation='member'/>" for n in range(400))
        + "</query>",
        DEN,
    ),
}


class TestAFullDisk:
    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_is_an_error_for_changes(self, host: Host, change: Callable[[Talker], Element]) -> None:
        alice = host.login("alice")
        alice.say(f"<presence xmlns='{CLIENT}' to='{DEN}/alice'/>")
        fill(host)
        for _ in range(2):
            error = change(alice)
            assert condition(error) == "resource-constraint"
        clear(host)
        assert change(alice).get("type") == "result"

    def test_is_an_error_for_messages_to_users_who_are_offline(self, host: Host) -> None:
        alice = host.login("alice")
        fill(host)
        for _ in range(2):
            (error,) = alice.say(message("bob@localhost", _LONG))
            assert condition(error) == "resource-constraint"
        clear(host)
        assert alice.say(message("bob@localhost", "later")) == []
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == ["later"]

    def test_is_an_error_for_messages_to_a_persistent_room_once_it_is_known(self, host: Host) -> None:
        alice = host.login("alice")
        alice.say(f"<presence xmlns='{CLIENT}' to='{DEN}/alice'/>")
        fill(host)
        heard = alice.say(message(DEN, _LONG, "groupchat"))
        assert [each.get("type") for each in heard] == ["groupchat"]
        (error,) = alice.say(message(DEN, "again", "groupchat"))
        assert condition(error) == "resource-constraint"

    def test_is_an_error_for_subscriptions_and_new_rooms(self, host: Host) -> None:
        alice = host.login("alice")
        fill(host)
        alice.say(message("bob@localhost", _LONG))
        for stanza in (
            f"<presence xmlns='{CLIENT}' type='subscribe' to='bob@localhost'/>",
            f"<presence xmlns='{CLIENT}' to='{DEN}/alice'/>",
        ):
            (error,) = alice.say(stanza)
            assert condition(error) == "resource-constraint"

    def test_is_an_error_for_registrations(self, host: Host) -> None:
        host.login("alice")
        fill(host)
        talker = host.connect(REMOTE)
        talker.say(OPEN)
        query = f"<query xmlns='{REGISTER}'><username>{'n' * 1000}</username><password>p</password></query>"
        assert condition(talker.ask("set", query)) == "resource-constraint"

    def test_keeps_nobody_from_logging_in_or_talking(self, host: Host) -> None:
        alice = host.login("alice")
        fill(host)
        alice.say(message("bob@localhost", _LONG))
        assert host.server.store.fault is not None
        bob = host.login("bob")
        alice.say(message(bob.jid, "live"))
        assert bodies(bob.heard()) == ["live"]
        assert alice.ask("get", "<ping xmlns='urn:xmpp:ping'/>").get("type") == "result"

    def test_delays_acknowledgements_until_the_stanzas_are_stored(self, host: Host) -> None:
        (alice, _), (bob, _) = managed(host, "alice"), managed(host, "bob")
        bob.wire.frozen = True
        fill(host)
        alice.say(message(bob.jid, _LONG))
        assert handled(alice.say(R)) == []
        host.pass_(0.5)
        assert handled(alice.heard()) == []
        before = host.server.store.fault
        alice.say(message(bob.jid, "two"))
        assert handled(alice.say(R)) == []
        clear(host)
        host.pass_(0.5)
        assert handled(alice.heard())[-1] == "2"
        assert (str(before), host.server.store.fault) == ("database or disk is full", None)
        host.kill()
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == [_LONG, "two"]

    def test_loses_nothing_that_was_acknowledged(self, host: Host) -> None:
        alice, _ = managed(host, "alice")
        alice.say(message("bob@localhost", "kept"))
        assert handled(alice.say(R)) == ["1"]
        fill(host)
        alice.say(message("bob@localhost", _LONG))
        host.kill()
        assert bodies(host.login("bob", presence=False).say("<presence xmlns='jabber:client'/>")) == ["kept"]


class TestAStoreThatCannotBeRead:
    def test_is_not_mistaken_for_a_user_who_does_not_exist(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        alice = host.login("alice")
        breakDown(host, monkeypatch)
        (error,) = alice.say(message("bob@localhost"))
        assert condition(error) == "internal-server-error"
        monkeypatch.undo()
        host.pass_(1)
        assert alice.say(message("bob@localhost")) == []

    def test_ends_a_login_with_a_reason(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        breakDown(host, monkeypatch)
        talker = host.connect()
        talker.say(OPEN)
        assert (
            talker.authenticate("alice", "PLAIN", "alice")
            .toXml()
            .startswith('<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><temporary-auth-failure/>')
        )
        assert "internal-server-error" in "".join(talker.wire.sent)

    def test_is_an_error_for_bind_and_resume(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        talker = host.connect()
        talker.say(OPEN)
        talker.authenticate("alice", "PLAIN", "alice")
        talker.say(OPEN)
        breakDown(host, monkeypatch)
        (failed,) = talker.say("<resume xmlns='urn:xmpp:sm:3' previd='id' h='0'/>")
        assert failed.toXml().startswith('<failed xmlns="urn:xmpp:sm:3"><internal-server-error')
        assert condition(talker.bind()) == "internal-server-error"
        monkeypatch.undo()
        host.pass_(1)
        assert talker.bind().get("type") == "result"

    def test_delays_waiting_messages_until_it_can_be_read(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        host.login("alice").say(message("bob@localhost", "waits"))
        bob = host.login("bob", presence=False)
        breakDown(host, monkeypatch)
        assert bodies(bob.say("<presence xmlns='jabber:client'/>")) == []
        monkeypatch.undo()
        host.pass_(1)
        assert bodies(bob.heard()) == ["waits"]

    def test_makes_the_start_fail(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        alice = host.login("alice")
        alice.say(f"<presence xmlns='{CLIENT}' to='{DEN}/alice'/>")
        breakDown(host, monkeypatch)
        host.kill()
        failed: list[Any] = []
        host.started.addErrback(failed.append)
        assert [type(failure.value) for failure in failed] == [StoreError]
        monkeypatch.undo()
        host.kill()
        assert host.server.rooms is not None
        assert list(host.server.rooms.rooms) == [DEN]


class TestEntriesAfterTheClockWasSetBack:
    def test_come_after_the_earlier_ones(self, host: Host) -> None:
        host.login("alice").say(message("bob@localhost", "first"))
        first = host.server._entryIds._last
        host.kill()
        host.clock.rightNow = 1_000.0
        host.login("alice").say(message("bob@localhost", "second"))
        assert host.server._entryIds._last > first
        bob = host.login("bob", presence=False)
        assert bodies(bob.say("<presence xmlns='jabber:client'/>")) == ["first", "second"]
