"""
Service: a contract and the functions that answer its operations.

A function answers the operation of the same name, written `ReadFile` or `read_file`. It takes the children of the
request's element as keywords. It may be a plain function, an `async def`, or `@blocking`, which runs in a thread. A
function with a parameter `call` gets the `Call`, which can push. To answer with a fault, a function raises `Fault`, or
an exception named like a fault of the contract, whose attributes are the fields of the fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lxml import etree

from wsd.config import ConfigError
from wsd.protocols.soap.envelope import Addressing, newMessageId, write
from wsd.protocols.soap.exchange import Requester
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.functions import BoundFunction, bind, blocking, functionFor
from wsd.protocols.soap.names import Version
from wsd.protocols.soap.parsers import parseAny
from wsd.protocols.soap.schema.anytype import AnyType
from wsd.protocols.soap.schema.certainty import SureField, isSure, sureFields
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.fields import Named
from wsd.protocols.soap.schema.tags import rootTagsOf
from wsd.protocols.soap.schema.values import ComplexType, writeValue
from wsd.protocols.soap.wsdl.contract import Contract, Message, Operation

__all__ = ["Call", "Fault", "Named", "Service", "blocking"]


class Call:
    """One call, for a function with a parameter `call`."""

    def __init__(self, service: Service, version: Version, requester: Requester, addressing: Addressing) -> None:
        self._service = service
        self._version = version
        self._requester = requester
        self.addressing = addressing
        """The addressing in the header, with `MessageID` and `Action`."""
        self.peer = requester.peer
        self.user = requester.user
        self.clock = requester.clock

    @property
    def canPush(self) -> bool:
        """Whether the client can be pushed to, which needs a WebSocket."""
        return self._requester.canPush

    @property
    def isOpen(self) -> bool:
        """Whether the client is still connected."""
        return self._requester.isOpen

    @property
    def isFull(self) -> bool:
        """Whether the client reads too slowly. A function should then skip messages that can be skipped."""
        return self._requester.isFull

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """
        Calls a function once the connection has ended.

        A connection may last for days: call the returned function to cancel this when it is no longer needed.
        """
        return self._requester.whenClosed(call)

    def push(self, operation: str, **values: Any) -> str:
        """
        Sends a message that the contract declares as pushed. Returns its MessageID.

        Raises ValueError if the values do not match the contract.
        """
        message = self._service.pushed(operation)
        body = self._service.text(message, values)
        messageId = newMessageId()
        if self._requester.isOpen:
            self._requester.deliver(write(self._version, body, message.action, messageId=messageId))
        return messageId


class Service:
    """A contract with its functions. Raises ConfigError if they do not match."""

    def __init__(self, contract: Contract, functions: Any) -> None:
        self.contract = contract
        self._bound: dict[str, BoundFunction] = {}
        self._sure: dict[str, tuple[SureField, ...] | None] = {}
        for operation in contract.operations.values():
            if operation.input is None:
                continue
            function = functionFor(functions, operation.name)
            if function is not None:
                self._bound[operation.input.element] = bind(operation, function)
            elif operation.output is not None or not contract.portType:
                raise ConfigError(f"the service has no function for {operation.name}; write {operation.name}(...)")

    @property
    def bound(self) -> list[BoundFunction]:
        """The operations that have a function, in the contract's order."""
        return list(self._bound.values())

    # -- requests -------------------------------------------------------------------------------------------------

    def select(self, body: Any, action: str) -> BoundFunction:
        """Returns the function for a request. Raises `Fault` if the contract does not have its element or Action."""
        if action and action not in self.contract.byAction:
            raise Fault(f"the Action {action[:200]!r} is not in the contract", subcode="ActionNotSupported")
        if body is None:
            raise Fault("the Body is empty; it must have one element of the contract")
        bound = self._bound.get(body.tag)
        if bound is None:
            raise Fault(f"{body.tag[:200]} is not a request of this service; see the contract at ?wsdl")
        if action and self.contract.byAction[action] is not bound.operation:
            raise Fault(
                f"the Action {action[:200]!r} does not belong to {body.tag[:200]}", subcode="InvalidAddressingHeader"
            )
        return bound

    def arguments(self, bound: BoundFunction, body: Any) -> dict[str, Any]:
        """Returns the arguments of a function for a valid request. Raises `Fault` if Python cannot hold a value."""
        message = bound.operation.input
        assert message is not None
        try:
            values = self.contract.types.readMessage(message.element, message.type, body)
        except (ValueError, OverflowError) as error:
            raise Fault(f"the request has a value that is not supported: {str(error)[:200]}") from None
        except RecursionError:
            raise Fault("the request is nested too deeply") from None
        return bound.arguments(values)

    # -- answers --------------------------------------------------------------------------------------------------

    def answer(self, operation: Operation, result: Any) -> str:
        """Returns the result of a function as XML. Raises ValueError if it does not match the contract."""
        message = operation.output
        assert message is not None
        schemaType = message.type
        if isinstance(schemaType, ComplexType) and self._isSingleValue(schemaType, result):
            result = {each.name: result for each in schemaType.fields}
        return self.text(message, result)

    def _isSingleValue(self, schemaType: ComplexType, result: Any) -> bool:
        """Returns whether a result is the only value in an answer, rather than the whole answer."""
        fields = schemaType.fields
        if schemaType.text is not None or schemaType.attributes or len(fields) > 1 or isinstance(schemaType, AnyType):
            return False
        if fields and not fields[0].tag:
            # Rows or mixed content: the value is a list or a text; anything else is the whole answer.
            return isinstance(result, list | tuple | str)
        types = self.contract.types
        return result.__class__ is not schemaType.python and (
            not types.mayBeDerived(schemaType) or types.narrowed(schemaType, result) is schemaType
        )

    def text(self, message: Message, value: Any) -> str:
        """Returns a message's element as valid XML. Raises ValueError."""
        text = self._written(message, value)
        sure = self._sureFieldsOf(message)
        if sure is None or not isSure(sure, value):
            self._validated(text)
        return text

    def _sureFieldsOf(self, message: Message) -> tuple[SureField, ...] | None:
        """Returns the fields of a message that needs no validation if their values are sure; None for others."""
        try:
            return self._sure[message.element]
        except KeyError:
            declaration = self.contract.documents.declared("element", message.element)
            sure = self._sure[message.element] = sureFields(declaration, message.type)
            return sure

    def _written(self, message: Message, value: Any) -> str:
        """Returns a message's element as XML that may be invalid. Raises ValueError."""
        pieces: list[str] = []
        types = self.contract.types
        try:
            tags = rootTagsOf(message.element, types.namespace)
            writeValue(pieces, message.element, tags, message.type, value, types)
        except RecursionError:
            raise ValueError("the value is nested too deeply, or contains itself") from None
        return "".join(pieces)

    def _validated(self, text: str) -> Any:
        """Returns the element of a written text. Raises ValueError if it is not valid."""
        try:
            element = parseAny(text)
        except etree.XMLSyntaxError as error:
            raise ValueError(f"the value cannot be written as XML: {error}") from None
        invalid = self.contract.valid(element, len(text))
        if invalid:
            raise ValueError(invalid)
        return element

    def pushed(self, name: str) -> Message:
        """Returns the message that the server pushes under this name. Raises ValueError if there is none."""
        operation = self.contract.operations.get(name)
        message = None if operation is None else operation.output if operation.input is None else operation.input
        if operation is None or message is None or message.element in self._bound:
            raise ValueError(f"the contract has no pushed message {name}")
        return message

    def faultOf(self, operation: Operation, error: Exception) -> Fault | None:
        """Returns the contract's fault for an exception, None if it has none. Raises ValueError."""
        message = operation.faults.get(type(error).__name__)
        if message is None:
            return None
        isBare = isinstance(message.type, SimpleType | AnyType)
        detail = self._validated(self._written(message, error.args[0] if isBare and error.args else error))
        return Fault(_reasonOf(error), detail=detail, action=message.action)


def _reasonOf(error: Exception) -> str:
    """Returns an exception's text, or else its name as words."""
    text = error.args[0] if error.args and isinstance(error.args[0], str) else ""
    return text or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__)
