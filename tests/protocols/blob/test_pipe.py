"""The pipe: what it does with errors, of its sender and of the disk, so that nobody waits for ever."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from tests.pool import PoolAtOnce
from tests.protocols.blob.stores import storeOf
from wsd.protocols.blob.backlog import Backlog
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.iopool import IoPool
from wsd.protocols.blob.pipe import Pipe, Syncing
from wsd.protocols.blob.store import BlobStore
from wsd.protocols.blob.upload import BlobUpload, NewUpload

TOKEN = "a token of the client's"
MIB = 1 << 20


class Sender:
    """Notes what it is told. The methods in `broken` raise an error that nobody has foreseen."""

    def __init__(self, *broken: str) -> None:
        self.told: list[str] = []
        self.errors: list[BlobError] = []
        self._broken = broken

    def _note(self, method: str) -> None:
        self.told.append(method)
        if method in self._broken:
            raise ValueError("nobody has foreseen this")

    def pause(self) -> None:
        self._note("pause")

    def resume(self) -> None:
        self._note("resume")

    def progressed(self) -> None:
        self._note("progressed")

    def failed(self, error: BlobError) -> None:
        self.errors.append(error)
        self._note("failed")


class Bench:
    """A store, a pool and pipes to its uploads."""

    def __init__(self, folder: Path, most: int = 8 * MIB, waiting: int = 100) -> None:
        self.clock = Clock()
        self.pool = PoolAtOnce(self.clock)
        self.disk = IoPool(self.pool.share("blob", "/blob", threads=1, waiting=waiting), self.clock, "/blob")
        self.backlog = Backlog(most)
        self.store: BlobStore = storeOf(folder)

    def pipe(self, sender: Sender, token: str = TOKEN) -> Pipe:
        upload = self.store.begin(NewUpload("ada", "a", size=4 * MIB), token)
        assert isinstance(upload, BlobUpload)
        return Pipe(self.disk, self.backlog, upload, Syncing("each"), self.clock, sender)


def outcome(done: Deferred[Any]) -> Any:
    """What a Deferred has fired with: its result, or the code of its BlobError."""
    results: list[Any] = []
    done.addCallbacks(results.append, lambda failure: results.append(failure.value.code))
    (result,) = results
    return result


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class TestASenderThatFails:
    """Its own upload ends and is closed, the log has it, and no other upload waits for it."""

    @pytest.mark.parametrize("method", ["pause", "progressed", "resume"])
    def test_its_upload_ends_and_can_be_resumed(self, bench: Bench, method: str) -> None:
        sender = Sender(method)
        pipe = bench.pipe(sender)
        bench.pool.slow = True
        with capturedLogs() as events:
            for _ in range(4):
                pipe.write(bytes(MIB - 1))
            bench.pool.catchUp()
        assert method in sender.told
        assert [error.code for error in sender.errors] == ["unavailable"]
        assert [event["event"] for event in events if "log_failure" in event] == ["blob.store"]
        assert outcome(pipe.gone) is None
        assert bench.backlog.waiting == 0
        assert bench.pipe(Sender()).written > 0

    def test_one_that_fails_at_its_end_too_is_closed_as_well(self, bench: Bench) -> None:
        pipe = bench.pipe(Sender("progressed", "failed"))
        with capturedLogs() as events:
            pipe.write(b"hello")
        assert len([event for event in events if "log_failure" in event]) == 2
        assert outcome(pipe.gone) is None
        assert outcome(pipe.sync()) == "no_transfer"
        bench.pipe(Sender())

    def test_others_that_are_paused_are_resumed(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path, most=MIB)
        broken, other = Sender("resume"), Sender()
        pipes = [bench.pipe(broken), bench.pipe(other, "another token")]
        bench.pool.slow = True
        for pipe in pipes:
            pipe.write(bytes(MIB))
            pipe.write(b"x")
        assert "pause" in broken.told
        assert "pause" in other.told
        with capturedLogs():
            bench.pool.catchUp()
        assert other.told[-1] != "pause"
        assert "resume" in other.told
        assert other.errors == []
        assert bench.backlog.waiting == 0


class TestADiskThatFails:
    @pytest.mark.parametrize("place", ["pwritev", "fdatasync"])
    def test_who_waits_for_a_step_is_told_and_else_the_sender(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        def slip(*_: object) -> None:
            raise ValueError("nobody has foreseen this")

        for isAsked in (False, True):
            sender = Sender()
            pipe = bench.pipe(sender)
            bench.pool.slow = True
            pipe.write(b"hello")
            asked = pipe.sync() if isAsked else None
            with monkeypatch.context() as patch, capturedLogs():
                patch.setattr(os, place, slip)
                bench.pool.catchUp()
            told = [error.code for error in sender.errors]
            assert (told if asked is None else [outcome(asked), *told]) == ["unavailable"]
            assert outcome(pipe.gone) is None
            assert outcome(pipe.finish()) == "no_transfer"
            assert bench.backlog.waiting == 0

    def test_who_asks_while_the_upload_is_being_closed_is_told_of_the_same_error(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sender = Sender()
        pipe = bench.pipe(sender)
        bench.pool.slow = True
        pipe.write(b"hello")
        with monkeypatch.context() as patch, capturedLogs():
            patch.setattr(os, "pwritev", lambda *_: 1 / 0)
            bench.pool.doDue()
            asked = pipe.finish()
        bench.pool.catchUp()
        assert outcome(asked) == "unavailable"
        assert sender.errors == []
        assert outcome(pipe.gone) is None


def test_an_upload_for_which_the_pool_has_no_room_is_closed_and_can_be_resumed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, waiting=0)
    other, sender = Sender(), Sender()
    pipes = [bench.pipe(other), bench.pipe(sender, "another token")]
    bench.pool.slow = True
    for pipe in pipes:
        pipe.write(b"hello")
    assert [error.code for error in sender.errors] == ["unavailable"]
    assert outcome(pipes[1].gone) is None
    bench.pool.catchUp()
    assert pipes[0].written == 5
    assert bench.pipe(Sender(), "another token").written == 0
