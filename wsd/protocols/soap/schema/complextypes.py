"""Complex types: reads their declarations from the schemas (XML Schema part 1, 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from wsd.protocols.soap.names import XSD, localName
from wsd.protocols.soap.schema.content import MixedContent, ModelGroup, OrderedContent
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.documents import SchemaDocuments, qualified
from wsd.protocols.soap.schema.fields import Field
from wsd.protocols.soap.schema.layout import copied, layOut, makeClass
from wsd.protocols.soap.schema.particles import GROUPS, TRUE, Particles
from wsd.protocols.soap.schema.simpletypes import SimpleTypes
from wsd.protocols.soap.schema.values import ComplexType, ValueTypes

_XSD = f"{{{XSD}}}"
_TEXTS = SimpleType("mixed", str, str, str)
"""The type of mixed content, as shown on the page."""


class BaseTypes(ValueTypes, Protocol):
    """The types of a contract, from which complex types are derived."""

    def named(self, name: str) -> SimpleType | ComplexType:
        """Returns a global type. Raises ConfigError."""


class ComplexTypes:
    """Completes complex types. `classes` has the classes to use for their values, by the name of the type."""

    def __init__(
        self,
        types: BaseTypes,
        documents: SchemaDocuments,
        particles: Particles,
        simpleTypes: SimpleTypes,
        classes: Mapping[str, Any],
    ) -> None:
        self._types = types
        self._documents = documents
        self._particles = particles
        self._simpleTypes = simpleTypes
        self._classes = classes
        self._waiting: dict[int, tuple[ComplexType, Any, str]] = {}
        self._isCompleting = False
        self._generated: set[Any] = set()

    def complete(self, made: ComplexType, node: Any, key: str) -> None:
        """
        Completes a type from its declaration. Raises ConfigError.

        Types that are found meanwhile are completed afterwards, except base types, which are needed at once.
        """
        self._waiting[id(made)] = made, node, key
        if self._isCompleting:
            return
        self._isCompleting = True
        try:
            while self._waiting:
                self._fill(*self._waiting.popitem()[1])
        finally:
            self._isCompleting = False

    def _fill(self, made: ComplexType, node: Any, key: str) -> None:
        made.isAbstract = node.get("abstract") in TRUE
        base, parts = self._contentOf(made, node)
        layOut(made, ModelGroup("sequence", parts), self._types)
        if self._isMixed(node):
            content = Field(_freeName("content", made.attributes), "", _TEXTS, 0, isList=True)
            made.content = MixedContent(content.name, OrderedContent(made.model, self._types), self._types)
            made.fields = [content]
        if key in self._classes:
            made.python = self._classes[key]
        else:
            made.python = makeClass(made, (base.python,) if base is not None and base.python in self._generated else ())
            self._generated.add(made.python)

    def _contentOf(self, made: ComplexType, node: Any) -> tuple[ComplexType | None, list[Any]]:
        """Sets the attributes and the text of a type. Returns its base type and its particles."""
        for kind in ("simpleContent", "complexContent"):
            inner = node.find(_XSD + kind)
            if inner is not None:
                return self._derivedContent(made, inner[-1], kind == "simpleContent")
        self._particles.attributes(made, node)
        return None, self._groups(made, node)

    def _derivedContent(self, made: ComplexType, node: Any, isSimple: bool) -> tuple[ComplexType | None, list[Any]]:
        """Does the same for an extension or restriction of another type (XML Schema part 1, 3.4.2)."""
        base = self._types.named(qualified(node, node.get("base")))
        isExtension = localName(node.tag) == "extension"
        own = node.find(f"{_XSD}simpleType")
        if isinstance(base, SimpleType):
            made.text = base
            self._particles.attributes(made, node)
            return None, []
        waiting = self._waiting.pop(id(base), None)
        if waiting is not None:
            self._fill(*waiting)
        if isSimple:
            made.text = base.text if own is None or base.text is not None else self._simpleTypes.read(own, made.name)
        made.attributes = [replace(each) for each in base.attributes]
        made.openAttributes = base.openAttributes if isExtension else ""
        self._particles.attributes(made, node)
        inherited = [copied(base.model)] if isExtension else []
        return base, inherited + self._groups(made, node)

    def _groups(self, made: ComplexType, node: Any) -> list[Any]:
        return [self._particles.group(made.name, part) for part in node if localName(part.tag) in GROUPS]

    def _isMixed(self, node: Any) -> bool:
        """Returns whether a type has mixed content, which an extension inherits (XML Schema part 1, 3.4.2)."""
        inner = node.find(f"{_XSD}complexContent")
        if inner is None:
            return node.get("mixed") in TRUE and node.find(f"{_XSD}simpleContent") is None
        if inner.get("mixed", node.get("mixed")) in TRUE:
            return True
        base = self._documents.declared("complexType", qualified(inner[-1], inner[-1].get("base")))
        return localName(inner[-1].tag) == "extension" and base is not None and self._isMixed(base)


def _freeName(name: str, fields: list[Field]) -> str:
    """Returns a name that no field has, by adding underscores."""
    while name in {each.name for each in fields}:
        name += "_"
    return name
