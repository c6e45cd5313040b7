"""
Coverage-guided fuzzing of what reads bytes from strangers: `make fuzz` (python -m tests.fuzz).

Each target is a module here with a function `check`, which takes any bytes. It fails if something other than the
documented exceptions comes out, or if two readers that must agree do not.

    engine    runs one target under atheris, in the virtual environment that `install` makes
    replay    runs targets over the inputs of `corpus`, and those that were found, without atheris

`corpus` has a folder of seeds for each target. `test_corpus.py` runs every target over them in `make test`. An input
that made a target fail becomes a test beside the others of the module at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

TARGETS = (
    "head",
    "door",
    "proxy",
    "hello",
    "secure",
    "extensions",
    "authorization",
    "tokens",
    "frames",
    "soap",
    "nbfx",
    "mtom",
    "framing",
    "stream",
    "stanza",
    "topics",
    "filters",
    "blob",
    "canvas",
    "yjs",
    "control",
    "moves",
    "config",
)
"""The names of the modules with a `check`."""

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
CACHE = HERE.parents[1] / ".cache" / "fuzz"
"""What the runs keep: atheris, the inputs that reach new code in `corpus`, and those that failed in `found`."""

Check = Callable[[bytes], None]


def moduleOf(name: str) -> Any:
    """The module of a target."""
    return import_module(f"{__name__}.{name}")


def targetOf(name: str) -> Check:
    """The function that a target consists of."""
    check: Check = moduleOf(name).check
    return check


def inputsOf(name: str) -> Iterator[Path]:
    """The seeds of a target, then what earlier runs have kept."""
    for folder in (CORPUS / name, CACHE / "corpus" / name, CACHE / "found" / name):
        yield from sorted(folder.glob("*"))
