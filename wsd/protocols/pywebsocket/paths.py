"""Which file answers at which path, and the map of other names for them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

SUFFIX = "_wsh.py"
_CANDIDATE = re.compile(r"_wsh\.py\Z", re.IGNORECASE)
_ALIAS = re.compile(r"(\S+)\s+(\S+)\Z")


def isUnder(path: str, folder: str) -> bool:
    """Whether a path lies in a folder, or is it, once symbolic links are followed."""
    root = os.path.realpath(folder)
    return os.path.commonpath((os.path.realpath(path), root)) == root


def candidates(folder: str) -> Iterator[str]:
    """The files below a folder that look like handlers, in the order of their names; linked folders are left out."""
    for place, folders, files in os.walk(os.path.realpath(folder)):
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(files) if _CANDIDATE.search(name))


def resourceOf(path: str, root: str) -> str | None:
    """The path of a URL at which a file answers: `ROOT/a/b_wsh.py` at /a/b; None for one that does not."""
    base = os.path.realpath(root).rstrip("/")
    if not path.endswith(SUFFIX) or not path.startswith(base + "/"):
        return None
    return path[len(base) : -len(SUFFIX)]


def readMap(lines: Iterable[str]) -> tuple[list[tuple[str, str]], list[int]]:
    """Of a map file: its aliases, each with the path it stands for, and the numbers of the lines that are no alias."""
    aliases, wrong = [], []
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        match = _ALIAS.match(line.rstrip())
        if match is None:
            wrong.append(number)
        else:
            aliases.append((match[1], match[2]))
    return aliases, wrong
