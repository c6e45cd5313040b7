"""Requests have all that twisted.web's have, made when a resource reads it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web.http_headers import InvalidHeaderName
from twisted.web.resource import Resource

from tests.web.test_channel import serving
from tests.web.test_door import status

HEAD = b"GET /page/%41?a=1&b=2&b= HTTP/1.1\r\nHost: localhost\r\nCookie: x=1; y=2\r\nX-One: 1\r\nx-one: 2\r\n\r\n"


class Asking(Resource):
    """Calls a function with its request, whose result is the answer."""

    isLeaf = True

    def __init__(self, ask: Any) -> None:
        super().__init__()
        self.ask = ask

    def render_GET(self, request: Any) -> bytes:
        found = self.ask(request)
        return found if isinstance(found, bytes) else repr(found).encode()


def asked(ask: Any, head: bytes = HEAD) -> bytes:
    """What a resource answers."""
    ours, wire = serving(Asking(ask))
    ours.site.folders["/page/"] = ours.site.pages["/page"]
    return wire.exchange(head)


class TestARequest:
    @pytest.mark.parametrize(
        ("ask", "answer"),
        [
            (lambda request: request.method, b"GET"),
            (lambda request: request.uri, b"/page/%41?a=1&b=2&b="),
            (lambda request: request.path, b"/page/%41"),
            (lambda request: request.clientproto, b"HTTP/1.1"),
            (lambda request: request.args, {b"a": [b"1"], b"b": [b"2", b""]}),
            (lambda request: request.postpath, [b"A"]),
            (lambda request: request.prepath, [b"page"]),
            (lambda request: request.getHeader(b"x-one"), b"2"),
            (lambda request: request.getHeader("X-One"), "2"),
            (lambda request: request.requestHeaders.getRawHeaders(b"x-one"), [b"1", b"2"]),
            (lambda request: (request.getCookie(b"x"), request.received_cookies), (b"1", {b"x": b"1", b"y": b"2"})),
            (lambda request: request.content.read(), b""),
            (lambda request: request.getRequestHostname(), b"localhost"),
            (lambda request: request.client.host, "127.0.0.1"),
            (lambda request: request.host.host, "127.0.0.1"),
            (lambda request: request.getClientAddress().host, "127.0.0.1"),
            (lambda request: (request.args is request.args, request.content is request.content), (True, True)),
        ],
    )
    def test_has_what_twisted_has(self, ask: Any, answer: Any) -> None:
        content = asked(ask).partition(b"\r\n\r\n")[2]
        assert content == (answer if isinstance(answer, bytes) else repr(answer).encode())

    def test_makes_none_of_it_if_nobody_asks(self) -> None:
        made: list[set[str]] = []

        def note(request: Any) -> bytes:
            request.setHeader(b"Content-Type", b"text/plain")
            made.append(set(request.__dict__))
            return b""

        asked(note)
        unasked = {"requestHeaders", "responseHeaders", "cookies", "received_cookies", "args", "content", "client"}
        assert made[0].isdisjoint(unasked)

    def test_tells_when_it_is_finished(self) -> None:
        told: list[str] = []

        def ask(request: Any) -> bytes:
            request.notifyFinish().addCallback(lambda _: told.append("finished"))
            return b"now"

        assert asked(ask).endswith(b"now")
        assert told == ["finished"]


class TestAnAnswer:
    @pytest.mark.parametrize("more", [lambda request: None, lambda request: request.responseHeaders])
    def test_has_the_last_value_of_each_field_under_one_name(self, more: Any) -> None:
        def ask(request: Any) -> bytes:
            request.setHeader(b"content-type", b"text/plain")
            request.setHeader("X-Other", b"1")
            more(request)
            request.setHeader(b"Content-Type", b"text/css")
            request.setHeader("x-other", b"2")
            return b"content"

        fields = asked(ask).partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        named = [field for field in fields if field.startswith((b"Content-Type", b"X-Other"))]
        assert named == [b"Content-Type: text/css", b"X-Other: 2"]

    def test_has_no_line_of_a_value(self) -> None:
        answer = asked(lambda request: request.setHeader(b"X-Other", b"1\r\nX-Evil: 2") or b"content")
        assert b"\r\nX-Other: 1 X-Evil: 2\r\n" in answer

    def test_has_no_field_whose_name_is_none(self) -> None:
        def ask(request: Any) -> bytes:
            with pytest.raises(InvalidHeaderName):
                request.setHeader(b"X Evil: 1\r\nX", b"2")
            return b"content"

        assert b"Evil" not in asked(ask)

    def test_has_the_cookies_and_tags_of_a_resource(self) -> None:
        def ask(request: Any) -> bytes:
            request.setHeader(b"Content-Type", b"text/plain")
            request.addCookie("name", "value")
            request.setETag(b'"tag"')
            return b"content"

        answer = asked(ask)
        assert b"\r\nSet-Cookie: name=value\r\n" in answer
        assert b'\r\nETag: "tag"\r\n' in answer.replace(b"Etag", b"ETag")

    def test_is_the_same_without_content_for_a_head_request(self) -> None:
        class Both(Asking):
            render_HEAD = Asking.render_GET

        def ask(request: Any) -> bytes:
            request.setHeader(b"Content-Type", b"text/plain")
            return b"content"

        _ours, wire = serving(Both(ask))
        answer = wire.exchange(b"HEAD /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status(answer) == 200
        assert b"Content-Length: 7" in answer
        assert answer.endswith(b"\r\n\r\n")
