"""Prepared messages: deflated once for many connections; later messages may refer to them."""

from __future__ import annotations

import zlib

import pytest

from wsd.frames.deflate import TAIL, Deflater
from wsd.frames.prepared import Prepared
from wsd.policies.negotiation import Deflate

TEXT = b'{"sym":"WSD","px":%d.50,"q":%d},'


def message(number: int, times: int = 8) -> bytes:
    return b"".join(TEXT % (number * times + item, number) for item in range(times))


class Peer:
    """A connection and its other side, which inflates with zlib."""

    def __init__(self, bits: int = 15, noContext: bool = False) -> None:
        self.bits = bits
        self.noContext = noContext
        self.deflater = Deflater(Deflate(noContext, False, bits, 15, ""), 6, 8)
        self.stream = zlib.decompressobj(-bits)

    def reads(self, frame: bytes) -> bytes:
        assert frame[0] == 0xC1
        return self.inflates(frame[4 if frame[1] == 126 else 2 :])

    def inflates(self, payload: bytes) -> bytes:
        if self.noContext:
            self.stream = zlib.decompressobj(-self.bits)
        return self.stream.decompress(payload + TAIL)

    def takes(self, prepared: Prepared) -> bytes:
        """Send it, check that it arrives, and return the frame."""
        frame = prepared.deflated(self.deflater)
        assert self.reads(frame) == prepared.payload
        return frame

    def sent(self, payload: bytes) -> bytes:
        data = self.deflater.deflate(payload)
        assert self.inflates(data) == payload
        return data


def prepared(number: int, times: int = 8) -> Prepared:
    return Prepared(message(number, times), False)


def test_it_is_the_same_frame_for_all_with_the_same_parameters() -> None:
    one = prepared(1)
    frames = [Peer(bits).takes(one) for bits in (15, 15, 15, 9)]
    assert frames[0] is frames[1] is frames[2]
    assert frames[3] is not frames[0]


def test_the_next_one_refers_to_it_and_is_the_same_frame_for_all_too() -> None:
    peers = [Peer() for _ in range(3)]
    first, second = prepared(1), prepared(2)
    sizes = [{len(peer.takes(each)) for peer in peers} for each in (first, second)]
    assert [len(size) for size in sizes] == [1, 1]
    assert max(sizes[1]) < 0.8 * max(sizes[0])
    assert peers[0].takes(third := prepared(3)) is peers[1].takes(third)


def test_a_message_of_its_own_between_two_costs_that_connection_its_share_alone() -> None:
    talking, listening = Peer(), Peer()
    for peer in (talking, listening):
        peer.takes(prepared(1))
    talking.sent(b"mine")
    second = prepared(2)
    assert len(listening.takes(second)) < len(talking.takes(second))
    third = prepared(3)
    talking.takes(third)
    listening.takes(third)


def test_a_message_of_its_own_afterwards_refers_to_it() -> None:
    peer, other = Peer(), Peer()
    peer.takes(prepared(1))
    assert len(peer.sent(message(2))) < 0.8 * len(other.sent(message(2)))
    peer.sent(message(3))


@pytest.mark.parametrize("bits", [9, 10, 15])
def test_no_more_than_the_agreed_window_is_referred_to(bits: int) -> None:
    peer = Peer(bits)
    for number in range(20):
        peer.takes(prepared(number, times=1 + number % 5 * 40))
        assert len(peer.deflater.before) <= min(4096, 1 << bits)


def test_nothing_is_referred_to_when_that_was_agreed() -> None:
    peer = Peer(noContext=True)
    frame = peer.takes(prepared(1))
    assert peer.takes(prepared(1)) == frame
    assert peer.deflater.before == b""


def test_for_connections_that_have_nothing_in_common_it_is_deflated_a_few_times_only() -> None:
    peers = [Peer() for _ in range(30)]
    for number, peer in enumerate(peers):
        peer.takes(prepared(number))
    shared = prepared(99)
    assert 2 < len({peer.takes(shared) for peer in peers}) <= 9


def test_an_empty_one_is_read() -> None:
    peer = Peer()
    for payload in (b"", b"x", b""):
        peer.takes(Prepared(payload, False))


def test_what_is_put_away_refers_to_it_still() -> None:
    peer, other = Peer(), Peer()
    peer.takes(prepared(1))
    peer.deflater.freeContexts()
    assert len(peer.sent(message(2))) < 0.8 * len(other.sent(message(2)))


def test_what_comes_after_a_rest_refers_to_nothing_before_it() -> None:
    """Nor to the earlier prepared message that the context was made with."""
    peer = Peer()
    peer.takes(prepared(1))
    peer.sent(message(2))
    peer.sent(message(3))
    assert peer.deflater.freeContexts()
    peer.sent(message(1))
    peer.takes(prepared(1))
