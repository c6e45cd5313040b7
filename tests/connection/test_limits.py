"""The limits of received messages, to the byte: `max_message` and `max_frame` (1009, RFC 6455 7.4.1)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import pytest

from tests.connection.test_bad_frames import frame
from tests.every import Every, EveryFactory
from tests.wire import Daemon, Wire
from wsd.config import Policies

MOST, FRAME = 300, 200
TOO_BIG = struct.pack("!H", 1009)
OPENING = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Echo(Every):
    """Answers each message with its length."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        self.send(b"%d" % len(payload), True)


class EchoFactory(EveryFactory):
    connection = Echo


@pytest.fixture
def daemon() -> Daemon:
    return Daemon({"/": EchoFactory}, policies=Policies(max_message=MOST, max_frame=FRAME))


def opened(daemon: Daemon, deflates: bool = False, chunk: int | None = None) -> Wire:
    wire = daemon.connect(chunk)
    wire.exchange(OPENING + (b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" if deflates else b"\r\n"))
    return wire


def fragments(sizes: Sequence[int], first: int = 0x02, payload: bytes = b"") -> bytes:
    """A message in frames of these sizes."""
    payload = payload or bytes(sum(sizes))
    frames, start = [], 0
    for number, size in enumerate(sizes):
        opcode = 0 if number else first
        frames.append(frame(opcode | (0x80 if number == len(sizes) - 1 else 0), payload[start : start + size]))
        start += size
    return b"".join(frames)


def deflated(payload: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("chunk", [None, 1], ids=["at once", "byte by byte"])
class TestMaxMessage:
    @pytest.mark.parametrize("sizes", [(200, 100), (100, 200), (150, 149, 1), (0, 200, 0, 100, 0), (1,) * 300])
    def test_a_message_as_long_as_allowed_is_received(
        self, daemon: Daemon, chunk: int | None, sizes: tuple[int, ...]
    ) -> None:
        assert opened(daemon, chunk=chunk).exchange(fragments(sizes))[2:] == b"300"

    @pytest.mark.parametrize("sizes", [(200, 101), (101, 200), (150, 150, 1), (200, 100, 1), (1,) * 301])
    def test_one_byte_more_closes(self, daemon: Daemon, chunk: int | None, sizes: tuple[int, ...]) -> None:
        assert TOO_BIG in opened(daemon, chunk=chunk).exchange(fragments(sizes))

    @pytest.mark.parametrize("cuts", [1, 2, 3])
    def test_what_a_message_inflates_to_counts(self, daemon: Daemon, chunk: int | None, cuts: int) -> None:
        for size, fine in ((MOST, True), (MOST + 1, False)):
            data = deflated(bytes(size))
            sizes = [len(data) // cuts] * (cuts - 1)
            said = fragments([*sizes, len(data) - sum(sizes)], 0x42, data)
            answer = opened(daemon, deflates=True, chunk=chunk).exchange(said)
            assert (TOO_BIG in answer) is not fine

    def test_the_pieces_of_a_message_count_together(self, daemon: Daemon, chunk: int | None) -> None:
        """Each piece inflates to less than the limit, all together to more."""
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        pieces = [stream.compress(bytes(150)) + stream.flush(zlib.Z_SYNC_FLUSH) for _ in range(3)]
        said = frame(0x42, pieces[0]) + frame(0x00, pieces[1]) + frame(0x80, pieces[2][:-4])
        assert TOO_BIG in opened(daemon, deflates=True, chunk=chunk).exchange(said)

    def test_each_message_counts_anew(self, daemon: Daemon, chunk: int | None) -> None:
        wire = opened(daemon, deflates=True, chunk=chunk)
        for _ in range(3):
            assert TOO_BIG not in wire.exchange(frame(0xC2, deflated(bytes(MOST))))


@pytest.mark.parametrize("chunk", [None, 1], ids=["at once", "byte by byte"])
class TestMaxFrame:
    def test_a_frame_as_long_as_allowed_is_received(self, daemon: Daemon, chunk: int | None) -> None:
        assert opened(daemon, chunk=chunk).exchange(frame(0x82, bytes(FRAME)))[2:] == b"200"

    @pytest.mark.parametrize("said", [frame(0x82, bytes(FRAME + 1)), fragments((1, FRAME + 1))], ids=["one", "last"])
    def test_one_byte_more_closes(self, daemon: Daemon, chunk: int | None, said: bytes) -> None:
        assert TOO_BIG in opened(daemon, chunk=chunk).exchange(said)

    def test_its_header_is_enough(self, daemon: Daemon, chunk: int | None) -> None:
        assert TOO_BIG in opened(daemon, chunk=chunk).exchange(frame(0x82, length=FRAME + 1))


def test_a_short_message_over_the_limit_closes(daemon: Daemon) -> None:
    """The limits also hold for messages that are read several at a time."""
    ours = Daemon({"/": EchoFactory}, policies=Policies(max_message=3, max_frame=3))
    answer = opened(ours).exchange(frame(0x82, b"abc") * 3 + frame(0x82, b"abcd"))
    assert answer.count(b"\x82\x013") == 3
    assert TOO_BIG in answer
