"""A message that arrives in pieces: what is kept of it, and what another process gets of it."""

from __future__ import annotations

import zlib

import pytest

from wsd.frames.deflate import TAIL, Deflater, InflateLimitExceeded
from wsd.frames.incoming import IncomingMessage, InvalidText
from wsd.policies.negotiation import Deflate

MASK = b"mask"
AGREED = Deflate(False, False, 15, 15, "")


def deflated(payload: bytes) -> bytes:
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


class TestOneThatIsKept:
    def test_is_whole_at_its_end(self) -> None:
        message = IncomingMessage(True, None, 10, True)
        assert (message.add(b"one", False), message.add(b"two", True)) == (b"one", b"two")
        assert (message.size, message.assembled, message.inflated) == (6, 6, 0)
        assert message.end() == b"onetwo"
        assert message.assembled == 0

    def test_is_inflated(self) -> None:
        body = deflated(b"payload" * 10)
        message = IncomingMessage(True, Deflater(AGREED, 6, 8), 100, True)
        message.add(body[:5], False)
        assert message.inflated >= 5
        message.add(body[5:], True)
        assert message.end() == b"payload" * 10

    def test_has_no_more_bytes_than_it_may_have(self) -> None:
        message = IncomingMessage(True, Deflater(AGREED, 6, 8), 69, True)
        with pytest.raises(InflateLimitExceeded):
            message.add(deflated(b"payload" * 10), True)

    def test_has_no_more_bytes_than_it_may_have_in_all_its_pieces(self) -> None:
        stream = zlib.compressobj(6, zlib.DEFLATED, -15)
        pieces = [stream.compress(part) + stream.flush(zlib.Z_SYNC_FLUSH) for part in (b"a" * 40, b"b" * 30)]
        message = IncomingMessage(True, Deflater(AGREED, 6, 8), 69, True)
        message.add(pieces[0], False)
        with pytest.raises(InflateLimitExceeded):
            message.add(pieces[1].removesuffix(TAIL), True)

    def test_is_not_kept_compressed_if_it_arrives_at_once(self) -> None:
        message = IncomingMessage(True, Deflater(AGREED, 6, 8), 100, True)
        message.add(deflated(b"payload"), True)
        assert (message.assembled, message.inflated) == (0, 7)

    def test_that_is_text_must_be_valid(self) -> None:
        message = IncomingMessage(False, None, 10, True)
        with pytest.raises(InvalidText) as caught:
            message.add(b"a\xff", False)
        assert not caught.value.isTruncated
        assert message.size == 2

    def test_that_is_text_must_not_end_within_a_character(self) -> None:
        message = IncomingMessage(False, None, 10, True)
        message.add(b"\xc3", True)
        with pytest.raises(InvalidText) as caught:
            message.end()
        assert caught.value.isTruncated


class TestOneThatIsPassedOn:
    @pytest.mark.parametrize("isCompressed", [False, True])
    def test_is_not_kept(self, isCompressed: bool) -> None:
        message = IncomingMessage(True, Deflater(AGREED, 6, 8) if isCompressed else None, 10, False)
        assert message.add(deflated(b"one") if isCompressed else b"one", True) == b"one"
        assert (message.size, message.assembled, message.inflated) == (3, 0, 0)
        assert message.end() == b""


class TestForAnotherProcess:
    def test_are_the_bytes_so_far_and_the_head_of_the_rest(self) -> None:
        message = IncomingMessage(True, None, 100, True)
        message.add(b"one", False)
        unread = message.unread(b"window", 100, 4, MASK, True)
        assert unread.data == b"\x02\x83\0\0\0\0one" + b"\x80\x84" + MASK
        assert unread.window == b"window"

    def test_are_the_bytes_of_a_compressed_one_as_they_were_received(self) -> None:
        deflater = Deflater(AGREED, 6, 8)
        deflater.restore(b"before")
        message = IncomingMessage(True, deflater, 100, True)
        body = deflated(b"payload" * 10)
        message.add(body, False)
        unread = message.unread(b"after", 100, 0, MASK, False)
        assert unread.data == b"\x42" + bytes([0x80 | len(body)]) + b"\0\0\0\0" + body
        assert unread.window == b"before"

    def test_are_the_inflated_bytes_of_a_compressed_one_that_is_whole(self) -> None:
        message = IncomingMessage(True, Deflater(AGREED, 6, 8), 100, True)
        message.add(deflated(b"payload"), True)
        unread = message.unread(b"after", 100, 0, MASK, True)
        assert unread.data == b"\x82\x87\0\0\0\0payload"
        assert unread.window == b"after"

    def test_is_the_payload_as_received_before_the_last_piece_of_an_empty_frame(self) -> None:
        message = IncomingMessage(True, Deflater(AGREED, 6, 8), 100, True)
        body = deflated(b"payload")
        message.add(body, False)
        assert message.unread(b"", 100, 0, MASK, True).data == b"\xc2" + bytes([0x80 | len(body)]) + bytes(4) + body
