"""XML elements, and stanzas (RFC 6120 8)."""

from __future__ import annotations

import re
from collections.abc import Iterator

CLIENT = "jabber:client"
STREAMS = "http://etherx.jabber.org/streams"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
LANG = "xml:lang"
XML = "http://www.w3.org/XML/1998/namespace"

KINDS = ("message", "presence", "iq")

_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that no document may contain, even escaped (XML 1.0, 2.2)."""


def isText(text: object) -> bool:
    """Whether this can be a text or an attribute's value in XML."""
    return isinstance(text, str) and _NO_CHARACTER.search(text) is None


class Element:
    """
    One element: its namespace and name, its attributes by name, and its children in order.

    An attribute with a namespace has the key "NAMESPACE NAME", except for "xml:lang". The texts of an element must
    satisfy `isText`, as all parsed texts do.
    """

    __slots__ = ("attrs", "children", "name", "ns")

    def __init__(self, ns: str, name: str, attrs: dict[str, str] | None = None, *children: Element | str) -> None:
        self.ns = ns
        self.name = name
        self.attrs = {} if attrs is None else attrs
        self.children: list[Element | str] = list(children)

    def get(self, name: str, default: str = "") -> str:
        """The value of an attribute, or the default."""
        return self.attrs.get(name, default)

    def elements(self) -> Iterator[Element]:
        """The children that are elements, without the texts."""
        return (child for child in self.children if isinstance(child, Element))

    def child(self, ns: str, name: str) -> Element | None:
        """The first child of this name, None if there is none."""
        for child in self.children:
            if isinstance(child, Element) and child.name == name and child.ns == ns:
                return child
        return None

    def first(self) -> Element | None:
        """The first child that is an element, None if there is none."""
        return next(self.elements(), None)

    @property
    def text(self) -> str:
        """The text directly in the element."""
        return "".join(child for child in self.children if isinstance(child, str))

    def textOf(self, ns: str, name: str) -> str:
        """The text of the first child of this name, "" if there is none."""
        found = self.child(ns, name)
        return "" if found is None else found.text

    def copy(self, **attrs: str | None) -> Element:
        """A copy with other attributes; None removes one. The children are shared."""
        changed = {**self.attrs, **attrs}
        return Element(
            self.ns,
            self.name,
            {key: value for key, value in changed.items() if value is not None},
            *self.children,
        )

    def toXml(self) -> str:
        """The XML of the element, with all its namespaces."""
        out: list[str] = []
        _write(self, None, out)
        return "".join(out)


def _escape(text: str) -> str:
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    if "\r" in text:
        text = text.replace("\r", "&#13;")
    return text


def quote(text: str) -> str:
    """Escapes a text for use between quotation marks."""
    text = _escape(text)
    if '"' in text:
        text = text.replace('"', "&quot;")
    if "\n" in text or "\t" in text:
        text = text.replace("\n", "&#10;").replace("\t", "&#9;")
    return text


def _write(element: Element, inherited: str | None, out: list[str]) -> None:
    ns, name = element.ns, element.name
    if ns == STREAMS:
        # RFC 6120 4.8.5: clients look for this prefix, and the namespace must not be the default of the children.
        name, declared, inherited = f"stream:{name}", f' xmlns:stream="{STREAMS}"', None
    elif ns == XML:
        # Namespaces in XML 1.0, 3: the prefix is bound already, and this must not be the default namespace.
        name, declared = f"xml:{name}", ""
    elif ns != inherited:
        declared, inherited = f' xmlns="{quote(ns)}"', ns
    else:
        declared = ""
    out.append(f"<{name}{declared}")
    _writeAttributes(element.attrs, out)
    if not element.children:
        out.append("/>")
        return
    out.append(">")
    for child in element.children:
        if isinstance(child, str):
            out.append(_escape(child))
        else:
            _write(child, inherited, out)
    out.append(f"</{name}>")


def _writeAttributes(attrs: dict[str, str], out: list[str]) -> None:
    prefixes = {XML: "xml"}
    for key, value in attrs.items():
        namespace, _, local = key.rpartition(" ")
        if not namespace:
            out.append(f' {key}="{quote(value)}"')
            continue
        prefix = prefixes.get(namespace)
        if prefix is None:
            prefixes[namespace] = prefix = f"a{len(prefixes) - 1}"
            out.append(f' xmlns:{prefix}="{quote(namespace)}"')
        out.append(f' {prefix}:{local}="{quote(value)}"')


def replaceForbidden(text: str) -> str:
    """Replaces the characters that XML forbids, so that the text can be sent."""
    return _NO_CHARACTER.sub("\ufffd", text)


def reply(stanza: Element, stanzaType: str, *children: Element) -> Element:
    """An answer to a stanza: the same id, and the addresses swapped (RFC 6120 8.1.1 to 8.1.3)."""
    attrs = {"type": stanzaType}
    for theirs, ours in (("id", "id"), ("from", "to"), ("to", "from")):
        if stanza.get(theirs):
            attrs[ours] = stanza.get(theirs)
    return Element(CLIENT, stanza.name, attrs, *children)


def result(iq: Element, *children: Element) -> Element:
    """The result of an iq."""
    return reply(iq, "result", *children)


def mayBeAnswered(stanza: Element) -> bool:
    """Whether an error may answer this stanza: never an error, nor the result of an iq (RFC 6120 8.3.1)."""
    stanzaType = stanza.get("type")
    return stanzaType != "error" and not (stanza.name == "iq" and stanzaType == "result")


def isBind(stanza: Element) -> bool:
    """Whether this is an iq that binds a resource (RFC 6120 7.6)."""
    if stanza.name != "iq" or stanza.ns != CLIENT or stanza.get("type") != "set":
        return False
    query = stanza.first()
    return query is not None and query.ns == BIND and query.name == "bind"
