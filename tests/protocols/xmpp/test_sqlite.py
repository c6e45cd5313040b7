"""The store in SQLite: commits are atomic and survive a loss of power, and errors of the file are told apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from errno import EACCES, ENOSPC
from pathlib import Path
from typing import Any

import pytest

from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.store import StoreError

_FULL = 2
"""PRAGMA synchronous: the log is synced at each commit."""


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "xmpp.sqlite")


def limit(store: SqliteStore, more: int) -> None:
    """Let the file grow by so many pages at most."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + more}")


class TestACommit:
    def test_is_synced_to_the_disk(self, store: SqliteStore) -> None:
        assert store._db.execute("PRAGMA synchronous").fetchone() == (_FULL,)
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def test_is_atomic(self, store: SqliteStore) -> None:
        def half() -> None:
            with store.transaction():
                store.put("kind", "owner", "key", "value")
                store._db.execute("INSERT INTO record VALUES (NULL, NULL, NULL, NULL)")

        with pytest.raises(sqlite3.IntegrityError):
            half()
        with store.transaction():
            assert store.get("kind", "owner", "key") is None


def failing(store: SqliteStore, error: Exception, before: Callable[[], object] = lambda: None) -> StoreError:
    """The StoreError of a transaction in which this error is raised, after `before` was called."""

    def work() -> None:
        with store.transaction():
            before()
            raise error

    with pytest.raises(StoreError) as raised:
        work()
    return raised.value


def operational(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("a sentence")
    error.sqlite_errorcode = code
    return error


class TestTheFile:
    def test_is_readable_for_its_owner_alone(self, tmp_path: Path, store: SqliteStore) -> None:
        assert (tmp_path / "xmpp.sqlite").stat().st_mode & 0o777 == 0o600
        store.close()
        (tmp_path / "xmpp.sqlite").chmod(0o644)
        SqliteStore(tmp_path / "xmpp.sqlite").close()
        assert (tmp_path / "xmpp.sqlite").stat().st_mode & 0o777 == 0o600

    def test_may_be_locked_by_another_process_for_ten_seconds(self, store: SqliteStore) -> None:
        assert store._db.execute("PRAGMA busy_timeout").fetchone() == (10_000,)

    def test_is_closed_if_it_cannot_be_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[sqlite3.Connection] = []
        connect = sqlite3.connect

        def remember(*arguments: Any, **named: Any) -> sqlite3.Connection:
            opened.append(connect(*arguments, **named))
            return opened[-1]

        monkeypatch.setattr(sqlite3, "connect", remember)
        (tmp_path / "broken.sqlite").write_bytes(b"x" * 4096)
        with pytest.raises(StoreError):
            SqliteStore(tmp_path / "broken.sqlite")
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            opened[0].execute("SELECT 1")


class TestRows:
    def test_of_an_owner_are_found_by_kind(self, store: SqliteStore) -> None:
        for kind, owner, key in (("k", "o", "1"), ("k", "o", "2"), ("k", "p", "1"), ("l", "o", "1")):
            store.put(kind, owner, key, f"{kind}{owner}{key}")
        assert store.load("k", "o") == {"1": "ko1", "2": "ko2"}
        assert store.get("k", "p", "1") == "kp1"
        assert store.get("k", "p", "2") is None
        assert sorted(store.owners("k")) == ["o", "p"]
        store.put("k", "o", "1", "changed")
        store.put("k", "o", "2", None)
        assert store.load("k", "o") == {"1": "changed"}

    def test_that_are_entries_come_in_the_order_of_their_ids(self, store: SqliteStore) -> None:
        assert store.last() == 0
        for entryId, value in ((2, "b"), (10, "a"), (3, "c")):
            store.append(entryId, "k", "o", value)
        store.append(4, "k", "p", "other")
        assert store.entries("k", "o") == [(2, "b"), (3, "c"), (10, "a")]
        assert store.last() == 10
        store.discard([3, 10])
        assert store.entries("k", "o") == [(2, "b")]

    def test_of_an_owner_are_forgotten_and_no_others(self, store: SqliteStore) -> None:
        for owner in ("o", "p"):
            store.put("k", owner, "1", "value")
            store.put("l", owner, "1", "value")
            store.append(ord(owner), "k", owner, "value")
        store.forget("o")
        assert (store.load("k", "o"), store.load("l", "o"), store.entries("k", "o")) == ({}, {}, [])
        assert (store.load("k", "p"), store.load("l", "p")) == ({"1": "value"}, {"1": "value"})
        assert store.entries("k", "p") == [(ord("p"), "value")]


class TestQuarantine:
    def test_keeps_a_row_under_another_kind(self, store: SqliteStore) -> None:
        for key in ("1", "2"):
            store.put("k", "o", key, key)
        for entryId in (1, 2):
            store.append(entryId, "k", "o", "value")
        store.quarantine("k", "o", "1")
        store.quarantineEntry(1)
        assert store.load("k", "o") == {"2": "2"}
        assert store.load("aside k", "o") == {"1": "1"}
        assert store.entries("k", "o") == [(2, "value")]
        assert store.entries("aside k", "o") == [(1, "value")]

    def test_replaces_an_older_row_of_that_name(self, store: SqliteStore) -> None:
        for value in ("old", "new"):
            store.put("k", "o", "1", value)
            store.quarantine("k", "o", "1")
        assert store.load("aside k", "o") == {"1": "new"}


class TestAStoreError:
    @pytest.mark.parametrize(
        ("code", "isFull", "mayStayOpen"),
        [
            (sqlite3.SQLITE_FULL, True, True),
            (sqlite3.SQLITE_BUSY, False, True),
            (sqlite3.SQLITE_BUSY_SNAPSHOT, False, True),
            (sqlite3.SQLITE_LOCKED, False, True),
            (sqlite3.SQLITE_IOERR_READ, False, False),
            (sqlite3.SQLITE_CORRUPT, False, False),
        ],
    )
    def test_tells_what_is_wrong(self, store: SqliteStore, code: int, isFull: bool, mayStayOpen: bool) -> None:
        error = failing(store, operational(code))
        assert (str(error), error.isFull, error.mayStayOpen) == ("a sentence", isFull, mayStayOpen)
        copy = error.copy()
        assert (str(copy), copy.isFull, copy.mayStayOpen) == ("a sentence", isFull, mayStayOpen)

    def test_of_the_system_does_not_tell_the_path(self, store: SqliteStore) -> None:
        error = failing(store, OSError(ENOSPC, "No space left on device", "/secret/path"))
        assert (str(error), error.isFull, error.mayStayOpen) == ("No space left on device", True, True)
        error = failing(store, PermissionError(EACCES, "Permission denied", "/secret/path"))
        assert (str(error), error.isFull, error.mayStayOpen) == ("Permission denied", False, False)

    def test_takes_back_the_transaction(self, store: SqliteStore) -> None:
        failing(store, operational(sqlite3.SQLITE_IOERR), lambda: store.put("k", "o", "1", "value"))
        assert not store._db.in_transaction
        assert store.load("k", "o") == {}

    def test_is_raised_though_sqlite_has_taken_it_back_itself(self, store: SqliteStore) -> None:
        error = failing(store, operational(sqlite3.SQLITE_FULL), lambda: store._db.execute("ROLLBACK"))
        assert str(error) == "a sentence"

    def test_of_a_full_disk_leaves_the_file_open_for_another_try(self, store: SqliteStore) -> None:
        limit(store, 0)
        with pytest.raises(StoreError) as raised, store.transaction():
            store.put("kind", "owner", "key", "x" * 100_000)
        assert (raised.value.isFull, raised.value.mayStayOpen) == (True, True)
        limit(store, 1_000)
        with store.transaction():
            store.put("kind", "owner", "key", "x" * 100_000)

    def test_is_raised_for_a_file_that_is_not_a_database(self, tmp_path: Path) -> None:
        path = tmp_path / "xmpp.sqlite"
        path.write_bytes(b"x" * 4096)
        with pytest.raises(StoreError) as raised:
            SqliteStore(path)
        assert (raised.value.isFull, raised.value.mayStayOpen) == (False, False)

    def test_is_not_raised_for_a_wrong_statement(self, store: SqliteStore) -> None:
        with pytest.raises(sqlite3.IntegrityError), store.transaction():
            store._db.execute("INSERT INTO record VALUES (NULL, NULL, NULL, NULL)")


class TestAnEntry:
    def test_may_be_written_twice(self, store: SqliteStore) -> None:
        with store.transaction():
            store.append(7, "kind", "owner", "one")
            store.append(7, "kind", "owner", "one")
            assert store.entries("kind", "owner") == [(7, "one")]
            assert store.last() == 7


class TestTextThatIsNotUtf8:
    """A damaged file may have some."""

    def test_becomes_surrogates_and_does_not_keep_other_rows_from_being_read(self, store: SqliteStore) -> None:
        store._db.execute("INSERT INTO record VALUES ('k', 'o', 'good', 'value')")
        store._db.execute("INSERT INTO record VALUES ('k', 'o', CAST(x'ff41' AS TEXT), CAST(x'ff' AS TEXT))")
        store._db.execute("INSERT INTO record VALUES ('k', 'o', 'blob', x'ff')")
        assert store.load("k", "o") == {"good": "value", "\udcffA": "\udcff", "blob": "\udcff"}

    def test_is_found_when_it_is_put_into_quarantine(self, store: SqliteStore) -> None:
        store._db.execute("INSERT INTO record VALUES ('k', 'o', CAST(x'ff41' AS TEXT), 'value')")
        store.quarantine("k", "o", "\udcffA")
        assert store.load("k", "o") == {}
        assert store.load("aside k", "o") == {"\udcffA": "value"}
