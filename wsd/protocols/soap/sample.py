"""Samples: what a request of an operation looks like, for a person to begin with."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from lxml import etree

from wsd.protocols.soap.names import SOAP12, WSA, XSI
from wsd.protocols.soap.schema.fields import Field
from wsd.protocols.soap.schema.particles import spaceOf
from wsd.protocols.soap.schema.simple import SimpleType
from wsd.protocols.soap.schema.values import TYPE, ComplexType
from wsd.protocols.soap.wsdl.contract import Message, Operation

_VALUES: dict[Any, Any] = {
    str: "text",
    int: 1,
    bool: True,
    float: 1.5,
    Decimal: Decimal("1.50"),
    bytes: b"bytes",
    date: date(2026, 1, 31),
    datetime: datetime(2026, 1, 31, 12),  # noqa: DTZ001 - a sample for a person, without a zone
    time: time(12),
    timedelta: timedelta(seconds=90),
}
_DEPTH = 6
_SHOWN = 2
"""Levels down to which optional parts are shown."""


def sample(operation: Operation, messageId: str = "urn:uuid:00000000-0000-4000-8000-000000000001") -> str:
    """An addressed envelope of SOAP 1.2 that asks for it, indented."""
    message = operation.input
    assert message is not None
    envelope = etree.Element(f"{{{SOAP12.namespace}}}Envelope", nsmap={"s": SOAP12.namespace, "a": WSA})
    header = etree.SubElement(envelope, f"{{{SOAP12.namespace}}}Header")
    etree.SubElement(header, f"{{{WSA}}}Action").text = message.action
    etree.SubElement(header, f"{{{WSA}}}MessageID").text = messageId
    _add(etree.SubElement(envelope, f"{{{SOAP12.namespace}}}Body"), message)
    etree.indent(envelope)
    return str(etree.tostring(envelope, encoding="unicode"))


def _add(body: Any, message: Message) -> None:
    space = message.element[1:].rpartition("}")[0]
    names = {None if _isQualified(message.type) else "n": space} if space else None
    _fill(etree.SubElement(body, message.element, nsmap=names), message.type, 0)


def _isQualified(type: SimpleType | ComplexType) -> bool:
    """Whether children are in a namespace, so that one may be the default."""
    return isinstance(type, SimpleType) or all(each.tag.startswith("{") for each in type.fields)


def _fill(element: Any, type: SimpleType | ComplexType, depth: int) -> None:
    if isinstance(type, SimpleType):
        element.text = _text(type)
        return
    if type.text is not None:
        element.text = _text(type.text)
    for each in type.attributes:
        if each.least:
            element.set(each.tag, _text(each.type))
    if type.model is not None and depth < _DEPTH:
        _children(element, type.model, depth)


def _children(element: Any, part: Any, depth: int) -> None:
    """Add one turn of each group: the first part of a choice, one allowed member of a substitution group."""
    if part.occurs[0] == 0 and depth >= _SHOWN:
        return
    if not isinstance(part, Field):
        for each in part.parts[:1] if part.kind == "choice" else part.parts:
            _children(element, each, depth)
    elif part.type is not None:
        shown = next(iter(part.members.values()), part) if part.isAbstract else part
        child, type = _child(element, shown)
        if shown.default is None:
            _fill(child, type, depth + 1)


def _child(element: Any, each: Field) -> tuple[Any, SimpleType | ComplexType]:
    """Add a child. Returns it and its type, which it declares if the declared one is abstract."""
    if isinstance(each.type, ComplexType) and each.type.isAbstract:
        for actual in each.type.types.derivations.concrete(each.type):
            space = spaceOf(actual.key)
            child = etree.SubElement(element, each.tag, nsmap={"i": XSI, "t": space} if space else {"i": XSI})
            child.set(TYPE, f"t:{actual.name}" if space else actual.name)
            return child, actual
    return etree.SubElement(element, each.tag), each.type


def _text(type: SimpleType) -> str:
    if type.choices:
        return type.choices[0]
    if type.least:
        return type.least
    try:
        return type.write(_VALUES.get(type.python, "text"))
    except (TypeError, ValueError):
        return "text"


def kindOf(each: Field) -> str:
    """A field's type and how often it is there, for a person."""
    name = "any" if each.type is None else each.type.name
    if not each.tag and isinstance(each.type, ComplexType):
        name = f"({', '.join(f'{inner.name} {kindOf(inner)}' for inner in each.type.fields)})"
    choices = f" ({', '.join(each.type.choices)})" if isinstance(each.type, SimpleType) and each.type.choices else ""
    often = "[]" if each.isList else "" if each.least else "?"
    return f"{name}{often}{choices}"
