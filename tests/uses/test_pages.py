"""The route of the pages over HTTP: the list, each page, its files, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.wire import Daemon, Wire
from wsd.uses import NAMES
from wsd.uses.protocol import UsesFactory

FOLDER = Path(__file__).parents[2] / "wsd" / "uses"
PAGES = [name for name in NAMES if (FOLDER / name).is_dir()]


def ask(path: str, *lines: str) -> tuple[int, dict[str, str], str]:
    """Status, header fields and body of the answer to a GET."""
    daemon = Daemon({"/uses/*": UsesFactory})
    text = "".join(
        f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines, "")
    )
    head, _, body = Wire(daemon).exchange(text.encode()).decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    return int(first.split()[1]), dict(field.split(": ", 1) for field in fields), body


class TestTheList:
    @pytest.mark.parametrize("path", ["/uses/", "/uses"])
    def test_is_a_page(self, path: str) -> None:
        status, fields, body = ask(path)
        assert status == 200
        assert fields["Content-Type"] == "text/html; charset=utf-8"
        assert '<ul id="uses">' in body

    def test_has_the_words_of_each_page(self) -> None:
        status, fields, body = ask("/uses/pages.json")
        assert (status, fields["Content-Type"]) == (200, "application/json")
        listed = json.loads(body)
        assert [each["name"] for each in listed] == PAGES
        assert all(set(each) == {"name", "title", "sentence"} for each in listed)


@pytest.mark.parametrize("name", PAGES)
class TestEachPage:
    def words(self, name: str) -> dict[str, Any]:
        words: dict[str, Any] = json.loads((FOLDER / name / "page.json").read_text("utf-8"))
        return words

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_is_served_with_a_strict_policy(self, name: str, slash: str) -> None:
        status, fields, body = ask(f"/uses/{name}{slash}")
        assert status == 200
        policy = fields["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:" in policy
        assert f'data-use="{name}"' in body

    def test_every_file_that_it_names_is_served(self, name: str) -> None:
        _, _, body = ask(f"/uses/{name}")
        named = [
            path for path in re.findall(r'(?:href|src)="(/uses/[^"]+)"', body) if not path.startswith("/uses/lib/")
        ]
        assert len(named) >= 3
        for path in [*named, f"/uses/{name}/page.json", f"/uses/{name}/picture.svg"]:
            assert ask(path)[0] == 200, path

    def test_has_its_words_in_both_languages(self, name: str) -> None:
        words = self.words(name)
        for each in (words["title"], words["sentence"], words["do"], *words["lessons"].values()):
            assert set(each) == {"en", "zh"}
            assert re.search("[\u4e00-\u9fff]", each["zh"])
            assert not re.search("[\u4e00-\u9fff]", each["en"])

    def test_every_lesson_in_its_source_is_explained_once(self, name: str) -> None:
        words, found = self.words(name), []
        for file in words.get("source", [f"{name}.js"]):
            text = sourceOf(name, file).read_text("utf-8")
            begun = re.findall(r"^\s*(?://|#) lesson: (\S+)$", text, re.MULTILINE)
            assert begun, f"{file} teaches nothing"
            assert len(re.findall(r"^\s*(?://|#) end of lesson$", text, re.MULTILINE)) == len(begun)
            found += begun
        assert sorted(found) == sorted(words["lessons"])

    def test_shows_about_forty_lines_that_matter(self, name: str) -> None:
        lines = [line for lesson in self.lessons(name).values() for line in lesson.splitlines() if line.strip()]
        assert 35 <= len(lines) <= 45

    def test_explains_the_calls_of_each_lesson(self, name: str) -> None:
        words = self.words(name)["lessons"]
        for lesson, code in self.lessons(name).items():
            named = {language: re.findall(r"`([^`]+)`", words[lesson][language]) for language in ("en", "zh")}
            assert named["en"], f"{lesson} names nothing of its code"
            assert sorted(named["en"]) == sorted(named["zh"]), "both languages explain the same"
            for call in (each.partition("(")[0] for each in named["en"] if "(" in each):
                assert re.search(rf"\b{re.escape(call)}\(", code), f"{lesson} explains {call}, which it does not show"

    @staticmethod
    def lessons(name: str) -> dict[str, str]:
        """The lines of the page's sources that are shown, by lesson."""
        files = json.loads((FOLDER / name / "page.json").read_text("utf-8")).get("source", [f"{name}.js"])
        text = "".join(sourceOf(name, file).read_text("utf-8") for file in files)
        parts = re.findall(
            r"^ *(?://|#) lesson: (\S+)\n(.*?)^ *(?://|#) end of lesson$", text, re.MULTILINE | re.DOTALL
        )
        return dict(parts)

    def test_says_what_to_do_in_a_line(self, name: str) -> None:
        words = self.words(name)["do"]
        assert len(words["en"]) <= 112
        assert len(words["zh"]) <= 56

    def test_is_made_of_about_150_lines_of_its_own(self, name: str) -> None:
        files = [file for file in (FOLDER / name).glob("*.js") if file.name != "words.js"]
        code = [line for file in files for line in file.read_text("utf-8").splitlines() if not isComment(line)]
        assert len(code) <= MOST.get(name, 172)
        assert max(map(len, code)) <= 120


MOST = {"call": 205, "class": 190}
"""Lines of the pages that do the most: a call between browsers has two ends, and a class has six things on one page."""


DOCUMENTATION = (FOLDER.parents[1] / "docs" / "uses.md").read_text("utf-8")


def pagesThatUse(file: Path) -> set[str]:
    """The pages that import a shared module themselves."""
    line = f'from "/uses/shared/{file.name}"'
    return {name for name in PAGES for each in (FOLDER / name).glob("*.js") if line in each.read_text("utf-8")}


def sourceOf(name: str, file: str) -> Path:
    """A file that a page names as its source: one of its own, or `shared/list.js`."""
    return FOLDER / file if "/" in file else FOLDER / name / file


def isComment(line: str) -> bool:
    """Whether a line of JavaScript is a comment, or empty."""
    return line.strip() == "" or line.strip().startswith(("//", "/**", "*"))


@pytest.mark.parametrize("file", sorted((FOLDER / "shared").glob("*.js")), ids=lambda file: file.name)
class TestEachSharedModule:
    def test_says_first_what_it_is_for(self, file: Path) -> None:
        assert re.match(r'// [\w"]', file.read_text("utf-8"))

    def test_is_short(self, file: Path) -> None:
        lines = file.read_text("utf-8").splitlines()
        assert len(lines) <= 300
        assert max(map(len, lines)) <= 120

    def test_is_served_and_used(self, file: Path) -> None:
        assert ask(f"/uses/shared/{file.name}")[0] == 200
        others = [each for each in FOLDER.glob("*/*.js") if each != file and each.parent.name not in ("lib", "bundle")]
        assert any(f'/{file.name}"' in each.read_text("utf-8") for each in others) or file.name == "frame.js"

    def test_is_in_the_table_of_the_documentation_with_the_pages_that_use_it(self, file: Path) -> None:
        rows = re.findall(r"^\| (`\w+\.js`.*) \| .* \| (.*) \|$", DOCUMENTATION, re.MULTILINE)
        (pages,) = [pages for names, pages in rows if f"`{file.name}`" in names]
        if pages not in ("all", "most"):
            assert set(pages.split(", ")) >= pagesThatUse(file)


@pytest.mark.parametrize("folder", [*PAGES, "shared", "list"])
def test_no_other_host_is_named(folder: str) -> None:
    for file in (FOLDER / folder).iterdir():
        if file.suffix in (".html", ".css", ".js"):
            # The name of SVG elements is no host that is asked.
            other = re.findall(r"https?://(?!localhost|www\.w3\.org/2000/svg)[^\s\"'`]+", file.read_text("utf-8"))
            assert not other, f"{file.name} names {other}"


@pytest.mark.parametrize(
    "path", ["/uses/none", "/uses/scores/none.js", "/uses/shared", "/uses/lib", "/uses/scores/../../config/reading.py",
             "/uses/__init__.py", "/uses/bundle/bundle.mjs", "/uses/pages.json/", "/uses//"]
)  # fmt: skip
def test_nothing_else_is_served(path: str) -> None:
    assert ask(path)[0] in (400, 404)


def test_a_websocket_is_refused() -> None:
    status, _, body = ask(
        "/uses/scores",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert (status, body) == (404, "only pages are here; they open WebSockets at routes of their own\n")


def test_a_page_that_the_browser_has_is_not_sent_again() -> None:
    tag = ask("/uses/scores/scores.js")[1]["ETag"]
    assert ask("/uses/scores/scores.js", f"If-None-Match: {tag}")[0] == 304
