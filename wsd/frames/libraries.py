"""Chooses the library that deflates and inflates (RFC 1951): igzip (of the package isal), zlib-ng, or Python's zlib."""

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
        """Deflate some data. Returns the deflated bytes that are ready."""

    def flush(self, mode: int, /) -> bytes:
        """Returns all remaining deflated bytes, padded to a whole byte."""


class Inflating(Protocol):
    """A stream that inflates."""

    eof: bool
    """Whether the end of a block with the BFINAL bit was reached (RFC 1951 3.2.3)."""
    unused_data: bytes
    """The bytes after that block."""
    unconsumed_tail: bytes
    """The rest of the data, if `decompress` has returned as many bytes as it might."""

    def decompress(self, data: bytes | memoryview, most: int, /) -> bytes:
        """Returns at most `most` inflated bytes."""


class Module(Protocol):
    """The interface of Python's zlib, which all three libraries have."""

    error: type[Exception]

    def compressobj(
        self, level: int, method: int, wbits: int, memLevel: int, strategy: int, zdict: bytes | None = None
    ) -> Deflating:
        """Returns a stream that deflates."""

    def decompressobj(self, wbits: int, zdict: bytes = b"") -> Inflating:
        """Returns a stream that inflates."""


@dataclass(frozen=True, slots=True)
class Library:
    """One library, used for raw deflate streams without header and checksum."""

    name: str
    module: Module
    levels: Mapping[int, int]
    """Maps zlib's levels, 1 (fast) to 9 (small), to the library's own, where the library compresses as well as zlib."""

    def deflating(self, bits: int, level: int, memory: int, window: bytes = b"") -> Deflating:
        """Returns a deflating stream with a window of 2**bits bytes, which begins with the bytes of `window`."""
        own = self.levels[level]
        if not window:
            return self.module.compressobj(own, zlib.DEFLATED, -bits, memory, zlib.Z_DEFAULT_STRATEGY)
        return self.module.compressobj(own, zlib.DEFLATED, -bits, memory, zlib.Z_DEFAULT_STRATEGY, window)

    def inflating(self, bits: int, window: bytes = b"") -> Inflating:
        """Returns an inflating stream with a window of 2**bits bytes, which begins with the bytes of `window`."""
        return self.module.decompressobj(-bits, window) if window else self.module.decompressobj(-bits)


_SAME = {level: level for level in range(1, 10)}
_IGZIP = dict.fromkeys(range(2, 7), 1) | {1: 0}
"""igzip's levels 2 and 3 compress no better than its level 1, and none compresses as well as zlib's 7."""


def installed() -> Mapping[str, Library]:
    """Returns the installed libraries by name. zlib is always among them."""
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
    """The libraries in use: one to deflate at each level, and one to inflate."""

    deflates: Mapping[int, Library]
    inflates: Library

    @property
    def name(self) -> str:
        """The names of the libraries at the default level, for the log."""
        names = dict.fromkeys((self.deflates[6].name, self.inflates.name))
        return " and ".join(names)


def choose(libraries: Iterable[Library]) -> Choice:
    """Choose among libraries, given with the fastest at deflating first. zlib-ng inflates faster than igzip."""
    found = list(libraries)
    deflates = {level: next(library for library in found if level in library.levels) for level in _SAME}
    return Choice(deflates, next((library for library in found if library.name == "zlib-ng"), found[0]))


@cache
def chosen() -> Choice:
    """Returns the choice among the installed libraries, which is made once."""
    return choose(installed().values())
