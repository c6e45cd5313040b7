"""
Parsers: makes lxml's parsers for documents from peers, and replaces their dictionaries from time to time.

libxml2 keeps each name and each short run of white space that it reads in a dictionary. lxml has one dictionary for
each thread, and frees it only when the thread ends. So names from peers would pile up there until the daemon stops, and
libxml2 accepts no more than 10 MB of them.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from threading import local
from typing import Any

from lxml import etree

_KEY = "_ParserDictionaryContext"
"""The key of the dictionary in lxml's state of a thread, which is private to lxml. A test fails if it changes."""
_MOST_SHARED = 1 << 20
"""Bytes to read before the shared dictionary is replaced. They make at most 8 MiB of names."""

_stateOfThread = ctypes.pythonapi.PyThreadState_GetDict
_stateOfThread.restype = ctypes.c_void_p
_stateOfThread.argtypes = ()


def parser(isHuge: bool = False, **options: Any) -> Any:
    """Returns a parser for documents from peers. `isHuge` lifts the limits of libxml2, 10 MB of text and 256 levels."""
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=isHuge,
        remove_comments=True,
        **options,
    )


class _State(local):
    """lxml's state of the current thread."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = ctypes.cast(_stateOfThread(), ctypes.py_object).value


_state = _State()


class Dictionary:
    """
    A separate dictionary: parsers that are used inside `with dictionary:` put their names there.

    A feed parser must be made, fed and closed inside the same dictionary.
    """

    __slots__ = ("_context", "_outer")

    def __init__(self) -> None:
        self._context: Any = None

    def __enter__(self) -> None:
        state = _state.names
        self._outer = state.pop(_KEY, None)
        if self._context is not None:
            state[_KEY] = self._context

    def __exit__(self, *raised: object) -> None:
        state = _state.names
        self._context = state.pop(_KEY, None)
        if self._outer is not None:
            state[_KEY] = self._outer


class FeedParser:
    """
    Parses one document that comes in pieces, with a dictionary of its own.

    lxml frees an incomplete document only when its parser is closed. So the parser is closed at the latest when this
    object is deleted.
    """

    __slots__ = ("_names", "_parser")

    def __init__(self, **options: Any) -> None:
        self._names = Dictionary()
        with self._names:
            self._parser = parser(**options)

    def feed(self, data: bytes) -> None:
        """Parses the next piece. Raises lxml's XMLSyntaxError."""
        with self._names:
            self._parser.feed(data)

    def close(self) -> Any:
        """Returns the root of the complete document. Raises lxml's XMLSyntaxError."""
        with self._names:
            return self._parser.close()

    @property
    def errors(self) -> Any:
        """lxml's log of the errors so far."""
        return self._parser.feed_error_log

    def __del__(self) -> None:
        # An incomplete document is not well-formed.
        with suppress(etree.XMLSyntaxError):
            self.close()


class _SharedParser(local):
    """The dictionary and parser that the short documents of a thread share for a while."""

    def __init__(self) -> None:
        self.names = _state.names
        self.renew()

    def renew(self) -> None:
        """Replaces the dictionary. Documents that were made with the old one keep it alive."""
        self.context: Any = None
        self.left = _MOST_SHARED
        self.parser: Any = None


_shared = _SharedParser()


_SHORT = 65536
"""Limit in bytes of a document that is parsed with the shared dictionary."""


def parseAny(text: str) -> Any:
    """Returns the root of a complete document of any length. Raises lxml's XMLSyntaxError."""
    data = text.encode()
    if len(data) <= _SHORT:
        return parseShort(data)
    with Dictionary():
        return etree.fromstring(data, parser(isHuge=True))


def parseShort(data: bytes) -> Any:
    """Returns the root of a complete short document. Raises lxml's XMLSyntaxError."""
    shared = _shared
    shared.left -= len(data)
    if shared.left < 0:
        shared.renew()
    # What `with Dictionary()` does, in a third of its time.
    names = shared.names
    outer = names.pop(_KEY, None)
    if shared.context is not None:
        names[_KEY] = shared.context
    try:
        made = shared.parser
        if made is None:
            made = shared.parser = parser()
        # Feeding a parser takes a fifth less time than fromstring.
        made.feed(data)
        return made.close()
    finally:
        shared.context = names.pop(_KEY, None)
        if outer is not None:
            names[_KEY] = outer
