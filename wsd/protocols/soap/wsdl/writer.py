"""Publishes a contract as a WSDL 1.1, for a transport: what generators of clients read."""

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
)
from wsd.protocols.soap.wsdl.contract import Contract, Message, Operation, ownNames

_WSDL = f"{{{WSDL}}}"


def webSocketWsdl(contract: Contract, location: str) -> bytes:
    """With the transport of [MS-SWSB], for WCF; what the server pushes is told."""
    return _Writer(contract, [("WebSocket", WSDL_SOAP12, WEBSOCKET_TRANSPORT)], location, True).write()


def httpWsdl(contract: Contract, location: str) -> bytes:
    """With the transport that every client knows, for 1.2 and 1.1; without what is pushed, which few can read."""
    ports = [("Soap12", WSDL_SOAP12, HTTP_TRANSPORT), ("Soap11", WSDL_SOAP11, HTTP_TRANSPORT)]
    return _Writer(contract, ports, location, False).write()


class _Writer:
    """Writes one."""

    def __init__(self, contract: Contract, ports: list[tuple[str, str, str]], location: str, isPushed: bool) -> None:
        self._contract = contract
        self._ports = ports
        self._location = location
        self._operations = [each for each in contract.operations.values() if isPushed or each.input is not None]
        self._names = ownNames(self._elements())
        """The name of each element's message."""
        self._spaces = {space: f"e{number}" for number, space in enumerate(self._elementSpaces())}
        names = {prefix: space for space, prefix in self._spaces.items() if space}
        self._root = etree.Element(
            f"{_WSDL}definitions",
            nsmap={"wsdl": WSDL, "wsam": WSAM, "wsaw": WSAW, "tns": contract.space, **names},
            name=contract.name,
            targetNamespace=contract.space,
        )

    def _elementSpaces(self) -> list[str]:
        return list(dict.fromkeys(each.lstrip("{").rpartition("}")[0] for each in self._names))

    def _elements(self) -> list[str]:
        """The elements of all messages."""
        return [
            message.element
            for operation in self._operations
            for message in (operation.input, operation.output, *operation.faults.values())
            if message is not None
        ]

    def write(self) -> bytes:
        """The whole, as UTF-8."""
        etree.SubElement(self._root, f"{_WSDL}types")
        for tag, name in self._names.items():
            space, _, local = tag.lstrip("{").rpartition("}")
            node = etree.SubElement(self._root, f"{_WSDL}message", name=name)
            element = f"{self._spaces[space]}:{local}" if space else local
            etree.SubElement(node, f"{_WSDL}part", name="parameters", element=element)
        self._portType()
        for port in self._ports:
            self._binding(*port)
        self._service()
        etree.indent(self._root)
        whole: bytes = etree.tostring(self._root, xml_declaration=True, encoding="utf-8")
        # As text: a schema that is put into another tree loses the prefixes that its values use.
        schemas = b"\n".join(map(etree.tostring, self._contract.schemas.documents()))
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
        told = etree.SubElement(node, _WSDL + kind, message=f"tns:{self._names[message.element]}", **more)
        told.set(f"{{{WSAM}}}Action", message.action)

    def _binding(self, name: str, space: str, transport: str) -> None:
        soap = f"{{{space}}}"
        prefix = "soap" if space == WSDL_SOAP11 else "soap12"
        binding = etree.SubElement(
            self._root,
            f"{_WSDL}binding",
            name=f"{self._contract.name}{name}",
            type=f"tns:{self._contract.portType}",
            nsmap={prefix: space},
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
        for name, space, _ in self._ports:
            port = etree.SubElement(service, f"{_WSDL}port", name=name, binding=f"tns:{self._contract.name}{name}")
            etree.SubElement(port, f"{{{space}}}address", location=self._location)


def _faultsOf(operation: Operation) -> list[Message]:
    """Each once: they are known by two names."""
    return list({message.element: message for message in operation.faults.values()}.values())
