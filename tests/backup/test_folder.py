"""A copy of the state folder: what is in it, what is left out, and when there is none."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.backup.copies import copied
from wsd.config import ConfigError
from wsd.config.state import Lock
from wsd.config.stores import openStore, wasRestored

SCHEMA = "CREATE TABLE IF NOT EXISTS record (name TEXT PRIMARY KEY)"


def namesIn(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [name for (name,) in db.execute("SELECT name FROM record ORDER BY name")]


class TestTheCopy:
    def test_has_databases_as_they_are_while_they_are_open(self, state: Path, target: Path) -> None:
        with closing(openStore(state / "any.sqlite", SCHEMA)) as db:
            db.execute("INSERT INTO record VALUES ('committed')")
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO record VALUES ('not yet')")
            assert copied(state, target).databases == 1
            db.execute("COMMIT")
        assert namesIn(target / "any.sqlite") == ["committed"]
        assert [path.name for path in target.iterdir()] == ["any.sqlite"]

    def test_of_a_database_is_marked_and_the_original_is_not(self, state: Path, target: Path) -> None:
        openStore(state / "any.sqlite", SCHEMA).close()
        copied(state, target)
        for folder, isBackup in ((state, False), (target, True)):
            with closing(sqlite3.connect(folder / "any.sqlite")) as db:
                assert wasRestored(db) is isBackup

    def test_finds_databases_by_their_content(self, state: Path, target: Path) -> None:
        (state / "notes.sqlite").write_text("not a database")
        openStore(state / "data", SCHEMA).close()
        copy = copied(state, target)
        assert (copy.databases, copy.copied) == (1, 1)
        assert (target / "notes.sqlite").read_text() == "not a database"

    def test_has_all_other_files_and_folders(self, state: Path, target: Path) -> None:
        (state / "tls").mkdir()
        (state / "tls/self-signed.pem").write_text("key")
        (state / "empty").mkdir()
        copied(state, target)
        assert (target / "tls/self-signed.pem").read_text() == "key"
        assert (target / "empty").is_dir()

    def test_keeps_modes_and_times(self, state: Path, target: Path) -> None:
        key = state / "some.key"
        key.write_text("key")
        key.chmod(0o640)
        os.utime(key, (1000, 2000))
        copied(state, target)
        assert (target / "some.key").stat().st_mtime == 2000
        assert oct((target / "some.key").stat().st_mode)[-3:] == "640"
        assert oct(target.stat().st_mode)[-3:] == "700"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
    def test_keeps_owners(self, state: Path, target: Path) -> None:
        openStore(state / "any.sqlite", SCHEMA).close()
        (state / "folder").mkdir()
        (state / "folder/file").write_text("x")
        for path in (state, *state.rglob("*")):
            os.chown(path, 4711, 4712)
        copied(state, target)
        found = {(path.stat().st_uid, path.stat().st_gid) for path in (target, *target.rglob("*"))}
        assert found == {(4711, 4712)}
        assert {path.stat().st_uid for path in state.rglob("*")} == {4711}, "what SQLite leaves beside a database"

    def test_has_nothing_of_the_running_daemon(self, state: Path, target: Path) -> None:
        lock = Lock(state / "daemon.lock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(state / "control.sock"))
            copied(state, target)
        lock.close()
        assert list(target.iterdir()) == []

    def test_follows_links_to_another_disk(self, state: Path, target: Path, tmp_path: Path) -> None:
        (tmp_path / "big").mkdir()
        (tmp_path / "big/file").write_text("x")
        (state / "uploads").symlink_to(tmp_path / "big")
        (state / "gone").symlink_to(tmp_path / "nowhere")
        copied(state, target)
        assert (target / "uploads/file").read_text() == "x"
        assert not (target / "uploads").is_symlink()
        assert not os.path.lexists(target / "gone")

    def test_is_of_the_folder_that_a_link_names(self, state: Path, target: Path, tmp_path: Path) -> None:
        # systemd has /var/lib/wsd as a link to /var/lib/private/wsd.
        (state / "some.key").write_text("key")
        (tmp_path / "link").symlink_to(state)
        copied(tmp_path / "link", target)
        assert (target / "some.key").read_text() == "key"

    def test_itself_has_the_time_of_the_backup(self, state: Path, target: Path) -> None:
        os.utime(state, (1000, 2000))
        copied(state, target)
        assert target.stat().st_mtime > 2000

    def test_goes_into_an_empty_folder(self, state: Path, target: Path) -> None:
        (state / "some.key").write_text("key")
        target.mkdir()
        copied(state, target)
        assert (target / "some.key").read_text() == "key"


class TestWithoutACopy:
    """One sentence says why, and nothing is left at the target."""

    def refused(self, state: Path, target: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            copied(state, target)
        return str(caught.value)

    def test_a_folder_with_files_is_left_alone(self, state: Path, target: Path) -> None:
        target.mkdir()
        (target / "mine").write_text("x")
        assert self.refused(state, target) == f"{target} is not empty; name a new or empty folder"
        assert (target / "mine").read_text() == "x"

    def test_a_file_is_no_target(self, state: Path, target: Path) -> None:
        target.write_text("x")
        assert self.refused(state, target) == f"{target} is not a folder; name a new or empty one"

    def test_nor_is_a_place_in_the_state_folder(self, state: Path) -> None:
        assert self.refused(state, state / "copy").startswith(f"{state / 'copy'} is in the state folder itself; ")

    def test_nor_one_in_a_folder_that_does_not_exist(self, state: Path, tmp_path: Path) -> None:
        assert self.refused(state, tmp_path / "a/b") == f"{tmp_path / 'a'} does not exist; create it first"

    def test_a_state_folder_must_exist(self, tmp_path: Path, target: Path) -> None:
        sentence = self.refused(tmp_path / "none", target)
        assert sentence == f"there is no state folder at {tmp_path / 'none'}; name the daemon's with --from"

    def test_a_failure_in_the_middle_leaves_nothing(
        self, state: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        openStore(state / "any.sqlite", SCHEMA).close()
        (state / "later").write_text("x")

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("shutil.copyfileobj", full)
        with pytest.raises(OSError, match="No space left"):
            copied(state, target)
        assert [path.name for path in tmp_path.iterdir()] == ["state"]

    def test_a_damaged_database_is_no_backup(self, state: Path, target: Path, tmp_path: Path) -> None:
        (state / "any.sqlite").write_bytes(b"SQLite format 3\0" + bytes(4080))
        with pytest.raises(sqlite3.Error):
            copied(state, target)
        assert [path.name for path in tmp_path.iterdir()] == ["state"]
