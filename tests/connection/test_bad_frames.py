"""Invalid frames (RFC 6455 5 and 7.4, RFC 7692 6): each ends its own connection with the right code."""

from __future__ import annotations

import struct
import zlib

import pytest
from twisted.logger import capturedLogs

from tests.every import Every, EveryFactory
from tests.wire import Daemon, Wire
from wsd.config import Policies

KIB = 1024


def frame(first: int, payload: bytes = b"", masked: bool = True, length: int | None = None, wide: int = 0) -> bytes:
    """A frame masked with zeros. `length` is a false length, and `wide` forces 2 or 8 bytes for it."""
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if wide == 8 or (not wide and size > 65535):
        head = struct.pack("!BBQ", first, bit | 127, size)
    elif wide == 2 or (not wide and size > 125):
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BB", first, bit | size)
    return head + (bytes(4) if masked else b"") + payload


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(0x88, struct.pack("!H", code) + reason)


BAD = {
    "unmasked": (frame(0x81, b"hi", masked=False), 1002),
    "reserved bit 1 without an extension": (frame(0xC1, b"hi"), 1002),
    "reserved bit 2": (frame(0xA1, b"hi"), 1002),
    "reserved bit 3": (frame(0x91, b"hi"), 1002),
    "a reserved data opcode": (frame(0x83, b"hi"), 1002),
    "a reserved control opcode": (frame(0x8B, b"hi"), 1002),
    "a fragmented ping": (frame(0x09, b"hi"), 1002),
    "a ping of 126 bytes": (frame(0x89, bytes(126)), 1002),
    "a close of 126 bytes": (frame(0x88, bytes(126)), 1002),
    "a continuation of nothing": (frame(0x80, b"hi"), 1002),
    "a message within a message": (frame(0x01, b"a") + frame(0x81, b"b"), 1002),
    "a length of two bytes that fits in one": (frame(0x82, b"hi", wide=2), 1002),
    "a length of eight bytes that fits in two": (frame(0x82, b"hi", wide=8), 1002),
    "a length of 2**63": (frame(0x82, length=1 << 63, wide=8), 1002),
    "a declared length over the limit": (frame(0x82, length=65 * KIB), 1009),
    "a declared length of 2**62": (frame(0x82, length=1 << 62), 1009),
    "fragments over the limit together": (frame(0x02, bytes(40 * KIB)) + frame(0x80, bytes(40 * KIB)), 1009),
    "text that is not UTF-8": (frame(0x81, b"\xff\xfe"), 1007),
    "text that ends within a character": (frame(0x81, "ü".encode()[:1]), 1007),
    "a surrogate": (frame(0x81, b"\xed\xa0\x80"), 1007),
    "an overlong slash": (frame(0x81, b"\xc0\xaf"), 1007),
    "a close of one byte": (frame(0x88, b"\x03"), 1002),
    "a close reason that is not UTF-8": (close(1000, b"\xff"), 1007),
    **{f"close code {code}": (close(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)},
}


def daemon() -> Daemon:
    return Daemon({"/": EveryFactory}, Policies(max_message=64 * KIB))


def isWell(daemon: Daemon) -> bool:
    other = daemon.open()
    other.say("say well")
    return other.messages() == ["hello well"]


@pytest.mark.parametrize("name", BAD)
class TestABadFrame:
    """Any kind of malformed frame."""

    def test_closes_with_its_code_and_reaches_no_hook(self, name: str) -> None:
        data, code = BAD[name]
        ours = daemon()
        client = ours.open()
        (connection,) = ours.connections
        with capturedLogs() as events:
            client.wire.send(data + frame(0x81, b"say behind"))
            assert client.closeCode == code
        assert isinstance(connection, Every)
        assert [event for event in connection.said if event[0] == "received"] == []
        named = [event for event in events if event.get("id") == connection.id]
        assert named
        assert "log_failure" not in named[0]
        assert isWell(ours)

    def test_in_single_bytes_too(self, name: str) -> None:
        data, code = BAD[name]
        ours = daemon()
        client = ours.open(chunk=1 if len(data) < KIB else 10 * KIB)
        client.wire.send(data)
        assert client.closeCode == code
        assert isWell(ours)


class TestACloseThatIsTooLong:
    """RFC 6455 5.5: a control frame has at most 125 bytes. It is still a close frame, so nothing more is awaited."""

    def test_ends_the_connection_at_once(self) -> None:
        wire = daemon().open().wire
        assert struct.pack("!H", 1002) in wire.exchange(frame(0x88, struct.pack("!H", 1000) + bytes(124)))
        assert wire.ended

    def test_without_its_payload_ends_it_in_time(self) -> None:
        ours = daemon()
        wire = ours.open().wire
        assert struct.pack("!H", 1002) in wire.exchange(frame(0x88, length=1 << 62))
        assert not wire.ended
        ours.pass_(ours.site.policies.closing_timeout + 1)
        wire.exchange(b"")
        assert wire.ended


class TestDeflatedMessages:
    """Invalid compressed messages (RFC 7692)."""

    def deflating(self, ours: Daemon) -> Wire:
        wire = ours.connect()
        answer = wire.exchange(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        )
        assert b"permessage-deflate" in answer
        return wire

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(0xC2, b"\xff\xff\xff\xff"), 1007),
            (frame(0xC9, b"ping"), 1002),
            (frame(0x42, b"\x01") + frame(0xC0, b"\x02"), 1002),
        ],
        ids=["what does not inflate", "a deflated ping", "the bit on a continuation"],
    )
    def test_closes_with_its_code(self, data: bytes, code: int) -> None:
        ours = daemon()
        assert b"\x88" in (answer := self.deflating(ours).exchange(data))
        assert struct.pack("!H", code) in answer
        assert isWell(ours)

    def test_a_bomb_is_stopped_while_it_inflates(self) -> None:
        ours = daemon()
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = stream.compress(bytes(64 * KIB * KIB)) + stream.flush(zlib.Z_SYNC_FLUSH)
        assert len(bomb) < 70 * KIB
        pieces = [bomb[start : start + 30 * KIB] for start in range(0, len(bomb), 30 * KIB)]
        wire = self.deflating(ours)
        answer = wire.exchange(frame(0x42, pieces[0]))
        assert struct.pack("!H", 1009) in answer
        assert isWell(ours)
