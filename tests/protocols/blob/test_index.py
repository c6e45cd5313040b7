"""The index of a store: a write is done as a whole or not at all, and one that fails stands in nobody's way."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.protocols.blob.stores import storeOf
from wsd.protocols.blob.index import BlobIndex, UploadRow


@pytest.fixture
def index(tmp_path: Path) -> BlobIndex:
    return BlobIndex(tmp_path / "index.sqlite")


def row(part: str, user: str = "alice") -> UploadRow:
    return UploadRow(
        part=part,
        user=user,
        name="file",
        type=None,
        size=10,
        resumable=True,
        durable=0,
        reserved=0,
        id=None,
        sha256=None,
        done=False,
        at=1000.0,
    )


class TestAWriteThatFails:
    def test_leaves_nothing(self, index: BlobIndex) -> None:
        index.addUpload(row("one"), 0)
        with pytest.raises(sqlite3.IntegrityError):
            index.addUpload(row("one", "bob"), 0)
        (kept,) = index.uploads()
        assert kept.user == "alice"

    def test_keeps_no_other_from_being_done(self, index: BlobIndex) -> None:
        index.addUpload(row("one"), 0)
        with pytest.raises(sqlite3.IntegrityError):
            index.addUpload(row("one"), 0)
        assert index.addUpload(row("two"), 0)

    def test_keeps_no_other_process_from_writing(self, index: BlobIndex, tmp_path: Path) -> None:
        index.addUpload(row("one"), 0)
        with pytest.raises(sqlite3.IntegrityError):
            index.addUpload(row("one"), 0)
        other = sqlite3.connect(tmp_path / "index.sqlite", timeout=0)
        other.execute("BEGIN IMMEDIATE")
        other.close()


def test_it_is_let_go_of_with_its_store(tmp_path: Path) -> None:
    store = storeOf(tmp_path)
    store.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        store.index.used()
