"""Writer: writes a contract as a WSDL 1.1 for a transport, from which clients are generated."""

from __future__ import annotations

from typing import Any

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

_WSDL = f"{{{WSDL}}}"


def webSocketWsdl(contract: Contract, location: str) -> bytes:
    """Returns the WSDL with the transport of [MS-SWSB], for WCF. It includes the pushed messages."""
    return WsdlWriter(contract, [("WebSocket", WSDL_SOAP12, WEBSOCKET_TRANSPORT)], location, True).write()


def httpWsdl(contract: Contract, location: str) -> bytes:
    """Returns the WSDL with the transport HTTP, for 1.2 and 1.1. It omits pushed messages: few clients read them."""
    ports = [("Soap12", WSDL_SOAP12, HTTP_TRANSPORT), ("Soap11", WSDL_SOAP11, HTTP_TRANSPORT)]
    return WsdlWriter(contract, ports, location, False).write()


class WsdlWriter:
    """Writes a WSDL. A port is given by the suffix of its name, the namespace of its binding, and its transport."""

    def __init__(self, contract: Contract, ports: list[tuple[str, str, str]], location: str, isPushed: bool) -> None:
        self._contract = contract
        self._ports = ports
        self._location = location
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
        etree.SubElement(self._root, f"{_WSDL}types")
        for tag, name in self._names.items():
            namespace, local = splitTag(tag)
            node = etree.SubElement(self._root, f"{_WSDL}message", name=name)
            element = f"{self._prefixes[namespace]}:{local}" if namespace else local
            etree.SubElement(node, f"{_WSDL}part", name="parameters", element=element)
        self._portType()
        for port in self._ports:
            self._binding(*port)
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

    def _binding(self, name: str, namespace: str, transport: str) -> None:
        soap = f"{{{namespace}}}"
        prefix = "soap" if namespace == WSDL_SOAP11 else "soap12"
        binding = etree.SubElement(
            self._root,
            f"{_WSDL}binding",
            name=f"{self._contract.name}{name}",
            type=f"tns:{self._contract.portType}",
            nsmap={prefix: namespace},
        )
        etree.SubElement(binding, f"{soap}binding", style="document", transport=transport)
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
        for name, namespace, _ in self._ports:
            port = etree.SubElement(service, f"{_WSDL}port", name=name, binding=f"tns:{self._contract.name}{name}")
            etree.SubElement(port, f"{{{namespace}}}address", location=self._location)


def _faultsOf(operation: Operation) -> list[Message]:
    """Returns the faults of an operation, each once although it has two names."""
    return list({message.element: message for message in operation.faults.values()}.values())
