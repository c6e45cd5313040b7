"""
Contract: what a service offers, read from a WSDL 1.1 (document/literal) or from a bare schema.

Of a bare schema the elements `X` and `XResponse` are the operation X, an element `X` alone that a function answers is
one-way, any other may be pushed; an element `XFault` is a fault of every operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsd.config import ConfigError
from wsd.protocols.soap.names import WSAM, WSAW, WSDL, WSDL_SOAP11, WSDL_SOAP12, XSD
from wsd.protocols.soap.schema.content import shownNames
from wsd.protocols.soap.schema.documents import Schemas, qualified, readXml
from wsd.protocols.soap.schema.particles import localName, spaceOf
from wsd.protocols.soap.schema.simple import SimpleType
from wsd.protocols.soap.schema.types import Types
from wsd.protocols.soap.schema.validator import Validator
from wsd.protocols.soap.schema.values import ComplexType

_WSDL = f"{{{WSDL}}}"


@dataclass(slots=True)
class Message:
    """One kind of message: the element in its Body, that element's type, and the Action it goes under."""

    element: str
    type: SimpleType | ComplexType
    action: str

    @property
    def name(self) -> str:
        """The element's, without its namespace."""
        return self.element.rpartition("}")[2]


@dataclass(slots=True)
class Operation:
    """What may be asked, or pushed: one without input is pushed, one without output is one-way."""

    name: str
    input: Message | None
    output: Message | None
    faults: dict[str, Message] = field(default_factory=dict)
    """By the name of the fault, and of its element."""
    documentation: str = ""
    soapAction: str = ""


class Contract:
    """The operations by name and by the element that asks for them, and the validator of all messages."""

    def __init__(self, name: str, space: str, portType: str, schemas: Schemas, types: Types) -> None:
        self.name = name
        self.space = space
        self.portType = portType
        self.schemas = schemas
        self.types = types
        self._validator = Validator(schemas.validator, schemas.documents())
        self.operations: dict[str, Operation] = {}
        self.byElement: dict[str, Operation] = {}
        self.byAction: dict[str, Operation] = {}
        self.documentation = ""

    def add(self, operation: Operation) -> None:
        """One more. Raises ConfigError when another is asked for by the same."""
        self.operations[operation.name] = operation
        if operation.input is None:
            return
        other = self.byElement.setdefault(operation.input.element, operation)
        if other is not operation:
            raise ConfigError(f"the operations {other.name} and {operation.name} are asked for by the same element")
        self.byAction[operation.input.action] = operation
        if operation.soapAction:
            self.byAction[operation.soapAction] = operation

    def valid(self, element: Any, size: int) -> str:
        """The first error in an element of `size` bytes, "" if it is valid."""
        return self._validator.check(element, size)

    @property
    def isCostly(self) -> bool:
        """Whether validation may take long, and belongs in a thread."""
        return self._validator.isCostly


def readContract(path: Path, classes: Mapping[str, Any] | None = None) -> Contract:
    """The contract in a file. Raises ConfigError with a sentence."""
    root = readXml(path)
    if root.tag == f"{{{XSD}}}schema":
        return _ofSchema(path, root, classes)
    if root.tag == f"{_WSDL}definitions":
        return _Wsdl(path, root, classes).contract
    raise ConfigError(f"{path} is neither a WSDL 1.1 nor a schema; its root is {root.tag}")


def ofDefinitions(root: Any, folder: Path, classes: Mapping[str, Any] | None = None) -> Contract:
    """The contract of a WSDL that has been read."""
    return _Wsdl(folder / "contract.wsdl", root, classes).contract


def _ofSchema(path: Path, root: Any, classes: Mapping[str, Any] | None) -> Contract:
    schemas = Schemas()
    schemas.addFile(path)
    schemas.finish()
    # A WSDL has a namespace, even where its elements have none.
    space = root.get("targetNamespace") or f"urn:{path.stem}"
    contract = Contract(path.stem, space, path.stem, schemas, Types(schemas, classes))
    # Of two elements with the same name, the one in the schema's own namespace keeps it.
    names = sorted(schemas.names("element"), key=lambda name: spaceOf(name) != root.get("targetNamespace", ""))
    base = f"{space.rstrip('/')}/{path.stem}"

    def message(name: str, action: str) -> Message:
        return Message(name, contract.types.element(name), action)

    locals = ownNames(names)
    faults = {own: message(name, f"{base}/Fault/{own}") for name, own in locals.items() if name.endswith("Fault")}
    responses = _responses(names)
    for name, own in locals.items():
        response = responses.get(name)
        if own in faults or name in responses.values():
            continue
        output = message(response, f"{base}/{own}Response") if response else None
        contract.add(Operation(own, message(name, f"{base}/{own}"), output, dict(faults) if output else {}))
    return contract


def _responses(names: list[str]) -> dict[str, str]:
    """The response of each element: the one in its own namespace, else one in another."""
    known: dict[str, list[str]] = {}
    for name in names:
        known.setdefault(localName(name), []).append(name)
    found: dict[str, str] = {}
    for name in names:
        answers = known.get(f"{localName(name)}Response", [])
        own = [each for each in answers if spaceOf(each) == spaceOf(name)]
        if answers:
            found[name] = (own or answers)[0]
    return found


def ownNames(elements: Iterable[str]) -> dict[str, str]:
    """Each element's name without its namespace; an underscore is added to the second of the same name."""
    found: dict[str, str] = {}
    for each in elements:
        if each not in found:
            own = localName(each)
            while own in found.values():
                own += "_"
            found[each] = own
    return found


class _Wsdl:
    """Reads a WSDL."""

    def __init__(self, path: Path, root: Any, classes: Mapping[str, Any] | None) -> None:
        self._path = path
        self._roots = [root]
        self._schemas = Schemas()
        self._gather(root, path.parent)
        self._schemas.finish()
        self._types = Types(self._schemas, classes)
        portType = self._onePortType()
        self._space = portType.getroottree().getroot().get("targetNamespace", "")
        self._portType = portType.get("name")
        service = next(iter(self._all("service")), None)
        name = service.get("name") if service is not None else root.get("name") or self._portType
        self.contract = Contract(name, self._space, self._portType, self._schemas, self._types)
        self.contract.documentation = _documentation(portType) or (
            _documentation(service) if service is not None else ""
        )
        actions = self._soapActions()
        for node in portType.findall(f"{_WSDL}operation"):
            self.contract.add(self._operation(node, actions.get(node.get("name"), "")))

    def _gather(self, root: Any, folder: Path) -> None:
        for link in root.findall(f"{_WSDL}import"):
            location = folder / link.get("location", "")
            imported = readXml(location)
            if imported.tag == f"{{{XSD}}}schema":
                self._schemas.addFile(location)
            else:
                self._roots.append(imported)
                self._gather(imported, location.parent)
        for schema in root.findall(f"{_WSDL}types/{{{XSD}}}schema"):
            self._schemas.add(schema, folder)

    def _all(self, kind: str) -> list[Any]:
        return [each for root in self._roots for each in root.findall(_WSDL + kind)]

    def _onePortType(self) -> Any:
        """That with operations; of several the one that a binding of SOAP names. Raises ConfigError."""
        found = [each for each in self._all("portType") if len(each.findall(f"{_WSDL}operation"))]
        if len(found) > 1:
            # Others are those of HTTP GET and POST.
            bound = {qualified(each, each.get("type", "")) for each in self._all("binding") if _isOfSoap(each)}
            found = [each for each in found if self._nameOf(each) in bound]
        if len(found) != 1:
            raise ConfigError(f"{self._path} has {len(found)} portTypes with operations for SOAP; a service is one")
        return found[0]

    def _soapActions(self) -> dict[str, str]:
        """The SOAPAction of each operation; anything but document/literal is refused."""
        actions: dict[str, str] = {}
        for binding in self._all("binding"):
            for space in (WSDL_SOAP11, WSDL_SOAP12):
                told = binding.find(f"{{{space}}}binding")
                for node in binding.findall(f"{_WSDL}operation") if told is not None else ():
                    self._refuseRpc(node, told, space)
                    own = node.find(f"{{{space}}}operation")
                    if own is not None and own.get("soapAction"):
                        actions[node.get("name")] = own.get("soapAction")
        return actions

    def _refuseRpc(self, node: Any, binding: Any, space: str) -> None:
        own = node.find(f"{{{space}}}operation")
        style = (own.get("style") if own is not None else None) or binding.get("style", "document")
        uses = {body.get("use", "literal") for body in node.iter(f"{{{space}}}body")}
        if style != "document" or uses - {"literal"}:
            raise ConfigError(
                f"{self._path}: the operation {node.get('name')} is {style}/{'/'.join(sorted(uses))}; "
                "only document/literal is served"
            )

    def _operation(self, node: Any, soapAction: str) -> Operation:
        name = node.get("name")
        input, output = node.find(f"{_WSDL}input"), node.find(f"{_WSDL}output")
        if input is None and output is None:
            raise ConfigError(f"{self._path}: the operation {name} has neither an input nor an output")
        isOneWay = output is None
        operation = Operation(
            name,
            None if input is None else self._message(input, name if isOneWay else f"{name}Request", soapAction),
            None if output is None else self._message(output, f"{name}Response" if input is not None else name),
            documentation=_documentation(node),
            soapAction=soapAction,
        )
        for fault in node.findall(f"{_WSDL}fault"):
            operation.faults[fault.get("name")] = self._message(fault, f"{name}/Fault/{fault.get('name')}")
        for told, own in shownNames({each.element: each for each in operation.faults.values()}).items():
            message = next(each for each in operation.faults.values() if each.element == told)
            operation.faults.setdefault(own, message)
        return operation

    def _message(self, node: Any, default: str, soapAction: str = "") -> Message:
        """The message of an input, output or fault; its Action by WS-Addressing Metadata 4.4."""
        name = qualified(node, node.get("message", ""))
        message = next((each for each in self._all("message") if self._nameOf(each) == name), None)
        parts = [] if message is None else message.findall(f"{_WSDL}part")
        if len(parts) != 1 or not parts[0].get("element"):
            raise ConfigError(f"{self._path}: the message {name} is not one part that is an element")
        element = qualified(parts[0], parts[0].get("element"))
        given = node.get(f"{{{WSAM}}}Action") or node.get(f"{{{WSAW}}}Action") or soapAction
        last = default if "/" in default else node.get("name") or default
        between = ":" if self._space.startswith("urn:") else "/"
        path = [self._space.rstrip(between), self._portType, *last.split("/")]
        return Message(element, self._types.element(element), given or between.join(path))

    @staticmethod
    def _nameOf(node: Any) -> str:
        return f"{{{node.getroottree().getroot().get('targetNamespace', '')}}}{node.get('name')}"


def _isOfSoap(binding: Any) -> bool:
    return any(binding.find(f"{{{space}}}binding") is not None for space in (WSDL_SOAP11, WSDL_SOAP12))


def _documentation(node: Any) -> str:
    found = node.find(f"{_WSDL}documentation")
    return "" if found is None else " ".join("".join(found.itertext()).split())
