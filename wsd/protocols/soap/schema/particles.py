"""Particles: reads the content models of complex types, and the attributes beside them, from the schemas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from keyword import iskeyword
from typing import Any, Protocol

from wsd.config import ConfigError
from wsd.protocols.soap.names import localName, namespaceOf, shortNames
from wsd.protocols.soap.schema.builtin import BUILT_IN
from wsd.protocols.soap.schema.content import ModelGroup
from wsd.protocols.soap.schema.datatypes import SimpleType, identifierOf
from wsd.protocols.soap.schema.derivations import Derivations
from wsd.protocols.soap.schema.documents import SchemaDocuments, keyOf, localTag, qualified, targetNamespaceOf
from wsd.protocols.soap.schema.fields import Field
from wsd.protocols.soap.schema.values import ComplexType

TRUE = ("true", "1")
GROUPS = ("sequence", "choice", "all", "group")


class DeclaredTypes(Protocol):
    """The types of declarations."""

    def element(self, name: str) -> SimpleType | ComplexType:
        """Returns the type of a global element. Raises ConfigError."""

    def typeOf(self, node: Any, key: str, name: str) -> SimpleType | ComplexType:
        """Returns the type of a declaration; an anonymous type is made under `key`. Raises ConfigError."""


class Particles:
    """Reads the particles and attributes of complex types. Its methods raise ConfigError."""

    def __init__(self, types: DeclaredTypes, documents: SchemaDocuments, derivations: Derivations) -> None:
        self._types = types
        self._documents = documents
        self._derivations = derivations

    def group(self, owner: str, node: Any) -> ModelGroup:
        """Reads a model group of the type `owner`, or a reference to a group (XML Schema part 1, 3.7 and 3.8)."""
        kind = localName(node.tag)
        if kind == "group":
            declared = self._declared("group", qualified(node, node.get("ref")))
            (inner,) = (part for part in declared if localName(part.tag) in GROUPS)
            return replace(self.group(owner, inner), occurs=_occurs(node))
        parts = [particle for part in node if (particle := self._particle(owner, part)) is not None]
        return ModelGroup(kind, [part for part in parts if part.occurs[1]], _occurs(node))

    def _particle(self, owner: str, node: Any) -> Field | ModelGroup | None:
        kind = localName(node.tag)
        if kind == "element":
            return self._element(owner, node)
        if kind == "any":
            return Field("any", "*", None, occurs=_occurs(node), allows=_wildcard(node))
        return self.group(owner, node) if kind in GROUPS else None

    def _element(self, owner: str, node: Any) -> Field:
        ref = node.get("ref")
        if ref is not None:
            return replace(self.globalElement(qualified(node, ref)), occurs=_occurs(node))
        local = node.get("name")
        return Field(
            _fieldName(local),
            localTag(node, "elementFormDefault"),
            self._types.typeOf(node, keyOf(node), f"{owner}_{local}"),
            isNillable=node.get("nillable") in TRUE,
            occurs=_occurs(node),
            default=_defaultOf(node),
        )

    def globalElement(self, tag: str) -> Field:
        """Returns a reference to a global element, with the members of its substitution group (part 1, 3.3.6)."""
        found = self._reference(tag)
        members = self._derivations.membersOf(tag)
        names = shortNames((tag, *members))
        for name in members:
            member = self._reference(name)
            if not member.isAbstract:
                found.members[name] = replace(member, name=names[name])
        return found

    def _reference(self, tag: str) -> Field:
        schemaType, node = self._types.element(tag), self._documents.declared("element", tag)
        return Field(
            _fieldName(localName(tag)),
            tag,
            schemaType,
            isNillable=node.get("nillable") in TRUE,
            default=_defaultOf(node),
            isAbstract=node.get("abstract") in TRUE,
        )

    def attributes(self, made: ComplexType, node: Any) -> None:
        """Adds the attributes in a declaration to a type. They replace inherited attributes with the same tag."""
        for part in node:
            kind = localName(part.tag)
            if kind == "attribute":
                found = self._attribute(made.name, part)
                made.attributes = [each for each in made.attributes if each.tag != found.tag]
                if part.get("use") != "prohibited":
                    made.attributes.append(found)
            elif kind == "anyAttribute":
                made.openAttributes = "any_attributes"
            elif kind == "attributeGroup":
                self.attributes(made, self._declared("attributeGroup", qualified(part, part.get("ref"))))

    def _attribute(self, owner: str, node: Any) -> Field:
        ref = node.get("ref")
        schemaType: SimpleType | ComplexType
        if ref is None:
            tag = localTag(node, "attributeFormDefault")
            schemaType = self._types.typeOf(node, keyOf(node), f"{owner}_{node.get('name')}")
            default = _defaultOf(node)
        else:
            tag = qualified(node, ref)
            declared = self._documents.declared("attribute", tag)
            default = _defaultOf(node)
            if declared is None:
                schemaType = BUILT_IN["string"]
            else:
                schemaType = self._types.typeOf(declared, f"attribute {tag}", localName(tag))
                default = _defaultOf(declared) if default is None else default
        least = 1 if node.get("use") == "required" else 0
        return Field(_fieldName(localName(tag)), tag, schemaType, least, default=default)

    def _declared(self, kind: str, name: str) -> Any:
        found = self._documents.declared(kind, name)
        if found is None:
            raise ConfigError(f"the contract has no {kind} {name}")
        return found


def anyContent() -> ModelGroup:
    """Returns the content model of xs:anyType (XML Schema part 1, 3.4.7)."""
    return ModelGroup("sequence", [Field("any", "*", None, occurs=(0, float("inf")), allows=lambda tag: True)])


def _defaultOf(node: Any) -> str | None:
    """Returns the default or the fixed value in a declaration, None if there is none."""
    default: str | None = node.get("default", node.get("fixed"))
    return default


def _occurs(node: Any) -> tuple[int, float]:
    """Returns minOccurs and maxOccurs."""
    most = node.get("maxOccurs", "1")
    return int(node.get("minOccurs", "1")), float("inf") if most == "unbounded" else int(most)


def _wildcard(node: Any) -> Callable[[str], bool]:
    """Returns a function that says which tags a wildcard takes (XML Schema part 1, 3.10)."""
    target = targetNamespaceOf(node)
    allowed = node.get("namespace", "##any").split()
    if allowed == ["##any"]:
        return lambda tag: True
    if allowed == ["##other"]:
        return lambda tag: namespaceOf(tag) not in (target, "")
    namespaces = {{"##targetNamespace": target, "##local": ""}.get(each, each) for each in allowed}
    return lambda tag: namespaceOf(tag) in namespaces


def _fieldName(local: str) -> str:
    """Returns a name that a field of a dataclass can have."""
    name = identifierOf(local)
    return f"{name}_" if iskeyword(name) or (name.startswith("__") and name.endswith("__")) else name
