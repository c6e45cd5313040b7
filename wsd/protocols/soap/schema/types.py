"""
Types: those of a contract, from its schemas.

A complex type is a dataclass, generated unless one of the author's own is known for its name: an attribute a child,
lists where a child may be there more than once, None for what may be left out and is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any

from wsd.config import ConfigError
from wsd.protocols.soap.names import XSD
from wsd.protocols.soap.schema.anytype import Anything
from wsd.protocols.soap.schema.content import Group, Mixed, Ordered
from wsd.protocols.soap.schema.derivations import Derivations
from wsd.protocols.soap.schema.documents import Schemas, qualified
from wsd.protocols.soap.schema.fields import Field
from wsd.protocols.soap.schema.particles import GROUPS, Particles, anyContent, classOf, copied, localName
from wsd.protocols.soap.schema.simple import BUILT_IN, SimpleType, collapsed, enumOf, listOf, replaced, unionOf
from wsd.protocols.soap.schema.tags import typeMark
from wsd.protocols.soap.schema.values import TYPE, ComplexType, readField

_XSD = f"{{{XSD}}}"
_TRUE = ("true", "1")
_TEXTS = SimpleType("mixed", str, str, str)
"""The type of mixed content, as shown on the page."""


class Types:
    """The types of a contract by name, made when they are asked for."""

    def __init__(self, schemas: Schemas, classes: Mapping[str, Any] | None = None) -> None:
        self._schemas = schemas
        self.space = schemas.space
        """The namespace whose prefix is n in what is written."""
        self._classes = classes or {}
        self._made: dict[str, Any] = {}
        self._waiting: dict[int, tuple[ComplexType, Any, str]] = {}
        self._isFilling = False
        self._narrow: dict[int, bool] = {}
        self._tops: dict[str, Field] = {}
        self._generated: set[Any] = set()
        self._particles = Particles(self, schemas)
        self.derivations = Derivations(self, schemas)
        self.anything = Anything("anyType", self, model=anyContent(), openAttributes="any_attributes")

    def named(self, name: str) -> SimpleType | ComplexType:
        """A type at the top of a schema. Raises ConfigError."""
        if name in self._made:
            made: SimpleType | ComplexType = self._made[name]
            return made
        if name.startswith(_XSD):
            return self._builtIn(name[len(_XSD) :])
        node = self._schemas.declared("simpleType", name)
        if node is not None:
            self._made[name] = self._simple(node, name)
        else:
            node = self._schemas.declared("complexType", name)
            if node is None:
                raise ConfigError(f"the contract has no type {name}")
            made = self._made[name] = ComplexType(localName(name), self, key=name)
            self._later(made, node, name)
        found: SimpleType | ComplexType = self._made[name]
        return found

    def _builtIn(self, local: str) -> SimpleType | ComplexType:
        if local == "anyType":
            return self.anything
        if local not in BUILT_IN:
            raise ConfigError(f"xs:{local} is not supported; the simple types of XML Schema 1.0 are")
        return BUILT_IN[local]

    def element(self, name: str) -> SimpleType | ComplexType:
        """The type of an element at the top. Raises ConfigError."""
        key = f"element {name}"
        if key not in self._made:
            node = self._schemas.declared("element", name)
            if node is None:
                raise ConfigError(f"the contract has no element {name}")
            self.typeOf(node, key, localName(name))
        made: SimpleType | ComplexType = self._made[key]
        return made

    def typeOf(self, node: Any, key: str, name: str) -> SimpleType | ComplexType:
        """The type of a declaration; an anonymous one is made under `key`."""
        found: SimpleType | ComplexType
        given, inner = node.get("type"), node.find(f"{_XSD}complexType")
        if given is not None:
            found = self.named(qualified(node, given))
        elif inner is not None:
            if key not in self._made:
                made = self._made[key] = ComplexType(name, self)
                self._later(made, inner, key)
            found = self._made[key]
        elif node.find(f"{_XSD}simpleType") is not None:
            found = self._simple(node.find(f"{_XSD}simpleType"), name)
        elif node.get("substitutionGroup") is not None:
            found = self.element(qualified(node, node.get("substitutionGroup")))
        else:
            found = self._builtIn("anySimpleType" if node.tag == f"{_XSD}attribute" else "anyType")
        self._made[key] = found
        return found

    def top(self, name: str) -> Field:
        """A reference to a global element. Raises ConfigError."""
        if name not in self._tops:
            self._tops[name] = self._particles.top(name)
        return self._tops[name]

    def hasElement(self, name: str) -> bool:
        """Whether there is a global element with this name."""
        return self._schemas.declared("element", name) is not None

    def told(self, element: Any, name: str) -> SimpleType | ComplexType:
        """The type that an element declares. Raises ValueError."""
        try:
            return self.named(qualified(element, name))
        except ConfigError as error:
            raise ValueError(str(error)) from None

    def readMessage(self, name: str, type: SimpleType | ComplexType, element: Any) -> dict[str, Any]:
        """The values of a whole message as keywords: its fields, or `value`. Raises ValueError."""
        told = element.get(TYPE)
        if told is not None:
            type = self.told(element, told)
        if isinstance(type, ComplexType) and type is not self.anything:
            return type.readFields(element)
        return {"value": readField(self.top(name), self, element)}

    def mayNarrow(self, type: SimpleType | ComplexType) -> bool:
        """Whether an element of this type may declare a derived type that is read or written differently."""
        found = self._narrow.get(id(type))
        if found is None:
            if isinstance(type, SimpleType):
                found = type.python is object or self.derivations.isExtended(type)
            else:
                found = type is self.anything or type.isAbstract or self.derivations.isBase(type)
            self._narrow[id(type)] = found
        return found

    def actual(self, type: SimpleType | ComplexType, value: Any) -> tuple[SimpleType | ComplexType, str]:
        """The type to write a value as, and the attributes that declare it if it is not `type`. Raises ValueError."""
        if type is BUILT_IN["anySimpleType"]:
            type = self.anything
        if isinstance(type, Anything):
            return type.actual(value)
        found = type if value.__class__ is type.python else self.derivations.narrowed(type, value)
        if isinstance(found, ComplexType) and found.isAbstract:
            raise ValueError(f"{found.name} is abstract; {self.derivations.choices(found)}")
        return found, "" if found is type else typeMark(getattr(found, "key", ""), self.space)

    def nilOf(self, type: SimpleType | ComplexType) -> str:
        """The attributes that declare a nil element's type, which must not be abstract either."""
        if isinstance(type, SimpleType) or not type.isAbstract:
            return ""
        return "".join(typeMark(each.key, self.space) for each in self.derivations.concrete(type)[:1])

    # -- simple types ---------------------------------------------------------------------------------------------

    def _simple(self, node: Any, name: str) -> SimpleType:
        for kind in ("restriction", "list", "union"):
            inner = node.find(_XSD + kind)
            if inner is not None:
                break
        else:
            raise ConfigError(f"the simple type {name} is neither a restriction, a list nor a union")
        local = localName(name)
        if kind == "list":
            return listOf(local, self._simpleOf(inner, "itemType", local))
        if kind == "union":
            return unionOf(local, self._members(inner, local))
        base = self._simpleOf(inner, "base", local)
        base = _spaced(base, inner.find(f"{_XSD}whiteSpace"))
        texts = tuple(each.get("value") for each in inner.findall(f"{_XSD}enumeration"))
        if texts and base.python is str:
            known = self._classes.get(name)
            return enumOf(local, base, texts, known if isinstance(known, type) and issubclass(known, Enum) else None)
        bound = inner.find(f"{_XSD}minInclusive")
        least = base.least if bound is None else bound.get("value")
        return SimpleType(local, base.read, base.write, base.python, texts or base.choices, least)

    def _members(self, union: Any, name: str) -> list[tuple[SimpleType, Callable[[str], bool]]]:
        """The members of a union, each with its check of a text; named types are checked by the validator."""
        found: list[tuple[SimpleType, Callable[[str], bool]]] = []
        for each in union.get("memberTypes", "").split():
            key = qualified(union, each)
            found.append((self._simpleNamed(union, each), partial(self._schemas.fits, type=key)))
        return found + [(self._simple(node, name), lambda text: True) for node in union.findall(f"{_XSD}simpleType")]

    def _simpleOf(self, node: Any, attribute: str, name: str) -> SimpleType:
        given = node.get(attribute)
        return self._simpleNamed(node, given) if given else self._simple(node.find(f"{_XSD}simpleType"), name)

    def _simpleNamed(self, node: Any, given: str) -> SimpleType:
        found = self.named(qualified(node, given))
        if isinstance(found, ComplexType):
            raise ConfigError(f"the type {given} is complex where a simple one must be")
        return found

    # -- complex types --------------------------------------------------------------------------------------------

    def _later(self, made: ComplexType, node: Any, key: str) -> None:
        """Fill in a type after the types that use it: a derived type needs its complete base."""
        self._waiting[id(made)] = made, node, key
        if self._isFilling:
            return
        self._isFilling = True
        try:
            while self._waiting:
                self._fill(*self._waiting.popitem()[1])
        finally:
            self._isFilling = False

    def _fill(self, made: ComplexType, node: Any, key: str) -> None:
        made.isAbstract = node.get("abstract") in _TRUE
        base, parts = self._content(made, node)
        self._particles.complete(made, Group("sequence", parts))
        if self._isMixed(node):
            content = Field(_free("content", made.attributes), "", _TEXTS, 0, isList=True)
            made.content = Mixed(content.name, Ordered(made.model, self), self)
            made.fields = [content]
        isDerived = base is not None and base.python in self._generated
        made.python = self._classes.get(key) or classOf(made, (base.python,) if base is not None and isDerived else ())
        if key not in self._classes:
            self._generated.add(made.python)

    def _content(self, made: ComplexType, node: Any) -> tuple[ComplexType | None, list[Any]]:
        """Fill in attributes and text. Returns the base and the particles."""
        for kind in ("simpleContent", "complexContent"):
            inner = node.find(_XSD + kind)
            if inner is not None:
                return self._derived(made, inner[-1], kind == "simpleContent")
        self._particles.attributes(made, node)
        return None, self._own(made, node)

    def _own(self, made: ComplexType, node: Any) -> list[Any]:
        return [self._particles.group(made, part) for part in node if localName(part.tag) in GROUPS]

    def _derived(self, made: ComplexType, node: Any, isSimple: bool) -> tuple[ComplexType | None, list[Any]]:
        base = self.named(qualified(node, node.get("base")))
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
            made.text = base.text if own is None or base.text is not None else self._simple(own, made.name)
        made.attributes = [replace(each) for each in base.attributes]
        made.openAttributes = base.openAttributes if isExtension else ""
        self._particles.attributes(made, node)
        inherited = [copied(base.model)] if isExtension else []
        return base, inherited + self._own(made, node)

    def _isMixed(self, node: Any) -> bool:
        inner = node.find(f"{_XSD}complexContent")
        if inner is None:
            return node.get("mixed") in _TRUE and node.find(f"{_XSD}simpleContent") is None
        if inner.get("mixed", node.get("mixed")) in _TRUE:
            return True
        base = self._schemas.declared("complexType", qualified(inner[-1], inner[-1].get("base")))
        return localName(inner[-1].tag) == "extension" and base is not None and self._isMixed(base)


def _spaced(base: SimpleType, space: Any) -> SimpleType:
    """A type whose white space is replaced or collapsed before it is read (part 2, 4.3.6)."""
    if space is None or space.get("value") == "preserve":
        return base
    normal = collapsed if space.get("value") == "collapse" else replaced
    return replace(base, read=lambda text: base.read(normal(text)))


def _free(name: str, fields: list[Field]) -> str:
    while name in {each.name for each in fields}:
        name += "_"
    return name
