"""The daemon's own files: the console at `/`, what pages load below `/_wsd/`, and the icon."""

from __future__ import annotations

import pytest

from tests.wire import Daemon
from wsd.connection import Factory
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.echo import EchoFactory
from wsd.web.console import addConsole

ROUTES: dict[str, type[Factory]] = {"/": EchoFactory, "/echo": EchoFactory}


def ask(path: str, routes: dict[str, type[Factory]] = ROUTES) -> tuple[str, bytes]:
    daemon = Daemon(routes)
    addConsole(daemon.site)
    answer = daemon.connect().exchange(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, content = answer.partition(b"\r\n\r\n")
    return head.decode(), content


class TestFiles:
    @pytest.mark.parametrize("name", ["theme.js", "header.js", "header.css", "base.css", "icon.svg", "why.js"])
    def test_are_below_wsd(self, name: str) -> None:
        assert ask(f"/_wsd/{name}")[0].startswith("HTTP/1.1 200 ")

    @pytest.mark.parametrize("name", ["", "index.html", "status.html", "nothing.js", "../console.py", "%2e%2e/site.py"])
    def test_are_no_other_files(self, name: str) -> None:
        assert ask(f"/_wsd/{name}")[0].startswith("HTTP/1.1 404 ")


class TestFavicon:
    def test_is_an_icon(self) -> None:
        head, content = ask("/favicon.ico")
        assert "Content-Type: image/vnd.microsoft.icon" in head
        assert content.startswith(b"\0\0\1\0")

    def test_of_a_route_comes_first(self) -> None:
        head, content = ask("/favicon.ico", {**ROUTES, "/favicon.ico": DescribeFactory})
        assert "image/" not in head
        assert b'"line": "GET /favicon.ico HTTP/1.1"' in content
