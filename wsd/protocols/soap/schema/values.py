"""
Values of complex types: reads an element as a Python value, and writes a value as the text of an element.

Writing text takes half the time of building a tree, although the text is parsed again for validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

from lxml.etree import iselement, tostring

from wsd.protocols.soap.names import XSI
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.documents import tagOf
from wsd.protocols.soap.schema.fields import Field, Named
from wsd.protocols.soap.schema.tags import Tags, attribute, escaped, nilAttributes, tagsOf

_NIL = f"{{{XSI}}}nil"
TYPE = f"{{{XSI}}}type"
_TOLD = {"xsi:type"}
"""The keys that are not listed among those of a type."""
_NO_OBJECTS = (str, bytes, bytearray, int, float, Decimal, date, time, timedelta, list, tuple, set, frozenset)
"""Classes whose attributes are not fields."""
_PLAIN = (int, bool, float, Decimal, date, datetime, time, timedelta, bytes)
"""Classes whose values are written as texts that need no escaping."""


class Content(Protocol):
    """Reads and writes children whose positions matter, so that a field for each tag is not enough."""

    def read(self, element: Any, values: dict[str, Any]) -> None:
        """Reads the children of a valid element into `values`. Raises ValueError."""

    def write(self, out: list[str], get: Callable[..., Any]) -> None:
        """Writes the children; `get` returns the value of a field. Raises ValueError or TypeError."""


class ValueTypes(Protocol):
    """The types of a contract, as reading and writing values need them."""

    @property
    def namespace(self) -> str:
        """The namespace that the prefix n stands for."""

    @property
    def anyType(self) -> ComplexType:
        """xs:anyType."""

    def declaredType(self, element: Any, name: str) -> SimpleType | ComplexType:
        """Returns the type that an element declares (xsi:type). Raises ValueError."""

    def mayBeDerived(self, schemaType: SimpleType | ComplexType) -> bool:
        """Returns whether an element of this type may declare a derived type that is read or written differently."""

    def actualType(self, schemaType: SimpleType | ComplexType, value: Any) -> tuple[SimpleType | ComplexType, str]:
        """Returns the type to write a value as, and the attributes that declare it. Raises ValueError."""

    def narrowed(self, schemaType: SimpleType | ComplexType, value: Any) -> SimpleType | ComplexType:
        """Returns the type that a value says it has, `schemaType` or one derived from it. Raises ValueError."""

    def concreteTypes(self, abstract: ComplexType) -> list[ComplexType]:
        """Returns the concrete types that may replace an abstract one."""

    def nilDeclaration(self, schemaType: SimpleType | ComplexType) -> str:
        """Returns the attributes that declare the type of a nil element."""

    def globalElement(self, tag: str) -> Field | None:
        """Returns the field for a global element, None if there is none with this tag."""

    def writeAny(self, out: list[str], value: Any) -> None:
        """Writes a value as elements that have no type. Raises ValueError or TypeError."""


_Readers = dict[str, tuple[str, bool, Callable[[str], Any] | None, Callable[[Any], Any]]]
"""By tag: the name of the field, whether it is a list, and what reads the text or, if that is None, the element."""
_Writers = list[tuple[str, str, str, Callable[[Any], str] | None, Field]]
"""The name of the field, its start and end tags, what writes its text if it has only text, and the field."""


@dataclass(slots=True)
class ComplexType:
    """A type with children or attributes. It is completed after it is made, since a type may contain itself."""

    name: str
    types: ValueTypes
    fields: list[Field] = field(default_factory=list)
    attributes: list[Field] = field(default_factory=list)
    text: SimpleType | None = None
    """The type of simple content, whose value is in the field `value`."""
    python: Any = None
    """The callable that makes a value, usually its dataclass."""
    key: str = ""
    """The name as {namespace}name, "" for an anonymous type."""
    isAbstract: bool = False
    openAttributes: str = ""
    """The name of the field for open attributes (xs:anyAttribute), "" if there are none."""
    model: Any = None
    """The content model, a ModelGroup."""
    content: Content | None = None
    """Reads and writes the children if their positions count."""
    _readers: _Readers = field(default_factory=dict)
    _writers: _Writers = field(default_factory=list)
    _keys: frozenset[str] = frozenset()
    """The keys that a mapping may have, once one has been written."""

    def read(self, element: Any) -> Any:
        """Returns the value of a valid element. Raises ValueError for what Python cannot hold."""
        return self.python(**self.readFields(element))

    def readFields(self, element: Any) -> dict[str, Any]:
        """Returns the values of the attributes and children of an element, by the names of their fields."""
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
            # The xsi:type of a child can only restrict its type, unless that is xs:anyType or gains attributes.
            readText = _textReaderOf(each) if not each.isNillable and self._isText(each) else None
            isAsDeclared = each.type is not None and not each.members and each.default is None
            read = partial(readValue, each.type, self.types) if isAsDeclared else partial(readField, each, self.types)
            self._readers[each.tag] = each.name, each.isList, readText, read
            for tag in each.members:
                self._readers[tag] = each.name, each.isList, None, read
        return self._readers

    def _isText(self, each: Field) -> bool:
        return isinstance(each.type, SimpleType) and not self.types.mayBeDerived(each.type)

    def write(self, out: list[str], value: Any) -> None:
        """Writes the attributes and the content, after the start tag. Raises ValueError or TypeError."""
        # The check for a Mapping comes last: it takes longer than writing most values.
        isObject = type(value) is self.python or not (type(value) is dict or isinstance(value, Mapping))
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
        for name, start, end, write, each in writers:
            given = get(name, None)
            if write is not None and given is not None:
                try:
                    out.append(f"{start}{write(given)}{end}")
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
        """Raises TypeError for a value without fields, such as a text, which was written as an empty element."""
        if isinstance(value, _NO_OBJECTS):
            raise TypeError(f"{type(value).__name__} is not a {self.name}")

    def _refuseKeys(self, value: Mapping[Any, Any]) -> None:
        """Raises ValueError for a mapping with unknown keys. An object may have other attributes."""
        if not self._keys:
            leaves = self.model.leaves() if self.model is not None else ()
            named = [each.name for each in (*self.attributes, *self.fields, *leaves)]
            self._keys = frozenset((*named, *getattr(self.python, "__dataclass_fields__", ()), "xsi:type"))
        if not self._keys.issuperset(value):
            unknown = [str(key) for key in value if key not in self._keys]
            raise ValueError(f"{self.name} has no {', '.join(unknown)}; it has {', '.join(sorted(self._keys - _TOLD))}")

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
            tags = tagsOf(each.tag, self.types.namespace)
            isSingle = not each.isList and not each.repeats and not each.members and each.default is None
            write = _textWriterOf(each.type) if isSingle and self._isText(each) else None
            self._writers.append((each.name, f"{tags.start}>", tags.end, write, each))
        return self._writers


def writeColumns(out: list[str], together: list[Field], get: Callable[..., Any], types: ValueTypes) -> None:
    """Writes a repeated sequence of fields with a list each: the first item of each, then the second, and so on."""
    columns = [list(_given(each, get(each.name, None))) for each in together]
    if len(set(map(len, columns))) > 1:
        raise ValueError(f"{', '.join(each.name for each in together)}: these lists differ in length")
    for row in range(len(columns[0])):
        for each, column in zip(together, columns, strict=True):
            writeField(out, each, column[row], types)


def writeFields(out: list[str], each: Field, given: Any, types: ValueTypes) -> None:
    """Writes all children of a field. Raises ValueError or TypeError."""
    schemaType = each.type
    tags = tagsOf(each.tag, types.namespace)
    isPlain = schemaType.__class__ is ComplexType and not each.members and not types.mayBeDerived(schemaType)
    for item in _given(each, given):
        if not isPlain or item is None or item.__class__ is Named:
            writeField(out, each, item, types)
            continue
        # As few stack frames as possible, since values may be nested as deeply as XML.
        out.append(tags.start)
        try:
            schemaType.write(out, item)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{each.name}: {error}") from None
        out.append(tags.end)


def _textWriterOf(simpleType: SimpleType) -> Callable[[Any], str]:
    write = simpleType.write
    return write if simpleType.python in _PLAIN else lambda value: escaped(write(value))


def _textReaderOf(each: Field) -> Callable[[str], Any]:
    read: Callable[[str], Any] = each.type.read
    default = each.default
    return read if default is None else lambda text: read(text or default)


def readField(each: Field, types: ValueTypes, child: Any) -> Any:
    """Returns the value of a child for its field. Raises ValueError."""
    if each.type is None:
        return child
    if each.members and child.tag != each.tag:
        member = each.members[child.tag]
        return Named(member.name, readField(member, types, child))
    if each.default is not None and not child.text and not len(child):
        child.text = each.default
    return readValue(each.type, types, child)


def readValue(schemaType: SimpleType | ComplexType, types: ValueTypes, element: Any) -> Any:
    """Returns the value of an element that may be nil or declare a derived type. Raises ValueError."""
    if element.attrib:
        if element.get(_NIL) in ("true", "1"):
            return None
        if TYPE in element.attrib:
            schemaType = types.declaredType(element, element.get(TYPE))
    return schemaType.read(element.text or "") if isinstance(schemaType, SimpleType) else schemaType.read(element)


def _given(each: Field, value: Any) -> Iterable[Any]:
    """Returns the values of a field in a list or tuple, an empty one if the field is left out. Raises TypeError."""
    if each.isList:
        if isinstance(value, (str, bytes, Mapping)):
            raise TypeError(f"{each.name}: {type(value).__name__} is not a list")
        return value or ()
    return () if value is None and not (each.least and each.mayBeBare) else (value,)


def writeField(out: list[str], each: Field, value: Any, types: ValueTypes) -> None:
    """Writes one child. Raises ValueError, which names the child."""
    if each.type is None:
        types.writeAny(out, value)
    elif isinstance(value, Named) and (each.members or each.type is not types.anyType):
        writeField(out, replace(each.member(value.name), members={}, isAbstract=False), value.value, types)
    elif each.isAbstract:
        raise ValueError(f"{each.name} is abstract; write Named(name, value) with an element that substitutes for it")
    elif value is None:
        tags = tagsOf(each.tag, types.namespace)
        isNil = each.isNillable or each.default is None
        out.append(f"{tags.start}{nilAttributes(types.nilDeclaration(each.type)) if isNil else ''}>{tags.end}")
    elif each.default and value == "":
        raise ValueError(
            f"{each.name}: an empty element is read as its default, {each.default!r}; write something else"
        )
    else:
        writeValue(out, each.tag, tagsOf(each.tag, types.namespace), each.type, value, types)


def writeValue(
    out: list[str], tag: str, tags: Tags, schemaType: SimpleType | ComplexType, value: Any, types: ValueTypes
) -> None:
    """Writes an element of this type, or of a derived type that it declares. Raises ValueError."""
    name = tag.rpartition("}")[2]
    if not types.mayBeDerived(schemaType):
        _writeElement(out, tags, schemaType, value, name)
        return
    if schemaType is types.anyType and getattr(value, "tag", None) == tag and iselement(value):
        # The value was read as an element.
        out.append(tostring(value, encoding="unicode", with_tail=False))
        return
    try:
        actual, declaration = types.actualType(schemaType, value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    _writeElement(out, Tags(f"{tags.start}{declaration}", tags.end) if declaration else tags, actual, value, name)


def _writeElement(out: list[str], tags: Tags, schemaType: SimpleType | ComplexType, value: Any, name: str) -> None:
    """Writes an element of exactly this type. Raises ValueError, which names the wrong part of the value."""
    out.append(tags.start)
    try:
        if isinstance(schemaType, SimpleType):
            out.append(f">{escaped(schemaType.write(value))}")
        else:
            schemaType.write(out, value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    out.append(tags.end)
