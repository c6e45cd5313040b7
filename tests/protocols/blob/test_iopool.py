"""The threads of a blob store: what its callers are told when they get none."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from tests.pool import PoolAtOnce
from wsd.policies.pool import PoolFull
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.iopool import IoPool


def errorOf(done: Deferred[Any]) -> BlobError:
    failures: list[Any] = []
    done.addErrback(failures.append)
    ((error,),) = [[failure.value for failure in failures]]
    assert isinstance(error, BlobError)
    return error


def test_too_much_work_and_a_closed_store_are_told_as_errors_of_the_store() -> None:
    clock = Clock()
    pool = PoolAtOnce(clock)
    pool.slow = True
    io = IoPool(pool.share("blob", "/blob", threads=1, waiting=1), clock, "/blob")
    waiting = [io.run(int) for _ in range(2)]
    assert errorOf(io.run(int)).code == "unavailable"
    pool.close()
    assert [errorOf(each).code for each in [*waiting, io.run(int)]] == 3 * ["unavailable"]


@pytest.mark.parametrize("error", [PoolFull("too much"), CancelledError()])
def test_neither_is_logged_as_a_fault_of_the_disk(error: Exception) -> None:
    def work() -> None:
        raise error

    pool = PoolAtOnce(Clock())
    assert errorOf(IoPool(pool.share("blob", "/", threads=1), Clock(), "/").run(work)).code == "unavailable"
