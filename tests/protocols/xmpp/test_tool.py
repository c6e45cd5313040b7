"""`wsd xmpp`: users are added, changed, removed and listed, while a server runs or not."""

from __future__ import annotations

import errno
import io
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.protocols.xmpp.talk import Host
from tests.protocols.xmpp.test_presence import befriend
from wsd.__main__ import main
from wsd.config.state import whoMay
from wsd.protocols.xmpp.credentials import check
from wsd.protocols.xmpp.sqlite import SqliteStore


class Command:
    """Runs `wsd xmpp` in this process, for a store in a folder."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.store = folder / "xmpp.sqlite"
        self.config = folder / "wsd.toml"
        self.config.write_text('[route."/xmpp"]\ndomains = ["localhost", "example.com"]\nstore = "xmpp.sqlite"\n')
        self._patch = patch
        self._capture = capture

    def __call__(self, *arguments: str, password: bytes = b"") -> str:
        """Run it. Returns what it prints."""
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(password)))
        main(["xmpp", *arguments, "--config", str(self.config)])
        return self._capture.readouterr().out

    def fails(self, *arguments: str, password: bytes = b"") -> str:
        """Run it. Returns the message with which it fails."""
        with pytest.raises(SystemExit) as ended:
            self(*arguments, password=password)
        return str(ended.value)

    def keys(self, user: str) -> str | None:
        return SqliteStore(self.store).get("user", user, "keys")


@pytest.fixture
def wsd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


class TestAdduser:
    def test_the_password_is_standard_input_without_its_newline(self, wsd: Command) -> None:
        wsd("adduser", "alice@localhost", password=b"secret\n")
        assert check("secret", wsd.keys("alice@localhost"))

    def test_a_single_newline_is_stripped_and_nothing_else(self, wsd: Command) -> None:
        wsd("adduser", "alice@localhost", password="  pässword ".encode() + b"\n")
        assert check("  pässword ", wsd.keys("alice@localhost"))

    def test_the_password_itself_is_not_stored(self, wsd: Command) -> None:
        wsd("adduser", "alice@localhost", password=b"open sesame")
        kept = b"".join(path.read_bytes() for path in wsd.store.parent.glob("xmpp.sqlite*"))
        assert b"SCRAM-SHA-256" in kept
        assert b"sesame" not in kept

    def test_the_name_is_prepared_as_for_a_login(self, wsd: Command) -> None:
        wsd("adduser", "Alice@EXAMPLE.com", password=b"secret")
        assert wsd("list") == "alice@example.com\n"

    def test_the_user_can_log_in_at_once(self, wsd: Command) -> None:
        host = Host(wsd.store.parent)
        wsd("adduser", "alice@localhost", password=b"alice\n")
        assert host.login("alice").jid.startswith("alice@localhost/")

    @pytest.mark.parametrize(
        ("user", "password", "says"),
        [
            ("alice", b"x", 'wsd: xmpp: "alice" is not a user; write one such as alice@localhost'),
            ("alice@localhost/a", b"x", "is not a user"),
            ("alice@elsewhere", b"x", "elsewhere is not served by any route; the domains are example.com, localhost"),
            ("al ice@localhost", b"x", "'al ice' cannot be the local part"),
            ("alice@localhost", b"", "there is no password; write it to standard input"),
            ("alice@localhost", b"\n", "there is no password"),
            ("alice@localhost", b"\xff", "not UTF-8"),
            ("alice@localhost", b"a\x00b", "is not a valid password"),
        ],
    )
    def test_an_error_is_one_line(self, wsd: Command, user: str, password: bytes, says: str) -> None:
        told = wsd.fails("adduser", user, password=password)
        assert says in told
        assert "\n" not in told

    def test_a_name_is_taken_once(self, wsd: Command) -> None:
        wsd("adduser", "alice@localhost", password=b"one")
        assert "alice@localhost already exists" in wsd.fails("adduser", "alice@localhost", password=b"two")
        assert check("one", wsd.keys("alice@localhost"))

    def test_a_missing_configuration_is_an_error(self, wsd: Command) -> None:
        wsd.config.unlink()
        assert "cannot be read" in wsd.fails("adduser", "alice@localhost")

    def test_a_store_that_cannot_be_used_is_an_error(self, wsd: Command) -> None:
        wsd.store.write_bytes(b"no database" * 100)
        assert "the store cannot be used" in wsd.fails("adduser", "alice@localhost", password=b"x")


class TestPasswd:
    def test_the_new_password_replaces_the_old(self, wsd: Command) -> None:
        wsd("adduser", "alice@localhost", password=b"old")
        wsd("passwd", "alice@localhost", password=b"new")
        assert check("new", wsd.keys("alice@localhost"))
        assert not check("old", wsd.keys("alice@localhost"))

    def test_it_adds_nobody(self, wsd: Command) -> None:
        assert "alice@localhost does not exist" in wsd.fails("passwd", "alice@localhost", password=b"new")
        assert wsd("list") == ""


class TestDeluser:
    def test_nothing_of_the_user_is_left(self, wsd: Command) -> None:
        wsd("adduser", "alice@localhost", password=b"x")
        wsd("deluser", "alice@localhost")
        assert wsd("list") == ""
        assert "alice@localhost does not exist" in wsd.fails("deluser", "alice@localhost")

    def test_the_next_user_of_the_name_inherits_no_contacts(self, wsd: Command) -> None:
        host = Host(wsd.store.parent, "alice", "bob")
        befriend(host.login("alice"), host.login("bob"))
        host.kill()
        wsd("deluser", "bob@localhost")
        wsd("adduser", "bob@localhost", password=b"bob")
        host.login("bob")
        alice = host.login("alice", presence=False)
        roster = alice.ask("get", "<query xmlns='jabber:iq:roster'/>").toXml()
        assert 'jid="bob@localhost" subscription="none"' in roster

    def test_sessions_end_within_a_minute(self, wsd: Command) -> None:
        host = Host(wsd.store.parent, "alice", "bob")
        alice, bob = host.login("alice"), host.login("bob")
        befriend(alice, bob)
        wsd("deluser", "bob@localhost")
        host.pass_(60)
        host.pass_(1)
        assert [each.name for each in bob.heard()[-2:]] == ["error", "close"]
        assert any(each.get("type") == "unavailable" for each in alice.heard())


class TestTheStore:
    """The tool makes it where the daemon looks for it, and for the daemon's user."""

    @pytest.fixture(autouse=True)
    def _system(self, wsd: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wsd.config.write_text('[route."/xmpp"]\ndomains = ["localhost"]\n')
        monkeypatch.setattr("wsd.config.state.SYSTEM", tmp_path / "system")
        monkeypatch.delenv("STATE_DIRECTORY", raising=False)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    @pytest.mark.parametrize("place", ["wsd", "system"])
    def test_each_command_says_where_it_is(self, wsd: Command, tmp_path: Path, place: str) -> None:
        (tmp_path / place).mkdir()
        path = tmp_path / place / "xmpp.sqlite"
        assert wsd("adduser", "alice@localhost", password=b"x") == f"alice@localhost: added in {path}\n"
        assert wsd("list") == "alice@localhost\n"
        assert wsd("passwd", "alice@localhost", password=b"y") == f"alice@localhost: changed in {path}\n"
        assert wsd("deluser", "alice@localhost") == f"alice@localhost: removed in {path}\n"

    def test_a_list_does_not_create_it(self, wsd: Command, tmp_path: Path) -> None:
        assert wsd("list") == ""
        assert not (tmp_path / "wsd").exists()

    @pytest.mark.parametrize("arguments", [("adduser", "alice@localhost"), ("list",)])
    def test_an_error_names_the_file_and_its_owner(
        self, wsd: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
    ) -> None:
        path = tmp_path / "wsd" / "xmpp.sqlite"
        wsd("adduser", "bob@localhost", password=b"x")

        def refuse(path: object, *_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr("os.open", refuse)
        monkeypatch.setattr(sqlite3, "connect", refuse)
        told = wsd.fails(*arguments, password=b"x")
        assert str(path) in told
        assert told.endswith(f"run this as {whoMay(path)}")

    def test_a_damaged_file_is_to_be_replaced(self, wsd: Command, tmp_path: Path) -> None:
        path = tmp_path / "wsd" / "xmpp.sqlite"
        wsd("adduser", "bob@localhost", password=b"x")
        path.write_bytes(bytes(path.stat().st_size))
        told = wsd.fails("list")
        assert told == (
            f"wsd: xmpp: {path}: the store cannot be used: file is not a database; replace it with a good copy"
        )

    if os.geteuid() == 0:  # only root can create files for others

        def test_root_creates_it_for_the_daemons_user(self, wsd: Command, tmp_path: Path) -> None:
            folder = tmp_path / "system"
            folder.mkdir(mode=0o700)
            os.chown(folder, 12345, 23456)
            wsd("adduser", "alice@localhost", password=b"x")
            store = SqliteStore(folder / "xmpp.sqlite")
            store.put("kind", "owner", "key", "value")
            made = list(folder.iterdir())
            assert len(made) == 3
            assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(12345, 23456)}
            store.close()


class TestList:
    def test_it_lists_all_users_in_order(self, wsd: Command) -> None:
        for name in ("bob@localhost", "alice@localhost"):
            wsd("adduser", name, password=b"x")
        assert wsd("list") == "alice@localhost\nbob@localhost\n"

    def test_a_gateway_has_no_users(self, wsd: Command) -> None:
        wsd.config.write_text('[route."/xmpp"]\nupstream = "tcp:localhost:5222"\n')
        assert "the domains are none" in wsd.fails("adduser", "alice@localhost", password=b"x")
