"""Which library deflates and inflates (RFC 1951): igzip (of the package isal), zlib-ng, or the zlib of Python."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Protocol


class Deflating(Protocol):
    """A stream that deflates."""

    def compress(self, data: bytes, /) -> bytes:
        """Take some plain bytes; some that are deflated may come out."""

    def flush(self, mode: int, /) -> bytes:
        """All that is left, up to a boundary of a byte."""


class Inflating(Protocol):
    """A stream that inflates."""

    eof: bool
    """Whether a block came that says it is the last one."""
    unused_data: bytes
    """What came behind that block."""

    def decompress(self, data: bytes | memoryview, most: int, /) -> bytes:
        """At most `most` plain bytes; what then is left of `data` is kept."""


class Module(Protocol):
    """What the three libraries have in common: the names of Python's zlib."""

    error: type[Exception]

    def compressobj(
        self, level: int, method: int, wbits: int, memLevel: int, strategy: int, zdict: bytes | None = None
    ) -> Deflating:
        """A stream that deflates."""

    def decompressobj(self, wbits: int, zdict: bytes = b"") -> Inflating:
        """A stream that inflates."""


@dataclass(frozen=True, slots=True)
class Library:
    """One library: streams of raw deflate, without head and checksum."""

    name: str
    module: Module
    levels: Mapping[int, int]
    """Its own level for each of the levels 1 (fast) to 9 (small) that it can do as well as zlib."""

    def deflating(self, bits: int, level: int, memory: int, window: bytes = b"") -> Deflating:
        """A stream that refers to at most 2**bits bytes before, of which `window` are those that the receiver has."""
        own = self.levels[level]
        if not window:
            return self.module.compressobj(own, zlib.DEFLATED, -bits, memory, zlib.Z_DEFAULT_STRATEGY)
        return self.module.compressobj(own, zlib.DEFLATED, -bits, memory, zlib.Z_DEFAULT_STRATEGY, window)

    def inflating(self, bits: int, window: bytes = b"") -> Inflating:
        """A stream that has a window of 2**bits bytes, of which `window` are the last ones that came."""
        return self.module.decompressobj(-bits, window) if window else self.module.decompressobj(-bits)


_SAME = {level: level for level in range(1, 10)}
_IGZIP = dict.fromkeys(range(2, 7), 1) | {1: 0}
"""igzip's 2 and 3 make messages no smaller than its 1, and no level of it is as small as zlib's 7."""


def installed() -> Mapping[str, Library]:
    """The libraries there are, by name; zlib always is."""
    found = {}
    for name, module, levels in (
        ("igzip", "isal.isal_zlib", _IGZIP),
        ("zlib-ng", "zlib_ng.zlib_ng", _SAME),
        ("zlib", "zlib", _SAME),
    ):
        try:
            found[name] = Library(name, import_module(module), levels)
        except ImportError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Choice:
    """The libraries that serve: for each level that deflates best with it, and the one that inflates."""

    deflates: Mapping[int, Library]
    inflates: Library

    @property
    def name(self) -> str:
        """What serves when nobody asks for another level."""
        names = dict.fromkeys((self.deflates[6].name, self.inflates.name))
        return " and ".join(names)


def choose(libraries: Iterable[Library]) -> Choice:
    """Choose among libraries, the fastest at deflating first; of those that inflate zlib-ng is faster than igzip."""
    found = list(libraries)
    deflates = {level: next(library for library in found if level in library.levels) for level in _SAME}
    return Choice(deflates, next((library for library in found if library.name == "zlib-ng"), found[0]))


@cache
def chosen() -> Choice:
    """The choice among what is installed, made once."""
    return choose(installed().values())
