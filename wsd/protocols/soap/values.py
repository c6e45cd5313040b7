"""
Values of complex types: from an element to a value of Python, and from a value to the text of an element.

What is written is text and not a tree, which takes half the time even though it is read again to be validated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from lxml import etree

from wsd.protocols.soap.names import XML, XSI
from wsd.protocols.soap.schema import qualified
from wsd.protocols.soap.simple import SimpleType

if TYPE_CHECKING:
    from wsd.protocols.soap.types import Types

_NIL = f"{{{XSI}}}nil"
_TYPE = f"{{{XSI}}}type"
_PLAIN = (int, bool, float, Decimal, date, datetime, time, timedelta, bytes)
"""Whose texts have nothing to escape."""


@dataclass(slots=True)
class Field:
    """A child or an attribute: its name in Python and in XML, its type, and how often it is there."""

    name: str
    tag: str
    type: Any
    """A SimpleType or a ComplexType; None takes any element as it is."""
    least: int = 1
    isList: bool = False
    isNillable: bool = False
    isAttribute: bool = False
    repeats: int = 0
    """Which repeated sequence it stands in, 0 for none."""


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
    _readers: _Readers = field(default_factory=dict)
    _writers: _Writers = field(default_factory=list)

    def read(self, element: Any) -> Any:
        """The value of an element that is valid. Raises ValueError for what Python cannot hold."""
        return self.python(**self.readFields(element))

    def readFields(self, element: Any) -> dict[str, Any]:
        """The same as keywords, those alone that are there."""
        values: dict[str, Any] = {}
        if self.text is not None:
            values["value"] = self.text.read(element.text or "")
        for each in self.attributes:
            given = element.get(each.tag)
            if given is not None:
                values[each.name] = each.type.read(given)
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

    def _makeReaders(self) -> _Readers:
        for each in self.fields:
            type = each.type
            # What a child says of its own type can only be narrower, but for that which is anything.
            isText = isinstance(type, SimpleType) and not each.isNillable and type.name != "anySimpleType"
            read = _asItIs if type is None else partial(self._readChild, type)
            self._readers[each.tag] = each.name, each.isList, type.read if isText else None, read
        return self._readers

    def _readChild(self, type: SimpleType | ComplexType, child: Any) -> Any:
        if child.attrib:
            if child.get(_NIL) in ("true", "1"):
                return None
            if _TYPE in child.attrib:
                type = self.types.named(qualified(child, child.get(_TYPE)))
        return type.read(child.text or "") if isinstance(type, SimpleType) else type.read(child)

    def write(self, out: list[str], value: Any) -> None:
        """The attributes and the content of an element that has been opened. Raises ValueError or TypeError."""
        # Whether it is a Mapping takes longer to tell than most of its values take to write.
        isObject = type(value) is self.python or not isinstance(value, Mapping)
        get: Callable[..., Any] = partial(getattr, value) if isObject else value.get
        for each in self.attributes:
            given = get(each.name, None)
            if given is not None:
                out.append(_attribute(each.tag, each.type.write(given)))
        out.append(">")
        if self.text is not None:
            out.append(escaped(self.text.write(get("value", None))))
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
                self._writeRows(out, together, get)
            else:
                marks = marksOf(each.tag, self.types.space)
                for item in _given(each, given):
                    _writeField(out, each, marks, item)

    def _makeWriters(self) -> _Writers:
        for each in self.fields:
            marks = marksOf(each.tag, self.types.space)
            isOne = isinstance(each.type, SimpleType) and not each.isList and not each.repeats
            write = _writerOf(each.type) if isOne else None
            self._writers.append((each.name, f"{marks.opened}>", marks.closed, write, each))
        return self._writers

    def _writeRows(self, out: list[str], together: list[Field], get: Callable[..., Any]) -> None:
        """A sequence that repeats: the first of each field, then the second."""
        columns = [list(_given(each, get(each.name, None))) for each in together]
        for row in range(max(map(len, columns))):
            for each, column in zip(together, columns, strict=True):
                if row < len(column):
                    _writeField(out, each, marksOf(each.tag, self.types.space), column[row])


@dataclass(frozen=True, slots=True)
class Marks:
    """What an element begins with, up to its attributes, and ends with."""

    opened: str
    closed: str


@lru_cache(4096)
def marksOf(tag: str, space: str) -> Marks:
    """Those of a tag, where the prefix n stands for `space`."""
    own, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if not own:
        return Marks(f"<{local}", f"</{local}>")
    if own == space:
        return Marks(f"<n:{local}", f"</n:{local}>")
    return Marks(f'<m:{local} xmlns:m="{_quoted(own)}"', f"</m:{local}>")


@lru_cache(4096)
def rootMarksOf(tag: str, space: str) -> Marks:
    """The same of the outermost element, which says what n stands for."""
    marks = marksOf(tag, space)
    return Marks(f'{marks.opened} xmlns:n="{_quoted(space)}"', marks.closed) if space else marks


def _asItIs(element: Any) -> Any:
    return element


def _writerOf(type: SimpleType) -> Callable[[Any], str]:
    write = type.write
    return write if type.python in _PLAIN else lambda value: escaped(write(value))


def _given(each: Field, value: Any) -> Iterable[Any]:
    if each.isList:
        if isinstance(value, (str, bytes, Mapping)):
            raise TypeError(f"{each.name}: {type(value).__name__} is not a list")
        return value or ()
    return () if value is None and not (each.isNillable and each.least) else (value,)


def _writeField(out: list[str], each: Field, marks: Marks, value: Any) -> None:
    """One child."""
    if each.type is None:
        out.append(etree.tostring(value, encoding="unicode", with_tail=False))
    elif value is None:
        out.append(f'{marks.opened} xmlns:i="{XSI}" i:nil="true">{marks.closed}')
    else:
        writeElement(out, marks, each.type, value, each.name)


def writeElement(out: list[str], marks: Marks, type: SimpleType | ComplexType, value: Any, name: str) -> None:
    """An element of this type. Raises ValueError that names what was wrong with which part of the value."""
    out.append(marks.opened)
    try:
        if isinstance(type, SimpleType):
            out.append(f">{escaped(type.write(value))}")
        else:
            type.write(out, value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    out.append(marks.closed)


def _attribute(tag: str, value: str) -> str:
    space, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if not space:
        return f' {local}="{_quoted(value)}"'
    if space == XML:
        return f' xml:{local}="{_quoted(value)}"'
    # The prefix is the attribute's own, since another may be of another namespace.
    return f' xmlns:a-{local}="{_quoted(space)}" a-{local}:{local}="{_quoted(value)}"'


def escaped(text: str) -> str:
    """A text as an element holds it."""
    if "&" in text or "<" in text or ">" in text or "\r" in text:
        return escape(text, {"\r": "&#13;"})
    return text


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def walk(type: SimpleType | ComplexType, seen: set[int]) -> Iterator[ComplexType]:
    """Every complex type that is within one, itself included."""
    if isinstance(type, ComplexType) and id(type) not in seen:
        seen.add(id(type))
        yield type
        for each in type.fields:
            if each.type is not None:
                yield from walk(each.type, seen)
