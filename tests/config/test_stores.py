"""Stores in SQLite files: opened privately, and written as a whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from wsd.config.stores import openStore, transaction

SCHEMA = "CREATE TABLE IF NOT EXISTS row (value TEXT PRIMARY KEY);"


def run(db: sqlite3.Connection, *statements: str) -> None:
    """Run these in one transaction."""
    with transaction(db):
        for statement in statements:
            db.execute(statement)


class TestAStore:
    def test_is_created_with_its_folders_for_its_owner_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "some" / "folder" / "store.sqlite"
        openStore(path, SCHEMA).close()
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_becomes_private_if_it_was_not(self, tmp_path: Path) -> None:
        path = tmp_path / "store.sqlite"
        openStore(path, SCHEMA).close()
        path.chmod(0o644)
        openStore(path, SCHEMA).close()
        assert path.stat().st_mode & 0o777 == 0o600

    def test_is_synced_at_each_commit_and_waits_for_other_processes(self, tmp_path: Path) -> None:
        with closing(openStore(tmp_path / "store.sqlite", SCHEMA)) as db:
            for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 10_000)):
                assert db.execute(f"PRAGMA {pragma}").fetchone() == (value,)

    def test_is_closed_if_it_cannot_be_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[sqlite3.Connection] = []
        connect = sqlite3.connect

        def remember(*arguments: Any, **named: Any) -> sqlite3.Connection:
            opened.append(connect(*arguments, **named))
            return opened[-1]

        monkeypatch.setattr(sqlite3, "connect", remember)
        (tmp_path / "broken.sqlite").write_bytes(b"x" * 4096)
        with pytest.raises(sqlite3.DatabaseError):
            openStore(tmp_path / "broken.sqlite", SCHEMA)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            opened[0].execute("SELECT 1")


class TestATransaction:
    def test_is_written_as_a_whole_or_not_at_all(self, tmp_path: Path) -> None:
        with closing(openStore(tmp_path / "store.sqlite", SCHEMA)) as db:
            run(db, "INSERT INTO row VALUES ('a')")
            with pytest.raises(sqlite3.IntegrityError):
                run(db, "INSERT INTO row VALUES ('b')", "INSERT INTO row VALUES ('a')")
            assert db.execute("SELECT value FROM row").fetchall() == [("a",)]

    def test_fails_by_its_own_error_when_sqlite_has_rolled_back_itself(self, tmp_path: Path) -> None:
        with closing(openStore(tmp_path / "store.sqlite", SCHEMA)) as db:
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                run(db, "ROLLBACK", "INSERT INTO other VALUES (1)")
            assert not db.in_transaction
