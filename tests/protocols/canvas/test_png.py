"""The picture of a canvas as PNG, and its page."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from io import BytesIO

import pytest
from PIL import Image

from tests.protocols.canvas.canvases import Answer, ask, daemonOf, frame, request
from tests.wire import Daemon


def painted(colour: bytes = b"\x01\x02\x03\xff") -> Daemon:
    """A daemon with a canvas `a` of 3 x 2, painted at 1000 seconds and a half."""
    daemon = daemonOf()
    daemon.reactor.advance(1000.5)
    daemon.open("/canvas/a?width=3&height=2").say(6 * colour)
    return daemon


def at(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


class TestThePng:
    def test_is_the_present_picture(self) -> None:
        answer = ask(painted(), "GET /canvas/a.png")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
        assert int(answer.headers["content-length"]) == len(answer.body)
        with Image.open(BytesIO(answer.body)) as image:
            assert (image.size, image.mode) == ((3, 2), "RGBA")
            assert image.getpixel((2, 1)) == (1, 2, 3, 255)

    def test_of_a_head_is_its_fields_alone(self) -> None:
        daemon = painted()
        answer, whole = ask(daemon, "HEAD /canvas/a.png"), ask(daemon, "GET /canvas/a.png")
        assert (answer.status, answer.body) == (200, b"")
        for name in ("content-length", "etag", "last-modified", "content-type"):
            assert answer.headers[name] == whole.headers[name]

    def test_is_not_there_before_somebody_painted(self) -> None:
        daemon = daemonOf()
        daemon.open("/canvas/b")
        for name in "ab":
            answer = ask(daemon, f"GET /canvas/{name}.png")
            assert answer.status == 404
            assert answer.body.decode() == f"nobody has painted on the canvas '{name}' yet\n"

    def test_has_a_tag_that_changes_with_each_frame(self) -> None:
        daemon = painted()
        first = ask(daemon, "GET /canvas/a.png").headers["etag"]
        assert ask(daemon, "GET /canvas/a.png").headers["etag"] == first
        daemon.open("/canvas/a?width=3&height=2").say(bytes(24))
        assert ask(daemon, "GET /canvas/a.png").headers["etag"] != first
        assert ask(painted(), "GET /canvas/a.png").headers["etag"] != first

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_is_not_sent_to_who_has_it_by_its_tag(self, method: str) -> None:
        daemon = painted()
        tag = ask(daemon, "GET /canvas/a.png").headers["etag"]
        for field in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            answer = ask(daemon, f"{method} /canvas/a.png", f"If-None-Match: {field}")
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
        assert ask(daemon, f"{method} /canvas/a.png", 'If-None-Match: "x"').status == 200

    def test_is_not_sent_to_who_has_it_by_its_time(self) -> None:
        daemon = painted()
        assert ask(daemon, "GET /canvas/a.png").headers["last-modified"] == at(1000)
        assert ask(daemon, "GET /canvas/a.png", f"If-Modified-Since: {at(1000)}").status == 304
        assert ask(daemon, "GET /canvas/a.png", f"If-Modified-Since: {at(999)}").status == 200
        for field in ("lately", ""):
            assert ask(daemon, "GET /canvas/a.png", f"If-Modified-Since: {field}").status == 200

    def test_is_sent_again_where_a_second_has_two_of_them(self) -> None:
        daemon = painted()
        daemon.reactor.advance(0.2)
        daemon.open("/canvas/a?width=3&height=2").say(bytes(24))
        assert ask(daemon, "GET /canvas/a.png", f"If-Modified-Since: {at(1000)}").status == 200
        assert ask(daemon, "GET /canvas/a.png", f"If-Modified-Since: {at(1001)}").status == 304

    def test_is_told_apart_by_its_tag_where_both_are_given(self) -> None:
        answer = ask(painted(), "GET /canvas/a.png", 'If-None-Match: "x"', f"If-Modified-Since: {at(1000)}")
        assert answer.status == 200

    def test_is_made_once_for_all_who_ask(self) -> None:
        daemon = painted()
        assert len({ask(daemon, "GET /canvas/a.png").body for _ in range(3)}) == 1
        assert daemon.pool.begun == 1

    def test_is_made_one_at_a_time_and_never_an_older_one_than_there_was(self) -> None:
        daemon = painted()
        daemon.pool.slow = True
        wires = [daemon.connect() for _ in range(4)]
        assert wires[0].exchange(request("GET /canvas/a.png")) == b""
        daemon.open("/canvas/a?width=3&height=2").say(24 * b"\xff")
        for wire in wires[1:]:
            assert wire.exchange(request("GET /canvas/a.png")) == b""
        assert daemon.pool.begun == 1
        daemon.pool.doDue()
        daemon.pool.doDue()
        assert daemon.pool.begun == 2
        tops = []
        for wire in wires:
            wire.serve()
            with Image.open(BytesIO(Answer(wire.read()).body)) as image:
                tops.append(image.getpixel((0, 0)))
        assert tops == [(1, 2, 3, 255)] + 3 * [(255, 255, 255, 255)]

    def test_goes_to_nobody_who_has_left(self) -> None:
        daemon = painted()
        daemon.pool.slow = True
        wire = daemon.connect()
        wire.exchange(request("GET /canvas/a.png"))
        wire.close()
        daemon.pool.catchUp()
        assert ask(daemon, "GET /canvas/a.png").status == 200

    def test_is_501_without_pillow_and_everything_else_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = painted()
        monkeypatch.setitem(sys.modules, "PIL", None)
        answer = ask(daemon, "GET /canvas/a.png")
        assert answer.status == 501
        assert answer.body.decode() == ("a picture as PNG needs Pillow, which is not installed: pip install Pillow\n")
        viewer = daemon.open("/canvas/a?width=3&height=2")
        daemon.open("/canvas/a?width=3&height=2").say(frame(7, 24))
        viewer.exchange()
        assert viewer.messages()[-1] == frame(7, 24)
        assert ask(daemon, "GET /canvas/a").status == 200


class TestThePage:
    def test_is_at_every_name_and_makes_no_canvas(self) -> None:
        daemon = daemonOf()
        answer = ask(daemon, "GET /canvas/a", "Accept: text/html")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b'src="/canvas/_page/page.js"' in answer.body
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert len(daemon.factories["/canvas/*"].boards) == 0

    def test_has_files_that_are_cached_by_their_tag(self) -> None:
        daemon = daemonOf()
        for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
            answer = ask(daemon, f"GET /canvas/_page/{name}")
            assert (answer.status, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
            again = ask(daemon, f"GET /canvas/_page/{name}", f"If-None-Match: {answer.headers['etag']}")
            assert (again.status, again.body) == (304, b"")

    @pytest.mark.parametrize("name", ["a/b", "_page/x", "..", "%00", "a%2Fb", "x" * 65, ".png", "a.png.png"])
    def test_is_at_no_other(self, name: str) -> None:
        assert ask(daemonOf(), f"GET /canvas/{name}").status == 404

    def test_is_refused_with_the_sentence_that_its_websocket_would_get(self) -> None:
        answer = ask(daemonOf(), "GET /canvas/a?width=100000&height=100000")
        sentence = "100000 x 100000 is 10000000000 pixels; this route allows at most 1048576\n"
        assert (answer.status, answer.body.decode()) == (400, sentence)

    def test_takes_nothing_but_get(self) -> None:
        answer = ask(daemonOf(), "DELETE /canvas/a")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
