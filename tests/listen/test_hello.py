"""The ClientHello: what it asks for, however it comes, and whatever comes in its place."""

from __future__ import annotations

import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsd.listen.hello import Hello, readHello


def helloOf(name: str | None = None, protocols: tuple[str, ...] = ()) -> bytes:
    """What Python's client sends first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


WHOLE = helloOf("chat.example", ("h2", "http/1.1"))
ASKED = Hello("chat.example", (b"h2", b"http/1.1"))


class TestAHello:
    """RFC 8446 4.1.2, RFC 6066 3, RFC 7301 3.1."""

    def test_asks_for_a_name_and_protocols(self) -> None:
        assert readHello(WHOLE) == ASKED

    def test_may_ask_for_neither(self) -> None:
        assert readHello(helloOf()) == Hello(None, None)

    def test_is_waited_for_to_its_last_byte(self) -> None:
        assert {readHello(WHOLE[:size]) for size in range(len(WHOLE))} == {None}

    def test_may_be_spread_over_several_records(self) -> None:
        message = WHOLE[5:]
        pieces = [message[at : at + 100] for at in range(0, len(message), 100)]
        spread = b"".join(b"\x16\x03\x01" + struct.pack("!H", len(piece)) + piece for piece in pieces)
        assert readHello(spread[:-1]) is None
        assert readHello(spread) == ASKED

    def test_is_left_to_openssl_when_it_is_none(self) -> None:
        assert readHello(b"GET / HTTP/1.1\r\n") == Hello()

    def test_may_not_make_us_wait_for_ever(self) -> None:
        assert readHello(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff") == Hello()
        assert readHello(b"\x16\x03\x01\x00\x00" * 8) == Hello()

    @given(st.integers(5, len(WHOLE) - 1), st.integers(0, 255))
    def test_with_any_byte_changed_raises_nothing(self, at: int, byte: int) -> None:
        readHello(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])

    @given(st.binary(max_size=300))
    def test_of_any_bytes_raises_nothing(self, data: bytes) -> None:
        readHello(data)
        readHello(b"\x16\x03\x01" + struct.pack("!H", len(data)) + data)
