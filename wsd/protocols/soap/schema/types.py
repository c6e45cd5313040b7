"""
Types: the types of a contract by name, made from its schemas when they are needed.

The values of a complex type are objects of a dataclass, which is generated unless the author has written one. It has an
attribute for each child: a list if the child may occur more than once, None if the child is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsd.config import ConfigError
from wsd.protocols.soap.names import XSD, localName
from wsd.protocols.soap.schema.anytype import AnyType
from wsd.protocols.soap.schema.builtin import BUILT_IN
from wsd.protocols.soap.schema.complextypes import ComplexTypes
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.derivations import Derivations
from wsd.protocols.soap.schema.documents import SchemaDocuments, qualified
from wsd.protocols.soap.schema.fields import Field
from wsd.protocols.soap.schema.particles import Particles, anyContent
from wsd.protocols.soap.schema.simpletypes import SimpleTypes
from wsd.protocols.soap.schema.tags import typeAttributes
from wsd.protocols.soap.schema.values import TYPE, ComplexType, readField

_XSD = f"{{{XSD}}}"


class SchemaTypes:
    """The types of a contract. `classes` has the classes to use for values, by the name of the type."""

    def __init__(self, documents: SchemaDocuments, classes: Mapping[str, Any] | None = None) -> None:
        self._documents = documents
        self.namespace = documents.namespace
        """The namespace that the prefix n stands for in written elements."""
        self._made: dict[str, Any] = {}
        self._mayBeDerived: dict[int, bool] = {}
        self._globalElements: dict[str, Field] = {}
        self.anyType = AnyType("anyType", self, model=anyContent(), openAttributes="any_attributes")
        self._derivations = Derivations(self, documents)
        self._particles = Particles(self, documents, self._derivations)
        self._simpleTypes = SimpleTypes(self, documents, classes or {})
        self._complexTypes = ComplexTypes(self, documents, self._particles, self._simpleTypes, classes or {})

    # -- by name --------------------------------------------------------------------------------------------------

    def named(self, name: str) -> SimpleType | ComplexType:
        """Returns a global type. Raises ConfigError."""
        found: SimpleType | ComplexType
        if name not in self._made:
            if name.startswith(_XSD):
                return self._builtIn(name[len(_XSD) :])
            self._make(name)
        found = self._made[name]
        return found

    def _make(self, name: str) -> None:
        node = self._documents.declared("simpleType", name)
        if node is not None:
            self._made[name] = self._simpleTypes.read(node, name)
            return
        node = self._documents.declared("complexType", name)
        if node is None:
            raise ConfigError(f"the contract has no type {name}")
        made = self._made[name] = ComplexType(localName(name), self, key=name)
        self._complexTypes.complete(made, node, name)

    def _builtIn(self, local: str) -> SimpleType | ComplexType:
        if local == "anyType":
            return self.anyType
        if local not in BUILT_IN:
            raise ConfigError(f"xs:{local} is not supported; the simple types of XML Schema 1.0 are")
        return BUILT_IN[local]

    def element(self, name: str) -> SimpleType | ComplexType:
        """Returns the type of a global element. Raises ConfigError."""
        key = f"element {name}"
        if key not in self._made:
            node = self._documents.declared("element", name)
            if node is None:
                raise ConfigError(f"the contract has no element {name}")
            self.typeOf(node, key, localName(name))
        made: SimpleType | ComplexType = self._made[key]
        return made

    def typeOf(self, node: Any, key: str, name: str) -> SimpleType | ComplexType:
        """Returns the type of a declaration; an anonymous type is made under `key`. Raises ConfigError."""
        found: SimpleType | ComplexType
        given, inner = node.get("type"), node.find(f"{_XSD}complexType")
        if given is not None:
            found = self.named(qualified(node, given))
        elif inner is not None:
            if key not in self._made:
                made = self._made[key] = ComplexType(name, self)
                self._complexTypes.complete(made, inner, key)
            found = self._made[key]
        elif node.find(f"{_XSD}simpleType") is not None:
            found = self._simpleTypes.read(node.find(f"{_XSD}simpleType"), name)
        elif node.get("substitutionGroup") is not None:
            found = self.element(qualified(node, node.get("substitutionGroup")))
        else:
            found = self._builtIn("anySimpleType" if node.tag == f"{_XSD}attribute" else "anyType")
        self._made[key] = found
        return found

    def globalElement(self, tag: str) -> Field | None:
        """Returns the field for a global element, None if there is none with this tag."""
        if tag not in self._globalElements:
            if self._documents.declared("element", tag) is None:
                return None
            self._globalElements[tag] = self._particles.globalElement(tag)
        return self._globalElements[tag]

    # -- of values ------------------------------------------------------------------------------------------------

    def readMessage(self, tag: str, schemaType: SimpleType | ComplexType, element: Any) -> dict[str, Any]:
        """Returns the values of a whole message as keywords: its fields, or `value`. Raises ValueError."""
        name = element.get(TYPE)
        if name is not None:
            schemaType = self.declaredType(element, name)
        if isinstance(schemaType, ComplexType) and schemaType is not self.anyType:
            return schemaType.readFields(element)
        field = self.globalElement(tag)
        assert field is not None
        return {"value": readField(field, self, element)}

    def declaredType(self, element: Any, name: str) -> SimpleType | ComplexType:
        """Returns the type that an element declares (xsi:type). Raises ValueError."""
        try:
            return self.named(qualified(element, name))
        except ConfigError as error:
            raise ValueError(str(error)) from None

    def mayBeDerived(self, schemaType: SimpleType | ComplexType) -> bool:
        """Returns whether an element of this type may declare a derived type that is read or written differently."""
        found = self._mayBeDerived.get(id(schemaType))
        if found is None:
            if isinstance(schemaType, SimpleType):
                found = schemaType.python is object or self._derivations.isExtended(schemaType)
            else:
                found = schemaType is self.anyType or schemaType.isAbstract or self._derivations.isBase(schemaType)
            self._mayBeDerived[id(schemaType)] = found
        return found

    def actualType(self, schemaType: SimpleType | ComplexType, value: Any) -> tuple[SimpleType | ComplexType, str]:
        """
        Returns the type to write a value as, and the attributes that declare it if it is not `schemaType`.

        Raises ValueError.
        """
        if schemaType is BUILT_IN["anySimpleType"]:
            schemaType = self.anyType
        if isinstance(schemaType, AnyType):
            return schemaType.actualType(value)
        found = schemaType
        if value.__class__ is not schemaType.python:
            found = self._derivations.narrowed(schemaType, value)
        if isinstance(found, ComplexType) and found.isAbstract:
            raise ValueError(f"{found.name} is abstract; {self._derivations.choices(found)}")
        declaration = "" if found is schemaType else typeAttributes(getattr(found, "key", ""), self.namespace)
        return found, declaration

    def narrowed(self, schemaType: SimpleType | ComplexType, value: Any) -> SimpleType | ComplexType:
        """Returns the type that a value says it has, `schemaType` or one derived from it. Raises ValueError."""
        return self._derivations.narrowed(schemaType, value)

    def concreteTypes(self, abstract: ComplexType) -> list[ComplexType]:
        """Returns the concrete types that may replace an abstract one."""
        return self._derivations.concrete(abstract)

    def nilDeclaration(self, schemaType: SimpleType | ComplexType) -> str:
        """Returns the attributes that declare the type of a nil element. Its type must not be abstract."""
        if isinstance(schemaType, SimpleType) or not schemaType.isAbstract:
            return ""
        return "".join(typeAttributes(each.key, self.namespace) for each in self.concreteTypes(schemaType)[:1])

    def writeAny(self, out: list[str], value: Any) -> None:
        """Writes a value as elements that have no type. Raises ValueError or TypeError."""
        self.anyType.writeChild(out, value)
