"""
Writer: writes a contract as a WSDL 1.1 for a transport, from which clients are generated.

Each encoding has a port of its own, whose policy says so. The first port is in text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lxml import etree

from wsd.protocols.soap.names import (
    HTTP_TRANSPORT,
    WEBSOCKET_TRANSPORT,
    WSAM,
    WSAW,
    WSDL,
    WSDL_SOAP11,
    WSDL_SOAP12,
    namespaceOf,
    splitTag,
)
from wsd.protocols.soap.wsdl.contract import Contract, Message, Operation, uniqueNames
from wsd.protocols.soap.wsdl.policy import ADDRESSING, BINARY, MTOM, Credentials, policyOf, reference

_WSDL = f"{{{WSDL}}}"


class Port(NamedTuple):
    """A port of the service, and its binding."""

    name: str
    """The suffix of the name of the binding, too."""
    namespace: str
    """The namespace of its binding: the version of SOAP."""
    transport: str
    assertions: tuple[str, ...] = ()
    """Those of its policy."""


def _portsOf(transport: str, text: tuple[Port, ...], prefix: str = "") -> list[Port]:
    """Returns the ports in text, and those in binary and MTOM, which WCF takes with addressing."""
    binary = Port(f"{prefix}Binary", WSDL_SOAP12, transport, (BINARY, ADDRESSING))
    return [*text, binary, Port(f"{prefix}Mtom", WSDL_SOAP12, transport, (MTOM, ADDRESSING))]


_WEBSOCKET = _portsOf(
    WEBSOCKET_TRANSPORT, (Port("WebSocket", WSDL_SOAP12, WEBSOCKET_TRANSPORT, (ADDRESSING,)),), "WebSocket"
)
_HTTP = _portsOf(
    HTTP_TRANSPORT, (Port("Soap12", WSDL_SOAP12, HTTP_TRANSPORT), Port("Soap11", WSDL_SOAP11, HTTP_TRANSPORT))
)


def webSocketWsdl(contract: Contract, location: str, credentials: Credentials = Credentials.none) -> bytes:
    """Returns the WSDL with the transport of [MS-SWSB], for WCF. It includes the pushed messages."""
    return WsdlWriter(contract, _WEBSOCKET, location, True, credentials).write()


def httpWsdl(contract: Contract, location: str, credentials: Credentials = Credentials.none) -> bytes:
    """Returns the WSDL with the transport HTTP, for 1.2 and 1.1. It omits pushed messages: few clients read them."""
    return WsdlWriter(contract, _HTTP, location, False, credentials).write()


class WsdlWriter:
    """Writes a WSDL."""

    def __init__(
        self, contract: Contract, ports: list[Port], location: str, isPushed: bool, credentials: Credentials
    ) -> None:
        self._contract = contract
        self._credentials = credentials
        self._ports = ports
        self._location = location
        self._isSecure = location.startswith(("https:", "wss:"))
        self._operations = [each for each in contract.operations.values() if isPushed or each.input is not None]
        self._names = uniqueNames(self._elements())
        """The name of the message of each element."""
        self._prefixes = {namespace: f"e{number}" for number, namespace in enumerate(self._elementNamespaces())}
        names = {prefix: namespace for namespace, prefix in self._prefixes.items() if namespace}
        self._root = etree.Element(
            f"{_WSDL}definitions",
            nsmap={"wsdl": WSDL, "wsam": WSAM, "wsaw": WSAW, "tns": contract.namespace, **names},
            name=contract.name,
            targetNamespace=contract.namespace,
        )

    def _elementNamespaces(self) -> list[str]:
        return list(dict.fromkeys(map(namespaceOf, self._names)))

    def _elements(self) -> list[str]:
        """Returns the elements of all messages."""
        return [
            message.element
            for operation in self._operations
            for message in (operation.input, operation.output, *operation.faults.values())
            if message is not None
        ]

    def write(self) -> bytes:
        """Returns the WSDL in UTF-8."""
        for port in self._ports:
            if self._hasPolicy(port):
                self._root.append(policyOf(self._policyName(port), port.assertions, self._isSecure, self._credentials))
        etree.SubElement(self._root, f"{_WSDL}types")
        for tag, name in self._names.items():
            namespace, local = splitTag(tag)
            node = etree.SubElement(self._root, f"{_WSDL}message", name=name)
            element = f"{self._prefixes[namespace]}:{local}" if namespace else local
            etree.SubElement(node, f"{_WSDL}part", name="parameters", element=element)
        self._portType()
        for port in self._ports:
            self._binding(port)
        self._service()
        etree.indent(self._root)
        whole: bytes = etree.tostring(self._root, xml_declaration=True, encoding="utf-8")
        # The schemas are inserted as text: in another tree they would lose the prefixes in their attribute values.
        schemas = b"\n".join(map(etree.tostring, self._contract.documents.copies()))
        return whole.replace(b"<wsdl:types/>", b"<wsdl:types>\n" + schemas + b"\n  </wsdl:types>", 1)

    def _portType(self) -> None:
        portType = etree.SubElement(self._root, f"{_WSDL}portType", name=self._contract.portType)
        for operation in self._operations:
            node = etree.SubElement(portType, f"{_WSDL}operation", name=operation.name)
            if operation.documentation:
                etree.SubElement(node, f"{_WSDL}documentation").text = operation.documentation
            for kind, message in (("input", operation.input), ("output", operation.output)):
                if message is not None:
                    self._reference(node, kind, message)
            for message in _faultsOf(operation):
                self._reference(node, "fault", message, name=self._names[message.element])

    def _reference(self, node: Any, kind: str, message: Message, **more: str) -> None:
        reference = etree.SubElement(node, _WSDL + kind, message=f"tns:{self._names[message.element]}", **more)
        reference.set(f"{{{WSAM}}}Action", message.action)

    def _hasPolicy(self, port: Port) -> bool:
        return bool(port.assertions) or self._isSecure or self._credentials is Credentials.basic

    def _policyName(self, port: Port) -> str:
        return f"{self._contract.name}{port.name}_policy"

    def _binding(self, port: Port) -> None:
        soap = f"{{{port.namespace}}}"
        prefix = "soap" if port.namespace == WSDL_SOAP11 else "soap12"
        binding = etree.SubElement(
            self._root,
            f"{_WSDL}binding",
            name=f"{self._contract.name}{port.name}",
            type=f"tns:{self._contract.portType}",
            nsmap={prefix: port.namespace},
        )
        if self._hasPolicy(port):
            reference(binding, self._policyName(port))
        etree.SubElement(binding, f"{soap}binding", style="document", transport=port.transport)
        etree.SubElement(binding, f"{{{WSAW}}}UsingAddressing")
        for operation in self._operations:
            node = etree.SubElement(binding, f"{_WSDL}operation", name=operation.name)
            action = operation.soapAction or (operation.input.action if operation.input is not None else "")
            etree.SubElement(node, f"{soap}operation", soapAction=action, style="document")
            for kind, message in (("input", operation.input), ("output", operation.output)):
                if message is not None:
                    etree.SubElement(etree.SubElement(node, _WSDL + kind), f"{soap}body", use="literal")
            for message in _faultsOf(operation):
                fault = etree.SubElement(node, f"{_WSDL}fault", name=self._names[message.element])
                etree.SubElement(fault, f"{soap}fault", name=self._names[message.element], use="literal")

    def _service(self) -> None:
        service = etree.SubElement(self._root, f"{_WSDL}service", name=self._contract.name)
        if self._contract.documentation:
            etree.SubElement(service, f"{_WSDL}documentation").text = self._contract.documentation
        for port in self._ports:
            binding = f"tns:{self._contract.name}{port.name}"
            node = etree.SubElement(service, f"{_WSDL}port", name=port.name, binding=binding)
            etree.SubElement(node, f"{{{port.namespace}}}address", location=self._location)


def _faultsOf(operation: Operation) -> list[Message]:
    """Returns the faults of an operation, each once although it has two names."""
    return list({message.element: message for message in operation.faults.values()}.values())
