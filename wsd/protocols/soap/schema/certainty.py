"""
Certainty: answers that need no validation, because whatever is written for their type is valid.

Only the plainest types are certain: a sequence of elements of built-in types, and nothing in the schema that could ask
for more. The schema itself is read for that: any attribute or element that is not known here makes a type uncertain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from wsd.protocols.soap.names import XSD, localName
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.values import ComplexType

_XSD = f"{{{XSD}}}"


def _isText(value: Any) -> bool:
    """Whether a value is a str that XML can hold; line breaks are left to the validator."""
    return type(value) is str and (value.isprintable() or not value)


def _isWithin(bits: int) -> Callable[[Any], bool]:
    least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return lambda value: type(value) is int and least <= value <= most


_SURE: Mapping[str, Callable[[Any], bool]] = {
    "string": _isText,
    "boolean": lambda value: type(value) is bool,
    "byte": _isWithin(8),
    "short": _isWithin(16),
    "int": _isWithin(32),
    "long": _isWithin(64),
    "double": lambda value: type(value) is float,
    "date": lambda value: type(value) is date,
    "dateTime": lambda value: type(value) is datetime and value.tzinfo in (None, UTC),
    "base64Binary": lambda value: type(value) is bytes,
}
"""Whether what is written for a value is valid, by the local name of the built-in type."""


class SureField(NamedTuple):
    """An element of a certain type."""

    name: str
    mayBeLeftOut: bool
    isSure: Callable[[Any], bool]


def sureFields(declaration: Any, schemaType: SimpleType | ComplexType) -> tuple[SureField, ...] | None:
    """Returns the fields of a global element of a certain type, None for any other. `declaration` is its xs:element."""
    if not isinstance(schemaType, ComplexType) or declaration is None:
        return None
    elements = _elementsIn(declaration)
    fields = schemaType.fields
    if elements is None or [localName(each.tag) for each in fields] != [each.get("name") for each in elements]:
        return None
    sure = []
    for each, node in zip(fields, elements, strict=True):
        prefix, colon, name = node.get("type", "").rpartition(":")
        isBuiltIn = colon and node.nsmap.get(prefix) == XSD
        if (
            not isBuiltIn
            or name not in _SURE
            or each.isList
            or each.repeats
            or each.members
            or each.default is not None
        ):
            return None
        sure.append(SureField(each.name, each.least == 0, _SURE[name]))
    return tuple(sure)


def _elementsIn(element: Any) -> list[Any] | None:
    """Returns the elements of the sequence that is all there is in a global element, None if there is more."""
    complexType = _only(element, "complexType", {"name"})
    sequence = None if complexType is None else _only(complexType, "sequence", set())
    if sequence is None or sequence.attrib:
        return None
    known = {"name", "type", "minOccurs", "nillable"}
    for each in sequence:
        isPlain = each.tag == f"{_XSD}element" and known.issuperset(each.attrib) and not len(each)
        if not isPlain or each.get("minOccurs", "1") not in ("0", "1"):
            return None
    return list(sequence)


def _only(parent: Any, name: str, known: set[str]) -> Any:
    """Returns the only child of an element that has no other attributes than `known`; None otherwise."""
    children = list(parent)
    isOnly = len(children) == 1 and children[0].tag == f"{_XSD}{name}" and known.issuperset(parent.attrib)
    return children[0] if isOnly else None


def isSure(fields: tuple[SureField, ...], value: Any) -> bool:
    """Returns whether a mapping has a sure value for each of these fields. Of other objects this is not known."""
    if type(value) is not dict:
        return False
    for name, mayBeLeftOut, isSureOf in fields:
        given = value.get(name)
        if not (mayBeLeftOut if given is None else isSureOf(given)):
            return False
    return True
