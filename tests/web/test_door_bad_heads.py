"""
What bad heads get, at the daemon's own door: one clean answer, one log line with an id, and everybody else is served.

Each is tried as the first request of its connection, behind a good one, and in small pieces.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.logger import capturedLogs

from tests.wire import Daemon, Wire
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.echo import EchoFactory

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
GOOD = b"GET /describe HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLED = b"GET /describe?smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
HELLO = bytes.fromhex("818500000000") + b"hello"


def get(*fields: bytes, line: bytes = b"GET /describe HTTP/1.1", host: bytes = b"Host: localhost") -> bytes:
    """A request that is good but for what a case makes of it, and what it would like to have read behind it."""
    return b"\r\n".join([line, host, *fields, b"", b""]) + SMUGGLED


def upgrade(*fields: bytes, without: bytes = b"", line: bytes = b"GET /echo HTTP/1.1") -> bytes:
    """An opening handshake that is good but for what a case makes of it, and a frame behind it."""
    usual = [b"Host: localhost", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", KEY]
    kept = [field for field in usual if not without or not field.startswith(without)]
    return b"\r\n".join([line, *kept, *fields, b"", b""]) + HELLO


LINES = {
    "no target": (get(line=b"GET HTTP/1.1"), 400),
    "no version": (get(line=b"GET /describe"), 400),
    "two spaces": (get(line=b"GET  /describe HTTP/1.1"), 400),
    "a tab": (get(line=b"GET\t/describe HTTP/1.1"), 400),
    "a space in the target": (get(line=b"GET /describe x HTTP/1.1"), 400),
    "a control byte in the target": (get(line=b"GET /describe\x1b HTTP/1.1"), 400),
    "a byte beyond ASCII in the target": (get(line=b"GET /caf\xe9 HTTP/1.1"), 400),
    "a fragment": (get(line=b"GET /describe#x HTTP/1.1"), 400),
    "a method that is no token": (get(line=b"G@T /describe HTTP/1.1"), 400),
    "a user in the target": (get(line=b"GET http://user:secret@localhost/describe HTTP/1.1"), 400),
    "a target of two hosts": (get(line=b"GET http://localhost,evil/describe HTTP/1.1"), 400),
    "a foreign host in the target": (get(line=b"GET http://evil.example/describe HTTP/1.1"), 421),
    "a target of another scheme": (get(line=b"GET gopher://localhost/ HTTP/1.1"), 400),
    "a tunnel": (get(line=b"CONNECT localhost:22 HTTP/1.1"), 400),
    "HTTP/2 in the clear": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.2": (get(line=b"GET /describe HTTP/1.2"), 505),
    "lower case http": (get(line=b"GET /describe http/1.1"), 400),
    "a line that never ends": (b"GET /" + b"a" * 17000, 431),
}

FIELDS = {
    "a folded field": (get(b"A: b", b" c"), 400),
    "a folded first field": (get(host=b" Host: localhost"), 400),
    "a space before the colon": (get(b"Content-Length : 5"), 400),
    "no colon": (get(b"nonsense"), 400),
    "no name": (get(b": value"), 400),
    "a name with a byte beyond ASCII": (get(b"N\xe4me: value"), 400),
    "a bare LF": (get(b"A: b\nContent-Length: 5"), 400),
    "a bare CR": (get(b"A: b\rContent-Length: 5"), 400),
    "a bare LF behind the line": (b"GET /describe HTTP/1.1\nHost: localhost\r\n\r\n", 400),
    "a NUL": (get(b"A: b\x00c"), 400),
    **{
        f"byte {byte:#04x}, at which other parsers begin a line": (get(b"A: b%cContent-Length: 5" % byte), 400)
        for byte in (0x0B, 0x0C, 0x1C, 0x1D, 0x1E)
    },
    "101 fields": (get(*[b"A: b"] * 100), 431),
    "17000 bytes in a field": (get(b"A: " + b"b" * 17000), 431),
    "17000 bytes in many fields": (get(*[b"A: " + b"b" * 300] * 57), 431),
}

FRAMING = {
    "a length and chunks": (get(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "chunks and a length": (get(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    "two lengths": (get(b"Content-Length: 5", b"Content-Length: 6"), 400),
    "one length twice": (get(b"Content-Length: 5", b"Content-Length: 5"), 400),
    "two lengths in one field": (get(b"Content-Length: 5, 6"), 400),
    "a length with a sign": (get(b"Content-Length: +5"), 400),
    "a negative length": (get(b"Content-Length: -5"), 400),
    "a hexadecimal length": (get(b"Content-Length: 0x5"), 400),
    "an empty length": (get(b"Content-Length:"), 400),
    "a length of twenty digits": (get(b"Content-Length: " + b"9" * 20), 400),
    "a coding that is not known": (get(b"Transfer-Encoding: xchunked"), 501),
    "a coding below the chunks": (get(b"Transfer-Encoding: gzip, chunked"), 501),
    "chunks that are not last": (get(b"Transfer-Encoding: chunked, identity"), 501),
    "chunks twice": (get(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 501),
    "chunks hidden behind a tab": (get(b"Transfer-Encoding\t: chunked"), 400),
    "chunks hidden behind a control byte": (get(b"Transfer-Encoding: \x0bchunked"), 400),
    "chunks in HTTP/1.0": (get(b"Transfer-Encoding: chunked", line=b"POST /describe HTTP/1.0"), 400),
}

HOSTS = {
    "no Host": (b"GET /describe HTTP/1.1\r\n\r\n" + SMUGGLED, 400),
    "two Hosts": (get(b"Host: localhost"), 400),
    "two Hosts in one field": (get(host=b"Host: localhost, evil.example"), 400),
    "a Host with a user": (get(host=b"Host: evil@localhost"), 400),
    "a Host with a path": (get(host=b"Host: localhost/x"), 400),
    "a Host with a space": (get(host=b"Host: localhost evil"), 400),
    "a Host with a port that is none": (get(host=b"Host: localhost:99999"), 400),
    "a Host beyond ASCII": (get(host=b"Host: l\xf6calhost"), 400),
    "a foreign Host": (get(host=b"Host: evil.example"), 421),
    "a Host that begins like ours": (get(host=b"Host: localhost.evil.example"), 421),
    "no name in Host": (get(host=b"Host:"), 421),
}

HANDSHAKES = {
    "no version": (upgrade(without=b"Sec-WebSocket-V"), 426),
    "an older version": (upgrade(b"Sec-WebSocket-Version: 8", without=b"Sec-WebSocket-V"), 426),
    "two versions": (upgrade(b"Sec-WebSocket-Version: 8"), 426),
    "no key": (upgrade(without=b"Sec-WebSocket-K"), 400),
    "two keys": (upgrade(KEY), 400),
    "a short key": (upgrade(b"Sec-WebSocket-Key: c2hvcnQ=", without=b"Sec-WebSocket-K"), 400),
    "a key with a blank": (upgrade(KEY[:30] + b" " + KEY[30:], without=b"Sec-WebSocket-K"), 400),
    "a body": (upgrade(b"Content-Length: 11"), 400),
    "a body in chunks": (upgrade(b"Transfer-Encoding: chunked"), 400),
    "another method": (upgrade(line=b"POST /echo HTTP/1.1"), 405),
    "HTTP/1.0": (upgrade(line=b"GET /echo HTTP/1.0"), 400),
    "an unknown path": (upgrade(line=b"GET /nowhere HTTP/1.1"), 404),
    "a foreign Origin": (upgrade(b"Origin: http://evil.example"), 403),
    "a malformed Origin": (upgrade(b"Origin: http://localhost@evil.example"), 403),
    "an Origin of two": (upgrade(b"Origin: http://localhost http://evil.example"), 403),
    "two Origins": (upgrade(b"Origin: http://localhost", b"Origin: http://localhost"), 400),
    "no Origin to speak of": (upgrade(b"Origin: null"), 403),
    "a subprotocol twice": (upgrade(b"Sec-WebSocket-Protocol: a, b", b"Sec-WebSocket-Protocol: a"), 400),
    "a subprotocol that is no token": (upgrade(b"Sec-WebSocket-Protocol: a/b"), 400),
    "no subprotocol at all": (upgrade(b"Sec-WebSocket-Protocol: , "), 400),
    "extensions that cannot be read": (upgrade(b"Sec-WebSocket-Extensions: permessage-deflate; =1"), 400),
    "an open quote in extensions": (upgrade(b'Sec-WebSocket-Extensions: permessage-deflate; a="b'), 400),
    "a key behind a byte that other parsers fold": (
        upgrade(b"A: b\x85" + KEY, without=b"Sec-WebSocket-K"),
        400,
    ),
}

CASES = {
    **LINES,
    **FIELDS,
    **FRAMING,
    **HOSTS,
    **{f"a handshake with {name}": case for name, case in HANDSHAKES.items()},
}


def daemon() -> Daemon:
    """Two routes, on loopback."""
    return Daemon({"/echo": EchoFactory, "/describe": DescribeFactory})


def isWell(daemon: Daemon) -> bool:
    """Whether the daemon serves others, and has forgotten the one that was refused."""
    if daemon.site.doors:
        return False
    wire = daemon.connect()
    answer = wire.exchange(GOOD)
    wire.close()
    client = daemon.open("/echo")
    heard = client.messages(client.say("hello"))
    client.close()
    client.wire.close()
    return answer.startswith(b"HTTP/1.1 200 ") and heard == ["hello"] and not daemon.site.doors


def check(wire: Wire, bad: bytes, status: int) -> list[Any]:
    """Send it: the log lines that come of it, once the answer is seen to be a clean one and the connection's last."""
    with capturedLogs() as events:
        answer = wire.exchange(bad)
    head, _, sentence = answer.partition(b"\r\n\r\n")
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Length: %d" % len(sentence) in head
    assert sentence.endswith(b"\n")
    assert sentence[:-1].decode("ascii").isprintable()
    assert len(sentence) < 250
    assert wire.ended, "no request behind a bad head is read"
    wire.close()
    return list(events)


@pytest.mark.parametrize("name", CASES)
class TestABadHead:
    """Whatever is wrong with it."""

    def test_is_answered_once_and_ends_its_connection(self, name: str) -> None:
        ours = daemon()
        [event] = check(ours.connect(), *CASES[name])
        assert len(event["id"]) == 10
        assert event["event"] == "request.refused"
        assert event["status"] == CASES[name][1]
        assert isWell(ours)

    def test_behind_a_good_request_too(self, name: str) -> None:
        ours = daemon()
        wire = ours.connect()
        assert wire.exchange(GOOD).startswith(b"HTTP/1.1 200 ")
        check(wire, *CASES[name])
        assert isWell(ours)

    def test_in_small_pieces_too(self, name: str) -> None:
        bad, status = CASES[name]
        ours = daemon()
        check(ours.connect(chunk=13 if len(bad) < 2000 else 509), bad, status)
        assert isWell(ours)


class TestEmptyLines:
    """RFC 9112 2.2: some clients send them before a request."""

    @pytest.mark.parametrize("chunk", [None, 1, 3])
    def test_before_a_request_are_passed_over(self, chunk: int | None) -> None:
        wire = daemon().connect(chunk)
        for _ in range(2):
            assert wire.exchange(b"\r\n" * 5 + GOOD).startswith(b"HTTP/1.1 200 ")

    def test_may_be_many_but_not_for_ever(self) -> None:
        ours = daemon()
        wire = ours.connect()
        assert wire.exchange(b"\r\n" * 100_000) == b""
        ours.pass_(11)
        assert wire.exchange(b"").startswith(b"HTTP/1.1 408 ")


class TestATLSHelloInTheClear:
    """A client that speaks TLS to a port that does not."""

    def test_is_told_so_at_once(self) -> None:
        ours = daemon()
        wire = ours.connect()
        assert wire.exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)).startswith(b"HTTP/1.1 400 ")
        wire.close()
        assert isWell(ours)
