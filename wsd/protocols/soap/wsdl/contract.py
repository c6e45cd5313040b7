"""Contract: the operations that a service offers, with the elements and types of their messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from wsd.config import ConfigError
from wsd.protocols.soap.names import localName
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.documents import SchemaDocuments
from wsd.protocols.soap.schema.types import SchemaTypes
from wsd.protocols.soap.schema.validator import Validator
from wsd.protocols.soap.schema.values import ComplexType


@dataclass(slots=True)
class Message:
    """A message: the element in its Body, the type of that element, and its Action."""

    element: str
    type: SimpleType | ComplexType
    action: str


@dataclass(slots=True)
class Operation:
    """An operation (WSDL 1.1, 2.4). One without input is pushed; one without output is one-way."""

    name: str
    input: Message | None
    output: Message | None
    faults: dict[str, Message] = field(default_factory=dict)
    """By the name of the fault, and by the name of its element."""
    documentation: str = ""
    soapAction: str = ""
    translations: dict[str, str] = field(default_factory=dict)
    """The documentation in other languages, by primary language subtag (RFC 5646 2.2.1), such as "zh"."""


_LONG = 128 * 1024
"""Bytes of a message from which it is left to a thread. A mebibyte of short elements takes 0.2 seconds to validate."""


class Contract:
    """The operations of a service, and the types and the validator of their messages."""

    def __init__(
        self, name: str, namespace: str, portType: str, documents: SchemaDocuments, types: SchemaTypes
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.portType = portType
        self.documents = documents
        self.types = types
        self._validator = Validator(documents.validator, documents.copies())
        self.operations: dict[str, Operation] = {}
        self.byAction: dict[str, Operation] = {}
        self.byElement: dict[str, Operation] = {}
        self.documentation = ""
        self.translations: dict[str, str] = {}
        """The documentation in other languages, as `Operation.translations`."""

    def add(self, operation: Operation) -> None:
        """Adds an operation. Raises ConfigError if another one has the same element as its input."""
        self.operations[operation.name] = operation
        if operation.input is None:
            return
        other = self.byElement.setdefault(operation.input.element, operation)
        if other is not operation:
            raise ConfigError(f"the operations {other.name} and {operation.name} have the same request element")
        self.byAction[operation.input.action] = operation
        if operation.soapAction:
            self.byAction[operation.soapAction] = operation

    def takesLong(self, size: int) -> bool:
        """Whether a message of `size` bytes may take long to validate and to read, and so is left to a thread."""
        return size > _LONG or self._validator.isCostly

    def valid(self, element: Any, size: int) -> str:
        """Returns the first validation error of an element of `size` bytes, "" if it is valid."""
        return self._validator.check(element, size)


def uniqueNames(elements: Iterable[str]) -> dict[str, str]:
    """Returns the local name of each element, with underscores if another element has the same."""
    found: dict[str, str] = {}
    for each in elements:
        if each not in found:
            own = localName(each)
            while own in found.values():
                own += "_"
            found[each] = own
    return found
