"""The nonces that were used: bounded by count and by time."""

from __future__ import annotations

import tracemalloc

import pytest

from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.security.nonces import KEPT, MOST, UsedNonces


class Times:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_nonce_is_new_once() -> None:
    nonces = UsedNonces(Times())
    assert nonces.use("ann", b"1")
    assert not nonces.use("ann", b"1")
    assert nonces.use("ann", b"2")


def test_users_do_not_share_them() -> None:
    nonces = UsedNonces(Times())
    assert nonces.use("ann", b"1")
    assert nonces.use("bob", b"1")
    assert nonces.use("an", b"n1"), "the name and the nonce are not run together"


def test_each_is_kept_as_long_as_its_digest_could_be_accepted() -> None:
    times = Times()
    nonces = UsedNonces(times)
    nonces.use("ann", b"1")
    times.now += KEPT - 1
    assert not nonces.use("ann", b"1")
    nonces.use("ann", b"2")
    times.now += 1
    assert nonces.use("ann", b"3")
    assert len(nonces) == 2, "the first one is forgotten, the others are not"


def test_when_there_is_no_room_nothing_is_forgotten_early() -> None:
    times = Times()
    nonces = UsedNonces(times, most=2)
    nonces.use("ann", b"1")
    times.now += 1
    nonces.use("ann", b"2")
    with pytest.raises(Fault, match="too many password digests") as caught:
        nonces.use("ann", b"3")
    assert caught.value.code == "Receiver"
    assert not nonces.use("ann", b"1")
    times.now += KEPT - 1
    assert nonces.use("ann", b"3")


def test_all_of_them_take_a_bounded_amount_of_memory() -> None:
    nonces = UsedNonces(Times())
    tracemalloc.start()
    try:
        for number in range(MOST):
            nonces.use("ann", number.to_bytes(200, "big"))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(nonces) == MOST
    assert size < 20_000_000
