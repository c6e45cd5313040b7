"""Derivations: which types derive from others, which elements substitute for others, and the type of a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from wsd.protocols.soap.names import XSD
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.documents import SchemaDocuments, qualified
from wsd.protocols.soap.schema.values import ComplexType

_XSD = f"{{{XSD}}}"
TYPE_KEY = "xsi:type"
"""The key under which a mapping names its type."""


class NamedTypes(Protocol):
    """The types of a contract by name."""

    @property
    def anyType(self) -> ComplexType:
        """xs:anyType."""

    def named(self, name: str) -> SimpleType | ComplexType:
        """Returns a global type. Raises ConfigError."""


class Derivations:
    """The derivations in a contract's schemas."""

    def __init__(self, types: NamedTypes, documents: SchemaDocuments) -> None:
        self._types = types
        self._complexNames = documents.names("complexType")
        self._derived: dict[str, list[str]] = {}
        for kind in ("simpleType", "complexType"):
            for name in documents.names(kind):
                base = _baseOf(documents.declared(kind, name))
                if base:
                    self._derived.setdefault(base, []).append(name)
        self._members: dict[str, list[str]] = {}
        for name in documents.names("element"):
            node = documents.declared("element", name)
            if node.get("substitutionGroup") is not None:
                self._members.setdefault(qualified(node, node.get("substitutionGroup")), []).append(name)
        self._extended: set[int] | None = None
        self._known: dict[int, list[ComplexType]] = {}
        """The types derived from a declared type, by its id; the declared types live as long as the contract."""
        self._byClass: WeakKeyDictionary[type, dict[int, Any]] = WeakKeyDictionary()
        """The types of values by their class and the id of the declared type. Weak, since a class may be local."""

    def membersOf(self, element: str) -> list[str]:
        """Returns the elements that may substitute for this one, also indirectly (XML Schema part 1, 2.2.2.2)."""
        return _closure(self._members, element)

    def isBase(self, complexType: ComplexType) -> bool:
        """Returns whether any type is derived from this one."""
        return complexType.key in self._derived

    def isExtended(self, simpleType: SimpleType) -> bool:
        """Returns whether a complex type adds attributes to this simple one."""
        if self._extended is None:
            complexNames = set(self._complexNames)
            bases = [base for base in self._derived if complexNames & set(_closure(self._derived, base))]
            self._extended = {id(self._types.named(base)) for base in bases if base not in complexNames}
        return id(simpleType) in self._extended

    def narrowed(self, declared: SimpleType | ComplexType, value: Any) -> SimpleType | ComplexType:
        """
        Returns the type of a value where `declared` is expected: this type, or one that is derived from it.

        The type is that of the value's class, or named like this class, or named by the key xsi:type of a mapping.

        Raises ValueError if xsi:type names no such type, or if the name is ambiguous.
        """
        if isinstance(value, Mapping):
            name = value.get(TYPE_KEY)
            return declared if name is None else self._derivedNamed(declared, str(name))
        known = self._byClass.setdefault(type(value), {})
        if id(declared) not in known:
            known[id(declared)] = self._ofClass(declared, type(value))
        found: SimpleType | ComplexType = known[id(declared)]
        return found

    def concrete(self, abstract: ComplexType) -> list[ComplexType]:
        """Returns the concrete types that may replace an abstract one."""
        return [each for each in self._candidates(abstract) if not each.isAbstract]

    def choices(self, abstract: ComplexType) -> str:
        """Returns advice on how to write a value of an abstract type."""
        names = ", ".join(each.name for each in self.concrete(abstract))
        return f"say which type it is, by its class or by the key {TYPE_KEY} of a mapping: {names}"

    def _candidates(self, declared: SimpleType | ComplexType) -> list[ComplexType]:
        """Returns the complex types that are derived from a type."""
        if id(declared) not in self._known:
            self._known[id(declared)] = self._find(declared)
        return self._known[id(declared)]

    def _find(self, declared: SimpleType | ComplexType) -> list[ComplexType]:
        if declared is self._types.anyType:
            names = self._complexNames
        elif isinstance(declared, ComplexType):
            names = _closure(self._derived, declared.key)
        else:
            names = next(
                (_closure(self._derived, base) for base in self._derived if self._types.named(base) is declared), []
            )
        found = [self._types.named(name) for name in names]
        return [each for each in found if isinstance(each, ComplexType)]

    def _ofClass(self, declared: SimpleType | ComplexType, kind: type) -> SimpleType | ComplexType:
        candidates = self._candidates(declared)
        for each in kind.__mro__[:-1]:
            if isinstance(declared, ComplexType) and (each is declared.python or each.__name__ == declared.name):
                break
            made = [candidate for candidate in candidates if candidate.python is each]
            made = made or [candidate for candidate in candidates if candidate.name == each.__name__]
            if made:
                return _one(made, each.__name__)
        return declared

    def _derivedNamed(self, declared: SimpleType | ComplexType, name: str) -> SimpleType | ComplexType:
        candidates = self._candidates(declared)
        if isinstance(declared, ComplexType):
            candidates = [*candidates, declared]
        found = [each for each in candidates if name in (each.key, each.name)]
        if not found:
            known = ", ".join(each.name for each in candidates if not getattr(each, "isAbstract", False))
            raise ValueError(f"{TYPE_KEY}: {name} is not a type that is allowed here; allowed are {known}")
        return _one(found, name)


def _one(found: list[ComplexType], name: str) -> ComplexType:
    """Returns the only type that was found. Raises ValueError if there are several."""
    if len(found) > 1:
        raise ValueError(f"{TYPE_KEY}: {name} is ambiguous, it names {' and '.join(each.key for each in found)}")
    return found[0]


def _baseOf(node: Any) -> str:
    """Returns the name of the base type in a declaration, "" if it has no name."""
    for path in ("simpleContent/*", "complexContent/*", "restriction"):
        for inner in node.iterfind("/".join(_XSD + step if step != "*" else step for step in path.split("/"))):
            if inner.get("base") is not None:
                return qualified(inner, inner.get("base"))
    return ""


def _closure(direct: Mapping[str, list[str]], name: str) -> list[str]:
    """Returns the names that can be reached from a name, each once."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        for each in direct.get(waiting.pop(), ()):
            if each not in found:
                found[each] = None
                waiting.append(each)
    return list(found)
