"""
[MC-NBFS]: the 487 strings that both sides know by number, from `mustUnderstand`, 0, to `detail`, 972.

They are in nbfs.txt, one a line. The number of a string is twice the number of its line, counted from 0. Odd numbers
are left for the strings of a session ([MC-NBFSE]).
"""

from __future__ import annotations

from importlib.resources import files

FILE = files(__package__).joinpath("nbfs.txt")
"""The file, which the page of a route reads as well."""

STRINGS: tuple[str, ...] = tuple(FILE.read_text("utf-8").split("\n")[:-1])
"""The strings. The number of each is twice its index."""

NUMBERS: dict[str, int] = {text: 2 * index for index, text in reversed(list(enumerate(STRINGS))) if text}
"""The number of each string but the empty one; the lowest one if a string is there twice."""
