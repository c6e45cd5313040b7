"""Derivations: which types derive from which, which elements substitute for which, and the type of a given value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from wsd.protocols.soap.names import XSD
from wsd.protocols.soap.schema.documents import Schemas, qualified
from wsd.protocols.soap.schema.simple import SimpleType
from wsd.protocols.soap.schema.values import ComplexType

if TYPE_CHECKING:
    from wsd.protocols.soap.schema.types import Types

_XSD = f"{{{XSD}}}"
TYPE_KEY = "xsi:type"
"""The key under which a mapping names its type."""


class Derivations:
    """The derivations of a contract."""

    def __init__(self, types: Types, schemas: Schemas) -> None:
        self._types = types
        self._complex = schemas.names("complexType")
        self._derived: dict[str, list[str]] = {}
        for kind in ("simpleType", "complexType"):
            for name in schemas.names(kind):
                base = _baseOf(schemas.declared(kind, name))
                if base:
                    self._derived.setdefault(base, []).append(name)
        self._members: dict[str, list[str]] = {}
        for name in schemas.names("element"):
            node = schemas.declared("element", name)
            if node.get("substitutionGroup") is not None:
                self._members.setdefault(qualified(node, node.get("substitutionGroup")), []).append(name)
        self._extended: set[int] | None = None
        # By the id of the declared type, which lives as long as the contract; a class may be local to a function.
        self._known: dict[int, list[ComplexType]] = {}
        self._byClass: WeakKeyDictionary[type, dict[int, Any]] = WeakKeyDictionary()

    def membersOf(self, element: str) -> list[str]:
        """The elements that may substitute for this one, directly or indirectly (XML Schema part 1, 2.2.2.2)."""
        return _closure(self._members, element)

    def isBase(self, type: ComplexType) -> bool:
        """Whether any type is derived from this one."""
        return type.key in self._derived

    def isExtended(self, type: SimpleType) -> bool:
        """Whether a complex type adds attributes to a simple one."""
        if self._extended is None:
            complex = set(self._complex)
            bases = [base for base in self._derived if complex & set(_closure(self._derived, base))]
            self._extended = {id(self._types.named(base)) for base in bases if base not in complex}
        return id(type) in self._extended

    def narrowed(self, declared: SimpleType | ComplexType, value: Any) -> SimpleType | ComplexType:
        """
        The type of a value where `declared` is expected: by its class, its class's name, or a mapping's key xsi:type.

        Raises ValueError if the name is not that of a type derived from it, or is ambiguous.
        """
        if isinstance(value, Mapping):
            told = value.get(TYPE_KEY)
            return declared if told is None else self._named(declared, str(told))
        known = self._byClass.setdefault(type(value), {})
        if id(declared) not in known:
            known[id(declared)] = self._ofClass(declared, type(value))
        found: SimpleType | ComplexType = known[id(declared)]
        return found

    def concrete(self, abstract: ComplexType) -> list[ComplexType]:
        """The concrete types that may replace an abstract one."""
        return [each for each in self._candidates(abstract) if not each.isAbstract]

    def choices(self, abstract: ComplexType) -> str:
        """A sentence on what to write for an abstract type."""
        names = ", ".join(each.name for each in self.concrete(abstract))
        return f"say which type it is, by its class or by the key {TYPE_KEY} of a mapping: {names}"

    def _candidates(self, declared: SimpleType | ComplexType) -> list[ComplexType]:
        if id(declared) not in self._known:
            self._known[id(declared)] = self._find(declared)
        return self._known[id(declared)]

    def _find(self, declared: SimpleType | ComplexType) -> list[ComplexType]:
        if declared is self._types.anything:
            names = self._complex
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

    def _named(self, declared: SimpleType | ComplexType, told: str) -> SimpleType | ComplexType:
        candidates = self._candidates(declared)
        if isinstance(declared, ComplexType):
            candidates = [*candidates, declared]
        found = [each for each in candidates if told in (each.key, each.name)]
        if not found:
            known = ", ".join(each.name for each in candidates if not getattr(each, "isAbstract", False))
            raise ValueError(f"{TYPE_KEY}: {told} is not a type that is allowed here; allowed are {known}")
        return _one(found, told)


def _one(found: list[ComplexType], name: str) -> ComplexType:
    if len(found) > 1:
        raise ValueError(f"{TYPE_KEY}: {name} is ambiguous, it names {' and '.join(each.key for each in found)}")
    return found[0]


def _baseOf(node: Any) -> str:
    """The name of the base type, "" if there is none with a name."""
    for path in ("simpleContent/*", "complexContent/*", "restriction"):
        for inner in node.iterfind("/".join(_XSD + step if step != "*" else step for step in path.split("/"))):
            if inner.get("base") is not None:
                return qualified(inner, inner.get("base"))
    return ""


def _closure(direct: Mapping[str, list[str]], name: str) -> list[str]:
    """Everything reachable from a name, each once."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        for each in direct.get(waiting.pop(), ()):
            if each not in found:
                found[each] = None
                waiting.append(each)
    return list(found)
