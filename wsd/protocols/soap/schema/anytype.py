"""
xs:anyType: values of elements that have no type in the contract, including those of xs:any.

A text is read as a str, and an element with xsi:type as a value of that type. An element with children is read as a
dictionary of these by name; a repeated child is a list. A dictionary cannot hold attributes or text between children.
An element with these is not converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lxml import etree

from wsd.protocols.soap.names import XSD, XSI
from wsd.protocols.soap.schema.builtin import BUILT_IN, simpleTypeOf
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.derivations import TYPE_KEY
from wsd.protocols.soap.schema.documents import tagOf
from wsd.protocols.soap.schema.fields import Named
from wsd.protocols.soap.schema.tags import escaped, newTagsOf, nilAttributes, typeAttributes
from wsd.protocols.soap.schema.values import ComplexType, readField, readValue, writeField, writeValue

_STRING = BUILT_IN["string"]


@dataclass(slots=True)
class AnyType(ComplexType):
    """The type xs:anyType (XML Schema part 1, 3.4.7)."""

    def read(self, element: Any) -> Any:
        """Returns the value of an element without xsi:type. Raises ValueError."""
        if any(not name.startswith(f"{{{XSI}}}") for name in element.attrib):
            return element
        if not len(element):
            return element.text or ""
        if any(text and text.strip() for text in (element.text, *(child.tail for child in element))):
            return element
        values: dict[str, Any] = {}
        for tag, children in groupby(element, key=lambda child: child.tag):
            if tag in values:
                # A dictionary would lose the order of the children.
                return element
            found = [self._readChild(child) for child in children]
            values[tag] = found if len(found) > 1 else found[0]
        return values

    def _readChild(self, child: Any) -> Any:
        field = self.types.globalElement(child.tag)
        return readValue(self, self.types, child) if field is None else readField(field, self.types, child)

    def actualType(self, value: Any) -> tuple[SimpleType | ComplexType, str]:
        """Returns the type of a value, and the attributes that declare it. Raises ValueError."""
        if value is None or isinstance(value, (str, list, tuple, Named)) or etree.iselement(value):
            return self, ""
        if isinstance(value, Mapping) and TYPE_KEY not in value:
            return self, ""
        narrowed = self.types.narrowed(self, value)
        if narrowed is not self:
            assert isinstance(narrowed, ComplexType)
            return narrowed, typeAttributes(narrowed.key, self.types.namespace)
        simple = simpleTypeOf(value)
        return simple, typeAttributes(f"{{{XSD}}}{simple.name}", self.types.namespace)

    def write(self, out: list[str], value: Any) -> None:
        """Writes a value that has no other type: a text, a mapping, elements. Raises ValueError or TypeError."""
        if value is None:
            out.append(">")
        elif isinstance(value, str):
            out.append(f">{escaped(_STRING.write(value))}")
        else:
            out.append(">")
            for each in value if isinstance(value, (list, tuple)) else (value,):
                self.writeChild(out, each)

    def writeChild(self, out: list[str], value: Any) -> None:
        """Writes a value as elements: an lxml element, a Named, or a mapping. Raises ValueError or TypeError."""
        if etree.iselement(value):
            out.append(etree.tostring(value, encoding="unicode", with_tail=False))
        elif isinstance(value, Named):
            self._writeNamed(out, value.name, value.value)
        elif isinstance(value, Mapping):
            for name, items in value.items():
                for item in items if isinstance(items, (list, tuple)) else (items,):
                    self._writeNamed(out, name, item)
        else:
            raise TypeError(f"{type(value).__name__} is not an element; write a mapping, a Named or an element")

    def _writeNamed(self, out: list[str], name: Any, value: Any) -> None:
        tag = tagOf(name)
        field = self.types.globalElement(tag)
        if field is not None:
            writeField(out, field, value, self.types)
            return
        # These tags are not cached: a client may choose any names under xs:any.
        tags = newTagsOf(tag, self.types.namespace)
        if value is None:
            out.append(f"{tags.start}{nilAttributes()}>{tags.end}")
        else:
            writeValue(out, tag, tags, self, value, self.types)
