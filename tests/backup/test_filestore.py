"""A copy of stored files and their index: they match, whatever the daemon does meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.backup.copies import copied
from wsd.backup import filestore
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.quota import BlobLimits
from wsd.protocols.blob.store import BlobStore
from wsd.protocols.blob.upload import BlobUpload, NewUpload


def openedAt(folder: Path) -> BlobStore:
    return BlobStore(folder / "blob", BlobLimits(), lambda: 1000.0)


def begun(store: BlobStore, token: str, content: bytes) -> BlobUpload:
    """An upload with its first bytes on the disk."""
    upload = store.begin(NewUpload("ada", "a.txt"), token)
    assert isinstance(upload, BlobUpload)
    upload.append([content])
    upload.sync()
    return upload


def put(store: BlobStore, content: bytes) -> Blob:
    return begun(store, f"token of {content!r}", content).finish()


@pytest.fixture
def store(state: Path) -> BlobStore:
    return openedAt(state)


def contents(store: BlobStore) -> set[bytes]:
    return {store.pathOf(blob.id).read_bytes() for blob in store.list()}


def on(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, act: Callable[[], object]) -> None:
    """Do something once, right before this function of the module is called for the first time."""
    real, calls = getattr(module, name), [0]

    def first(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            act()
        return real(*arguments)

    monkeypatch.setattr(module, name, first)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is on another filesystem."""

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)


class TestFinishedFiles:
    def test_are_linked(self, store: BlobStore, state: Path, target: Path) -> None:
        blob = put(store, b"hello")
        assert copied(state, target).linked == 1
        assert os.path.samefile(store.pathOf(blob.id), openedAt(target).pathOf(blob.id))

    @pytest.mark.usefixtures("elsewhere")
    def test_are_copied_to_another_filesystem(self, store: BlobStore, state: Path, target: Path) -> None:
        put(store, b"hello")
        copy = copied(state, target)
        assert (copy.linked, copy.copied) == (0, 1)
        assert contents(openedAt(target)) == {b"hello"}

    def test_stay_when_the_daemon_removes_them(self, store: BlobStore, state: Path, target: Path) -> None:
        blob = put(store, b"hello")
        copied(state, target)
        store.remove(blob.id)
        assert contents(openedAt(target)) == {b"hello"}
        assert list(openedAt(target).verify()) == []

    def test_that_are_finished_during_the_backup_are_in_it(
        self, store: BlobStore, state: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(store, b"before")
        on(monkeypatch, filestore, "opened", lambda: put(store, b"during"))
        copied(state, target)
        assert contents(openedAt(target)) == {b"before", b"during"}

    def test_that_are_removed_during_the_backup_are_not(
        self, store: BlobStore, state: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(store, b"stays")
        goes = put(store, b"goes")
        on(monkeypatch, filestore, "opened", lambda: store.remove(goes.id))
        assert copied(state, target).linked == 1
        assert contents(openedAt(target)) == {b"stays"}
        assert list(openedAt(target).verify()) == []

    def test_wait_while_the_index_is_copied(
        self, store: BlobStore, state: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        late = threading.Thread(target=put, args=(store, b"late"))
        on(monkeypatch, filestore, "copyDatabase", late.start)
        copied(state, target)
        late.join(30)
        assert contents(openedAt(target)) == set()
        assert list(openedAt(target).verify()) == []
        assert contents(store) == {b"late"}


class TestUnfinishedFiles:
    def test_can_be_resumed_from_the_backup(self, store: BlobStore, state: Path, target: Path) -> None:
        begun(store, "token", b"hello ")
        copied(state, target)
        upload = openedAt(target).resume("token")
        assert upload.durable == 6
        upload.append([b"world"])
        assert upload.finish().sha256 == sha256(b"hello world").hexdigest()

    def test_of_the_daemon_are_not_changed_by_whoever_opens_the_backup(
        self, store: BlobStore, state: Path, target: Path
    ) -> None:
        upload = begun(store, "token", b"hello ")
        copied(state, target)
        upload.append([b"world"])
        blob = upload.finish()
        openedAt(target).resume("token").append([b"nobody"])
        assert store.pathOf(blob.id).read_bytes() == b"hello world"
        assert list(store.verify()) == []

    def test_that_are_finished_during_the_backup_are_unfinished_or_finished_in_it(
        self, store: BlobStore, state: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = begun(store, "token", b"hello")
        on(monkeypatch, filestore, "copyOpened", upload.finish)
        copied(state, target)
        assert contents(store) == {b"hello"}
        assert openedAt(target).resume("token").durable == 5


def test_under_writers_every_backup_is_whole(store: BlobStore, state: Path, tmp_path: Path) -> None:
    """Files come and go on two threads; each of the backups that are made meanwhile is verified."""
    done = threading.Event()
    acknowledged: list[bytes] = []

    def write(name: bytes) -> None:
        number = 0
        while not done.is_set():
            number += 1
            blob = put(store, b"%s %d" % (name, number))
            if number % 3:
                acknowledged.append(b"%s %d" % (name, number))
            else:
                store.remove(blob.id)

    threads = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b")]
    for thread in threads:
        thread.start()
    try:
        for number in range(5):
            before = set(acknowledged)
            copied(state, tmp_path / f"copy{number}")
            copy = openedAt(tmp_path / f"copy{number}")
            assert list(copy.verify()) == []
            assert before <= contents(copy)
            copy.close()
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
