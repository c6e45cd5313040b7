"""
Offer: a service whose contract is written from the annotations of its functions and dataclasses.

    quotes = Offer("Quotes", "urn:quotes")

    @quotes.operation(Unknown)
    def price(symbol: str, day: date | None = None) -> Decimal: ...

The operation is Price, and its answer has one element, `result`. A request may leave out a parameter that has a default
or may be None, and a list may be empty. `Annotated[int, "xs:int"]` names another simple type than the usual one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from inspect import Parameter, cleandoc, signature
from keyword import iskeyword
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from lxml import etree

from wsd.config import ConfigError
from wsd.protocols.soap.names import WSDL, XSD
from wsd.protocols.soap.schema.builtin import BUILT_IN
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.reader import fromDefinitions

_F = TypeVar("_F", bound=Callable[..., Any])
_C = TypeVar("_C", bound=type)
_WSDL = f"{{{WSDL}}}"
_XSD = f"{{{XSD}}}"
_USUAL: dict[Any, str] = {
    str: "string",
    int: "long",
    bool: "boolean",
    float: "double",
    Decimal: "decimal",
    date: "date",
    datetime: "dateTime",
    time: "time",
    timedelta: "duration",
    bytes: "base64Binary",
}


class Offer:
    """Collects what a service offers: functions with `operation` and `oneWay`, and messages to push with `pushed`."""

    def __init__(self, name: str, namespace: str, about: str = "") -> None:
        self._name = name
        self._namespace = namespace
        self._about = about
        self._functions: dict[str, Callable[..., Any]] = {}
        self._faults: dict[str, tuple[type, ...]] = {}
        self._oneWay: set[str] = set()
        self._pushed: list[type] = []

    def operation(self, *faults: type[Exception]) -> Callable[[_F], _F]:
        """Marks a function of an operation with an answer. It raises `faults`: exceptions with annotated attributes."""

        def mark(function: _F) -> _F:
            self._faults[self._add(function)] = faults
            return function

        return mark

    def oneWay(self, function: _F) -> _F:
        """Marks a function whose requests get no answer, not even a fault."""
        self._oneWay.add(self._add(function))
        return function

    def pushed(self, kind: _C) -> _C:
        """Marks a dataclass as a message that `call.push` sends under the name of the class."""
        self._pushed.append(kind)
        return kind

    def _add(self, function: Callable[..., Any]) -> str:
        name = _operationName(function.__name__)
        if name in self._functions:
            raise ConfigError(f"{self._name} has two operations {name}; give one of the functions another name")
        self._functions[name] = function
        return name

    def service(self) -> Service:
        """Returns the service. Raises ConfigError for a type that a contract cannot express."""
        writer = ContractWriter(self._name, self._namespace, self._about)
        for name, function in self._functions.items():
            writer.operation(name, function, name in self._oneWay, self._faults.get(name, ()))
        for kind in self._pushed:
            writer.pushed(kind)
        return Service(fromDefinitions(writer.root, Path(), writer.classes), self._functions)


class ContractWriter:
    """Writes the contract of an `Offer` as a WSDL. Its methods raise ConfigError."""

    def __init__(self, name: str, namespace: str, about: str) -> None:
        self.root = etree.Element(
            f"{_WSDL}definitions",
            name=name,
            targetNamespace=namespace,
            nsmap={"wsdl": WSDL, "xs": XSD, "tns": namespace},
        )
        self.classes: dict[str, Any] = {}
        """The callables that make the values of a type, by the name of the type."""
        self._namespace = namespace
        types = etree.SubElement(self.root, f"{_WSDL}types")
        self._schema = etree.SubElement(
            types, f"{_XSD}schema", targetNamespace=namespace, elementFormDefault="qualified"
        )
        self._portType = etree.SubElement(self.root, f"{_WSDL}portType", name=name)
        self._document(self._portType, about)
        self._messages: dict[str, Any] = {}
        self._named: dict[str, type] = {}

    def operation(self, name: str, function: Callable[..., Any], isOneWay: bool, faults: tuple[type, ...]) -> None:
        """Adds an operation and its messages."""
        node = etree.SubElement(self._portType, f"{_WSDL}operation", name=name)
        self._document(node, function.__doc__)
        self._message(node, "input", name, function.__name__, _parametersOf(function))
        if isOneWay:
            return
        result = get_type_hints(function, include_extras=True).get("return", NoneType)
        parts = {} if result is NoneType else {"result": (result, False)}
        self._message(node, "output", f"{name}Response", function.__name__, parts)
        for fault in faults:
            parts = {each: (hint, False) for each, hint in get_type_hints(fault, include_extras=True).items()}
            self._message(node, "fault", fault.__name__, fault.__name__, parts, fault)

    def pushed(self, kind: type) -> None:
        """Adds an operation with only an output."""
        node = etree.SubElement(self._portType, f"{_WSDL}operation", name=kind.__name__)
        self._document(node, kind.__doc__)
        self._message(node, "output", kind.__name__, kind.__name__, _fieldsOf(kind), kind)

    def _document(self, node: Any, text: str | None) -> None:
        # The docstring of a dataclass without one is its signature.
        if text and not re.match(r"\w+\(", text):
            etree.SubElement(node, f"{_WSDL}documentation").text = cleandoc(text)

    def _message(
        self, node: Any, role: str, name: str, where: str, parts: Mapping[str, tuple[Any, bool]], kind: Any = None
    ) -> None:
        """Adds a message and its element to an operation. Several operations may have the same fault."""
        reference = etree.SubElement(node, _WSDL + role, message=f"tns:{name}")
        if role == "fault":
            reference.set("name", name)
        if name in self._messages:
            if kind is None or self._messages[name] is not kind:
                raise ConfigError(f"{where}: there is already a {name}; choose another name")
            return
        self._messages[name] = kind
        message = etree.Element(f"{_WSDL}message", name=name)
        self._portType.addprevious(message)
        etree.SubElement(message, f"{_WSDL}part", name="parameters", element=f"tns:{name}")
        self._complex(etree.SubElement(self._schema, f"{_XSD}element", name=name), where, parts)

    def _complex(self, parent: Any, where: str, parts: Mapping[str, tuple[Any, bool]], **more: str) -> None:
        sequence = etree.SubElement(etree.SubElement(parent, f"{_XSD}complexType", more), f"{_XSD}sequence")
        for name, (hint, isOptional) in parts.items():
            bare = name[:-1] if name.endswith("_") and iskeyword(name[:-1]) else name
            node = etree.SubElement(sequence, f"{_XSD}element", name=bare)
            hint, isNone = _withoutNone(hint)
            if get_origin(hint) is list:
                (hint,) = get_args(hint)
                node.set("maxOccurs", "unbounded")
                isOptional = True
            if isOptional or isNone:
                node.set("minOccurs", "0")
            node.set("type", self._type(hint, f"{where}.{name}"))

    def _type(self, hint: Any, where: str) -> str:
        """Returns the name of the type for an annotation, and declares the type if it is new."""
        if get_origin(hint) is Annotated:
            hint, typeName = get_args(hint)[:2]
            local = str(typeName).removeprefix("xs:")
            if local not in BUILT_IN:
                raise ConfigError(
                    f'{where}: {typeName!r} is not a simple type; write for example Annotated[int, "xs:int"]'
                )
            return f"xs:{local}"
        if hint in _USUAL:
            return f"xs:{_USUAL[hint]}"
        return f"tns:{self._declaredClass(hint, where)}"

    def _declaredClass(self, hint: Any, where: str) -> str:
        """Returns the name of the type for an Enum or a dataclass, and declares the type if it is new."""
        isEnum = isinstance(hint, type) and issubclass(hint, Enum)
        if not isEnum and not (isinstance(hint, type) and is_dataclass(hint)):
            raise ConfigError(
                f"{where}: {getattr(hint, '__name__', hint)} has no type in a contract; "
                "write a simple type, an Enum, a dataclass, a list of these, or one | None"
            )
        name: str = hint.__name__
        if self._named.setdefault(name, hint) is not hint:
            raise ConfigError(f"{where}: there is already a type {name}; choose another name")
        key = f"{{{self._namespace}}}{name}"
        if key not in self.classes:
            self.classes[key] = hint if isEnum else _maker(hint)
            if isEnum:
                self._enum(hint, where)
            else:
                self._complex(self._schema, name, _fieldsOf(hint), name=name)
        return name

    def _enum(self, hint: type[Enum], where: str) -> None:
        if not all(isinstance(each.value, str) for each in hint):
            raise ConfigError(f"{where}: the values of {hint.__name__} must be strings")
        node = etree.SubElement(self._schema, f"{_XSD}simpleType", name=hint.__name__)
        restriction = etree.SubElement(node, f"{_XSD}restriction", base="xs:string")
        for each in hint:
            etree.SubElement(restriction, f"{_XSD}enumeration", value=each.value)


def _parametersOf(function: Callable[..., Any]) -> dict[str, tuple[Any, bool]]:
    """Returns the annotation of each parameter, and whether it may be left out. Raises ConfigError without one."""
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for each in signature(function).parameters.values():
        if each.name != "call":
            if each.name not in hints:
                raise ConfigError(f"{function.__name__}: {each.name} has no type; write for example {each.name}: str")
            found[each.name] = hints[each.name], each.default is not Parameter.empty
    return found


def _fieldsOf(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Returns the annotation of each field of a dataclass, and whether the field may be left out."""
    hints = get_type_hints(kind, include_extras=True)
    return {each.name: (hints[each.name], _hasDefault(each)) for each in fields(kind)}


def _hasDefault(each: Any) -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING


def _maker(kind: Any) -> Callable[..., Any]:
    """Returns a callable that makes a value. A missing field without a default is None or an empty list."""
    absent: dict[str, Callable[[], Any]] = {}
    for name, (hint, hasDefault) in _fieldsOf(kind).items():
        bare, isNone = _withoutNone(hint)
        if not hasDefault and (isNone or get_origin(bare) is list):
            absent[name] = list if get_origin(bare) is list else lambda: None
    if not absent:
        return kind  # type: ignore[no-any-return]

    def make(**values: Any) -> Any:
        return kind(**{name: empty() for name, empty in absent.items() if name not in values}, **values)

    return make


def _withoutNone(hint: Any) -> tuple[Any, bool]:
    """Returns an annotation without `| None`, and whether it had one."""
    if get_origin(hint) in (Union, UnionType):
        others = [each for each in get_args(hint) if each is not NoneType]
        if len(others) == 1:
            return others[0], True
    return hint, False


def _operationName(name: str) -> str:
    """Returns the name of an operation: ReadFile for read_file and readFile."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
