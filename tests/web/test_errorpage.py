"""Errors as pages for browsers, and as the same bytes as ever for programs."""

from __future__ import annotations

import re

import pytest
from twisted.logger import capturedLogs
from twisted.web.resource import Resource

from tests.wire import Daemon
from wsd.connection import Factory
from wsd.protocols.echo import EchoFactory
from wsd.web.console import addConsole
from wsd.web.errorwords import CHINESE, ENGLISH, wordsFor
from wsd.web.request import HttpRequest

BROWSER = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
CHINESE_BROWSER = (BROWSER, "Accept-Language: zh-CN,zh;q=0.9")


def served(**routes: type[Factory]) -> Daemon:
    daemon = Daemon({"/": EchoFactory, "/echo": EchoFactory, **{f"/{name}": each for name, each in routes.items()}})
    addConsole(daemon.site)
    return daemon


def ask(daemon: Daemon, target: str, *fields: str, method: str = "GET", host: str = "localhost:9998") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "Connection: close", "", ""]
    return daemon.connect().exchange("\r\n".join(lines).encode())


def page(answer: bytes) -> str:
    head, _, content = answer.decode().partition("\r\n\r\n")
    assert "Content-Type: text/html; charset=utf-8" in head
    return content


def links(content: str, lang: str = "en") -> list[tuple[str, str]]:
    section = content.partition(f'<section class="words" lang="{lang}">')[2].partition("</section>")[0]
    return re.findall(r'<a class="button" href="([^"]*)">([^<]*)</a>', section)


class TestPrograms:
    @pytest.mark.parametrize("field", ["Accept: */*", "Accept: application/json", "User-Agent: curl/8.0"])
    def test_get_one_sentence_as_text(self, field: str) -> None:
        head, _, content = ask(served(), "/nothing", field).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
        assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in head
        assert b"Content-Security-Policy" not in head
        assert b"Vary" not in head
        assert content == b"there is nothing at /nothing\n"

    def test_get_the_same_from_the_door(self) -> None:
        answer = ask(served(), "/", host="evil.test")
        assert answer.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
        assert b"text/plain" in answer
        assert b"<html" not in answer

    def test_get_text_for_a_refused_handshake_whatever_they_accept(self) -> None:
        handshake = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", BROWSER)
        answer = ask(served(), "/echo", *handshake)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"text/plain" in answer


class TestEachRefusal:
    """It has an id, by which the log and `wsd why` tell more."""

    @pytest.mark.parametrize(
        ("target", "fields"),
        [
            ("/nothing", ()),
            ("/nothing", (BROWSER,)),
            ("/echo", ()),
            ("/echo", ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 12")),
            ("/echo", ("X: \0",)),
        ],
        ids=["to a program", "to a browser", "a WebSocket's route", "a handshake", "a bad head"],
    )
    def test_is_logged_under_the_id_that_it_has(self, target: str, fields: tuple[str, ...]) -> None:
        with capturedLogs() as events:
            answer = ask(served(), target, *fields).decode()
        found = re.search("\r\nX-Request-Id: ([0-9a-f]{10})\r\n", answer)
        assert found is not None
        assert [event["id"] for event in events if event.get("event") == "request.refused"] == [found[1]]

    def test_shows_it_to_a_person(self) -> None:
        answer = ask(served(), "/nothing", BROWSER).decode()
        found = re.search("\r\nX-Request-Id: ([0-9a-f]{10})\r\n", answer)
        assert found is not None
        assert f"<code>{found[1]}</code>" in page(answer.encode())

    def test_is_there_when_a_protocol_answers_with_an_error_of_its_own(self) -> None:
        assert b"\r\nX-Request-Id: " in ask(served(failing=Failing), "/failing")

    def test_and_what_is_no_error_has_none(self) -> None:
        assert b"X-Request-Id" not in ask(served(), "/")


class FailingPage(Resource):
    """A page of a protocol that answers with an error."""

    isLeaf = True

    def render_GET(self, request: HttpRequest) -> bytes:
        request.setResponseCode(502)
        return b"no luck\n"


class Failing(EchoFactory):
    def resource(self) -> FailingPage:
        return FailingPage()


class TestPage:
    def test_says_what_happened_and_what_to_do_and_links_back(self) -> None:
        content = page(ask(served(), "/nothing", BROWSER))
        assert "<title>404 Not Found</title>" in content
        assert f"<h1>{ENGLISH[404].happened}</h1>" in content
        assert ENGLISH[404].remedy in content
        assert '<q lang="en">there is nothing at /nothing</q>' in content
        assert links(content) == [("/", "Home page")]

    def test_has_both_languages_and_begins_with_the_preferred_one(self) -> None:
        english, chinese = page(ask(served(), "/x", BROWSER)), page(ask(served(), "/x", *CHINESE_BROWSER))
        assert '<html lang="en">' in english
        assert '<html lang="zh-CN">' in chinese
        ids = re.compile("(Request|请求) ID <code>[0-9a-f]{10}</code>")
        assert len(ids.findall(english)) == 2
        assert ids.sub("", english.replace('<html lang="en">', '<html lang="zh-CN">')) == ids.sub("", chinese)
        assert CHINESE[404].happened in english
        assert links(english, "zh-CN") == [("/", "返回首页")]

    def test_has_the_strict_policy_and_is_not_cached(self) -> None:
        answer = ask(served(), "/nothing", BROWSER).decode()
        assert "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self' 'sha256-" in answer
        assert "X-Content-Type-Options: nosniff" in answer
        assert "Referrer-Policy: no-referrer" in answer
        assert "Cache-Control: no-store" in answer
        assert "Vary: Accept, Accept-Language" in answer
        assert " style=" not in answer
        assert "<script>" not in answer

    @pytest.mark.parametrize("target", ["/%3Cb%3E", "/<script>alert(1)</script>", "/\"'><img>", "/&amp;"])
    def test_escapes_the_path(self, target: str) -> None:
        content = page(ask(served(), target, BROWSER))
        assert "<img" not in content
        assert "<b>" not in content
        assert "alert(1)</script>" not in content
        assert "&amp;amp;" in content or target != "/&amp;"

    def test_is_left_out_of_the_answer_to_a_head(self) -> None:
        head, _, content = ask(served(), "/nothing", BROWSER, method="HEAD").partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length is not None
        assert content == b""
        assert int(length[1]) == len(page(ask(served(), "/nothing", BROWSER)).encode())

    def test_comes_from_the_door_too(self) -> None:
        answer = ask(served(), "/", BROWSER, host="evil.test")
        assert answer.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
        assert ENGLISH[421].happened in page(answer)
        assert links(page(answer)) == []

    def test_links_to_no_home_page_where_there_is_none(self) -> None:
        assert links(page(ask(Daemon({"/echo": EchoFactory}), "/nothing", BROWSER))) == []

    def test_offers_to_try_again_while_the_daemon_stops(self) -> None:
        daemon = served()
        daemon.site.stopping = True
        answer = ask(daemon, "/echo", BROWSER)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer
        assert links(page(answer)) == [("", "Try again"), ("/", "Home page")]

    def test_is_for_requests_for_pages_alone(self) -> None:
        answer = ask(served(), "/", BROWSER, "Content-Length: 0", method="POST")
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"text/plain" in answer


class TestWebSocketRoute:
    @pytest.mark.parametrize(
        ("target", "url"),
        [
            ("/echo", "ws%3A%2F%2Flocalhost%3A9998%2Fecho"),
            ("/echo?delay=5&amp=1", "ws%3A%2F%2Flocalhost%3A9998%2Fecho%3Fdelay%3D5%26amp%3D1"),
            ('/echo?"><b>', "ws%3A%2F%2Flocalhost%3A9998%2Fecho%3F%22%3E%3Cb%3E"),
        ],
    )
    def test_links_to_the_console_with_its_url(self, target: str, url: str) -> None:
        content = page(ask(served(), target, BROWSER))
        assert links(content) == [(f"/?url={url}", "Open in the console"), ("/", "Home page")]
        assert links(content, "zh-CN")[0] == (f"/?url={url}", "在控制台中打开")

    def test_keeps_the_fields_of_a_426(self) -> None:
        answer = ask(served(), "/echo", BROWSER)
        assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert b"Upgrade: websocket\r\n" in answer


class TestWords:
    def test_are_there_in_both_languages(self) -> None:
        assert set(ENGLISH) == set(CHINESE) >= {400, 403, 404, 421, 426, 501, 503}

    def test_of_an_unlisted_status_are_those_of_its_class(self) -> None:
        assert wordsFor(418) == (ENGLISH[400], CHINESE[400])
        assert wordsFor(507) == (ENGLISH[500], CHINESE[500])
