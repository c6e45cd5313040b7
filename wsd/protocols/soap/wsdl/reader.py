"""
Reader: reads a contract from a WSDL 1.1 (document/literal or rpc/literal) or from a bare schema.

In a bare schema the elements `X` and `XResponse` are the operation X. An element `X` alone is one-way if a function
answers it; any other may be pushed. An element `XFault` is a fault of every operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wsd.config import ConfigError
from wsd.protocols.soap.names import WSAM, WSAW, WSDL, WSDL_SOAP11, WSDL_SOAP12, XSD, localName, namespaceOf, shortNames
from wsd.protocols.soap.schema.documents import SchemaDocuments, qualified, readXml
from wsd.protocols.soap.schema.types import SchemaTypes
from wsd.protocols.soap.wsdl.contract import Contract, Message, Operation, uniqueNames
from wsd.protocols.soap.wsdl.rpc import RpcElement

_WSDL = f"{{{WSDL}}}"

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def readContract(path: Path, classes: Mapping[str, Any] | None = None) -> Contract:
    """Reads a contract from a file. `classes` has the classes of values, by type name. Raises ConfigError."""
    root = readXml(path)
    if root.tag == f"{{{XSD}}}schema":
        return _fromSchema(path, root, classes)
    if root.tag == f"{_WSDL}definitions":
        return _WsdlReader(path, root, classes).contract()
    raise ConfigError(f"{path} is neither a WSDL 1.1 nor a schema; its root is {root.tag}")


def fromDefinitions(root: Any, folder: Path, classes: Mapping[str, Any] | None = None) -> Contract:
    """Reads a contract from a parsed WSDL. Raises ConfigError."""
    return _WsdlReader(folder / "contract.wsdl", root, classes).contract()


# -- a bare schema ----------------------------------------------------------------------------------------------------


def _fromSchema(path: Path, root: Any, classes: Mapping[str, Any] | None) -> Contract:
    documents = SchemaDocuments()
    documents.addFile(path)
    documents.finish()
    # A WSDL has a namespace, even if its elements have none.
    namespace = root.get("targetNamespace") or f"urn:{path.stem}"
    contract = Contract(path.stem, namespace, path.stem, documents, SchemaTypes(documents, classes))
    # Of two elements with the same name, the one in the schema's own namespace keeps it.
    elements = sorted(documents.names("element"), key=lambda name: namespaceOf(name) != root.get("targetNamespace", ""))
    for operation in _operationsOf(elements, f"{namespace.rstrip('/')}/{path.stem}", contract.types):
        contract.add(operation)
    return contract


def _operationsOf(elements: list[str], base: str, types: SchemaTypes) -> list[Operation]:
    """Returns the operations of a bare schema. `base` is the beginning of their Actions."""

    def message(element: str, action: str) -> Message:
        return Message(element, types.element(element), action)

    names = uniqueNames(elements)
    faults = {name: message(each, f"{base}/Fault/{name}") for each, name in names.items() if each.endswith("Fault")}
    responses = _responses(elements)
    operations = []
    for element, name in names.items():
        if name in faults or element in responses.values():
            continue
        response = responses.get(element)
        output = message(response, f"{base}/{name}Response") if response else None
        operations.append(Operation(name, message(element, f"{base}/{name}"), output, dict(faults) if output else {}))
    return operations


def _responses(elements: list[str]) -> dict[str, str]:
    """Returns the response of each element, preferably the one in the same namespace."""
    byLocalName: dict[str, list[str]] = {}
    for element in elements:
        byLocalName.setdefault(localName(element), []).append(element)
    found: dict[str, str] = {}
    for element in elements:
        responses = byLocalName.get(f"{localName(element)}Response", [])
        own = [each for each in responses if namespaceOf(each) == namespaceOf(element)]
        if responses:
            found[element] = (own or responses)[0]
    return found


# -- a WSDL -----------------------------------------------------------------------------------------------------------


class _WsdlReader:
    """Reads a WSDL and the files that it imports. Raises ConfigError."""

    def __init__(self, path: Path, root: Any, classes: Mapping[str, Any] | None) -> None:
        self._path = path
        self._roots = [root]
        self._documents = SchemaDocuments()
        self._import(root, path.parent)
        self._portType = self._servedPortType()
        self._namespace: str = self._portType.getroottree().getroot().get("targetNamespace", "")
        self._rpc = self._rpcElements()
        self._documents.finish()
        self._types = SchemaTypes(self._documents, classes)

    def contract(self) -> Contract:
        """Returns the contract."""
        portType: str = self._portType.get("name")
        service = next(iter(self._all("service")), None)
        name = service.get("name") if service is not None else self._roots[0].get("name") or portType
        contract = Contract(name, self._namespace, portType, self._documents, self._types)
        documented = [each for each in (self._portType, service) if each is not None and _documentation(each)]
        if documented:
            contract.documentation = _documentation(documented[0])
            contract.translations = _translations(documented[0])
        actions = self._soapActions()
        for node in self._portType.findall(f"{_WSDL}operation"):
            contract.add(self._operation(node, actions.get(node.get("name"), "")))
        return contract

    def _import(self, root: Any, folder: Path) -> None:
        """Reads the imported files (WSDL 1.1, 2.1.1), and gathers the schemas."""
        for link in root.findall(f"{_WSDL}import"):
            location = folder / link.get("location", "")
            imported = readXml(location)
            if imported.tag == f"{{{XSD}}}schema":
                self._documents.addFile(location)
            else:
                self._roots.append(imported)
                self._import(imported, location.parent)
        for schema in root.findall(f"{_WSDL}types/{{{XSD}}}schema"):
            self._documents.add(schema, folder)

    def _all(self, kind: str) -> list[Any]:
        return [each for root in self._roots for each in root.findall(_WSDL + kind)]

    def _servedPortType(self) -> Any:
        """Returns the portType with operations; of several, the one in a binding of SOAP."""
        found = [each for each in self._all("portType") if len(each.findall(f"{_WSDL}operation"))]
        if len(found) > 1:
            # The others are for HTTP GET and POST.
            bound = {qualified(each, each.get("type", "")) for each in self._all("binding") if _isOfSoap(each)}
            found = [each for each in found if self._nameOf(each) in bound]
        if len(found) != 1:
            raise ConfigError(f"{self._path} has {len(found)} portTypes for SOAP; it must have exactly one")
        return found[0]

    def _boundOperations(self) -> Iterator[tuple[Any, Any, str]]:
        """Returns the operations in bindings of SOAP, each with its binding and the namespace of its elements."""
        for binding in self._all("binding"):
            for namespace in (WSDL_SOAP11, WSDL_SOAP12):
                if binding.find(f"{{{namespace}}}binding") is not None:
                    for node in binding.findall(f"{_WSDL}operation"):
                        yield node, binding, namespace

    def _soapActions(self) -> dict[str, str]:
        """Returns the SOAPAction of each operation."""
        actions: dict[str, str] = {}
        for node, _, namespace in self._boundOperations():
            own = node.find(f"{{{namespace}}}operation")
            if own is not None and own.get("soapAction"):
                actions[node.get("name")] = own.get("soapAction")
        return actions

    def _rpcElements(self) -> dict[tuple[str, str], str]:
        """Declares the elements of operations in rpc/literal. Returns their tags by operation and role."""
        found: dict[tuple[str, str], str] = {}
        operations = {each.get("name"): each for each in self._portType.findall(f"{_WSDL}operation")}
        for node, binding, namespace in self._boundOperations():
            isRpc = self._isRpc(node, binding, namespace)
            name = node.get("name")
            if not isRpc or name not in operations or qualified(binding, binding.get("type", "")) != self._portTypeName:
                continue
            for role in ("input", "output"):
                reference = operations[name].find(_WSDL + role)
                if reference is not None and (name, role) not in found:
                    element = RpcElement(node, role, namespace, self._namespace)
                    schema = element.schema(self._messageNode(reference), str(self._path))
                    if self._documents.declared("element", element.tag) is None:
                        self._documents.add(schema, self._path.parent)
                    found[name, role] = element.tag
        return found

    def _isRpc(self, node: Any, binding: Any, namespace: str) -> bool:
        """Returns whether an operation is rpc/literal. Raises ConfigError if it is encoded (WSDL 1.1, 3.4 and 3.5)."""
        own, soapBinding = node.find(f"{{{namespace}}}operation"), binding.find(f"{{{namespace}}}binding")
        style = (own.get("style") if own is not None else None) or soapBinding.get("style", "document")
        uses = {body.get("use", "literal") for body in node.iter(f"{{{namespace}}}body")}
        if style not in ("document", "rpc") or uses - {"literal"}:
            raise ConfigError(
                f"{self._path}: the operation {node.get('name')} is {style}/{'/'.join(sorted(uses))}; "
                "only document/literal and rpc/literal are supported"
            )
        return bool(style == "rpc")

    @property
    def _portTypeName(self) -> str:
        return self._nameOf(self._portType)

    def _operation(self, node: Any, soapAction: str) -> Operation:
        name = node.get("name")
        inputNode, outputNode = node.find(f"{_WSDL}input"), node.find(f"{_WSDL}output")
        if inputNode is None and outputNode is None:
            raise ConfigError(f"{self._path}: the operation {name} has neither an input nor an output")
        inputName = name if outputNode is None else f"{name}Request"
        outputName = name if inputNode is None else f"{name}Response"
        operation = Operation(
            name,
            None if inputNode is None else self._message(inputNode, inputName, soapAction),
            None if outputNode is None else self._message(outputNode, outputName),
            documentation=_documentation(node),
            soapAction=soapAction,
            translations=_translations(node),
        )
        for fault in node.findall(f"{_WSDL}fault"):
            operation.faults[fault.get("name")] = self._message(fault, f"{name}/Fault/{fault.get('name')}")
        for element, short in shortNames({each.element: each for each in operation.faults.values()}).items():
            message = next(each for each in operation.faults.values() if each.element == element)
            operation.faults.setdefault(short, message)
        return operation

    def _message(self, node: Any, default: str, soapAction: str = "") -> Message:
        """Returns the message of an input, output or fault, with its Action (WS-Addressing Metadata, 4.4)."""
        role = node.tag.removeprefix(_WSDL)
        element = self._rpc.get((node.getparent().get("name"), role)) or self._elementOf(node)
        given = node.get(f"{{{WSAM}}}Action") or node.get(f"{{{WSAW}}}Action") or soapAction
        return Message(element, self._types.element(element), given or self._defaultAction(node, default))

    def _messageNode(self, node: Any) -> Any:
        """Returns the message that an input, output or fault refers to. Raises ConfigError."""
        name = qualified(node, node.get("message", ""))
        for each in self._all("message"):
            if self._nameOf(each) == name:
                return each
        raise ConfigError(f"{self._path} has no message {name}")

    def _elementOf(self, node: Any) -> str:
        """Returns the element of a message in document/literal. Raises ConfigError if it has no or several parts."""
        message = self._messageNode(node)
        parts = message.findall(f"{_WSDL}part")
        if len(parts) != 1 or not parts[0].get("element"):
            raise ConfigError(
                f"{self._path}: the message {self._nameOf(message)} must have exactly one part, an element"
            )
        return qualified(parts[0], parts[0].get("element"))

    def _defaultAction(self, node: Any, default: str) -> str:
        """Returns the Action of a message that names none (WS-Addressing Metadata, 4.4.4)."""
        last = default if "/" in default else node.get("name") or default
        delimiter = ":" if self._namespace.startswith("urn:") else "/"
        return delimiter.join([self._namespace.rstrip(delimiter), self._portType.get("name"), *last.split("/")])

    @staticmethod
    def _nameOf(node: Any) -> str:
        return f"{{{node.getroottree().getroot().get('targetNamespace', '')}}}{node.get('name')}"


def _isOfSoap(binding: Any) -> bool:
    return any(binding.find(f"{{{namespace}}}binding") is not None for namespace in (WSDL_SOAP11, WSDL_SOAP12))


def _documentation(node: Any) -> str:
    """Returns the documentation of a node as text, without its translations."""
    found = node.find(f"{_WSDL}documentation")
    if found is None:
        return ""
    parts = [found.text or ""]
    for each in found:
        parts += [*(() if _LANG in each.attrib else each.itertext()), each.tail or ""]
    return " ".join("".join(parts).split())


def _translations(node: Any) -> dict[str, str]:
    """Returns the texts of the elements with xml:lang in a node's documentation, by language."""
    found = node.find(f"{_WSDL}documentation")
    translated = () if found is None else (each for each in found if _LANG in each.attrib)
    return {
        each.get(_LANG).partition("-")[0].lower(): " ".join("".join(each.itertext()).split()) for each in translated
    }
