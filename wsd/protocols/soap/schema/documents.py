"""
Schema documents: the schemas of a contract, their declarations by name, and one validator for all of them.

Only files are read, never a URL: an imported schema must lie beside the contract.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from wsd.config import ConfigError
from wsd.protocols.soap.names import WSDL, XML, XSD, XSI, splitTag

_XSD = f"{{{XSD}}}"
_URL = "wsd-schema:"
_PROBE = f"{{{_URL}whole}}probe"
"""The tag of an element of any type, for checking a text."""
_XML_XSD = Path(__file__).with_name("xml.xsd")


def readXml(path: Path) -> Any:
    """Returns the root of an XML file of a contract. Raises ConfigError."""
    try:
        parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True)
        return etree.parse(str(path), parser).getroot()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except etree.XMLSyntaxError as error:
        raise ConfigError(f"{path} is not XML: {error}") from None


class SchemaDocuments:
    """The schema documents of a contract. `add` all of them, then `finish` makes the validator."""

    def __init__(self) -> None:
        self._documents: dict[str, list[Any]] = {}
        self._seen: set[tuple[Path, str]] = set()
        self._declared: dict[tuple[str, str], Any] = {}
        self._wantsXml = False
        self.validator: Any = None
        self._textValidator: Any = None
        """A second validator for checking texts, since lxml keeps the errors of the last use in a validator."""

    def addFile(self, path: Path, chameleon: str = "") -> None:
        """Adds a schema file and the files that it includes or imports. Raises ConfigError."""
        path = path.resolve()
        root = readXml(path)
        if root.tag == f"{{{WSDL}}}definitions":
            raise ConfigError(f"{path} is a WSDL where a schema was expected")
        if root.tag != f"{_XSD}schema":
            raise ConfigError(f"{path} is not a schema; its root is {root.tag}")
        # A schema without a namespace (a chameleon) takes that of each schema that includes it.
        key = path, root.get("targetNamespace") or chameleon
        if key not in self._seen:
            self._seen.add(key)
            self.add(root, path.parent, chameleon)

    def add(self, schema: Any, folder: Path, chameleon: str = "") -> None:
        """Adds a schema element, also one in a WSDL. `chameleon` is the namespace to use if it has none."""
        namespace = schema.get("targetNamespace") or chameleon
        copy = etree.fromstring(etree.tostring(schema, with_tail=False))
        if namespace and not schema.get("targetNamespace"):
            copy = _adopted(copy, namespace)
        if copy.find(f"{_XSD}redefine") is not None or copy.find(f"{_XSD}override") is not None:
            raise ConfigError(f"the schema of {namespace} uses xs:redefine, which is not supported")
        _importXml(copy)
        if any(child.tag != f"{_XSD}import" for child in copy.iterchildren("*")):
            # A schema that only imports others declares nothing, not even its namespace.
            self._documents.setdefault(namespace, []).append(copy)
        self._followLinks(copy, folder, namespace)
        for child in copy:
            name = child.get("name")
            if isinstance(child.tag, str) and name:
                self._declared[child.tag[len(_XSD) :], f"{{{namespace}}}{name}" if namespace else name] = child

    def _followLinks(self, schema: Any, folder: Path, namespace: str) -> None:
        """Adds the included and the imported documents (XML Schema part 1, 4.2)."""
        for link in schema.findall(f"{_XSD}include"):
            self._follow(link.get("schemaLocation", ""), folder, namespace)
            schema.remove(link)
        for link in schema.findall(f"{_XSD}import"):
            location = link.get("schemaLocation")
            if link.get("namespace") == XML and not _isThere(folder, location):
                self._wantsXml = True
            elif location:
                self._follow(location, folder, "")

    def _follow(self, location: str, folder: Path, chameleon: str) -> None:
        if urlsplit(location).scheme:
            raise ConfigError(f"a schema refers to {location}; put that file beside the contract and refer to it there")
        self.addFile(folder / location, chameleon)

    @property
    def namespace(self) -> str:
        """The namespace of the first document."""
        return next(iter(self._documents), "")

    def declared(self, kind: str, name: str) -> Any:
        """Returns a global declaration, None if there is none; `kind` is element, complexType, group or the like."""
        return self._declared.get((kind, name))

    def names(self, kind: str) -> list[str]:
        """Returns the names of all global declarations of a kind."""
        return [name for each, name in self._declared if each == kind]

    def finish(self) -> None:
        """Makes the validator. Raises ConfigError."""
        if self._wantsXml and XML not in self._documents:
            self._addXml()
        whole, documents = self._linkedDocuments()
        parser = etree.XMLParser(no_network=True)
        parser.resolvers.add(_Documents(documents))
        try:
            root = etree.fromstring(whole, parser, base_url=f"{_URL}whole")
            self.validator = etree.XMLSchema(root)
            if any(True for schemas in self._documents.values() for each in schemas for _ in each.iter(f"{_XSD}union")):
                self._textValidator = etree.XMLSchema(root)
        except (etree.XMLSchemaParseError, etree.XMLSyntaxError) as error:
            raise ConfigError(f"the contract's schema is invalid: {error}") from None

    def _linkedDocuments(self) -> tuple[bytes, dict[str, bytes]]:
        """Returns a schema that imports all documents, and the documents by the URLs in these imports."""
        documents: dict[str, bytes] = {}
        namespaces = list(self._documents)
        # This schema needs a namespace of its own: without one it could not import documents that have none.
        whole = etree.Element(f"{_XSD}schema", nsmap={"xs": XSD}, targetNamespace=f"{_URL}whole")
        for number, namespace in enumerate(namespaces):
            etree.SubElement(whole, f"{_XSD}import", _location(namespace, f"{_URL}space-{number}"))
            joined = etree.Element(f"{_XSD}schema", nsmap={"xs": XSD})
            if namespace:
                joined.set("targetNamespace", namespace)
            for part, schema in enumerate(self._documents[namespace]):
                url = f"{_URL}part-{number}-{part}"
                documents[url] = self._linked(schema, namespaces)
                etree.SubElement(joined, f"{_XSD}include", schemaLocation=url)
            documents[f"{_URL}space-{number}"] = etree.tostring(joined)
        etree.SubElement(whole, f"{_XSD}element", name="probe")
        return etree.tostring(whole), documents

    def fits(self, text: str, typeName: str) -> bool:
        """Returns whether a text is valid for a simple type."""
        namespace, local = splitTag(typeName)
        probe = etree.Element(_PROBE, nsmap={"t": namespace} if namespace else None)
        probe.set(f"{{{XSI}}}type", f"t:{local}" if namespace else local)
        probe.text = text
        return bool(self._textValidator.validate(probe))

    def _addXml(self) -> None:
        """Adds the attributes of XML itself. Those of type xs:ID are costly to validate, and added only if used."""
        root = readXml(_XML_XSD)
        used = {ref for schemas in self._documents.values() for each in schemas for ref in _refsOf(each)}
        if used.isdisjoint(("xml:id", "xml:specialAttrs")):
            for node in root.xpath("*[@name='id' or @name='specialAttrs']"):
                root.remove(node)
        self.add(root, _XML_XSD.parent)

    def _linked(self, schema: Any, namespaces: list[str]) -> bytes:
        """Returns a document whose imports lead to the other documents."""
        copy = deepcopy(schema)
        for link in copy.findall(f"{_XSD}import"):
            namespace = link.get("namespace", "")
            if namespace in namespaces:
                link.set("schemaLocation", f"{_URL}space-{namespaces.index(namespace)}")
        return bytes(etree.tostring(copy))

    def copies(self) -> list[Any]:
        """Returns copies of all documents to publish together: their imports name only the namespace."""
        copies = [deepcopy(schema) for schemas in self._documents.values() for schema in schemas]
        for copy in copies:
            for link in copy.findall(f"{_XSD}import"):
                link.attrib.pop("schemaLocation", None)
        return copies


def _adopted(schema: Any, namespace: str) -> Any:
    """Gives a schema the namespace of the one that includes it (XML Schema part 1, 4.2.1)."""
    prefixes = {None: namespace} | schema.nsmap
    adopted = etree.Element(schema.tag, schema.attrib, nsmap=prefixes)
    adopted.set("targetNamespace", namespace)
    adopted.extend(list(schema))
    return adopted


def _importXml(schema: Any) -> None:
    """Imports the attributes of XML itself if they are used, since some schemas leave the import out."""
    isUsed = any(ref.startswith("xml:") for ref in _refsOf(schema)) and schema.get("targetNamespace") != XML
    if isUsed and schema.find(f"{_XSD}import[@namespace='{XML}']") is None:
        schema.insert(0, etree.Element(f"{_XSD}import", namespace=XML))


def _refsOf(schema: Any) -> list[str]:
    """Returns all references to attributes and attribute groups."""
    return [node.get("ref", "") for kind in ("attribute", "attributeGroup") for node in schema.iter(_XSD + kind)]


def _isThere(folder: Path, location: str | None) -> bool:
    return location is not None and not urlsplit(location).scheme and (folder / location).is_file()


class _Documents(etree.Resolver):
    """Gives the parser the documents of the contract, and no others."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        super().__init__()
        self._documents = documents

    def resolve(self, url: str, publicId: Any, context: Any) -> Any:
        """Called by lxml for each import and include."""
        return self.resolve_string(self._documents.get(url, b"<none/>"), context, base_url=url)


def _location(namespace: str, url: str) -> dict[str, str]:
    return {"namespace": namespace, "schemaLocation": url} if namespace else {"schemaLocation": url}


def targetNamespaceOf(node: Any) -> str:
    """Returns the namespace that the document of a node declares, "" for none."""
    namespace: str = node.getroottree().getroot().get("targetNamespace", "")
    return namespace


def localTag(node: Any, formDefault: str) -> str:
    """
    Returns the tag of a local declaration, with its namespace if it is qualified (XML Schema part 1, 3.3.2 and 3.2.2).

    `formDefault` is elementFormDefault or attributeFormDefault.
    """
    name: str = node.get("name")
    form = node.get("form") or node.getroottree().getroot().get(formDefault)
    namespace = targetNamespaceOf(node)
    return f"{{{namespace}}}{name}" if form == "qualified" and namespace else name


def keyOf(node: Any) -> str:
    """Returns a unique key for a node in a contract. The id of a node is none: lxml may make several objects for it."""
    tree = node.getroottree()
    return f"{id(tree.getroot())} {tree.getpath(node)}"


def tagOf(name: Any) -> str:
    """Returns an element name as a tag. Raises ValueError or TypeError if it is not a name."""
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is not an element name")
    return str(etree.QName(name).text)


def qualified(node: Any, text: str) -> str:
    """Resolves a prefixed name at a node. Returns {namespace}name. Raises ConfigError."""
    prefix, _, local = text.strip().rpartition(":")
    namespace = XML if prefix == "xml" else node.nsmap.get(prefix or None)
    if prefix and namespace is None:
        raise ConfigError(f"the prefix of {text} is not declared")
    if not prefix and namespace is None:
        return local
    return f"{{{namespace}}}{local}"
