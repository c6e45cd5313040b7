"""
rpc/literal: the elements of operations whose messages have a part for each parameter (WSDL 1.1, 3.5).

The element in a Body is named like the operation, or with Response behind it; its namespace is that of soap:body. Its
children are the parts, in no namespace and in their order (WS-I Basic Profile 1.1, 4.7). So each message has an
element as in document/literal, and this module writes the schema that declares it.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from wsd.config import ConfigError
from wsd.protocols.soap.names import WSDL, XSD, splitTag
from wsd.protocols.soap.schema.documents import qualified

_WSDL = f"{{{WSDL}}}"
_XSD = f"{{{XSD}}}"


class RpcElement:
    """The element of the input or output, which is the `role`, of an operation in a binding."""

    def __init__(self, operation: Any, role: str, soap: str, namespace: str) -> None:
        """`soap` is the namespace of the binding's elements, and `namespace` that of the WSDL."""
        body = operation.find(f"{_WSDL}{role}/{{{soap}}}body")
        told = {} if body is None else body.attrib
        self.name: str = operation.get("name") + ("Response" if role == "output" else "")
        self.namespace: str = told.get("namespace", namespace)
        self._parts = told.get("parts", "").split()
        """The names of the parts in the Body; none for all."""

    @property
    def tag(self) -> str:
        """The tag of the element."""
        return f"{{{self.namespace}}}{self.name}" if self.namespace else self.name

    def schema(self, message: Any, where: str) -> Any:
        """Returns a schema that declares the element of this message. Raises ConfigError for a part without a type."""
        schema = etree.Element(f"{_XSD}schema", nsmap={"xs": XSD})
        if self.namespace:
            schema.set("targetNamespace", self.namespace)
        element = etree.SubElement(schema, f"{_XSD}element", name=self.name)
        sequence = etree.SubElement(etree.SubElement(element, f"{_XSD}complexType"), f"{_XSD}sequence")
        imported: set[str] = set()
        for part in message.findall(f"{_WSDL}part"):
            name = part.get("name")
            if self._parts and name not in self._parts:
                continue
            if part.get("type") is None:
                raise ConfigError(f"{where}: the part {name} of {self.name} must have a type, since it is rpc/literal")
            imported.add(_addChild(sequence, name, *splitTag(qualified(part, part.get("type")))))
        for namespace in sorted(imported - {XSD, self.namespace}):
            told = {"namespace": namespace} if namespace else {}
            schema.insert(0, etree.Element(f"{_XSD}import", told))
        return schema


def _addChild(sequence: Any, name: str, namespace: str, local: str) -> str:
    """Adds the element of a part. Returns the namespace of its type."""
    prefixes = {"t": namespace} if namespace else None
    child = etree.SubElement(sequence, f"{_XSD}element", name=name, nsmap=prefixes)
    child.set("type", f"t:{local}" if namespace else local)
    return namespace
