"""
Values of complex types: from an element to a value of Python, and from a value to the text of an element.

What is written is text and not a tree, which takes half the time even though it is read again to be validated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from lxml.etree import iselement, tostring

from wsd.protocols.soap.names import XSI
from wsd.protocols.soap.schema.documents import tagOf
from wsd.protocols.soap.schema.fields import Field, Named
from wsd.protocols.soap.schema.simple import SimpleType
from wsd.protocols.soap.schema.tags import Marks, attribute, escaped, marksOf, nilMark

if TYPE_CHECKING:
    from wsd.protocols.soap.schema.types import Types

_NIL = f"{{{XSI}}}nil"
TYPE = f"{{{XSI}}}type"
_NO_OBJECTS = (str, bytes, bytearray, int, float, Decimal, date, time, timedelta, list, tuple, set, frozenset)
"""Types whose attributes are not fields."""
_PLAIN = (int, bool, float, Decimal, date, datetime, time, timedelta, bytes)
"""Whose texts have nothing to escape."""


class Content(Protocol):
    """Children whose positions matter, so that a field for each tag is not enough."""

    def read(self, element: Any, values: dict[str, Any]) -> None:
        """Read a valid element's children into `values`. Raises ValueError."""

    def write(self, out: list[str], get: Callable[..., Any]) -> None:
        """Write the children. Raises ValueError or TypeError."""


_Readers = dict[str, tuple[str, bool, Callable[[str], Any] | None, Callable[[Any], Any]]]
"""By tag: the name, whether it is a list, and what reads a text, or else an element."""
_Writers = list[tuple[str, str, str, Callable[[Any], str] | None, Field]]
"""The name, what is before and behind the text that is made of a value, or None where it is not as simple as that."""


@dataclass(slots=True)
class ComplexType:
    """A type with children or attributes; it is filled in after it is made, since types may hold themselves."""

    name: str
    types: Types
    fields: list[Field] = field(default_factory=list)
    attributes: list[Field] = field(default_factory=list)
    text: SimpleType | None = None
    """Of simple content, in the field `value`."""
    python: Any = None
    key: str = ""
    """Its name as {namespace}name, "" for an anonymous type."""
    isAbstract: bool = False
    openAttributes: str = ""
    """The field of open attributes (xs:anyAttribute), "" if there are none."""
    model: Any = None
    """The content model that the fields are made from."""
    content: Content | None = None
    """For children that `fields` alone do not describe."""
    _readers: _Readers = field(default_factory=dict)
    _writers: _Writers = field(default_factory=list)
    _keys: frozenset[str] = frozenset()
    """What a mapping may have, when one has been written."""

    def read(self, element: Any) -> Any:
        """The value of an element that is valid. Raises ValueError for what Python cannot hold."""
        return self.python(**self.readFields(element))

    def readFields(self, element: Any) -> dict[str, Any]:
        """The same as keywords, those alone that are there."""
        values: dict[str, Any] = {}
        if self.text is not None:
            values["value"] = self.text.read(element.text or "")
        for each in self.attributes:
            given = element.get(each.tag, each.default)
            if given is not None:
                values[each.name] = each.type.read(given)
        if self.openAttributes:
            self._readOpen(element, values)
        if self.content is not None:
            self.content.read(element, values)
            return values
        readers = self._readers or self._makeReaders()
        for child in element:
            name, isList, readText, read = readers.get(child.tag) or readers["*"]
            value = read(child) if readText is None else readText(child.text or "")
            if not isList:
                values[name] = value
            elif name in values:
                values[name].append(value)
            else:
                values[name] = [value]
        return values

    def _readOpen(self, element: Any, values: dict[str, Any]) -> None:
        known = {each.tag for each in self.attributes}
        found = {tag: text for tag, text in element.items() if tag not in known and not tag.startswith(f"{{{XSI}}}")}
        if found:
            values[self.openAttributes] = found

    def _makeReaders(self) -> _Readers:
        for each in self.fields:
            type = each.type
            # A child's own xsi:type can only restrict its type, unless that is xs:anyType or has attributes.
            isText = isinstance(type, SimpleType) and not each.isNillable and not self.types.mayNarrow(type)
            readText = None if not isText else type.read if each.default is None else _withDefault(type, each.default)
            isAsDeclared = type is not None and not each.members and each.default is None
            read = partial(readValue, type, self.types) if isAsDeclared else partial(readField, each, self.types)
            self._readers[each.tag] = each.name, each.isList, readText, read
            for tag in each.members:
                self._readers[tag] = each.name, each.isList, None, read
        return self._readers

    def write(self, out: list[str], value: Any) -> None:
        """The attributes and the content of an element that has been opened. Raises ValueError or TypeError."""
        # Whether it is a Mapping takes longer to tell than most of its values take to write.
        isObject = type(value) is self.python or not isinstance(value, Mapping)
        get: Callable[..., Any] = partial(getattr, value) if isObject else value.get
        if self.attributes or self.openAttributes:
            self._writeAttributes(out, get)
        out.append(">")
        if self.text is not None:
            out.append(escaped(self.text.write(get("value", None))))
        if self.content is not None:
            self.content.write(out, get)
        else:
            self._writeFields(out, get)
        if not isObject:
            self._refuseKeys(value)
        elif out[-1] == ">" and type(value) is not self.python:
            self._refuse(value)

    def _writeFields(self, out: list[str], get: Callable[..., Any]) -> None:
        writers = iter(self._writers or self._makeWriters())
        for name, opened, closed, write, each in writers:
            given = get(name, None)
            if write is not None and given is not None:
                try:
                    out.append(f"{opened}{write(given)}{closed}")
                except (TypeError, ValueError) as error:
                    raise ValueError(f"{name}: {error}") from None
            elif each.repeats:
                together = [other for other in self.fields if other.repeats == each.repeats]
                for _ in together[1:]:
                    next(writers)
                writeColumns(out, together, get, self.types)
            else:
                writeFields(out, each, given, self.types)

    def _refuse(self, value: Any) -> None:
        """Raises TypeError for a value that was written as an empty element but is not empty."""
        if isinstance(value, _NO_OBJECTS):
            raise TypeError(f"{type(value).__name__} is not a {self.name}")

    def _refuseKeys(self, value: Mapping[Any, Any]) -> None:
        """Raises ValueError for a mapping with keys that cannot be written; an object may have more attributes."""
        if not self._keys:
            leaves = self.model.leaves() if self.model is not None else ()
            named = [each.name for each in (*self.attributes, *self.fields, *leaves)]
            self._keys = frozenset((*named, *getattr(self.python, "__dataclass_fields__", ()), "xsi:type"))
        if not self._keys.issuperset(value):
            unknown = [str(key) for key in value if key not in self._keys]
            raise ValueError(f"{self.name} has no {', '.join(unknown)}")

    def _writeAttributes(self, out: list[str], get: Callable[..., Any]) -> None:
        for each in self.attributes:
            given = get(each.name, None)
            if given is not None:
                out.append(attribute(each.tag, each.type.write(given), each.name))
            elif each.least and each.default is not None:
                out.append(attribute(each.tag, each.default, each.name))
        more = (get(self.openAttributes, None) if self.openAttributes else None) or {}
        for number, (tag, text) in enumerate(more.items()):
            out.append(attribute(tagOf(tag), str(text), str(number)))

    def _makeWriters(self) -> _Writers:
        for each in self.fields:
            marks = marksOf(each.tag, self.types.space)
            isOne = not each.isList and not each.repeats and not each.members and each.default is None
            isText = isOne and isinstance(each.type, SimpleType) and not self.types.mayNarrow(each.type)
            write = _writerOf(each.type) if isText else None
            self._writers.append((each.name, f"{marks.opened}>", marks.closed, write, each))
        return self._writers


def writeColumns(out: list[str], together: list[Field], get: Callable[..., Any], types: Types) -> None:
    """Write a repeated sequence: the first item of each field, then the second."""
    columns = [list(_given(each, get(each.name, None))) for each in together]
    if len(set(map(len, columns))) > 1:
        raise ValueError(f"{', '.join(each.name for each in together)}: these lists differ in length")
    for row in range(len(columns[0])):
        for each, column in zip(together, columns, strict=True):
            writeField(out, each, column[row], types)


def writeFields(out: list[str], each: Field, given: Any, types: Types) -> None:
    """Write all children of a field."""
    type = each.type
    marks = marksOf(each.tag, types.space)
    isPlain = type.__class__ is ComplexType and not each.members and not types.mayNarrow(type)
    for item in _given(each, given):
        if not isPlain or item is None or item.__class__ is Named:
            writeField(out, each, item, types)
            continue
        # As few stack frames as possible, since values may be nested as deeply as XML.
        out.append(marks.opened)
        try:
            type.write(out, item)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{each.name}: {error}") from None
        out.append(marks.closed)


def _writerOf(type: SimpleType) -> Callable[[Any], str]:
    write = type.write
    return write if type.python in _PLAIN else lambda value: escaped(write(value))


def _withDefault(type: SimpleType, default: str) -> Callable[[str], Any]:
    return lambda text: type.read(text or default)


def readField(each: Field, types: Types, child: Any) -> Any:
    """The value of a child, for a field. Raises ValueError."""
    if each.type is None:
        return child
    if each.members and child.tag != each.tag:
        member = each.members[child.tag]
        return Named(member.name, readField(member, types, child))
    if each.default is not None and not child.text and not len(child):
        child.text = each.default
    return readValue(each.type, types, child)


def readValue(type: SimpleType | ComplexType, types: Types, element: Any) -> Any:
    """The value of an element that may be nil or declare a derived type. Raises ValueError."""
    if element.attrib:
        if element.get(_NIL) in ("true", "1"):
            return None
        if TYPE in element.attrib:
            type = types.told(element, element.get(TYPE))
    return type.read(element.text or "") if isinstance(type, SimpleType) else type.read(element)


def _given(each: Field, value: Any) -> Iterable[Any]:
    if each.isList:
        if isinstance(value, (str, bytes, Mapping)):
            raise TypeError(f"{each.name}: {type(value).__name__} is not a list")
        return value or ()
    return () if value is None and not (each.least and each.mayBeBare) else (value,)


def writeField(out: list[str], each: Field, value: Any, types: Types) -> None:
    """Write one child. Raises ValueError that names it."""
    if each.type is None:
        types.anything.writeChild(out, value)
    elif isinstance(value, Named) and (each.members or each.type is not types.anything):
        writeField(out, replace(each.member(value.name), members={}, isAbstract=False), value.value, types)
    elif each.isAbstract:
        raise ValueError(f"{each.name} is abstract; write Named(name, value) with an element that substitutes for it")
    elif value is None:
        marks = marksOf(each.tag, types.space)
        isNil = each.isNillable or each.default is None
        out.append(f"{marks.opened}{nilMark(types.nilOf(each.type)) if isNil else ''}>{marks.closed}")
    elif each.default and value == "":
        raise ValueError(
            f"{each.name}: an empty element is read as its default, {each.default!r}; write something else"
        )
    else:
        writeValue(out, each.tag, marksOf(each.tag, types.space), each.type, value, types)


def writeValue(
    out: list[str], tag: str, marks: Marks, type: SimpleType | ComplexType, value: Any, types: Types
) -> None:
    """Write an element of this type, or of a derived type, which it declares. Raises ValueError."""
    name = tag.rpartition("}")[2]
    if not types.mayNarrow(type):
        writeElement(out, marks, type, value, name)
        return
    if type is types.anything and getattr(value, "tag", None) == tag and iselement(value):
        # A value that was read as an element.
        out.append(tostring(value, encoding="unicode", with_tail=False))
        return
    try:
        actual, told = types.actual(type, value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    writeElement(out, Marks(f"{marks.opened}{told}", marks.closed) if told else marks, actual, value, name)


def writeElement(out: list[str], marks: Marks, type: SimpleType | ComplexType, value: Any, name: str) -> None:
    """Write an element of exactly this type. Raises ValueError that names the part of the value that is wrong."""
    out.append(marks.opened)
    try:
        if isinstance(type, SimpleType):
            out.append(f">{escaped(type.write(value))}")
        else:
            type.write(out, value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    out.append(marks.closed)
