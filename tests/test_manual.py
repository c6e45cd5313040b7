"""The manual pages in man/: made from the same sources as `--help` and conf/wsd.toml, and valid."""

from __future__ import annotations

import re
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from wsd.__main__ import commandsOf
from wsd.config import defaultText

ROOT = Path(__file__).parent.parent
PAGES = ("wsd.1", "wsd.toml.5")


@pytest.fixture(scope="module")
def manual() -> ModuleType:
    spec = spec_from_file_location("manual", ROOT / "tools/manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(page: str) -> str:
    """A page as a terminal shows it, without its typefaces, and on as few lines as there are paragraphs."""
    done = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=1000", ROOT / "man" / page], capture_output=True, text=True, check=True
    )
    return re.sub(r".\x08", "", done.stdout)


class TestEachPage:
    @pytest.mark.parametrize("page", PAGES)
    def test_it_is_what_its_sources_say(self, manual: ModuleType, page: str) -> None:
        assert (ROOT / "man" / page).read_text(encoding="utf-8") == manual.PAGES[page](), "run: make man"

    @pytest.mark.parametrize("page", PAGES)
    def test_mandoc_finds_no_fault(self, page: str) -> None:
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "warning", ROOT / "man" / page], capture_output=True, text=True
        )
        # A date would change the pages without a change of their sources.
        assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []

    def test_there_are_no_others(self, manual: ModuleType) -> None:
        assert sorted(path.name for path in (ROOT / "man").iterdir()) == sorted(manual.PAGES) == sorted(PAGES)


class TestTheCommands:
    def test_each_has_a_section_with_every_argument(self) -> None:
        page = shown("wsd.1")
        for parser in commandsOf().parsers():
            begin = re.search(rf"^   {re.escape(parser.prog)}( .*)?$", page, re.MULTILINE)
            assert begin is not None, parser.prog
            section = re.split(r"^ {0,3}\S", page[begin.end() :], maxsplit=1, flags=re.MULTILINE)[0]
            for action in parser.arguments:
                if action.dest != "help":
                    for name in action.option_strings or [str(action.metavar or action.dest)]:
                        assert re.search(rf"^     +(.*, )?{re.escape(name)}\b", section, re.MULTILINE), name

    def test_what_is_no_text_is_shown_as_it_is_typed(self) -> None:
        assert "-p, --port PORT" in shown("wsd.1")
        assert "wsd serve --config wsd.toml --port 8080" in shown("wsd.1")


class TestTheFile:
    def test_every_line_with_a_key_is_shown_as_it_stands(self) -> None:
        page = [line.strip() for line in shown("wsd.toml.5").splitlines()]
        keys = [line for line in defaultText().splitlines() if re.match(r"(# )?[a-z_]+ = |\[", line)]
        assert len(keys) > 150
        assert [line for line in keys if line not in page] == []

    def test_every_word_of_its_comments_is_there(self) -> None:
        page = set(shown("wsd.toml.5").split())
        comments = re.findall(r"^# (?!-- )(.*)$", defaultText(), re.MULTILINE)
        assert [word for line in comments for word in line.split() if word not in page] == []

    def test_each_part_is_a_section(self) -> None:
        titles = re.findall(r"^# -- (.+?) -+$", defaultText(), re.MULTILINE)
        sections = re.findall(r"^\S.*$", shown("wsd.toml.5"), re.MULTILINE)
        assert [title.upper() for title in titles] == sections[3:-2]
