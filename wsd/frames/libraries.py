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
        """Take some plain bytes. Some deflated bytes may come out."""

    def flush(self, mode: int, /) -> bytes:
        """Everything that is left, filled up to a whole byte."""


class Inflating(Protocol):
    """A stream that inflates."""

    eof: bool
    """Whether a block with the BFINAL bit has come (RFC 1951 3.2.3)."""
    unused_data: bytes
    """What came after that block."""

    def decompress(self, data: bytes | memoryview, most: int, /) -> bytes:
        """Returns at most `most` plain bytes, and keeps the rest of `data`."""


class Module(Protocol):
    """The interface of Python's zlib, which all three libraries have."""

    error: type[Exception]

    def compressobj(
        self, level: int, method: int, wbits: int, memLevel: int, strategy: int, zdict: bytes | None = None
    ) -> Deflating:
        """A stream that deflates."""

    def decompressobj(self, wbits: int, zdict: bytes = b"") -> Inflating:
        """A stream that inflates."""


@dataclass(frozen=True, slots=True)
class Library:
    """One library, for raw deflate streams without header and checksum."""

    name: str
    module: Module
    levels: Mapping[int, int]
    """The library's own level for each level from 1 (fast) to 9 (small) at which it is as good as zlib."""

    def deflating(self, bits: int, level: int, memory: int, window: bytes = b"") -> Deflating:
        """A stream that refers to at most 2**bits bytes before; the receiver has the bytes of `window`."""
        own = self.levels[level]
        if not window:
            return self.module.compressobj(own, zlib.DEFLATED, -bits, memory, zlib.Z_DEFAULT_STRATEGY)
        return self.module.compressobj(own, zlib.DEFLATED, -bits, memory, zlib.Z_DEFAULT_STRATEGY, window)

    def inflating(self, bits: int, window: bytes = b"") -> Inflating:
        """A stream with a window of 2**bits bytes, which ends with the bytes of `window`."""
        return self.module.decompressobj(-bits, window) if window else self.module.decompressobj(-bits)


_SAME = {level: level for level in range(1, 10)}
_IGZIP = dict.fromkeys(range(2, 7), 1) | {1: 0}
"""igzip's levels 2 and 3 save no more than its 1, and none saves as much as zlib's 7."""


def installed() -> Mapping[str, Library]:
    """The installed libraries by name; zlib is always among them."""
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
    """The libraries in use: the best one to deflate at each level, and the one that inflates."""

    deflates: Mapping[int, Library]
    inflates: Library

    @property
    def name(self) -> str:
        """The libraries used at the default level, for the log."""
        names = dict.fromkeys((self.deflates[6].name, self.inflates.name))
        return " and ".join(names)


def choose(libraries: Iterable[Library]) -> Choice:
    """Choose among libraries, given with the fastest at deflating first. At inflating zlib-ng is faster than igzip."""
    found = list(libraries)
    deflates = {level: next(library for library in found if level in library.levels) for level in _SAME}
    return Choice(deflates, next((library for library in found if library.name == "zlib-ng"), found[0]))


@cache
def chosen() -> Choice:
    """The choice among the installed libraries, made once."""
    return choose(installed().values())
