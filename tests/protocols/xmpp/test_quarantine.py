"""Quarantine: with any rows that cannot be read, the daemon starts, and everybody can log in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import LogEvent, capturedLogs

from tests.protocols.xmpp.talk import Host, Talker, condition, keysOf, message
from tests.protocols.xmpp.test_streammanagement import bodies, resume
from wsd.protocols.xmpp.rosteritem import ROSTER
from wsd.protocols.xmpp.stanza import CLIENT

BOB = "bob@localhost"
DEN = "den@conference.localhost"
_ASKS = f"<presence xmlns='{CLIENT}' type='subscribe' from='x@localhost' to='{BOB}'"

BAD = {
    "no JSON": "{bad",
    "other JSON": '{"a": 1}',
    "a number": "7",
    "numbers that cannot be": "-1 1e999",
    "nothing": "",
    "many brackets": "[" * 100_000,
    "half an element": "<message xmlns='jabber:client' from='a@localhost'><body>",
    "what no version may write": "<message xmlns:a0='http://www.w3.org/XML/1998/namespace' a0:space='preserve'/>",
    "another element": "<presence xmlns='jabber:client' from='a@localhost'/>",
    "a message from nobody": "<message xmlns='jabber:client'><body>a</body></message>",
    "bytes": b"\xff\xfe",
    "a binary zero": "\0",
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob")


@pytest.fixture
def lines() -> Iterator[Sequence[LogEvent]]:
    with capturedLogs() as heard:
        yield heard


def record(host: Host, kind: str, owner: str, key: object, value: object) -> None:
    """Put a row into the file, and restart the daemon."""
    with sqlite3.connect(host.folder / "xmpp.sqlite") as db:
        db.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", (kind, owner, key, value))
    db.close()
    host.kill()


def entry(host: Host, entryId: int, kind: str, owner: str, value: object) -> None:
    with sqlite3.connect(host.folder / "xmpp.sqlite") as db:
        db.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (entryId, kind, owner, value))
    db.close()
    host.kill()


def rows(host: Host, table: str) -> list[Any]:
    """The kinds and values of the rows in quarantine."""
    with sqlite3.connect(host.folder / "xmpp.sqlite") as db:
        db.text_factory = bytes
        found = db.execute(f"SELECT kind, value FROM {table} WHERE kind LIKE 'aside %'").fetchall()
    db.close()
    return [(kind.decode(), value) for kind, value in found]


def stored(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def come(host: Host) -> Talker:
    return host.login("bob", presence=False)


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
class TestARowThatCannotBeRead:
    """It is kept, logged once and counted, and all others are read."""

    def test_among_messages_that_wait(self, host: Host, value: str | bytes, lines: Sequence[LogEvent]) -> None:
        host.login("alice").say(message(BOB, "before"))
        entry(host, 1 << 60, "offline", BOB, value)
        host.login("alice").say(message(BOB, "behind"))
        assert bodies(come(host).say("<presence xmlns='jabber:client'/>")) == ["before", "behind"]
        assert rows(host, "entry") == [("aside offline", stored(value))]
        assert host.server.counters.unreadable == 1
        host.kill()
        come(host).say("<presence xmlns='jabber:client'/>")
        assert [line["key"] for line in lines if line.get("event") == "xmpp.aside"] == [str(1 << 60)]

    def test_in_a_roster(self, host: Host, value: str | bytes) -> None:
        host.login("alice").ask("set", f"<query xmlns='{ROSTER}'><item jid='good@localhost'/></query>")
        for owner in (BOB, "alice@localhost"):
            record(host, ROSTER, owner, "friend@localhost", value)
        roster = host.login("alice").ask("get", f"<query xmlns='{ROSTER}'/>").toXml()
        assert "good@localhost" in roster
        assert "friend@localhost" not in roster
        assert come(host).ask("get", f"<query xmlns='{ROSTER}'/>").get("type") == "result"
        assert rows(host, "record") == [(f"aside {ROSTER}", stored(value))] * 2

    def test_in_a_list_of_the_blocked(self, host: Host, value: str | bytes) -> None:
        record(host, "blocked", BOB, value if isinstance(value, bytes) else f"@{value}", "")
        record(host, "blocked", BOB, "alice@localhost", "")
        told = come(host).ask("get", "<blocklist xmlns='urn:xmpp:blocking'/>").toXml()
        assert told.count("jid=") == 1
        assert "alice@localhost" in told

    def test_among_streams(self, host: Host, value: str | bytes) -> None:
        record(host, "stream", BOB, "id", value)
        _, heard = resume(host, "bob", "id", 0)
        assert heard[0].name == "failed"
        assert heard[0].get("h") == ""
        come(host)

    @pytest.mark.parametrize("kind", ["config", "subject"])
    def test_of_a_room(self, host: Host, value: str | bytes, kind: str) -> None:
        record(host, "room", DEN, "config", '{"persistent": true}')
        record(host, "affiliation", DEN, "alice@localhost", "owner")
        record(host, "room", DEN, kind, value)
        alice = host.login("alice")
        heard = alice.say(f"<presence xmlns='{CLIENT}' to='{DEN}/alice'/>")
        assert ["unavailable" in each.toXml() or "error" in each.toXml() for each in heard] == [False] * len(heard)
        assert alice.ask("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", "conference.localhost")

    def test_among_affiliations(self, host: Host, value: str | bytes) -> None:
        record(host, "room", DEN, "config", '{"persistent": true}')
        record(host, "affiliation", DEN, "alice@localhost", "owner")
        record(host, "affiliation", DEN, BOB, value)
        assert host.server.rooms is not None
        assert host.server.rooms.rooms[DEN].affiliations == {"alice@localhost": "owner"}

    def test_in_the_history_of_a_room(self, host: Host, value: str | bytes) -> None:
        good = f"<message xmlns='{CLIENT}' from='{DEN}/alice' type='groupchat'><body>good</body></message>"
        record(host, "room", DEN, "config", '{"persistent": true}')
        for number, said in enumerate((good, value, good), 1):
            entry(host, number, "history", DEN, said)
        heard = come(host).say(f"<presence xmlns='{CLIENT}' to='{DEN}/bob'/>")
        assert [body for body in bodies(heard) if body] == ["good", "good"]
        assert rows(host, "entry") == [("aside history", stored(value))]

    def test_that_is_the_address_of_a_room(self, host: Host, value: str | bytes) -> None:
        owner = value if isinstance(value, bytes) else f"@{value}"
        with sqlite3.connect(host.folder / "xmpp.sqlite") as db:
            db.execute("INSERT INTO record VALUES ('room', CAST(? AS TEXT), 'config', '{}')", (owner,))
        db.close()
        host.kill()
        assert host.server.rooms is not None
        assert not host.server.rooms.rooms
        assert rows(host, "record") == [("aside room", b"{}")]

    def test_in_place_of_the_secret_for_decoy_keys(self, host: Host, value: str | bytes) -> None:
        if value:
            record(host, "secret", "", "decoy", value)
        come(host)

    def test_in_place_of_keys(self, host: Host, value: str | bytes) -> None:
        """Nobody can log in as this user, or take the name, until it has another password."""
        record(host, "user", BOB, "keys", value)
        for mechanism in ("SCRAM-SHA-256", "PLAIN"):
            talker = host.connect()
            talker.say("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>")
            assert talker.authenticate("bob", mechanism, "bob").name == "failure"
        host.login("alice")
        assert rows(host, "record") == []
        assert host.server.counters.unreadable == 1
        record(host, "user", BOB, "keys", keysOf("bob"))
        come(host)


class TestARoomWhoseSettingsCannotBeRead:
    def test_admits_only_its_members(self, host: Host) -> None:
        record(host, "affiliation", DEN, "alice@localhost", "owner")
        record(host, "room", DEN, "config", '{"persistent": true, "password": 7}')
        (refused,) = come(host).say(f"<presence xmlns='{CLIENT}' to='{DEN}/bob'/>")
        assert condition(refused) == "registration-required"
        host.kill()
        heard = host.login("alice").say(f"<presence xmlns='{CLIENT}' to='{DEN}/alice'/>")
        assert heard[0].get("type") == ""

    def test_is_hidden_and_stays_closed_after_another_start(self, host: Host) -> None:
        record(host, "affiliation", DEN, "alice@localhost", "owner")
        record(host, "room", DEN, "config", "{bad")
        for _ in range(2):
            items = come(host).ask(
                "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", "conference.localhost"
            )
            assert DEN not in items.toXml()
            (refused,) = come(host).say(f"<presence xmlns='{CLIENT}' to='{DEN}/bob'/>")
            assert condition(refused) == "registration-required"
            host.kill()
        assert rows(host, "record") == [("aside room", b"{bad")]

    def test_is_gone_with_its_subject_if_its_address_cannot_be_read_either(self, host: Host) -> None:
        record(host, "room", "@", "subject", "a")
        record(host, "room", "@", "config", "{}")
        assert sorted(rows(host, "record")) == [("aside room", b"a"), ("aside room", b"{}")]


class TestStreams:
    def test_that_nobody_resumes_any_more_are_removed(self, host: Host) -> None:
        now = host.clock.seconds()
        for streamId, then in (("old", now - 86_401), ("young", now - 86_400)):
            record(host, "stream", BOB, streamId, f"3 {then}")
        come(host)
        for streamId, count in (("old", ""), ("young", "3")):
            _, heard = resume(host, "bob", streamId, 0)
            assert (heard[0].name, heard[0].get("h")) == ("failed", count)


class TestARequestThatCannotBeRead:
    @pytest.mark.parametrize("request_", [f"{_ASKS}><a", f"{_ASKS} xmlns:a0='http://www.w3.org/XML/1998/namespace'/>"])
    def test_is_put_into_quarantine_and_its_contact_is_not(self, host: Host, request_: str) -> None:
        item = f'["Friend", ["work"], true, false, false, "{request_}", true]'
        record(host, ROSTER, BOB, "x@localhost", item)
        bob = come(host)
        assert [each.name for each in bob.say("<presence xmlns='jabber:client'/>")] == ["presence"]
        assert 'name="Friend"' in bob.ask("get", f"<query xmlns='{ROSTER}'/>").toXml()
        assert rows(host, "record") == [(f"aside {ROSTER}", item.encode())]
        host.kill()
        assert 'name="Friend"' in come(host).ask("get", f"<query xmlns='{ROSTER}'/>").toXml()

    def test_is_read_even_if_it_is_long(self, tmp_path: Path) -> None:
        host = Host(tmp_path, "bob")
        long = f"{_ASKS}><status>{'&gt;' * 100_000}</status></presence>"
        record(host, ROSTER, BOB, "x@localhost", f'["", [], false, false, false, "{long}", false]')
        heard = come(host).say("<presence xmlns='jabber:client'/>")
        assert [each.get("type") for each in heard] == ["", "subscribe"]


class TestAnyRow:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
    @given(
        st.sampled_from([ROSTER, "blocked", "stream", "offline"]),
        st.text(max_size=30) | st.sampled_from(["a@localhost", "x@y/z", "a@"]),
        st.text(max_size=60) | st.binary(max_size=20) | st.from_regex(r'\["?[a-z]*"?(, ?(true|\[\]|"[a-z]"|3)){0,6}\]'),
    )
    def test_does_not_keep_bob_from_logging_in(self, tmp_path: Path, kind: str, key: str, value: str | bytes) -> None:
        host = Host(tmp_path, "bob")
        key = key.encode("utf-8", "replace").decode()
        value = value if isinstance(value, bytes) else value.encode("utf-8", "replace").decode()
        if kind == "offline":
            with sqlite3.connect(host.folder / "xmpp.sqlite") as db:
                db.execute("DELETE FROM entry")
            db.close()
            entry(host, 1, kind, BOB, value)
        else:
            record(host, kind, BOB, key, value)
        bob = come(host)
        bob.say("<presence xmlns='jabber:client'/>")
        for query in (f"<query xmlns='{ROSTER}'/>", "<blocklist xmlns='urn:xmpp:blocking'/>"):
            assert bob.ask("get", query).get("type") == "result"
        assert bob.wire.closeCode is None
        host.close()


class TestAStanzaThatWasLetIn:
    """Attributes of the xml namespace are read after a restart as they were before."""

    def test_is_read_again_wherever_it_was_stored(self, host: Host) -> None:
        body = "<body xml:space='preserve' xml:base='b' xml:id='c' xml:other='d'> a </body>"
        alice = host.login("alice")
        alice.say(f"<presence xmlns='{CLIENT}' to='{DEN}/alice'/>")
        alice.say(f"<message xmlns='{CLIENT}' to='{DEN}' type='groupchat'>{body}</message>")
        alice.say(f"<message xmlns='{CLIENT}' to='{DEN}' type='groupchat'><subject xml:space='default'/></message>")
        alice.say(f"<message xmlns='{CLIENT}' to='{BOB}' type='chat' xml:id='e'>{body}</message>")
        alice.say(f"<presence xmlns='{CLIENT}' to='{BOB}' type='subscribe' xml:space='preserve'/>")
        host.kill()
        bob = come(host)
        heard = bob.say("<presence xmlns='jabber:client'/>")
        heard += bob.say(f"<presence xmlns='{CLIENT}' to='{DEN}/bob'/>")
        assert [each for each in bodies(heard) if each] == [" a ", " a "]
        assert [each.get("type") for each in heard if each.name == "presence"].count("subscribe") == 1
        assert bob.wire.closeCode is None
        assert host.server.counters.unreadable == 0
