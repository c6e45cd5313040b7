"""Bodies with a Content-Encoding, and compressed answers."""

from __future__ import annotations

import gzip
import zlib

import pytest

from tests.protocols.soap.encodings.test_encodings import postBytes
from tests.protocols.soap.talk import DEMO, add, daemonOf, envelope, text
from tests.wire import Daemon

KIND = "application/soap+xml"
SAID = envelope(add(1, 2)).encode()


def bare(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.fixture
def daemon() -> Daemon:
    return daemonOf()


class TestBodies:
    @pytest.mark.parametrize(
        ("coding", "body"),
        [
            ("gzip", gzip.compress(SAID)),
            ("x-gzip", gzip.compress(SAID)),
            ("deflate", zlib.compress(SAID)),
            ("deflate", bare(SAID)),
            ("GZIP", gzip.compress(SAID)),
            ("identity", SAID),
        ],
    )
    def test_are_decompressed(self, daemon: Daemon, coding: str, body: bytes) -> None:
        answer = postBytes(daemon, KIND, body, f"Content-Encoding: {coding}")
        assert (answer.status, text(answer.root, "//d:sum")) == (200, "3")

    def test_are_decompressed_while_they_arrive(self, daemon: Daemon) -> None:
        body = zlib.compress(envelope(f'<Echo xmlns="{DEMO}"><text>{"x" * 500_000}</text></Echo>').encode())
        wire = daemon.connect()
        fields = f"Content-Type: {KIND}\r\nContent-Encoding: deflate\r\nContent-Length: {len(body)}"
        got = wire.exchange(f"POST /soap HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n".encode())
        for byte in body:
            got += wire.exchange(bytes((byte,)))
        assert got.startswith(b"HTTP/1.1 200 ")
        assert got.count(b"x" * 500_000) == 1

    def test_another_coding_is_415_with_those_there_are(self, daemon: Daemon) -> None:
        answer = postBytes(daemon, KIND, SAID, "Content-Encoding: br")
        assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")

    @pytest.mark.parametrize(
        ("coding", "body", "sentence"),
        [
            ("gzip", SAID, b"is not compressed with gzip"),
            ("deflate", b"\xff" * 20, b"is not compressed with deflate"),
            ("gzip", gzip.compress(SAID)[:-9], b"ends early"),
            ("deflate", b"x", b"ends early"),
            ("gzip", gzip.compress(SAID) * 2, b"there is more behind"),
            ("gzip", gzip.compress(SAID) + b"x", b"there is more behind"),
        ],
    )
    def test_what_is_not_in_it_is_400(self, daemon: Daemon, coding: str, body: bytes, sentence: bytes) -> None:
        answer = postBytes(daemon, KIND, body, f"Content-Encoding: {coding}")
        assert answer.status == 400
        assert sentence in answer.body

    def test_a_bomb_is_413_as_soon_as_it_is_too_large(self, daemon: Daemon) -> None:
        assert postBytes(daemon, KIND, zlib.compress(bytes(300_000_000), 1), "Content-Encoding: deflate").status == 413


class TestAnswers:
    SAID = envelope(f'<Echo xmlns="{DEMO}"><text>{"x" * 2000}</text></Echo>').encode()

    @pytest.mark.parametrize("accepted", ["gzip", "deflate, GZIP;q=0.5", "*"])
    def test_large_ones_are_compressed_for_who_accepts_it(self, daemon: Daemon, accepted: str) -> None:
        answer = postBytes(daemon, KIND, self.SAID, f"Accept-Encoding: {accepted}")
        assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
        assert b"x" * 2000 in gzip.decompress(answer.body)
        assert len(answer.body) == int(answer.headers["content-length"]) < 1000

    @pytest.mark.parametrize("accepted", ["gzip;q=0", "br", "gzip;q=0, *", "identity"])
    def test_but_not_for_others(self, daemon: Daemon, accepted: str) -> None:
        answer = postBytes(daemon, KIND, self.SAID, f"Accept-Encoding: {accepted}")
        assert "content-encoding" not in answer.headers
        assert b"x" * 2000 in answer.body

    def test_small_ones_are_sent_as_they_are(self, daemon: Daemon) -> None:
        assert "content-encoding" not in postBytes(daemon, KIND, SAID, "Accept-Encoding: gzip").headers
