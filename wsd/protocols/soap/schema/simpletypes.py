"""Simple types: reads their declarations from the schemas (XML Schema part 2, 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any, Protocol

from wsd.config import ConfigError
from wsd.protocols.soap.names import XSD, localName
from wsd.protocols.soap.schema.datatypes import SimpleType, collapsed, enumOf, listOf, replaced, unionOf
from wsd.protocols.soap.schema.documents import SchemaDocuments, qualified

_XSD = f"{{{XSD}}}"


class GlobalTypes(Protocol):
    """The global types of a contract."""

    def named(self, name: str) -> Any:
        """Returns a type, simple or complex. Raises ConfigError if there is none with this name."""


class SimpleTypes:
    """Reads simple types. `classes` has the classes to use for enumerations, by the name of the type."""

    def __init__(self, types: GlobalTypes, documents: SchemaDocuments, classes: Mapping[str, Any]) -> None:
        self._types = types
        self._documents = documents
        self._classes = classes

    def read(self, node: Any, name: str) -> SimpleType:
        """Reads a declaration. Raises ConfigError."""
        local = localName(name)
        for kind, read in (("restriction", self._restriction), ("list", self._list), ("union", self._union)):
            inner = node.find(_XSD + kind)
            if inner is not None:
                return read(inner, name, local)
        raise ConfigError(f"the simple type {name} is neither a restriction, a list nor a union")

    def _restriction(self, node: Any, name: str, local: str) -> SimpleType:
        base = _normalizing(self._referred(node, "base", local), node.find(f"{_XSD}whiteSpace"))
        texts = tuple(each.get("value") for each in node.findall(f"{_XSD}enumeration"))
        if texts and base.python is str:
            known = self._classes.get(name)
            return enumOf(local, base, texts, known if isinstance(known, type) and issubclass(known, Enum) else None)
        bound = node.find(f"{_XSD}minInclusive")
        least = base.least if bound is None else bound.get("value")
        return SimpleType(local, base.read, base.write, base.python, texts or base.choices, least)

    def _list(self, node: Any, name: str, local: str) -> SimpleType:
        return listOf(local, self._referred(node, "itemType", local))

    def _union(self, node: Any, name: str, local: str) -> SimpleType:
        """Reads a union. The validator checks texts for named member types; anonymous ones try to read them."""
        members: list[tuple[SimpleType, Callable[[str], bool]]] = []
        for each in node.get("memberTypes", "").split():
            fits = partial(self._documents.fits, typeName=qualified(node, each))
            members.append((self._named(node, each), fits))
        members += [(self.read(inner, local), lambda text: True) for inner in node.findall(f"{_XSD}simpleType")]
        return unionOf(local, members)

    def _referred(self, node: Any, attribute: str, name: str) -> SimpleType:
        """Returns the type that an attribute names, or else the anonymous one in the declaration."""
        given = node.get(attribute)
        return self._named(node, given) if given else self.read(node.find(f"{_XSD}simpleType"), name)

    def _named(self, node: Any, given: str) -> SimpleType:
        found = self._types.named(qualified(node, given))
        if not isinstance(found, SimpleType):
            raise ConfigError(f"the type {given} is complex where a simple one must be")
        return found


def _normalizing(base: SimpleType, whiteSpace: Any) -> SimpleType:
    """Returns a type that replaces or collapses white space before it reads a text (part 2, 4.3.6)."""
    if whiteSpace is None or whiteSpace.get("value") == "preserve":
        return base
    normal = collapsed if whiteSpace.get("value") == "collapse" else replaced
    return replace(base, read=lambda text: base.read(normal(text)))
