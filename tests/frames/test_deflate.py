"""permessage-deflate (RFC 7692): the payloads of compressed messages."""

from __future__ import annotations

import tracemalloc
import zlib
from typing import Any

import pytest

from wsd.frames.contexts import DeflateContextCache
from wsd.frames.deflate import TAIL, Deflater, InflateError, InflateLimitExceeded
from wsd.frames.libraries import Choice, choose, installed
from wsd.metrics import CompressedBytes
from wsd.policies.negotiation import Deflate

LIBRARIES = [pytest.param(choose([library, installed()["zlib"]]), id=name) for name, library in installed().items()]
MIB = 1 << 20
HELLO = bytes.fromhex("f248cdc9c90700")
"""`Hello`, as RFC 7692 7.2.3.1 deflates it."""


def agreed(
    *, serverNoContext: bool = False, clientNoContext: bool = False, serverBits: int = 15, clientBits: int = 15
) -> Deflate:
    return Deflate(serverNoContext, clientNoContext, serverBits, clientBits, "")


def made(payload: bytes, level: int = 6, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """The payload of a compressed message that refers to no other."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    data = stream.compress(payload) + stream.flush(flush)
    return data.removesuffix(TAIL)


class Contexts(DeflateContextCache):
    """Notes each context that is made, until its connection is gone."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.compressed = CompressedBytes()

    def add(self, contexts: Any) -> None:
        self.made.append(contexts)

    def weigh(self, contexts: Any) -> None:
        """Weighs nothing."""

    def discard(self, contexts: Any) -> None:
        self.made.clear()


@pytest.fixture(params=LIBRARIES)
def choice(request: pytest.FixtureRequest) -> Choice:
    found: Choice = request.param
    return found


@pytest.fixture
def deflater(choice: Choice) -> Deflater:
    return Deflater(agreed(), 6, 8, choice=choice)


def inflated(deflater: Deflater, data: bytes, most: int = MIB) -> bytes:
    """Inflate a message that arrives in one piece."""
    deflater.begin()
    return deflater.inflate(data, True, most)


class TestAMessageThatComes:
    """RFC 7692 7.2.2, with the examples of 7.2.3."""

    def test_is_inflated(self, deflater: Deflater) -> None:
        assert inflated(deflater, HELLO) == b"Hello"

    def test_may_refer_to_the_one_before(self, deflater: Deflater) -> None:
        assert inflated(deflater, HELLO) == b"Hello"
        assert inflated(deflater, bytes.fromhex("f200110000")) == b"Hello"

    def test_may_not_when_the_client_said_it_will_not(self, choice: Choice) -> None:
        deflater = Deflater(agreed(clientNoContext=True), 6, 8, choice=choice)
        assert inflated(deflater, HELLO) == b"Hello"
        with pytest.raises(InflateError):
            inflated(deflater, bytes.fromhex("f200110000"))

    def test_may_come_in_pieces(self, deflater: Deflater) -> None:
        deflater.begin()
        assert deflater.inflate(memoryview(HELLO)[:3], False, MIB) + deflater.inflate(HELLO[3:], True, MIB) == b"Hello"

    def test_may_be_stored_as_it_is(self, deflater: Deflater) -> None:
        assert inflated(deflater, bytes.fromhex("000500faff48656c6c6f00")) == b"Hello"

    def test_may_have_a_block_that_says_it_is_the_last(self, deflater: Deflater) -> None:
        assert inflated(deflater, bytes.fromhex("f348cdc9c9070000")) == b"Hello"
        assert inflated(deflater, bytes.fromhex("f200110000")) == b"Hello", "the window is kept all the same"

    def test_may_end_with_such_a_block(self, deflater: Deflater) -> None:
        assert inflated(deflater, made(b"Hello", flush=zlib.Z_FINISH)) == b"Hello"
        assert inflated(deflater, HELLO) == b"Hello"

    def test_may_end_with_such_a_block_and_a_frame_of_nothing(self, deflater: Deflater) -> None:
        deflater.begin()
        assert deflater.inflate(made(b"Hello", flush=zlib.Z_FINISH), False, MIB) == b"Hello"
        assert deflater.inflate(b"", True, MIB) == b""
        assert inflated(deflater, HELLO) == b"Hello"

    def test_may_have_two_blocks_in_one_piece(self, deflater: Deflater) -> None:
        assert inflated(deflater, bytes.fromhex("f24805000000ffffcac9c90700")) == b"Hello"

    def test_may_be_empty(self, deflater: Deflater) -> None:
        assert inflated(deflater, b"\x00") == b""

    def test_may_be_of_no_bytes_at_all(self, deflater: Deflater) -> None:
        for _ in range(2):
            assert inflated(deflater, b"") == b""
            assert inflated(deflater, HELLO) == b"Hello"

    def test_is_refused_when_it_is_not_deflate(self, deflater: Deflater) -> None:
        with pytest.raises(InflateError):
            inflated(deflater, b"\xff\xff\xff\xff")

    def test_is_refused_when_it_has_last_blocks_without_end(self, deflater: Deflater) -> None:
        with pytest.raises(InflateError, match="more than 64 final blocks"):
            inflated(deflater, b"\x03\x00" * 65)

    def test_may_have_64_of_them_and_the_next_message_too(self, deflater: Deflater) -> None:
        for _ in range(2):
            assert inflated(deflater, b"\x03\x00" * 64) == b""


class TestTheBound:
    """A message of a few bytes may inflate to a thousand times as many."""

    def test_is_kept_to_the_byte(self, deflater: Deflater) -> None:
        assert inflated(deflater, made(bytes(1000)), 1000) == bytes(1000)
        with pytest.raises(InflateLimitExceeded, match="more than 999 bytes"):
            inflated(deflater, made(bytes(1000)), 999)

    def test_may_be_nothing(self, deflater: Deflater) -> None:
        assert inflated(deflater, b"\x00", 0) == b""
        with pytest.raises(InflateLimitExceeded):
            inflated(deflater, HELLO, 0)

    def test_counts_what_follows_a_last_block(self, deflater: Deflater) -> None:
        data = made(bytes(600), flush=zlib.Z_FINISH) + made(bytes(600))
        assert inflated(deflater, data, 1200) == bytes(1200)
        with pytest.raises(InflateLimitExceeded):
            inflated(deflater, data, 1199)

    def test_is_kept_while_inflating(self, deflater: Deflater) -> None:
        bomb = made(bytes(64 * MIB), 9)
        deflater.begin()
        tracemalloc.start()
        try:
            with pytest.raises(InflateLimitExceeded):
                deflater.inflate(bomb, True, MIB)
            assert tracemalloc.get_traced_memory()[1] < 2.5 * MIB
        finally:
            tracemalloc.stop()


class TestAMessageThatIsSent:
    """RFC 7692 7.2.1."""

    def test_is_what_a_peer_inflates(self, deflater: Deflater) -> None:
        peer = zlib.decompressobj(-15)
        sizes = []
        for _ in range(3):
            data = deflater.deflate(b"all that glisters is not gold")
            assert peer.decompress(data + TAIL) == b"all that glisters is not gold"
            sizes.append(len(data))
        assert sizes[1] < sizes[0] / 2, "what was sent before is referred to"

    def test_is_deflated_on_its_own_when_that_was_agreed(self, choice: Choice) -> None:
        deflater = Deflater(agreed(serverNoContext=True), 6, 8, choice=choice)
        assert deflater.deflate(b"Hello, hello") == deflater.deflate(b"Hello, hello")

    def test_is_one_byte_when_it_is_empty(self, deflater: Deflater) -> None:
        peer = zlib.decompressobj(-15)
        for payload in (b"", b"x", b"", b"", b"x"):
            data = deflater.deflate(payload)
            assert peer.decompress(data + TAIL) == payload
            assert payload or data == b"\x00"

    def test_refers_to_nothing_that_was_forgotten(self, deflater: Deflater) -> None:
        first = deflater.deflate(b"Hello, hello")
        deflater.forget()
        assert deflater.deflate(b"Hello, hello") == first

    @pytest.mark.parametrize("level", range(1, 10))
    def test_may_be_of_any_level(self, choice: Choice, level: int) -> None:
        deflater = Deflater(agreed(), level, 8, choice=choice)
        assert zlib.decompressobj(-15).decompress(deflater.deflate(b"Hello" * 99) + TAIL) == b"Hello" * 99


class TestFreeingContexts:
    """Contexts that are not used are freed."""

    def test_keeps_what_the_client_may_refer_to(self, deflater: Deflater) -> None:
        inflated(deflater, HELLO)
        deflater.freeContexts()
        assert inflated(deflater, bytes.fromhex("f200110000")) == b"Hello"

    def test_waits_for_the_end_of_a_message(self, deflater: Deflater) -> None:
        deflater.begin()
        assert deflater.inflate(HELLO[:3], False, MIB) is not None
        deflater.freeContexts()
        deflater.inflate(HELLO[3:], True, MIB)
        deflater.freeContexts()
        assert inflated(deflater, bytes.fromhex("f200110000")) == b"Hello"

    def test_lets_the_next_message_stand_alone(self, deflater: Deflater) -> None:
        first = deflater.deflate(b"Hello, hello")
        deflater.freeContexts()
        assert deflater.deflate(b"Hello, hello") == first

    def test_is_asked_for_by_the_cache_that_is_told_of_each_context(self, choice: Choice) -> None:
        cache = Contexts()
        deflater = Deflater(agreed(), 6, 8, cache, choice)
        assert (cache.made, deflater.used) == ([], False)
        deflater.deflate(b"Hello")
        assert (cache.made, deflater.used) == ([deflater], True)
        deflater.deflate(b"Hello")
        assert len(cache.made) == 1
        inflated(deflater, HELLO)
        assert len(cache.made) == 2
        deflater.close()
        assert cache.made == []


class TestCounting:
    """The bytes of compressed messages, without and with compression."""

    def test_has_those_of_both_ways(self, choice: Choice) -> None:
        cache = Contexts()
        deflater = Deflater(agreed(), 6, 8, cache, choice)
        sent = deflater.deflate(b"Hello" * 100)
        inflated(deflater, HELLO)
        counted = cache.compressed
        assert (counted.plainOut, counted.deflatedOut) == (500, len(sent))
        assert (counted.plainIn, counted.deflatedIn) == (5, len(HELLO))


class TestTheLibraries:
    def test_are_chosen_by_their_speed(self) -> None:
        found = installed()
        assert list(found) == ["igzip", "zlib-ng", "zlib"], "the extra fast is installed where tests run"
        choice = choose(found.values())
        assert {level: library.name for level, library in choice.deflates.items()} == {
            **dict.fromkeys(range(1, 7), "igzip"),
            **dict.fromkeys(range(7, 10), "zlib-ng"),
        }
        assert choice.inflates.name == "zlib-ng"
        assert choice.name == "igzip and zlib-ng"

    def test_zlib_serves_where_there_is_no_other(self) -> None:
        choice = choose([installed()["zlib"]])
        assert choice.name == "zlib"
        assert {library.name for library in choice.deflates.values()} == {"zlib"}
