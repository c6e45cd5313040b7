"""What a client prefers, by Accept and Accept-Language."""

from __future__ import annotations

import pytest

from wsd.head import Head, Headers
from wsd.resources import prefersChinese, prefersHtml

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def headOf(method: str = "GET", **fields: str) -> Head:
    headers = Headers((name.replace("_", "-"), value) for name, value in fields.items())
    return Head(f"{method} / HTTP/1.1", method, "/", "/", "", (1, 1), headers)


class TestHtml:
    @pytest.mark.parametrize(
        "accept",
        [
            CHROMIUM,
            "text/html",
            "TEXT/HTML",
            "text/html;q=0.1",
            "text/html; charset=utf-8 ; q=1.000",
            "text/html, text/plain",
            "application/json;q=0.9, text/html",
            "*/*, text/html",
        ],
    )
    def test_is_preferred_by_who_names_it(self, accept: str) -> None:
        assert prefersHtml(headOf(Accept=accept))

    @pytest.mark.parametrize(
        "accept",
        [
            "",
            "*/*",
            "text/*",
            "text/html;q=0",
            "text/html;q=0.000",
            "text/html;q=nan",
            "text/html;q=x",
            "text/html;q=",
            "text/html;q=-1",
            "text/html;q=1.2.3",
            "text/html2",
            "x-text/html",
            "application/json, text/html;q=0.9",
            "text/plain, text/html;q=0.5",
            "text/event-stream, text/html;q=0.9",
        ],
    )
    def test_is_not_preferred_by_others(self, accept: str) -> None:
        assert not prefersHtml(headOf(Accept=accept))

    def test_is_not_for_requests_without_the_field(self) -> None:
        assert not prefersHtml(headOf())

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    def test_is_not_for_methods_that_open_no_page(self, method: str) -> None:
        assert not prefersHtml(headOf(method, Accept=CHROMIUM))

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_is_for_methods_that_open_a_page(self, method: str) -> None:
        assert prefersHtml(headOf(method, Accept=CHROMIUM))

    def test_is_never_for_an_opening_handshake(self) -> None:
        assert not prefersHtml(headOf(Accept=CHROMIUM, Upgrade="websocket", Connection="Upgrade"))

    def test_takes_no_time_for_a_long_field(self) -> None:
        assert not prefersHtml(headOf(Accept="text/htm;q=" * 1400 + "text/html;q=0"))


class TestChinese:
    @pytest.mark.parametrize(
        ("languages", "isChinese"),
        [
            ("zh-CN,zh;q=0.9,en;q=0.8", True),
            ("zh", True),
            ("zh-TW, en;q=0.9", True),
            ("fr, zh;q=0.5", True),
            ("en-US,en;q=0.9,zh-CN;q=0.8", False),
            ("en, zh", False),
            ("zh;q=0", False),
            ("fr", False),
            ("*", False),
            ("", False),
        ],
    )
    def test_is_preferred_by_weight(self, languages: str, isChinese: bool) -> None:
        assert prefersChinese(headOf(Accept_Language=languages)) is isChinese
