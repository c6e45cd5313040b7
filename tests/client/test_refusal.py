"""What is told of a refusal: the status, and what the body says."""

from __future__ import annotations

import json

import pytest

from wsd.client.failures import ExitStatus, Unwelcome
from wsd.client.refusal import Response


def refusal(status: str, kind: str = "", body: bytes = b"", more: str = "") -> bytes:
    """A response that refuses."""
    about = f"Content-Type: {kind}\r\n" if kind else ""
    head = f"HTTP/1.1 {status}\r\n{about}{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class TestARefusal:
    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (refusal("401 Unauthorized"), "401 Unauthorized"),
            (
                refusal("403 Forbidden", "text/plain", b"\nThe key has expired.\nAsk."),
                "403 Forbidden: The key has expired.",
            ),
            (refusal("403 Forbidden", "text/plain", b"a\x1b[31mb"), "403 Forbidden: a\\x1b[31mb"),
            (
                refusal("403 Forbidden", "application/json", json.dumps({"message": "bad token"}).encode()),
                "403 Forbidden: bad token",
            ),
            (
                refusal("422 Unprocessable Entity", "application/problem+json", b'{"code":\n 7}'),
                '422 Unprocessable Entity: {"code": 7}',
            ),
            (
                refusal("503 Busy", "text/html", b"<html><title>Back at &lt;noon&gt;</title><h1>x</h1>"),
                "503 Busy: Back at <noon>",
            ),
            (refusal("404 Not Found", "text/html", b"<title>404 Not Found</title>"), "404 Not Found"),
            (refusal("404 Not Found", "image/png", b"\x89PNG"), "404 Not Found"),
            (
                refusal("301 Moved Permanently", more="Location: wss://example.com/x\r\n"),
                "301 Moved Permanently: connect to wss://example.com/x instead",
            ),
            (
                b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n2;x\r\n!!\r\n0\r\n\r\n",
                "400 Bad Request: not!!",
            ),
            (b"HTTP/1.0 500 Oops\r\nContent-Type: text/plain\r\n\r\nuntil the end", "500 Oops: until the end"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK"),
        ],
    )
    def test_is_told_with_the_status_and_the_sentence_of_the_body(self, answer: bytes, said: str) -> None:
        response = Response(answer)
        error = response.refusal()
        assert (str(error), error.status) == (f"refused with {said}", ExitStatus.REFUSED)
        assert isinstance(error, Unwelcome)
        assert error.code == int(said[:3])

    @pytest.mark.parametrize(
        ("answer", "isWhole"),
        [
            (b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n", False),
            (b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\na", False),
            (b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\nab", True),
            (b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", False),
            (b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", True),
            (b"HTTP/1.1 400 Bad\r\n\r\nuntil it closes", False),
            (b"HTTP/1.1 400 Bad\r\n\r\n" + bytes(1 << 16), True),
            (b"HTTP/1.1 204 Nothing\r\n\r\n", True),
        ],
    )
    def test_is_waited_for_until_the_body_is_whole(self, answer: bytes, isWhole: bool) -> None:
        assert Response(answer).isWhole == isWhole

    def test_shows_the_beginning_of_a_long_line(self) -> None:
        assert str(Response(refusal("400 Bad", "text/plain", b"x" * 400)).refusal()).endswith("x" * 300 + "...")
