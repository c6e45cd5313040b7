"""Functions: the Python function behind each operation, and how it takes the values of a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, TypeVar

from wsd.config import ConfigError
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.schema.anytype import AnyType
from wsd.protocols.soap.schema.datatypes import SimpleType
from wsd.protocols.soap.schema.fields import Field
from wsd.protocols.soap.schema.values import ComplexType
from wsd.protocols.soap.wsdl.contract import Operation

_F = TypeVar("_F", bound=Callable[..., Any])
_BLOCKING = "_wsd_soap_blocking"


def blocking(function: _F) -> _F:
    """Marks a function that blocks: it runs in a thread of the route's own pool."""
    setattr(function, _BLOCKING, True)
    return function


@dataclass(slots=True)
class BoundFunction:
    """An operation and the function that answers it."""

    operation: Operation
    function: Callable[..., Any]
    isBlocking: bool
    wantsCall: bool
    """Whether it takes a `Call`."""
    absent: dict[str, Callable[[], Any]]
    """Makes the values of parameters without a default that a request leaves out, by name."""
    parameters: frozenset[str] | None
    """The names of its parameters, None if it takes any."""
    openAttributes: str
    """The name of the open attributes (xs:anyAttribute), which the function need not take; "" for none."""

    def arguments(self, values: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments for the function. Raises `Fault` for values that it does not take."""
        if self.parameters is not None and not self.parameters.issuperset(values):
            values = self._accepted(values, self.parameters)
        for name, make in self.absent.items():
            if name not in values:
                values[name] = make()
        return values

    def _accepted(self, values: dict[str, Any], parameters: frozenset[str]) -> dict[str, Any]:
        """Returns the values that the function takes. Drops others that are empty. Raises `Fault` for the rest."""
        refused = [
            name
            for name, value in values.items()
            if name != self.openAttributes and name not in parameters and value not in (None, "")
        ]
        if refused:
            raise Fault(f"{self.operation.name} takes no {', '.join(refused)} here")
        return {name: value for name, value in values.items() if name in parameters}


def functionFor(functions: Any, operation: str) -> Callable[..., Any] | None:
    """Returns the function for an operation: for ReadFile one named ReadFile, read_file or readFile."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()
    for name in (operation, snake, operation[:1].lower() + operation[1:]):
        found = functions.get(name) if isinstance(functions, Mapping) else getattr(functions, name, None)
        if callable(found):
            function: Callable[..., Any] = found
            return function
    return None


def bind(operation: Operation, function: Callable[..., Any]) -> BoundFunction:
    """Binds a function to an operation. Raises ConfigError if it does not take the values of a request."""
    assert operation.input is not None
    schemaType = operation.input.type
    fields = _fieldsOf(schemaType)
    given = _valuesOf(schemaType)
    openAttributes = "" if isinstance(schemaType, SimpleType | AnyType) else schemaType.openAttributes
    parameters = signature(function).parameters
    required = [each.name for each in parameters.values() if _isRequired(each)]
    takesAny = any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values())
    optional = {"call", openAttributes, "value" if isinstance(schemaType, AnyType) else ""}
    missing = [name for name in given if name not in parameters and not takesAny]
    extra = [name for name in required if name not in given and name not in optional]
    if missing or extra:
        wrong = f"it does not take {', '.join(missing)}" if missing else f"it wants {', '.join(extra)} too"
        raise ConfigError(f"the function for {operation.name} must take {', '.join(given) or 'nothing'}; {wrong}")
    absent: dict[str, Callable[[], Any]] = {
        each.name: _absenceOf(each) for each in fields if each.name in required and (each.isList or not each.least)
    }
    if openAttributes in required:
        absent[openAttributes] = dict
    return BoundFunction(
        operation,
        function,
        isBlocking=hasattr(function, _BLOCKING),
        wantsCall="call" in parameters and "call" not in given,
        absent=absent,
        parameters=None if takesAny else frozenset(parameters),
        openAttributes=openAttributes,
    )


def _fieldsOf(schemaType: SimpleType | ComplexType) -> list[Field]:
    return [] if isinstance(schemaType, SimpleType) else [*schemaType.attributes, *schemaType.fields]


def _valuesOf(schemaType: SimpleType | ComplexType) -> list[str]:
    """Returns the names of the values in a message of this type. A text is `value`."""
    names = [each.name for each in _fieldsOf(schemaType)]
    hasText = isinstance(schemaType, SimpleType) or schemaType.text is not None
    return ["value", *names] if hasText else names


def _isRequired(parameter: Parameter) -> bool:
    """Returns whether a parameter has no default."""
    kinds = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return parameter.default is Parameter.empty and parameter.kind in kinds


def _absenceOf(field: Field) -> Callable[[], Any]:
    return list if field.isList else lambda: None
