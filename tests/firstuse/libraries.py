"""
Puts the libraries that a wheel requires into an environment, copied from the one that the tests run in.

The wheel's metadata alone decides which: what it forgets to require is not there. pip finds them installed, in versions
that it checks, and downloads nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from email.parser import Parser
from importlib.metadata import Distribution, distribution
from pathlib import Path
from shutil import copy
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def copyLibraries(wheel: Path, environment: Path) -> None:
    """Copy all that the wheel requires, and what that requires in turn."""
    target = next(environment.glob("lib/python*/site-packages"))
    for library in _closure(_requirementsOf(wheel)):
        for file in library.files or ():
            _copy(Path(str(file.locate())), target / file, environment)


def _requirementsOf(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def _closure(texts: list[str]) -> Iterator[Distribution]:
    found: set[tuple[str, str]] = set()
    waiting = [(text, "") for text in texts]
    while waiting:
        text, extra = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        library = distribution(requirement.name)
        for wanted in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), wanted)
            if key not in found:
                found.add(key)
                waiting += [(each, wanted) for each in library.requires or ()]
                if not wanted:
                    yield library


def _copy(source: Path, target: Path, environment: Path) -> None:
    if source.suffix == ".pyc" or not source.is_file():
        return
    if ".." in target.parts:
        # A command: its first line names the Python that runs it.
        target = environment / "bin" / target.name
        text = source.read_bytes().partition(b"\n")[2]
        target.write_bytes(f"#!{environment}/bin/{Path(sys.executable).name}\n".encode() + text)
        target.chmod(0o755)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    copy(source, target)
