"""The store in SQLite: commits are atomic and survive a loss of power, and errors of the file are told apart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

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


class TestAStoreError:
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
