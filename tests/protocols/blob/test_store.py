"""The store: what it keeps, what it refuses, and what is left after a crash at any point."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.blob.stores import storeOf
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import Blob, BlobIndex
from wsd.protocols.blob.quota import BlobLimits
from wsd.protocols.blob.store import SLOT, BlobStore, nameOf
from wsd.protocols.blob.upload import BlobUpload, NewUpload

TOKEN = "a token of the client's"

STEPS_OF_THE_INDEX = (
    "addUpload",
    "reserve",
    "checkpoint",
    "finishing",
    "finish",
    "removeUpload",
    "removeBlob",
    "removed",
)


def upload(
    store: BlobStore, token: str | None = TOKEN, user: str = "ada", name: str = "a.txt", **more: object
) -> BlobUpload:
    begun = store.begin(NewUpload(user, name, **more), token)  # type: ignore[arg-type]
    assert isinstance(begun, BlobUpload)
    return begun


def put(store: BlobStore, content: bytes, user: str = "ada", **more: object) -> Blob:
    begun = upload(store, None, user, **more)  # type: ignore[arg-type]
    begun.append([content])
    return begun.finish()


def code(caught: pytest.ExceptionInfo[BlobError]) -> str:
    return caught.value.code


class TestAFile:
    def test_it_has_its_name_only_when_it_is_whole(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, size=10)
        begun.append([b"hello"])
        begun.sync()
        assert list(store.files.glob("*/*")) == []
        begun.append([b"world"])
        blob = begun.finish()
        assert store.pathOf(blob.id).read_bytes() == b"helloworld"
        assert list(store.parts.iterdir()) == []

    def test_the_receipt_tells_size_hash_and_type(self, tmp_path: Path) -> None:
        blob = put(storeOf(tmp_path), b"\x89PNG\r\n\x1a\n" + bytes(90))
        assert (blob.size, blob.sha256) == (98, sha256(b"\x89PNG\r\n\x1a\n" + bytes(90)).hexdigest())
        assert (blob.type, blob.name, blob.user, blob.at) == ("image/png", "a.txt", "ada", 1000.0)

    def test_an_empty_one_is_one(self, tmp_path: Path) -> None:
        assert upload(storeOf(tmp_path), size=0).finish().size == 0

    def test_only_its_owner_may_read_the_index(self, tmp_path: Path) -> None:
        (tmp_path / "store").mkdir(mode=0o755)
        put(storeOf(tmp_path), b"x")
        index = list((tmp_path / "store").glob("index.sqlite*"))
        assert len(index) == 3
        assert [path.stat().st_mode & 0o77 for path in index] == [0, 0, 0]

    def test_the_folders_that_it_lies_in_are_on_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced, fsync = set(), os.fsync

        def noted(descriptor: int) -> None:
            synced.add(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", noted)
        store = storeOf(tmp_path / "new")
        path = store.pathOf(put(store, b"x").id)
        assert synced >= {tmp_path, tmp_path / "new", tmp_path / "new" / "store", store.parts, store.files, path.parent}

    def test_only_its_owner_may_read_the_folder(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        path = store.pathOf(put(store, b"x").id)
        assert [path.stat().st_mode & 0o77, path.parent.stat().st_mode & 0o77, store.files.stat().st_mode & 0o77] == [
            0,
            0,
            0,
        ]

    def test_a_removed_one_is_gone_and_can_be_read_to_its_end_by_who_reads_it(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        blob = put(store, b"content")
        _, reader = store.reader(blob.id)
        store.remove(blob.id)
        assert reader.read(3, 10) == b"tent"
        reader.close()
        with pytest.raises(BlobError) as caught:
            store.blob(blob.id)
        assert code(caught) == "unknown"
        assert list(store.files.glob("*/*")) == []


class TestContent:
    def test_the_same_users_same_content_is_kept_once(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        first, second = put(store, b"same"), put(store, b"same", name="other.txt")
        assert first == second
        assert store.index.used() == 4

    def test_it_is_here_at_once_when_its_hash_is_announced(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        blob = put(store, b"same")
        assert store.begin(NewUpload("ada", "b", size=4, sha256=blob.sha256), "token") == blob

    def test_anothers_is_never_told_of(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        blob = put(store, b"same")
        begun = upload(store, user="eve", size=4, sha256=blob.sha256)
        assert begun.written == 0
        begun.append([b"same"])
        assert begun.finish().id != blob.id

    def test_the_id_tells_nothing_of_the_content(self, tmp_path: Path) -> None:
        blob = put(storeOf(tmp_path / "one"), b"same")
        assert put(storeOf(tmp_path / "two"), b"same").id != blob.id

    def test_another_content_than_announced_is_removed(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, size=4, sha256=sha256(b"this").hexdigest())
        begun.append([b"that"])
        with pytest.raises(BlobError) as caught:
            begun.finish()
        assert code(caught) == "sha256"
        assert list(store.parts.iterdir()) == []
        assert store.index.used() == 0


class TestAPart:
    def test_it_goes_on_where_it_was_durable(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, size=10)
        begun.append([b"hello"])
        assert begun.sync() == 5
        begun.close()
        begun = upload(store, size=10)
        assert begun.written == begun.durable == 5
        begun.append([b"world"])
        assert begun.finish().sha256 == sha256(b"helloworld").hexdigest()

    def test_what_was_not_synced_counts_after_it_is_set_down(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, size=10)
        begun.append([b"hello"])
        begun.close()
        assert store.row(TOKEN).durable == 5

    def test_a_wrong_piece_is_taken_back_and_what_was_before_it_stays(self, tmp_path: Path) -> None:
        begun = upload(storeOf(tmp_path), size=10)
        for data in (b"hello", b"wurld", b"world"):
            begun.beginPiece()
            begun.append([data[:2], data[2:]])
            if data == b"wurld":
                with pytest.raises(BlobError) as caught:
                    begun.checkPiece(zlib.crc32(b"world"))
                assert code(caught) == "checksum"
                assert begun.written == 5
            else:
                begun.checkPiece(zlib.crc32(data))
        assert begun.finish().sha256 == sha256(b"helloworld").hexdigest()

    def test_a_piece_counts_when_it_is_checked_and_not_before(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, size=10)
        begun.append([b"hello"])
        begun.beginPiece()
        begun.append([b"wor"])
        assert begun.sync() == 5
        begun.close()
        assert upload(store, size=10).written == 5

    def test_what_comes_after_a_piece_that_was_taken_back_counts(self, tmp_path: Path) -> None:
        """It is a piece without a check, and nothing of it is taken back with the one before."""
        store = storeOf(tmp_path)
        begun = upload(store, size=10)
        begun.beginPiece()
        begun.append([b"wurld"])
        with pytest.raises(BlobError):
            begun.checkPiece(zlib.crc32(b"world"))
        begun.append([b"hello"])
        assert begun.sync() == 5
        begun.close()
        assert upload(store, size=10).written == 5

    def test_one_is_not_written_by_two(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        upload(store)
        with pytest.raises(BlobError) as caught:
            upload(storeOf(tmp_path))
        assert code(caught) == "busy"

    def test_a_token_belongs_to_one_file(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        upload(store, size=10).close()
        with pytest.raises(BlobError) as caught:
            upload(store, size=11)
        assert code(caught) == "conflict"

    def test_a_token_is_not_in_the_index(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        upload(store).close()
        store.close()
        assert TOKEN.encode() not in (tmp_path / "store" / "index.sqlite").read_bytes()

    def test_who_asks_again_after_the_end_gets_the_file(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        blob = upload(store, size=0).finish()
        assert store.begin(NewUpload("ada", "a.txt", size=0), TOKEN) == blob

    def test_fewer_bytes_than_announced_are_no_file(self, tmp_path: Path) -> None:
        begun = upload(storeOf(tmp_path), size=10)
        begun.append([b"hello"])
        with pytest.raises(BlobError) as caught:
            begun.finish()
        assert code(caught) == "size"

    def test_more_bytes_than_announced_are_refused(self, tmp_path: Path) -> None:
        begun = upload(storeOf(tmp_path), size=4)
        with pytest.raises(BlobError) as caught:
            begun.append([b"hello"])
        assert code(caught) == "size"

    def test_an_aborted_one_is_gone(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=10)
        upload(store, size=10).abort()
        assert list(store.parts.iterdir()) == []
        assert upload(store, "another", size=10).written == 0


class TestQuota:
    def test_what_has_come_is_reserved_and_nothing_that_is_only_announced(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=1 << 30)
        for number in range(64):
            upload(store, f"announced {number}", size=1 << 30)
            upload(store, None)
        assert store.index.used() == 0
        put(store, b"of another", user="eve")

    def test_what_has_no_room_is_told_before_a_byte_of_it_has_come(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=10)
        upload(store, "one", size=6).append([b"hello "])
        with pytest.raises(BlobError) as caught:
            upload(store, "two", size=5)
        assert code(caught) == "quota"
        assert "room for 4" in caught.value.sentence
        upload(store, "three", size=4)

    def test_an_empty_file_has_room_always(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=5)
        put(store, b"hello")
        assert upload(store, size=0).finish().size == 0

    def test_two_cannot_overshoot_and_of_the_second_what_counts_is_kept(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=400_000)
        one, two = upload(store, "one", size=200_000), upload(store, "two", size=300_000)
        two.append([bytes(10_000)])
        assert two.sync() == 10_000
        one.append([bytes(140_000)])
        with pytest.raises(BlobError) as caught:
            two.append([bytes(60_000)])
        assert code(caught) == "quota"
        two.close()
        one.append([bytes(60_000)])
        blob = one.finish()
        assert blob.size == 200_000
        assert store.row("two").durable == 10_000
        assert store.index.used() == 210_000
        store.remove(blob.id)
        assert upload(store, "two", size=300_000).durable == 10_000

    def test_one_whose_rest_has_no_room_is_told_so_when_it_goes_on(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=10)
        begun = upload(store, size=8)
        begun.append([b"1234"])
        begun.close()
        put(store, b"others")
        for again in (lambda: upload(store, size=8), lambda: store.resume(TOKEN)):
            with pytest.raises(BlobError) as caught:
                again()
            assert code(caught) == "quota"
        assert store.row(TOKEN).durable == 4

    def test_room_that_was_made_ahead_is_given_back_when_it_is_set_down(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=1 << 30)
        begun = upload(store, size=1 << 20)
        begun.append([b"hello"])
        assert store.index.used() < 1 << 17
        begun.close()
        assert store.index.used() == 5

    def test_and_after_a_crash(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=1 << 30)
        begun = upload(store, size=1 << 20)
        begun.append([b"hello"])
        begun.sync()
        begun.append([b"world"])
        begun.file.close()
        store = storeOf(tmp_path)
        assert store.index.used() == 5
        assert [path.stat().st_size for path in store.parts.iterdir()] == [5]

    def test_no_more_is_made_before_it_is_used_up(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=1 << 30)
        begun = upload(store)
        begun.append([b"x"])
        room = store.index.used()
        begun.append([bytes(room - 1)])
        assert store.index.used() == room
        begun.append([b"x"])
        assert store.index.used() > room

    def test_each_user_has_one(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=100, userQuota=10)
        put(store, bytes(8))
        with pytest.raises(BlobError) as caught:
            upload(store, size=3)
        assert "2 bytes are left" in caught.value.sentence
        upload(store, user="eve", size=10)

    def test_one_that_was_not_announced_is_reserved_as_it_comes(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=10)
        begun = upload(store, None)
        begun.append([bytes(10)])
        with pytest.raises(BlobError) as caught:
            begun.append([b"x"])
        assert code(caught) == "quota"

    def test_what_was_reserved_and_not_used_is_given_back(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=100 << 20)
        put(store, b"small")
        assert store.index.used() == 5

    def test_a_file_has_a_most(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, maxFile=10)
        with pytest.raises(BlobError) as caught:
            upload(store, size=11)
        assert code(caught) == "too_large"
        with pytest.raises(BlobError) as caught:
            upload(store, None).append([bytes(11)])
        assert code(caught) == "too_large"


class TestUnfinished:
    """Each has a file and a row, and who begins too many is told so."""

    @pytest.mark.parametrize(
        ("first", "second", "isRefused"),
        [
            (("ada", "192.0.2.1"), ("ada", "192.0.2.2"), True),
            (("ada", "192.0.2.1"), ("eve", "192.0.2.1"), True),
            (("ada", "192.0.2.1"), ("eve", "192.0.2.2"), False),
            (("ada", None), ("eve", None), False),
        ],
    )
    def test_a_user_and_an_address_have_so_many(
        self, tmp_path: Path, first: tuple[str, str], second: tuple[str, str], isRefused: bool
    ) -> None:
        store = storeOf(tmp_path, unfinished=2)
        for number in range(2):
            upload(store, f"one {number}", first[0], source=first[1]).close()
        if isRefused:
            with pytest.raises(BlobError) as caught:
                upload(store, "two", second[0], source=second[1])
            assert code(caught) == "too_many"
        else:
            upload(store, "two", second[0], source=second[1])

    def test_one_that_is_finished_or_gone_counts_no_more(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, unfinished=1)
        upload(store, "one", size=0).finish()
        upload(store, "two").abort()
        upload(store, "three").close()
        with pytest.raises(BlobError):
            upload(store, "four")

    def test_one_that_is_there_is_gone_on_with(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, unfinished=1)
        upload(store, size=5).close()
        begun = upload(store, size=5)
        begun.append([b"hello"])
        assert begun.finish().size == 5


class TestOfAnEarlierVersion:
    def test_a_store_is_taken_over_as_it_is(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path, quota=100)
        blob = put(store, b"kept")
        begun = upload(store, size=90)
        begun.append([b"hello"])
        begun.close()
        with store.index._writing() as db:
            db.execute("UPDATE parts SET reserved = size")
            for name in ("unfinished_by_user", "unfinished_by_source"):
                db.execute(f"DROP INDEX {name}")
            for column in ("source", "metadata"):
                db.execute(f"ALTER TABLE parts DROP COLUMN {column}")
        store.close()
        store = storeOf(tmp_path, quota=100)
        assert store.blob(blob.id) == blob
        assert store.index.used() == 9
        assert upload(store, size=90).durable == 5


class TestTheIndex:
    def test_what_is_committed_is_brought_to_the_disk(self, tmp_path: Path) -> None:
        """FULL is 2: SQLite syncs the log of a transaction before it says that it is done."""
        db = storeOf(tmp_path).index._db
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


class TestTime:
    def store(self, folder: Path, now: list[float], **limits: float) -> BlobStore:
        return BlobStore(folder / "store", BlobLimits(**limits), lambda: now[0])  # type: ignore[arg-type]

    def test_an_unfinished_file_expires_after_its_last_byte(self, tmp_path: Path) -> None:
        now = [1000.0]
        store = self.store(tmp_path, now, expire=60)
        upload(store, size=10).close()
        now[0] = 1060.0
        assert store.expire() == (0, 0)
        now[0] = 1061.0
        assert store.expire() == (1, 0)
        assert store.index.used() == 0
        assert list(store.parts.iterdir()) == []

    def test_one_that_is_being_written_does_not(self, tmp_path: Path) -> None:
        now = [1000.0]
        store = self.store(tmp_path, now, expire=60)
        begun = upload(store, size=10)
        now[0] = 2000.0
        assert store.expire() == (0, 0)
        begun.append([b"hello"])

    @pytest.mark.parametrize(("user", "isKnown"), [("ada", False), (f"{SLOT}ada", True)])
    def test_the_token_of_a_slot_stands_for_its_file_as_long_as_that_is_kept(
        self, tmp_path: Path, user: str, isKnown: bool
    ) -> None:
        now = [1000.0]
        store = self.store(tmp_path, now, expire=60)
        begun = upload(store, size=5, user=user)
        begun.append([b"hello"])
        blob = begun.finish()
        now[0] = 5000.0
        assert store.expire() == (0, 0)
        assert (store.index.upload(nameOf(TOKEN)) is not None) == isKnown
        store.remove(blob.id)
        assert store.index.upload(nameOf(TOKEN)) is None

    def test_a_finished_one_is_kept_as_long_as_told(self, tmp_path: Path) -> None:
        now = [1000.0]
        store = self.store(tmp_path, now, keep=60)
        blob = put(store, b"x")
        now[0] = 1061.0
        assert store.expire() == (0, 1)
        assert not store.pathOf(blob.id).exists()


class TestAfterACrash:
    def test_what_was_durable_can_be_gone_on_with_and_what_was_not_is_cut_off(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, size=10)
        begun.append([b"hello"])
        begun.sync()
        begun.append([b"wor"])
        begun.file.close()  # as the kernel does for a process that is killed
        begun = upload(storeOf(tmp_path), size=10)
        assert begun.written == 5
        begun.append([b"world"])
        assert begun.finish().sha256 == sha256(b"helloworld").hexdigest()

    def test_one_that_was_about_to_be_moved_is_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for point in ("rename", "finish"):
            store = storeOf(tmp_path / point)
            begun = upload(store, size=5)
            begun.append([b"hello"])
            with monkeypatch.context() as patch:
                if point == "rename":
                    patch.setattr(os, "rename", self.die)
                else:
                    patch.setattr(store.index, "finish", self.die)
                with pytest.raises(KeyboardInterrupt):
                    begun.finish()
            begun.file.close()
            store = storeOf(tmp_path / point)
            blob = store.begin(NewUpload("ada", "a.txt", size=5), TOKEN)
            assert isinstance(blob, Blob)
            assert store.pathOf(blob.id).read_bytes() == b"hello"
            assert list(store.verify()) == []
            assert list(store.parts.iterdir()) == []
            assert store.index.used() == 5

    @staticmethod
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def test_one_that_was_being_removed_is_gone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = storeOf(tmp_path)
        blob = put(store, b"hello")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", self.die)
            with pytest.raises(KeyboardInterrupt):
                store.remove(blob.id)
        assert store.pathOf(blob.id).exists()
        store = storeOf(tmp_path)
        assert not store.pathOf(blob.id).exists()
        assert list(store.verify()) == []
        assert put(store, b"hello").id == blob.id

    def test_one_that_nobody_can_go_on_with_is_removed(self, tmp_path: Path) -> None:
        begun = upload(storeOf(tmp_path), None)
        begun.append([b"hello"])
        begun.file.close()
        store = storeOf(tmp_path)
        assert list(store.parts.iterdir()) == []
        assert store.index.used() == 0

    def test_one_that_another_process_writes_is_left_alone(self, tmp_path: Path) -> None:
        begun = upload(storeOf(tmp_path), None)
        begun.append([b"hello"])
        storeOf(tmp_path)
        begun.append([b"world"])
        assert begun.finish().size == 10


class Dying:
    """A process that dies at its n-th step to the disk, before or after it is done; what it had open is closed then."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self._left = at
        self._held: set[int] = set()
        self._open, self._close = os.open, os.close
        patch.setattr(os, "open", self._hold)
        patch.setattr(os, "close", self._letGo)
        for place, names in (
            (os, ("pwritev", "ftruncate", "fdatasync", "fsync", "rename")),
            (Path, ("unlink", "mkdir")),
            (BlobIndex, STEPS_OF_THE_INDEX),
        ):
            for name in names:
                patch.setattr(place, name, self._step(getattr(place, name)))

    def _hold(self, *given: Any) -> int:
        file = self._open(*given)
        self._held.add(file)
        return file

    def _letGo(self, file: int) -> None:
        self._held.discard(file)
        self._close(file)

    def _step(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **named: Any) -> Any:
            self._live()
            result = work(*given, **named)
            self._live()
            return result

        return step

    def _live(self) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt

    def close(self) -> None:
        for file in list(self._held):
            os.close(file)


@pytest.mark.parametrize("token", [TOKEN, None], ids=["resumable", "bare"])
def test_a_crash_at_any_point_leaves_a_part_to_go_on_with_or_a_finished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    def live(store: BlobStore, acknowledged: list[int]) -> None:
        begun = upload(store, token, size=10)
        begun.append([b"hello"])
        acknowledged.append(begun.sync())
        begun.append([b"world"])
        blob = begun.finish()
        acknowledged.append(0)  # it is about to be removed
        store.remove(blob.id)

    points = 0
    while True:
        folder, acknowledged = tmp_path / str(points), [0]
        store = storeOf(folder)
        with monkeypatch.context() as patch:
            dying = Dying(patch, points + 1)
            try:
                live(store, acknowledged)
            except KeyboardInterrupt:
                points += 1
            else:
                break
            finally:
                dying.close()
                store.close()
        goesOn(storeOf(folder), token, acknowledged[-1])
    assert points > 30


def goesOn(store: BlobStore, token: str | None, acknowledged: int) -> None:
    """After a crash: what was acknowledged is there, the rest can be sent, and nothing else is left."""
    if token is None:
        assert list(store.parts.iterdir()) == []
    begun = store.begin(NewUpload("ada", "a.txt", size=10), token)
    if isinstance(begun, BlobUpload):
        if token is not None:
            assert begun.written >= acknowledged
        begun.append([b"helloworld"[begun.written :]])
        begun = begun.finish()
    assert store.pathOf(begun.id).read_bytes() == b"helloworld"
    assert list(store.verify()) == []
    assert list(store.parts.iterdir()) == []
    assert store.index.used() == 10
    store.close()


class TestADiskThatRefuses:
    def test_what_it_did_not_take_counts_at_no_later_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, size=10)
        begun.append([b"hello"])
        begun.sync()
        begun.append([b"world"])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", self.refuse)
            with pytest.raises(BlobError) as caught:
                begun.sync()
            assert code(caught) == "unavailable"
        with pytest.raises(BlobError):
            begun.close()
        assert store.row(TOKEN).durable == 5
        assert upload(store, size=10).written == 5

    @staticmethod
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    @staticmethod
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    def test_an_end_that_went_wrong_is_tried_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, size=5)
        begun.append([b"hello"])
        with monkeypatch.context() as patch:
            patch.setattr(store.index, "finish", self.full)
            with pytest.raises(BlobError) as caught:
                begun.finish()
            assert code(caught) == "disk_full"
            begun.close()
            assert list(store.files.glob("*/*")) == []
        blob = store.begin(NewUpload("ada", "a.txt", size=5), TOKEN)
        assert isinstance(blob, Blob)
        assert store.pathOf(blob.id).read_bytes() == b"hello"

    def test_nothing_is_left_of_one_that_nobody_can_go_on_with(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = storeOf(tmp_path)
        begun = upload(store, None)
        begun.append([b"hello"])
        with monkeypatch.context() as patch:
            patch.setattr(store.index, "finish", self.full)
            with pytest.raises(BlobError):
                begun.finish()
        begun.close()
        assert [*store.parts.iterdir(), *store.files.glob("*/*")] == []
        assert store.index.used() == 0


class TestTwoAtOnce:
    def test_what_is_kept_anew_while_it_is_removed_is_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = storeOf(tmp_path)
        blob = put(store, b"same")
        begun = upload(store, None)
        begun.append([b"same"])
        finishing = threading.Thread(target=begun.finish)
        forget = store.index.removeBlob

        def removeBlob(blobId: str) -> None:
            forget(blobId)
            finishing.start()
            finishing.join(0.1)  # as long as it would take, if it did not have to wait

        monkeypatch.setattr(store.index, "removeBlob", removeBlob)
        store.remove(blob.id)
        finishing.join()
        assert store.blob(blob.id).size == 4
        assert store.pathOf(blob.id).read_bytes() == b"same"


class TestVerify:
    def test_it_finds_what_is_changed_missing_or_in_no_index(self, tmp_path: Path) -> None:
        store = storeOf(tmp_path)
        changed, missing, good = put(store, b"one"), put(store, b"two"), put(store, b"three")
        store.pathOf(changed.id).write_bytes(b"eno")
        store.pathOf(missing.id).unlink()
        stray = store.pathOf("f" * 40)
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"")
        found = dict(store.verify())
        assert "SHA-256" in found.pop(changed.id)
        assert "No such file" in found.pop(missing.id)
        assert found == {"f" * 40: "is not in the index"}
        assert good.id not in found


def test_a_token_stands_for_the_same_part_always() -> None:
    assert nameOf("x") == nameOf("x") != nameOf("y")
