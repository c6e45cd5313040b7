"""
Validator: validates an element against the schemas of a contract, at a cost linear in the element's size.

libxml2 goes on after an error, and lxml records the path of each error in time linear in the number of elements before
it: 50,000 errors take seconds. So a large element is validated in pieces, up to the first error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from threading import Lock
from typing import Any

from lxml import etree

from wsd.protocols.soap.names import XSD
from wsd.protocols.soap.parsers import FeedParser

_XSD = f"{{{XSD}}}"
_SMALL = 16384
"""Limit in bytes of an element that is validated as a whole: its errors, at most 4,000, take 15 ms."""
_PIECE = 16384
_QUANTIFIER = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|([*+?]|\{\d+(?:,\d*)?\})", re.DOTALL)
"""Matches a quantifier of a regular expression in the group; it skips escapes and character classes."""
_FIXED = re.compile(r"\{\d+\}")
_UNDECIDED = "checking a value against its pattern takes too long; send a shorter value"


class Validator:
    """Validates elements with an lxml schema, which was made from `documents`."""

    def __init__(self, schema: Any, documents: Iterable[Any]) -> None:
        self._schema = schema
        self._lock = Lock()
        """lxml keeps the errors of a schema in one place for all threads."""
        roots = list(documents)
        self._hasIds = any(map(_hasIds, roots))
        self.isCostly = self._hasIds or any(map(_mayBacktrack, roots))
        """Whether the time may grow faster than the size. Then validate in a thread: libxml2 releases the GIL."""

    def check(self, element: Any, size: int) -> str:
        """Returns the first error in an element of `size` bytes, "" if it is valid."""
        if size <= _SMALL and not self.isCostly:
            return self._atOnce(element)
        # This holds no lock: an answer must not wait for a request that a thread validates.
        error = self._inPieces(element)
        # Validation in pieces does not check that an xs:ID is unique.
        return self._atOnce(element) if self._hasIds and not error else error

    def _atOnce(self, element: Any) -> str:
        with self._lock:
            try:
                if self._schema.validate(element):
                    return ""
            except etree.XMLSchemaValidateError:
                return _UNDECIDED
            log = self._schema.error_log
            return _sentence(log[0] if log else log.last_error)

    def _inPieces(self, element: Any) -> str:
        data = memoryview(etree.tostring(element, encoding="utf-8", with_tail=False))
        parser = FeedParser(isHuge=True, schema=self._schema)
        try:
            for start in range(0, len(data), _PIECE):
                parser.feed(bytes(data[start : start + _PIECE]))
                if parser.errors:
                    return _sentence(parser.errors[0])
            parser.close()
        except etree.XMLSyntaxError as error:
            return _sentence(parser.errors[0]) if parser.errors else str(error)[:400]
        return ""


def _sentence(error: Any) -> str:
    message = str(error.message)
    return _UNDECIDED if message.startswith("Internal error") else message[:400]


def _hasIds(root: Any) -> bool:
    """Returns whether a document uses xs:ID."""
    names = (node.get(key, "") for node in root.iter(f"{_XSD}*") for key in ("type", "base", "itemType"))
    return any(name.rpartition(":")[2] == "ID" for name in names)


def _mayBacktrack(root: Any) -> bool:
    """
    Returns whether libxml2 may have to backtrack in a pattern or a content model.

    It counts repetitions by trying them, so the cost of adjacent or nested ones may multiply.
    """
    for pattern in root.iter(f"{_XSD}pattern"):
        value = pattern.get("value", "")
        variable = [each for each in _QUANTIFIER.finditer(value) if each[1] and not _FIXED.fullmatch(each[1])]
        if len(variable) > 1 or ("|" in value and any(value[each.start() - 1] == ")" for each in variable)):
            return True
    groups = root.iter(f"{_XSD}sequence", f"{_XSD}choice", f"{_XSD}group")
    return any(group.get("maxOccurs", "1") not in ("0", "1", "unbounded") for group in groups)
