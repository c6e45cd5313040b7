"""
Schemas: the documents of XML Schema that a contract is made of, as one validator, and its declarations by name.

Only files are read, never a URL: what an import leads to must lie beside the contract.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from wsd.config import ConfigError
from wsd.protocols.soap.names import WSDL, XML, XSD, XSI

_XSD = f"{{{XSD}}}"
_URL = "wsd-schema:"
_PROBE = f"{{{_URL}whole}}probe"
"""An element of any type, for checking a text."""
_XML_XSD = Path(__file__).with_name("xml.xsd")


def readXml(path: Path) -> Any:
    """The root of a file of the contract's. Raises ConfigError."""
    try:
        parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True)
        return etree.parse(str(path), parser).getroot()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except etree.XMLSyntaxError as error:
        raise ConfigError(f"{path} is not XML: {error}") from None


class Schemas:
    """What `add` has been given, by namespace; `finish` makes it a whole."""

    def __init__(self) -> None:
        self._documents: dict[str, list[Any]] = {}
        self._seen: set[tuple[Path, str]] = set()
        self._declared: dict[tuple[str, str], Any] = {}
        self._wantsXml = False
        self.validator: Any = None
        self._trier: Any = None
        """Another validator, for checking texts, so that the errors of the first stay those of messages."""

    def addFile(self, path: Path, chameleon: str = "") -> None:
        """A schema's file, and what it leads to."""
        path = path.resolve()
        root = readXml(path)
        if root.tag == f"{{{WSDL}}}definitions":
            raise ConfigError(f"{path} is a WSDL where a schema was expected")
        if root.tag != f"{_XSD}schema":
            raise ConfigError(f"{path} is no schema; its root is {root.tag}")
        # A schema without a namespace is a different one in each schema that includes it.
        key = path, root.get("targetNamespace") or chameleon
        if key not in self._seen:
            self._seen.add(key)
            self.add(root, path.parent, chameleon)

    def add(self, schema: Any, folder: Path, chameleon: str = "") -> None:
        """A schema element, which may stand in a WSDL; `chameleon` is the namespace of one that has none."""
        space = schema.get("targetNamespace") or chameleon
        copy = etree.fromstring(etree.tostring(schema, with_tail=False))
        if space and not schema.get("targetNamespace"):
            copy = _adopted(copy, space)
        if copy.find(f"{_XSD}redefine") is not None or copy.find(f"{_XSD}override") is not None:
            raise ConfigError(f"the schema of {space} redefines another; write out what it means instead")
        _importXml(copy)
        if any(child.tag != f"{_XSD}import" for child in copy.iterchildren("*")):
            # One that only leads to others holds nothing, and is of no namespace.
            self._documents.setdefault(space, []).append(copy)
        for link in copy.findall(f"{_XSD}include"):
            self._follow(link.get("schemaLocation", ""), folder, space)
            copy.remove(link)
        for link in copy.findall(f"{_XSD}import"):
            location = link.get("schemaLocation")
            if link.get("namespace") == XML and not _isThere(folder, location):
                self._wantsXml = True
            elif location:
                self._follow(location, folder, "")
        for child in copy:
            name = child.get("name")
            if isinstance(child.tag, str) and name:
                self._declared[child.tag[len(_XSD) :], f"{{{space}}}{name}" if space else name] = child

    def _follow(self, location: str, folder: Path, chameleon: str) -> None:
        if urlsplit(location).scheme:
            raise ConfigError(f"a schema leads to {location}; put that file beside the contract and name it there")
        self.addFile(folder / location, chameleon)

    @property
    def space(self) -> str:
        """The namespace of the first document."""
        return next(iter(self._documents), "")

    def declared(self, kind: str, name: str) -> Any:
        """A declaration at the top of a schema: an element, complexType, simpleType, group, ... or None."""
        return self._declared.get((kind, name))

    def names(self, kind: str) -> list[str]:
        """The names of all global declarations of a kind."""
        return [name for each, name in self._declared if each == kind]

    def elementFormOf(self, node: Any, attribute: str = "elementFormDefault") -> bool:
        """Whether local declarations are qualified in the document of a node."""
        return bool(node.getroottree().getroot().get(attribute) == "qualified")

    def finish(self) -> None:
        """Make the validator. Raises ConfigError."""
        if self._wantsXml and XML not in self._documents:
            self._addXml()
        documents: dict[str, bytes] = {}
        spaces = list(self._documents)
        # It has a namespace of its own, without which it could not import what has none.
        whole = etree.Element(f"{_XSD}schema", nsmap={"xs": XSD}, targetNamespace=f"{_URL}whole")
        for number, space in enumerate(spaces):
            etree.SubElement(whole, f"{_XSD}import", _location(space, f"{_URL}space-{number}"))
            joined = etree.Element(f"{_XSD}schema", nsmap={"xs": XSD})
            if space:
                joined.set("targetNamespace", space)
            for part, schema in enumerate(self._documents[space]):
                url = f"{_URL}part-{number}-{part}"
                documents[url] = self._linked(schema, spaces)
                etree.SubElement(joined, f"{_XSD}include", schemaLocation=url)
            documents[f"{_URL}space-{number}"] = etree.tostring(joined)
        etree.SubElement(whole, f"{_XSD}element", name="probe")
        parser = etree.XMLParser(no_network=True)
        parser.resolvers.add(_Documents(documents))
        try:
            root = etree.fromstring(etree.tostring(whole), parser, base_url=f"{_URL}whole")
            self.validator = etree.XMLSchema(root)
            if any(True for schemas in self._documents.values() for each in schemas for _ in each.iter(f"{_XSD}union")):
                self._trier = etree.XMLSchema(root)
        except (etree.XMLSchemaParseError, etree.XMLSyntaxError) as error:
            raise ConfigError(f"the contract's schema is wrong: {error}") from None

    def fits(self, text: str, type: str) -> bool:
        """Whether a text is valid for a simple type, given by name."""
        space, _, local = type[1:].rpartition("}") if type.startswith("{") else ("", "", type)
        probe = etree.Element(_PROBE, nsmap={"t": space} if space else None)
        probe.set(f"{{{XSI}}}type", f"t:{local}" if space else local)
        probe.text = text
        return bool(self._trier.validate(probe))

    def _addXml(self) -> None:
        """Add the attributes of XML itself. Those with xs:ID are costly to validate, and are added only if used."""
        root = readXml(_XML_XSD)
        used = {ref for schemas in self._documents.values() for each in schemas for ref in _refsOf(each)}
        if used.isdisjoint(("xml:id", "xml:specialAttrs")):
            for node in root.xpath("*[@name='id' or @name='specialAttrs']"):
                root.remove(node)
        self.add(root, _XML_XSD.parent)

    def _linked(self, schema: Any, spaces: list[str]) -> bytes:
        """A document with its imports leading to ours."""
        copy = deepcopy(schema)
        for link in copy.findall(f"{_XSD}import"):
            space = link.get("namespace", "")
            if space in spaces:
                link.set("schemaLocation", f"{_URL}space-{spaces.index(space)}")
        return bytes(etree.tostring(copy))

    def documents(self) -> list[Any]:
        """Copies of all documents, to be published together: an import is by its namespace alone."""
        copies = [deepcopy(schema) for schemas in self._documents.values() for schema in schemas]
        for copy in copies:
            for link in copy.findall(f"{_XSD}import"):
                link.attrib.pop("schemaLocation", None)
        return copies


def _adopted(schema: Any, space: str) -> Any:
    """A schema without a namespace, included in one with a namespace: its unprefixed names belong there (4.2.1)."""
    known = {None: space} | schema.nsmap
    made = etree.Element(schema.tag, schema.attrib, nsmap=known)
    made.set("targetNamespace", space)
    made.extend(list(schema))
    return made


def _importXml(schema: Any) -> None:
    """Import the attributes of XML itself if they are used, since some schemas leave the import out."""
    isTold = any(ref.startswith("xml:") for ref in _refsOf(schema)) and schema.get("targetNamespace") != XML
    if isTold and schema.find(f"{_XSD}import[@namespace='{XML}']") is None:
        schema.insert(0, etree.Element(f"{_XSD}import", namespace=XML))


def _refsOf(schema: Any) -> list[str]:
    """All references to attributes and attribute groups."""
    return [node.get("ref", "") for kind in ("attribute", "attributeGroup") for node in schema.iter(_XSD + kind)]


def _isThere(folder: Path, location: str | None) -> bool:
    return location is not None and not urlsplit(location).scheme and (folder / location).is_file()


class _Documents(etree.Resolver):
    """Gives the validator our documents, and no others."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        super().__init__()
        self._documents = documents

    def resolve(self, url: str, publicId: Any, context: Any) -> Any:
        """One of ours."""
        return self.resolve_string(self._documents.get(url, b"<none/>"), context, base_url=url)


def _location(space: str, url: str) -> dict[str, str]:
    return {"namespace": space, "schemaLocation": url} if space else {"schemaLocation": url}


def keyOf(node: Any) -> str:
    """A unique key of a node in a contract; lxml's node objects themselves come and go."""
    tree = node.getroottree()
    return f"{id(tree.getroot())} {tree.getpath(node)}"


def tagOf(name: Any) -> str:
    """The tag of an element name. Raises ValueError or TypeError for anything else."""
    if not isinstance(name, str):
        raise TypeError(f"{name!r} is not an element name")
    return str(etree.QName(name).text)


def qualified(node: Any, text: str) -> str:
    """A prefixed name at a node as {namespace}name."""
    prefix, _, local = text.strip().rpartition(":")
    space = XML if prefix == "xml" else node.nsmap.get(prefix or None)
    if prefix and space is None:
        raise ConfigError(f"the prefix of {text} is not declared")
    if not prefix and space is None:
        return local
    return f"{{{space}}}{local}"
