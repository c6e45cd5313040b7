"""Samples: an example of each operation's request, which the page shows and sends."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from lxml import etree

from wsd.protocols.soap.names import SOAP12, WSA, WSSE, XSI, namespaceOf
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.fields import Field
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


def sample(
    operation: Operation, messageId: str = "urn:uuid:00000000-0000-4000-8000-000000000001", hasLogin: bool = False
) -> str:
    """Returns a sample request: an addressed envelope of SOAP 1.2, indented; with `hasLogin`, with a UsernameToken."""
    message = operation.input
    assert message is not None
    envelope = etree.Element(f"{{{SOAP12.namespace}}}Envelope", nsmap={"s": SOAP12.namespace, "a": WSA})
    header = etree.SubElement(envelope, f"{{{SOAP12.namespace}}}Header")
    etree.SubElement(header, f"{{{WSA}}}Action").text = message.action
    etree.SubElement(header, f"{{{WSA}}}MessageID").text = messageId
    if hasLogin:
        security = etree.SubElement(header, f"{{{WSSE}}}Security", nsmap={"o": WSSE})
        token = etree.SubElement(security, f"{{{WSSE}}}UsernameToken")
        for name in ("Username", "Password"):
            etree.SubElement(token, f"{{{WSSE}}}{name}").text = name.lower()
    _add(etree.SubElement(envelope, f"{{{SOAP12.namespace}}}Body"), message)
    etree.indent(envelope)
    return str(etree.tostring(envelope, encoding="unicode"))


def _add(body: Any, message: Message) -> None:
    namespace = namespaceOf(message.element)
    names = {None if _isQualified(message.type) else "n": namespace} if namespace else None
    _fill(etree.SubElement(body, message.element, nsmap=names), message.type, 0)


def _isQualified(schemaType: SimpleType | ComplexType) -> bool:
    """Returns whether all children are in a namespace, so that it can be the default namespace."""
    return isinstance(schemaType, SimpleType) or all(each.tag.startswith("{") for each in schemaType.fields)


def _fill(element: Any, schemaType: SimpleType | ComplexType, depth: int) -> None:
    if isinstance(schemaType, SimpleType):
        element.text = _text(schemaType)
        return
    if schemaType.text is not None:
        element.text = _text(schemaType.text)
    for each in schemaType.attributes:
        if each.least:
            element.set(each.tag, _text(each.type))
    if schemaType.model is not None and depth < _DEPTH:
        _children(element, schemaType.model, depth)


def _children(element: Any, part: Any, depth: int) -> None:
    """Adds one turn of each group: the first part of a choice, the first member of a substitution group."""
    if part.occurs[0] == 0 and depth >= _SHOWN:
        return
    if not isinstance(part, Field):
        for each in part.parts[:1] if part.kind == "choice" else part.parts:
            _children(element, each, depth)
    elif part.type is not None:
        shown = next(iter(part.members.values()), part) if part.isAbstract else part
        child, schemaType = _child(element, shown)
        if shown.default is None:
            _fill(child, schemaType, depth + 1)


def _child(element: Any, each: Field) -> tuple[Any, SimpleType | ComplexType]:
    """Adds a child. Returns it and its type, which it declares if the one in the schema is abstract."""
    if isinstance(each.type, ComplexType) and each.type.isAbstract:
        for actual in each.type.types.concreteTypes(each.type):
            namespace = namespaceOf(actual.key)
            child = etree.SubElement(element, each.tag, nsmap={"i": XSI, "t": namespace} if namespace else {"i": XSI})
            child.set(TYPE, f"t:{actual.name}" if namespace else actual.name)
            return child, actual
    return etree.SubElement(element, each.tag), each.type


def _text(schemaType: SimpleType) -> str:
    if schemaType.choices:
        return schemaType.choices[0]
    if schemaType.least:
        return schemaType.least
    try:
        return schemaType.write(_VALUES.get(schemaType.python, "text"))
    except (TypeError, ValueError):
        return "text"


def kindOf(each: Field) -> str:
    """Describes the type of a field, and how often it occurs."""
    name = "any" if each.type is None else each.type.name
    if not each.tag and isinstance(each.type, ComplexType):
        name = f"({', '.join(f'{inner.name} {kindOf(inner)}' for inner in each.type.fields)})"
    choices = f" ({', '.join(each.type.choices)})" if isinstance(each.type, SimpleType) and each.type.choices else ""
    often = "[]" if each.isList else "" if each.least else "?"
    return f"{name}{often}{choices}"
