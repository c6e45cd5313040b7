"""
Service: the functions behind a contract.

A function answers the operation of its name, `ReadFile` or `read_file`, and takes what the contract's element holds as
keywords. It may be plain, `async def`, or `@blocking`: then it runs in a thread. One with a parameter `call` is given
the `Call`, through which it may push. It raises `Fault`, or an exception named as a fault of the contract, whose
attributes are the fault's fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, Protocol, TypeVar

from lxml import etree
from twisted.internet.interfaces import IReactorTime

from wsd.config import ConfigError
from wsd.policies.address import Peer
from wsd.protocols.soap.envelope import Addressing, newMessageId, write
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import Version
from wsd.protocols.soap.parsers import parseAny
from wsd.protocols.soap.schema.anytype import Anything
from wsd.protocols.soap.schema.fields import Named
from wsd.protocols.soap.schema.simple import SimpleType
from wsd.protocols.soap.schema.tags import rootMarksOf
from wsd.protocols.soap.schema.values import ComplexType, writeValue
from wsd.protocols.soap.wsdl.contract import Contract, Message, Operation

__all__ = ["Call", "Fault", "Named", "Service", "blocking"]

_F = TypeVar("_F", bound=Callable[..., Any])
_BLOCKING = "_wsd_soap_blocking"


def blocking(function: _F) -> _F:
    """Marks a function that blocks: it runs in a thread of the route's own pool."""
    setattr(function, _BLOCKING, True)
    return function


class Link(Protocol):
    """Who asks: a WebSocket, or an HTTP request."""

    peer: Peer
    user: str | None
    isFull: bool
    canPush: bool
    """Whether there is a way for messages that are no answers."""

    @property
    def clock(self) -> IReactorTime:
        """The clock to use."""

    @property
    def isOpen(self) -> bool:
        """Whether anybody is there."""

    def header(self, name: str) -> str | None:
        """A header of the request that opened the way."""

    def deliver(self, text: str) -> None:
        """Send an envelope."""

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call a function when the connection ends; the returned function cancels this."""


class Call:
    """One call, as a function with a parameter of this name sees it."""

    def __init__(self, service: Service, version: Version, link: Link, addressing: Addressing) -> None:
        self._service = service
        self._version = version
        self._link = link
        self.addressing = addressing
        """What the header said, with `MessageID` and `Action`."""
        self.peer = link.peer
        self.user = link.user
        self.clock = link.clock

    @property
    def canPush(self) -> bool:
        """Whether `push` has a way: over a WebSocket, not over HTTP."""
        return self._link.canPush

    @property
    def isOpen(self) -> bool:
        """Whether anybody is still there."""
        return self._link.isOpen

    @property
    def isFull(self) -> bool:
        """Whether the client reads slower than it is sent to: what can be left out is better left out."""
        return self._link.isFull

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """
        Call a function once the connection has ended.

        A connection may last for days: call the returned function to cancel this when it is no longer needed.
        """
        return self._link.whenClosed(call)

    def push(self, operation: str, **values: Any) -> str:
        """
        Send what the contract says the server sends of itself; the name for it in the header is returned.

        Raises ValueError for values that are not as the contract says.
        """
        message = self._service.pushed(operation)
        body = self._service.text(message, values)
        name = newMessageId()
        if self._link.isOpen:
            self._link.deliver(write(self._version, body, message.action, messageId=name))
        return name


@dataclass(slots=True)
class Bound:
    """An operation and the function that answers it."""

    operation: Operation
    function: Callable[..., Any]
    isBlocking: bool
    wantsCall: bool
    absent: dict[str, Any]
    """What it is given for what may be left out and is."""
    taken: frozenset[str] | None
    """The names of its parameters, None for any."""
    spare: str
    """The name for open attributes (xs:anyAttribute), which the function need not take."""


class Service:
    """A contract with its functions. Raises ConfigError when they do not fit each other."""

    def __init__(self, contract: Contract, functions: Any) -> None:
        self.contract = contract
        self._bound: dict[str, Bound] = {}
        for operation in contract.operations.values():
            if operation.input is None:
                continue
            function = _functionOf(functions, operation.name)
            if function is not None:
                self._bound[operation.input.element] = _bind(operation, function)
            elif operation.output is not None or not contract.portType:
                raise ConfigError(f"the service has no function for {operation.name}; write {operation.name}(...)")

    @property
    def bound(self) -> list[Bound]:
        """The operations that are answered, in the contract's order."""
        return list(self._bound.values())

    def select(self, body: Any, action: str) -> Bound:
        """Who answers a request. Raises `Fault`: its element or its Action is not of this contract."""
        if action and action not in self.contract.byAction:
            raise Fault(f"the Action {action[:200]!r} is not of this service", subcode="ActionNotSupported")
        if body is None:
            raise Fault("the Body is empty; a request is one element of the contract")
        bound = self._bound.get(body.tag)
        if bound is None:
            raise Fault(f"{body.tag[:200]} is no request of this service; its contract is at ?wsdl")
        if action and self.contract.byAction[action] is not bound.operation:
            raise Fault(
                f"the Action {action[:200]!r} does not belong to {body.tag[:200]}", subcode="InvalidAddressingHeader"
            )
        return bound

    def arguments(self, bound: Bound, body: Any) -> dict[str, Any]:
        """The values of a valid request. Raises `Fault` (Sender) if Python cannot represent them."""
        message = bound.operation.input
        assert message is not None
        try:
            values = self.contract.types.readMessage(message.element, message.type, body)
        except (ValueError, OverflowError) as error:
            raise Fault(f"the request has a value that cannot be held here: {str(error)[:200]}") from None
        except RecursionError:
            raise Fault("the request is nested too deeply") from None
        if bound.taken is not None and not bound.taken.issuperset(values):
            values = self._taken(bound, values)
        return {**bound.absent, **values} if bound.absent else values

    def _taken(self, bound: Bound, values: dict[str, Any]) -> dict[str, Any]:
        """The values that a function takes. Raises `Fault` for others, except those that may be left out."""
        assert bound.taken is not None
        more = [
            name
            for name, value in values.items()
            if name != bound.spare and name not in bound.taken and value not in (None, "")
        ]
        if more:
            raise Fault(f"{bound.operation.name} takes no {', '.join(more)} here")
        return {name: value for name, value in values.items() if name in bound.taken}

    def answer(self, operation: Operation, result: Any) -> str:
        """What a function returned, as XML. Raises ValueError when it is not as the contract says."""
        message = operation.output
        assert message is not None
        type = message.type
        if isinstance(type, ComplexType) and self._isOne(type, result):
            result = {each.name: result for each in type.fields}
        return self.text(message, result)

    def _isOne(self, type: ComplexType, result: Any) -> bool:
        """Whether a result is not the whole answer but the single value in it."""
        if type.text is not None or type.attributes or len(type.fields) > 1 or isinstance(type, Anything):
            return False
        if type.fields and not type.fields[0].tag:
            # Rows or mixed content: a list, or the whole answer with its single name.
            return isinstance(result, list | tuple | str)
        types = self.contract.types
        return result.__class__ is not type.python and (
            not types.mayNarrow(type) or types.derivations.narrowed(type, result) is type
        )

    def text(self, message: Message, value: Any) -> str:
        """A message's element, valid, as XML. Raises ValueError."""
        return self._written(message, value)[0]

    def _written(self, message: Message, value: Any) -> tuple[str, Any]:
        """The same with the element itself."""
        pieces: list[str] = []
        types = self.contract.types
        try:
            writeValue(pieces, message.element, rootMarksOf(message.element, types.space), message.type, value, types)
        except RecursionError:
            raise ValueError("the value is nested too deeply, or contains itself") from None
        text = "".join(pieces)
        try:
            element = parseAny(text)
        except etree.XMLSyntaxError as error:
            raise ValueError(f"the value has what XML cannot hold: {error}") from None
        wrong = self.contract.valid(element, len(text))
        if wrong:
            raise ValueError(wrong)
        return text, element

    def pushed(self, name: str) -> Message:
        """What the server sends of itself under this name. Raises ValueError."""
        operation = self.contract.operations.get(name)
        message = None if operation is None else operation.output if operation.input is None else operation.input
        if operation is None or message is None or message.element in self._bound:
            raise ValueError(f"the contract has nothing named {name} that is pushed")
        return message

    def faultOf(self, operation: Operation, error: Exception) -> Fault | None:
        """The typed fault that an exception is in the contract, None when it is none. Raises ValueError."""
        message = operation.faults.get(type(error).__name__)
        if message is None:
            return None
        isBare = isinstance(message.type, SimpleType | Anything)
        detail = self._written(message, error.args[0] if isBare and error.args else error)[1]
        return Fault(_sentence(error), detail=detail, action=message.action)


def _sentence(error: Exception) -> str:
    told = error.args[0] if error.args and isinstance(error.args[0], str) else ""
    return told or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__)


def _functionOf(functions: Any, name: str) -> Callable[..., Any] | None:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    for each in (name, snake, name[:1].lower() + name[1:]):
        found = functions.get(each) if isinstance(functions, Mapping) else getattr(functions, each, None)
        if callable(found):
            function: Callable[..., Any] = found
            return function
    return None


def _bind(operation: Operation, function: Callable[..., Any]) -> Bound:
    """Raises ConfigError when a function does not take what the operation gives."""
    assert operation.input is not None
    type = operation.input.type
    fields = [*type.attributes, *type.fields] if isinstance(type, ComplexType) else None
    given = ["value"] if fields is None else [each.name for each in fields]
    if isinstance(type, ComplexType) and type.text is not None:
        given.insert(0, "value")
    parameters = signature(function).parameters
    isOpen = any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values())
    needed = [
        each.name
        for each in parameters.values()
        if each.default is Parameter.empty and each.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    ]
    spare = type.openAttributes if isinstance(type, ComplexType) and not isinstance(type, Anything) else ""
    allowed = {"call", spare, "value" if isinstance(type, Anything) else ""}
    wantsCall = "call" in parameters and "call" not in given
    missing = [name for name in given if name not in parameters and not isOpen]
    extra = [name for name in needed if name not in given and name not in allowed]
    if missing or extra:
        raise ConfigError(
            f"the function for {operation.name} must take {', '.join(given) or 'nothing'}; "
            + (f"it does not take {', '.join(missing)}" if missing else f"it wants {', '.join(extra)} too")
        )
    absent: dict[str, Any] = {
        each.name: [] if each.isList else None
        for each in fields or ()
        if (each.isList or each.least == 0) and each.name in needed
    }
    if spare in needed:
        absent[spare] = {}
    taken = None if isOpen else frozenset(parameters)
    return Bound(operation, function, hasattr(function, _BLOCKING), wantsCall, absent, taken, spare)
