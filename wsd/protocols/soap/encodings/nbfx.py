"""
[MC-NBFX]: documents in the binary format of WCF, read and written by the compiled codec where it is built.

`_nbfx` reads and writes what peers and services usually send. The rest, and everything where it is not built, is left
to `nbfxreader` and `nbfxwriter`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from wsd.protocols.soap.encodings import nbfxreader, nbfxwriter
from wsd.protocols.soap.encodings.nbfxwriter import Names


class Codec(NamedTuple):
    """One implementation of both directions."""

    readDocument: Callable[[bytes, int, Sequence[str], int], bytes]
    """As `nbfxreader.readDocument`."""
    writeDocument: Callable[[str, Names], bytes]
    """As `nbfxwriter.writeDocument`."""


def _found() -> dict[str, Codec]:
    codecs = {"python": Codec(nbfxreader.readDocument, nbfxwriter.writeDocument)}
    with suppress(ImportError):
        from wsd.protocols.soap.encodings import _nbfx

        def read(data: bytes, start: int, strings: Sequence[str], most: int) -> bytes:
            document = _nbfx.readDocument(data, start, strings, most)
            return nbfxreader.readDocument(data, start, strings, most) if document is None else document

        def write(text: str, names: Names) -> bytes:
            document = _nbfx.writeDocument(text, names)
            return nbfxwriter.writeDocument(text, names) if document is None else document

        codecs = {"compiled": Codec(read, write), **codecs}
    return codecs


CODECS = _found()
"""The available codecs, the faster one first."""

codec = next(iter(CODECS.values()))
"""The one that is used."""
