"""docs/errors.md has every error that a user can see: each sentence, code, status and condition in the source."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from tests.sentences import CODED, HIDDEN, ROOT, SHOWN, Sentence, conditions, exceptions, faults, sentences
from wsd.frames.codes import CloseCode
from wsd.why.words import STATUSES

PAGE = (ROOT / "docs/errors.md").read_text(encoding="utf-8")

SENTENCES = sorted(set(sentences()))


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) == {"-"}]
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


def firsts(title: str) -> set[str]:
    """What is in code or is a number in the first cells of a section."""
    return {
        word
        for row in rows(section(title))
        for word in re.findall(r"`([^`]+)`|\b(\d{3,4})\b", row[0])
        for word in word
        if word
    }


@cache
def patterns() -> dict[str, re.Pattern[str]]:
    """What each sentence in a table stands for. Those tables have a column of this name."""
    found: dict[str, re.Pattern[str]] = {}
    for table in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        head = [cell.strip() for cell in table.split("\n")[0].split("|")[1:-1]]
        for row in rows(table) if "sentence" in head else ():
            for text in re.findall(r"`([^`]+)`", row[head.index("sentence")]):
                parts = (re.escape(part) for part in text.split("…"))
                found[text] = re.compile(".*".join(parts), re.DOTALL)
    return found


class TestSentences:
    @pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.place)
    def test_each_has_a_row(self, sentence: Sentence) -> None:
        assert any(pattern.fullmatch(sentence.text) for pattern in patterns().values()), (
            f"{sentence.place}: docs/errors.md needs a row for: {sentence.text}"
        )

    def test_each_row_has_a_sentence(self) -> None:
        texts = [sentence.text for sentence in SENTENCES]
        assert [row for row, each in patterns().items() if not any(map(each.fullmatch, texts))] == []

    def test_a_row_says_more_than_any_sentence_would(self) -> None:
        assert [row for row in patterns() if len(re.findall(r"\w+", row)) < 2] == []

    def test_many_are_found(self) -> None:
        assert len(SENTENCES) > 300

    def test_each_row_says_what_to_do(self) -> None:
        assert [row for row in rows(PAGE) if not row[-1]] == []


class TestExceptions:
    def test_each_is_shown_or_it_is_said_why_not(self) -> None:
        known = SHOWN | CODED.keys() | HIDDEN.keys()
        assert [f"{place} {name}" for place, name in exceptions() if name not in known] == []

    def test_none_of_the_lists_is_stale(self) -> None:
        names = {name for _, name in exceptions()} | {"SystemExit"}
        assert (SHOWN | CODED.keys() | HIDDEN.keys()) - names == set()


class TestCodes:
    def test_of_closes(self) -> None:
        own = {
            str(node.value.value)
            for path in ROOT.glob("wsd/**/*.py")
            if "pywebsocket" not in path.parts
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, int)
            and 4000 <= node.value.value <= 4020
            and "Close code" in _docstringAfter(path, node)
        }
        assert {str(code.value) for code in CloseCode} | own <= firsts("Close codes")
        assert own == {"4001", "4008", "4010"}

    def test_of_refusals(self) -> None:
        assert {str(status) for status in STATUSES} <= firsts("Statuses")

    @pytest.mark.parametrize(
        ("title", "module"),
        [
            ("Codes of stored files", "wsd.protocols.blob.errors"),
            ("Codes of topics", "wsd.protocols.topics.errors"),
            ("Codes of canvases", "wsd.protocols.canvas.messages"),
        ],
    )
    def test_of_protocols(self, title: str, module: str) -> None:
        assert firsts(title) == set(import_module(module).CODES)

    def test_of_xmpp(self) -> None:
        known = firsts("Conditions of XMPP")
        assert [f"{place} {text}" for place, text in conditions() if text not in known] == []

    def test_of_soap(self) -> None:
        found = set(faults())
        assert {"Receiver", "VersionMismatch", "MessageExpired"} <= found <= firsts("Faults of SOAP")


def _docstringAfter(path: Path, node: ast.Assign) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(lines[node.end_lineno or 0 : (node.end_lineno or 0) + 2])


def test_each_link_leads_to_a_heading() -> None:
    for page, anchor in re.findall(r"\]\(([a-z-]*\.?m?d?)#([a-z0-9-]+)\)", PAGE):
        text = PAGE if not page else (ROOT / "docs" / page).read_text(encoding="utf-8")
        anchors = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
        assert anchor in anchors, f"{page}#{anchor}"
