"""Reads a page as the steps that a reader takes: files to save, commands to run, and a daemon to stop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

FIRST_USE: Mapping[str, tuple[str, ...]] = {
    "docs/protocols.md": ("Six steps", "As a package", "Classes of Autobahn"),
    "docs/handlers.md": ("Your first handler",),
    "docs/soap.md": ("Try the demonstration", "Your first service"),
    "docs/blob.md": ("First upload",),
    "docs/uses.md": ("Copy one, and change it",),
}
"""The sections of each page that are followed to the letter."""

_FILE = re.compile(r"`([\w./-]+\.\w+)`[^`]*:\Z")
"""The end of a paragraph that names the file of the block below it: Save this as `shout.py`:"""


@dataclass(frozen=True)
class Save:
    """A file with its content."""

    name: str
    text: str


@dataclass(frozen=True)
class Run:
    """A command, and what is shown of its output; None if nothing is shown."""

    command: str
    output: str | None = None


@dataclass(frozen=True)
class Interrupt:
    """Press Ctrl-C where the daemon runs."""


Step = Save | Run | Interrupt


def stepsOf(page: str, *sections: str) -> list[Step]:
    """The steps in these sections of a page."""
    found = _sectionsOf(page)
    return [step for section in sections for step in _steps(found[section])]


def isFollowed(page: str, block: str) -> bool:
    """Whether a block of code is in a section that is followed to the letter."""
    sections = FIRST_USE.get(page, ())
    return any(f"\n{block}```" in _sectionsOf(page)[section] for section in sections)


def _sectionsOf(page: str) -> dict[str, str]:
    parts = re.split(r"^## (.*)$", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _steps(text: str) -> Iterator[Step]:
    paragraph = ""
    for prose, language, block in re.findall(
        r"((?:^(?!```).*\n)*)(?:^```(\w+)\n((?:.*\n)*?)```\n)?", text, re.MULTILINE
    ):
        if "Ctrl-C" in prose:
            yield Interrupt()
        paragraph = prose.strip().rpartition("\n\n")[2] or paragraph
        if language == "sh":
            yield from (Run(line) for line in block.splitlines() if line and not line.startswith("#"))
        elif language == "console":
            yield from _conversation(block)
        elif language:
            name = _FILE.search(paragraph.replace("\n", " "))
            if name is not None:
                yield Save(name[1], block)


def _conversation(block: str) -> Iterator[Run]:
    """The commands of a block with prompts; a line that ends in a backslash goes on."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        match = re.match(r"((?:.*\\\n)*.*)\n", part)
        assert match is not None
        yield Run(match[1], part[match.end() :] or None)
