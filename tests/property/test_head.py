"""Any bytes at all, given to the reader of request heads."""

from __future__ import annotations

from contextlib import suppress
from http.client import parse_headers
from io import BytesIO

from hypothesis import example, given
from hypothesis import strategies as st

from wsd import _head
from wsd.head import MAX_HEADERS, Head, Headers, Refused, parseHead, pythonSplit
from wsd.policies.upgrade import checkUpgrade

_WORDS = (
    b"GET POST / * /echo?a=b http://a@b/ ws://localhost # HTTP/1.1 HTTP/1.0 : , Host localhost [::1]:80 Origin null"
    b" Content-Length Transfer-Encoding 0 5 chunked Upgrade websocket Connection"
    b" Sec-WebSocket-Key dGhlIHNhbXBsZSBub25jZQ== Sec-WebSocket-Version 13"
).split()
_MARKS = (
    b" ",
    b"\t",
    b"\r\n",
    b"\r",
    b"\n",
    b": ",
    b'"',
    b"\x00",
    b"\x0b",
    b"\x0c",
    b"\x1c",
    b"\x85",
    b"\xa0",
    b"\xff",
)
_CONTROLS = [bytes([byte]) for byte in (*range(9), *range(10, 32), 0x7F)]
_PIECES = st.sampled_from([*_WORDS, *_MARKS])
_TEXTS = st.lists(_PIECES | st.binary(max_size=3), max_size=30).map(b"".join)
_NAMES = st.from_regex(rb"[A-Za-z-]{1,8}", fullmatch=True).filter(
    lambda name: name.lower() not in (b"host", b"content-length", b"transfer-encoding")
)
_VALUES = st.from_regex(rb"[ -~\x80-\xff]{0,12}", fullmatch=True)
_FIELDS = st.lists(st.tuples(_NAMES, _VALUES), max_size=8)
_LINES = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /a?b=c HTTP/1.1", b"GET ws://localhost:1/x HTTP/1.1", b"OPTIONS * HTTP/1.1"]
)


def written(head: Head) -> bytes:
    """A head as bytes again."""
    return "\r\n".join([head.line, *(f"{name}: {value}" for name, value in head.headers)]).encode("latin-1")


def check(data: bytes) -> Head | None:
    """What holds for any bytes: a head that means one thing, also in C, or a refusal that can be sent."""
    assert _head.split(data) == pythonSplit(data)
    try:
        head = parseHead(data)
    except Refused as refused:
        refusal = refused
    else:
        assert written(parseHead(written(head))) == written(head)
        assert parseHead(written(head)).path == head.path
        assert len(head.headers) <= MAX_HEADERS
        assert head.length is None or not head.chunked
        assert head.path.startswith("/") or head.path == "*"
        assert len(written(head).split(b"\r\n")) == len(head.headers) + 1
        return head
    assert refusal.status in (400, 431, 501, 505)
    assert refusal.sentence.isascii()
    assert refusal.sentence.isprintable()
    assert len(refusal.sentence) < 250
    return None


@given(st.binary(max_size=200))
@example(b"")
@example(b"\r\n")
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    check(data)


@given(_TEXTS)
def test_bytes_that_look_like_heads_parse_or_are_refused(data: bytes) -> None:
    check(data)


@given(_TEXTS)
def test_anything_after_a_good_line_parses_or_is_refused(data: bytes) -> None:
    check(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + data)
    check(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + data)


@given(_TEXTS)
def test_anything_in_a_target_parses_or_is_refused(data: bytes) -> None:
    check(b"GET /" + data + b" HTTP/1.1\r\nHost: localhost")
    check(b"GET http://" + data + b" HTTP/1.1\r\nHost: localhost")


@given(_LINES, _FIELDS)
def test_a_good_head_parses_as_python_reads_it(line: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """The standard library's reader of header fields was written by others."""
    lines = [b"Host: localhost", *(name + b": " + value for name, value in fields)]
    head = check(b"\r\n".join([line, *lines]))
    assert head is not None
    theirs = parse_headers(BytesIO(b"\r\n".join([*lines, b"", b""]))).items()
    assert [(name, value.strip(" \t")) for name, value in theirs] == list(head.headers)


@given(_LINES, _FIELDS, st.integers(min_value=0), st.sampled_from(_CONTROLS))
def test_no_control_byte_fits_anywhere(line: bytes, fields: list[tuple[bytes, bytes]], at: int, byte: bytes) -> None:
    data = b"\r\n".join([line, b"Host: localhost", *(name + b": " + value for name, value in fields)])
    at %= len(data) + 1
    spoiled = data[:at] + byte + data[at:]
    assert check(spoiled) is None


@given(_TEXTS)
def test_any_head_is_an_opening_handshake_or_is_refused(data: bytes) -> None:
    with suppress(Refused):
        head = parseHead(b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" + data)
        assert len(checkUpgrade(head)) == 24


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=5), st.text(max_size=5))
def test_headers_find_what_they_were_given(fields: list[tuple[str, str]], name: str) -> None:
    headers = Headers(fields)
    assert list(headers) == fields
    assert headers.all(name) == [value for other, value in fields if other.lower() == name.lower()]
    assert headers.count(name) == len(headers.all(name))
    assert headers.get(name) == (", ".join(headers.all(name)) if name in headers else None)
