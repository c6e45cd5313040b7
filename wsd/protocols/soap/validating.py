"""
Validator: whether an element is as its schema says, at a cost that grows with its size and no faster.

libxml2 goes on after an error, and lxml writes the path of each, which takes as long as there are elements before it:
50,000 wrong elements take seconds. So a large element is read again in pieces, and the first error is the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from threading import Lock
from typing import Any

from lxml import etree

from wsd.protocols.soap.dictionary import Piecewise
from wsd.protocols.soap.names import XSD

_XSD = f"{{{XSD}}}"
_SMALL = 16384
"""Bytes whose errors are few enough to be found at once: 4,000 take 15 ms."""
_PIECE = 16384
_QUANTIFIER = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|([*+?]|\{\d+(?:,\d*)?\})", re.DOTALL)
"""A quantifier of a regular expression, in the group; what is escaped and classes are passed over."""
_FIXED = re.compile(r"\{\d+\}")
_UNDECIDED = "a value cannot be checked against its pattern in a bearable time; send a shorter one"


class Validator:
    """A schema of lxml's, and the documents that it was made of."""

    def __init__(self, schema: Any, documents: Iterable[Any]) -> None:
        self._schema = schema
        self._lock = Lock()
        """lxml keeps the errors of a schema in one place, whatever the thread."""
        roots = list(documents)
        self._hasIds = any(map(_hasIds, roots))
        self.isCostly = self._hasIds or any(map(_mayBacktrack, roots))
        """Whether the time may grow faster than the size. Then it is spent in a thread: libxml2 lets others run."""

    def check(self, element: Any, size: int) -> str:
        """ "" when an element of so many bytes is as the schema says, else the first thing that is wrong."""
        with self._lock:
            try:
                if size > _SMALL:
                    # Read in pieces, what should be unique as an xs:ID is not looked at.
                    return self._inPieces(element) or (self._atOnce(element) if self._hasIds else "")
                return self._atOnce(element)
            except etree.XMLSchemaValidateError:
                return _UNDECIDED

    def _atOnce(self, element: Any) -> str:
        if self._schema.validate(element):
            return ""
        log = self._schema.error_log
        return _sentence(log[0] if log else log.last_error)

    def _inPieces(self, element: Any) -> str:
        data = memoryview(etree.tostring(element, encoding="utf-8", with_tail=False))
        reader = Piecewise(isHuge=True, schema=self._schema)
        try:
            for start in range(0, len(data), _PIECE):
                reader.feed(bytes(data[start : start + _PIECE]))
                if reader.errors:
                    return _sentence(reader.errors[0])
            reader.close()
        except etree.XMLSyntaxError as error:
            return _sentence(reader.errors[0]) if reader.errors else str(error)[:400]
        return ""


def _sentence(error: Any) -> str:
    return str(error.message)[:400]


def _hasIds(root: Any) -> bool:
    """Whether a document uses xs:ID."""
    names = (node.get(key, "") for node in root.iter(f"{_XSD}*") for key in ("type", "base", "itemType"))
    return any(name.rpartition(":")[2] == "ID" for name in names)


def _mayBacktrack(root: Any) -> bool:
    """
    Whether libxml2 may have to try more than one way through a pattern or a content model.

    It counts repetitions by trying them, so that two in a row, or one in another, may multiply.
    """
    for pattern in root.iter(f"{_XSD}pattern"):
        value = pattern.get("value", "")
        variable = [each for each in _QUANTIFIER.finditer(value) if each[1] and not _FIXED.fullmatch(each[1])]
        if len(variable) > 1 or ("|" in value and any(value[each.start() - 1] == ")" for each in variable)):
            return True
    groups = root.iter(f"{_XSD}sequence", f"{_XSD}choice", f"{_XSD}group")
    return any(group.get("maxOccurs", "1") not in ("0", "1", "unbounded") for group in groups)
