"""Stanzas whose handling fails: they are refused or logged, and hold up nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs

from tests.protocols.xmpp.talk import Host, condition, message
from wsd.protocols.xmpp.accounts import Accounts
from wsd.protocols.xmpp.messages import Messages
from wsd.protocols.xmpp.presence import Presence
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.store import StoreError

SM = "urn:xmpp:sm:3"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, "alice", "bob")


def raising(error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    return fail


class TestAFailingStore:
    def test_is_logged_with_the_connection_whose_stanza_it_refuses(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice = host.login("alice")
        monkeypatch.setattr(SqliteStore, "transaction", raising(StoreError("disk I/O error")))
        with capturedLogs() as events:
            (error,) = alice.say(message("bob@localhost"))
        assert condition(error) == "internal-server-error"
        (event,) = [event for event in events if event.get("event") == "xmpp.store" and "id" in event]
        assert (event["id"], event["sentence"]) == ("c1", "disk I/O error")

    def test_is_logged_with_the_connection_whose_stream_it_ends(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice = host.connect()
        monkeypatch.setattr(SqliteStore, "transaction", raising(StoreError("disk I/O error")))
        with capturedLogs() as events:
            alice.say('<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="localhost" version="1.0"/>')
            alice.authenticate("alice", "PLAIN", "alice")
        assert "c1" in [event.get("id") for event in events if event.get("event") == "xmpp.store"]

    def test_is_logged_with_the_connection_whose_message_it_cannot_keep(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice = host.login("alice")
        alice.say(message("bob@localhost"))
        monkeypatch.setattr(SqliteStore, "append", raising(StoreError("disk I/O error")))
        with capturedLogs() as events:
            (error,) = alice.say(message("bob@localhost"))
        assert condition(error) == "internal-server-error"
        assert "c1" in [event.get("id") for event in events if event.get("event") == "xmpp.store"]

    def test_is_logged_with_the_connection_that_it_cannot_send_stored_messages(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host.login("alice").say(message("bob@localhost"))
        bob = host.login("bob", presence=False)
        monkeypatch.setattr(SqliteStore, "transaction", raising(StoreError("disk I/O error")))
        with capturedLogs() as events:
            bob.say("<presence xmlns='jabber:client'/>")
        assert "c1" in [event.get("id") for event in events if event.get("event") == "xmpp.store"]


class TestAnError:
    def test_does_not_hold_up_the_acknowledgements_of_later_stanzas(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice = host.login("alice")
        alice.say(f"<enable xmlns='{SM}'/>")
        with monkeypatch.context() as patched:
            patched.setattr(Messages, "receive", raising(RuntimeError("a bug")))
            with pytest.raises(RuntimeError):
                alice.say(message("bob@localhost"))
        (answer,) = alice.say(f"<r xmlns='{SM}'/>")
        assert answer.get("h") == "1"

    def test_while_a_session_ends_does_not_hold_up_those_who_wait_for_it(
        self, host: Host, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice, bob = host.login("alice"), host.login("bob")
        bob.wire.frozen = True
        alice.say(f"<enable xmlns='{SM}'/>")
        alice.say(message("bob@localhost"))
        alice.say(message("bob@localhost"))
        with monkeypatch.context() as patched, capturedLogs() as events:
            patched.setattr(Presence, "leave", raising(RuntimeError("a bug")))
            patched.setattr(Messages, "redeliver", raising(RuntimeError("a bug")))
            with pytest.raises(RuntimeError):
                bob.lose()
        assert [event.get("event") for event in events if "log_failure" in event] == ["xmpp.error"] * 2
        (answer,) = alice.say(f"<r xmlns='{SM}'/>")
        assert answer.get("h") == "2"

    def test_while_a_message_is_stored_is_logged_and_told(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        alice = host.login("alice")
        monkeypatch.setattr(SqliteStore, "append", raising(RuntimeError("a bug")))
        with capturedLogs() as events:
            (error,) = alice.say(message("bob@localhost"))
        assert condition(error) == "internal-server-error"
        assert "a bug" in [event["log_failure"].getErrorMessage() for event in events if "log_failure" in event]

    def test_in_a_sweep_does_not_end_the_sweeps(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        host.login("alice").say("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
        with monkeypatch.context() as patched, capturedLogs() as events:
            patched.setattr(Accounts, "sweep", raising(RuntimeError("a bug")))
            host.pass_(60)
        assert [event.get("event") for event in events if "log_failure" in event] == ["xmpp.error"]
        assert host.server.accounts.users
        host.pass_(60)
        assert not host.server.accounts.users
