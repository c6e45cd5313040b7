"""
Types: those of a contract, from its schemas.

A complex type is a dataclass, generated unless one of the author's own is known for its name: an attribute a child,
lists where a child may be there more than once, None for what may be left out and is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, make_dataclass, replace
from enum import Enum
from keyword import iskeyword
from typing import Any

from wsd.config import ConfigError
from wsd.protocols.soap.names import XSD
from wsd.protocols.soap.schema import Schemas, qualified
from wsd.protocols.soap.simple import BUILT_IN, SimpleType, enumOf, listOf, memberName, unionOf
from wsd.protocols.soap.values import ComplexType, Field

_XSD = f"{{{XSD}}}"
_GROUPS = ("sequence", "choice", "all")


class Types:
    """The types of a contract by name, made when they are asked for."""

    def __init__(self, schemas: Schemas, classes: Mapping[str, Any] | None = None) -> None:
        self._schemas = schemas
        self.space = schemas.space
        """The namespace whose prefix is n in what is written."""
        self._classes = classes or {}
        self._made: dict[str, Any] = {}
        self._repeats = 0

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
            made = self._made[name] = ComplexType(_local(name), self)
            self._fill(made, node, name)
        found: SimpleType | ComplexType = self._made[name]
        return found

    def _builtIn(self, local: str) -> SimpleType | ComplexType:
        if local == "anyType":
            return ComplexType("anyType", self, python=lambda **values: values)
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
            self._typeOf(node, key, _local(name))
        made: SimpleType | ComplexType = self._made[key]
        return made

    def _typeOf(self, node: Any, key: str, name: str) -> SimpleType | ComplexType:
        """The type of a declaration; an anonymous one is made under `key`."""
        found: SimpleType | ComplexType
        given, inner = node.get("type"), node.find(f"{_XSD}complexType")
        if given is not None:
            found = self.named(qualified(node, given))
        elif inner is not None:
            found = self._made[key] = ComplexType(name, self)
            self._fill(found, inner, key)
        elif node.find(f"{_XSD}simpleType") is not None:
            found = self._simple(node.find(f"{_XSD}simpleType"), name)
        else:
            found = self._builtIn("string" if node.tag == f"{_XSD}attribute" else "anyType")
        self._made[key] = found
        return found

    # -- simple types ---------------------------------------------------------------------------------------------

    def _simple(self, node: Any, name: str) -> SimpleType:
        for kind in ("restriction", "list", "union"):
            inner = node.find(_XSD + kind)
            if inner is not None:
                break
        else:
            raise ConfigError(f"the simple type {name} is neither a restriction, a list nor a union")
        local = _local(name)
        if kind == "list":
            return listOf(local, self._simpleOf(inner, "itemType", local))
        if kind == "union":
            members = [self._simpleNamed(inner, each) for each in inner.get("memberTypes", "").split()]
            members += [self._simple(each, local) for each in inner.findall(f"{_XSD}simpleType")]
            return unionOf(local, members)
        base = self._simpleOf(inner, "base", local)
        texts = tuple(each.get("value") for each in inner.findall(f"{_XSD}enumeration"))
        if texts and base.python is str:
            known = self._classes.get(name)
            return enumOf(local, base, texts, known if isinstance(known, type) and issubclass(known, Enum) else None)
        bound = inner.find(f"{_XSD}minInclusive")
        least = base.least if bound is None else bound.get("value")
        return SimpleType(local, base.read, base.write, base.python, texts or base.choices, least)

    def _simpleOf(self, node: Any, attribute: str, name: str) -> SimpleType:
        given = node.get(attribute)
        return self._simpleNamed(node, given) if given else self._simple(node.find(f"{_XSD}simpleType"), name)

    def _simpleNamed(self, node: Any, given: str) -> SimpleType:
        found = self.named(qualified(node, given))
        if isinstance(found, ComplexType):
            raise ConfigError(f"the type {given} is complex where a simple one must be")
        return found

    # -- complex types --------------------------------------------------------------------------------------------

    def _fill(self, made: ComplexType, node: Any, key: str) -> None:
        self._content(made, node)
        names: set[str] = set()
        for each in [*made.attributes, *made.fields]:
            while each.name in names:
                each.name += "_"
            names.add(each.name)
        made.python = self._classes.get(key) or _classOf(made)

    def _content(self, made: ComplexType, node: Any) -> None:
        for kind in ("simpleContent", "complexContent"):
            inner = node.find(_XSD + kind)
            if inner is not None:
                self._derived(made, inner[-1], kind == "simpleContent")
                return
        for part in node:
            local = _local(part.tag)
            if local in _GROUPS or local == "group":
                made.fields += self._particles(made, part)
        self._attributes(made, node)

    def _derived(self, made: ComplexType, node: Any, isSimple: bool) -> None:
        name = qualified(node, node.get("base"))
        base = self.named(name)
        isExtension = _local(node.tag) == "extension"
        if isinstance(base, SimpleType):
            made.text = base
        elif isSimple:
            made.text = base.text
        elif isExtension:
            made.fields += [replace(each) for each in base.fields]
        if isinstance(base, ComplexType):
            made.attributes += [replace(each) for each in base.attributes]
        for part in node:
            local = _local(part.tag)
            if local in _GROUPS or local == "group":
                made.fields += self._particles(made, part)
        self._attributes(made, node)

    def _particles(self, made: ComplexType, node: Any, optional: bool = False, many: bool = False) -> list[Field]:
        """The children that a group of them allows, flat."""
        local = _local(node.tag)
        if local == "group" and node.get("ref"):
            name = qualified(node, node.get("ref"))
            group = self._schemas.declared("group", name)
            if group is None:
                raise ConfigError(f"the contract has no group {name}")
            optional = optional or node.get("minOccurs") == "0"
            return [each for part in group for each in self._particles(made, part, optional, many or _isMany(node))]
        optional = optional or local == "choice" or node.get("minOccurs") == "0"
        isRepeated = _isMany(node) and not many
        found: list[Field] = []
        for part in node:
            kind = _local(part.tag)
            if kind == "element":
                found.append(self._child(made, part, optional, many or isRepeated))
            elif kind == "any":
                isList = many or isRepeated or _isMany(part)
                found.append(Field("any", "*", None, 0, isList=isList))
            elif kind in (*_GROUPS, "group"):
                found += self._particles(made, part, optional, many or isRepeated)
        if isRepeated and local == "sequence":
            self._repeats += 1
            for each in found:
                each.repeats = self._repeats
        return found

    def _child(self, made: ComplexType, node: Any, optional: bool, many: bool) -> Field:
        ref = node.get("ref")
        if ref is not None:
            tag = qualified(node, ref)
            type = self.element(tag)
            top = self._schemas.declared("element", tag)
            isNillable = top.get("nillable") in ("true", "1")
        else:
            local, form = node.get("name"), node.get("form")
            isQualified = form == "qualified" or (form is None and self._schemas.elementFormOf(node))
            space = node.getroottree().getroot().get("targetNamespace")
            tag = f"{{{space}}}{local}" if isQualified and space else local
            type = self._typeOf(node, f"{made.name}.{local} {id(node)}", f"{made.name}_{local}")
            isNillable = node.get("nillable") in ("true", "1")
        least = 0 if optional else int(node.get("minOccurs", "1"))
        return Field(_pythonName(_local(tag)), tag, type, least, many or _isMany(node), isNillable)

    def _attributes(self, made: ComplexType, node: Any) -> None:
        for part in node:
            local = _local(part.tag)
            if local == "attribute":
                made.attributes.append(self._attribute(made, part))
            elif local == "attributeGroup":
                name = qualified(part, part.get("ref"))
                group = self._schemas.declared("attributeGroup", name)
                if group is None:
                    raise ConfigError(f"the contract has no attributeGroup {name}")
                self._attributes(made, group)

    def _attribute(self, made: ComplexType, node: Any) -> Field:
        least = 1 if node.get("use") == "required" else 0
        ref = node.get("ref")
        if ref is not None:
            tag = qualified(node, ref)
            top = self._schemas.declared("attribute", tag)
            type = BUILT_IN["string"] if top is None else self._typeOf(top, f"attribute {tag}", _local(tag))
        else:
            tag = node.get("name")
            type = self._typeOf(node, f"{made.name}@{tag} {id(node)}", f"{made.name}_{tag}")
        return Field(_pythonName(_local(tag)), tag, type, least, isAttribute=True)


def _isMany(node: Any) -> bool:
    most = node.get("maxOccurs", "1")
    return bool(most == "unbounded" or int(most) > 1)


def _local(name: Any) -> str:
    return str(name).rpartition("}")[2].rpartition(" ")[2]


def _pythonName(local: str) -> str:
    name = memberName(local)
    return f"{name}_" if iskeyword(name) else name


def _classOf(made: ComplexType) -> type:
    """A dataclass of the type's name; what is not given is None, or an empty list."""
    fields: list[Any] = [(each.name, Any, _default(each)) for each in [*made.attributes, *made.fields]]
    if made.text is not None:
        fields.insert(0, ("value", Any, field(default=None)))
    return make_dataclass(memberName(made.name), fields, kw_only=True)


def _default(each: Field) -> Any:
    return field(default_factory=list) if each.isList else field(default=None)
