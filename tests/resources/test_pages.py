"""Files of pages: their types, their policy, texts put into them, and tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.web.resource import Resource

from tests.web.test_channel import serving
from tests.web.test_door import get, status
from wsd.resources import PageFiles


class PageOf(Resource):
    isLeaf = True

    def __init__(self, page: PageFiles, name: str) -> None:
        super().__init__()
        self.page = page
        self.name = name

    def render_GET(self, request: Any) -> bytes:
        return self.page.render(request, self.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<p>{route} {other}</p>")
    (tmp_path / "page.css").write_text("p {route}")
    (tmp_path / "notes.txt").write_text("not served")
    return tmp_path


class TestPageFiles:
    def test_puts_texts_into_the_index_alone(self, folder: Path) -> None:
        page = PageFiles(folder, {"route": "/here"})
        _ours, wire = serving(PageOf(page, "index.html"))
        assert wire.exchange(get(b"/page")).endswith(b"<p>/here {other}</p>")
        _ours, wire = serving(PageOf(page, "page.css"))
        assert wire.exchange(get(b"/page")).endswith(b"p {route}")

    def test_has_the_types_that_pages_are_made_of(self, folder: Path) -> None:
        page = PageFiles(folder)
        assert [name in page for name in ("index.html", "page.css", "notes.txt", "notes.exe", "none.js")] == [
            True,
            True,
            True,
            False,
            False,
        ]

    def test_answers_304_to_its_tag(self, folder: Path) -> None:
        _ours, wire = serving(PageOf(PageFiles(folder, policy="default-src 'none'"), "page.css"))
        answer = wire.exchange(get(b"/page"))
        assert b"\r\nContent-Security-Policy: default-src 'none'\r\n" in answer
        tag = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"etag: "))
        assert status(wire.exchange(get(b"/page", b"If-None-Match:" + tag[5:]))) == 304
