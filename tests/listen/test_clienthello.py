"""The ClientHello: what it asks for, however it comes, and whatever comes in its place."""

from __future__ import annotations

import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsd.listen.clienthello import ClientHello, ClientHelloReader, HelloTooLong


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


def readHello(data: bytes) -> ClientHello | None:
    """What is read of these bytes, which come at once."""
    return ClientHelloReader().feed(data)


def recordsOf(*pieces: bytes) -> bytes:
    """A handshake record for each piece."""
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(piece)) + piece for piece in pieces)


def cut(message: bytes, size: int) -> list[bytes]:
    """In pieces of this size."""
    return [message[at : at + size] for at in range(0, len(message), size)]


def longer(message: bytes, size: int) -> bytes:
    """The same hello with one more extension, of this size (RFC 8701 keeps its number for nobody)."""
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + struct.unpack_from("!H", message, at)[0]
    at += 1 + message[at]
    extensions = message[at + 2 :] + struct.pack("!HH", 0xAAAA, size) + bytes(size)
    body = message[4:at] + struct.pack("!H", len(extensions)) + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def namesFor(data: bytes) -> list[str | None]:
    """The name that OpenSSL reads in it; no name at all where it finds no whole hello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names: list[str | None] = []

    def note(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = note
    incoming = ssl.MemoryBIO()
    incoming.write(data)
    with pytest.raises(ssl.SSLError):
        context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    return names


WHOLE = helloOf("chat.example", ("h2", "http/1.1"))
ASKED = ClientHello("chat.example", (b"h2", b"http/1.1"))


class TestAHello:
    """RFC 8446 4.1.2, RFC 6066 3, RFC 7301 3.1."""

    def test_asks_for_a_name_and_protocols(self) -> None:
        assert readHello(WHOLE) == ASKED

    def test_may_ask_for_neither(self) -> None:
        assert readHello(helloOf()) == ClientHello(None, None)

    def test_is_waited_for_to_its_last_byte(self) -> None:
        assert {readHello(WHOLE[:size]) for size in range(len(WHOLE))} == {None}

    @pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 60, 100, 500])
    def test_may_be_spread_over_any_number_of_records(self, size: int) -> None:
        spread = recordsOf(*cut(WHOLE[5:], size))
        assert readHello(spread[:-1]) is None
        assert readHello(spread) == ASKED

    @pytest.mark.parametrize("size", [1, 3, 4, 5, 6, 1000])
    def test_may_come_in_any_number_of_reads(self, size: int) -> None:
        reader = ClientHelloReader()
        *early, last = [reader.feed(piece) for piece in cut(recordsOf(*cut(WHOLE[5:], 7)), size)]
        assert set(early) <= {None}
        assert last == ASKED

    @pytest.mark.parametrize(("more", "size"), [(16_000, 16_384), (40_000, 16_384), (30_000, 1), (64_000, 4)])
    def test_may_be_long(self, more: int, size: int) -> None:
        assert readHello(recordsOf(*cut(longer(WHOLE[5:], more), size))) == ASKED

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 600), max_size=30), st.integers(0, 20))
    def test_is_read_wherever_openssl_reads_one(self, sizes: list[int], empty: int) -> None:
        message, pieces = WHOLE[5:], [b""] * empty
        for size in sizes:
            pieces.append(message[:size])
            message = message[size:]
        data = recordsOf(*pieces, message)
        assert namesFor(data) in ([], [ASKED.name])
        assert readHello(data) == ASKED

    @pytest.mark.parametrize("other", [b"\x14\x03\x03\x00\x01\x01", b"\x15\x03\x03\x00\x02\x01\x5a"])
    def test_has_no_records_of_another_kind_between_its_own(self, other: bytes) -> None:
        first, second = recordsOf(WHOLE[5:50]), recordsOf(WHOLE[50:])
        assert namesFor(first + second) == [ASKED.name]
        assert namesFor(first + other + second) == []
        assert readHello(first + other + second) == ClientHello()

    def test_is_left_to_openssl_when_it_is_none(self) -> None:
        assert readHello(b"GET / HTTP/1.1\r\n") == ClientHello()

    def test_that_is_longer_than_any_is_left_to_openssl(self) -> None:
        assert readHello(recordsOf(b"\x01\xff\xff\xff")) == ClientHello()

    @pytest.mark.parametrize("data", [recordsOf(b"") * 60_000, recordsOf(b"\x01\x01\xff\xff", *[b"\0"] * 60_000)])
    def test_may_not_come_in_any_number_of_bytes(self, data: bytes) -> None:
        reader = ClientHelloReader()
        *pieces, last = cut(data, 1000)[: 256 * 1024 // 1000 + 1]
        assert {reader.feed(piece) for piece in pieces} == {None}
        with pytest.raises(HelloTooLong, match="no complete ClientHello within 256 KiB"):
            reader.feed(last)

    @given(st.integers(5, len(WHOLE) - 1), st.integers(0, 255))
    def test_with_any_byte_changed_raises_nothing(self, at: int, byte: int) -> None:
        readHello(WHOLE[:at] + bytes([byte]) + WHOLE[at + 1 :])

    @given(st.binary(max_size=300))
    def test_of_any_bytes_raises_nothing(self, data: bytes) -> None:
        readHello(data)
        readHello(b"\x16\x03\x01" + struct.pack("!H", len(data)) + data)
