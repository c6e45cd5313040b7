"""
The framing of RFC 7395 3.3: one message is one complete element, and nothing else.

The parser is expat. It refuses what XMPP forbids (RFC 6120 11.1): document types, entity declarations, processing
instructions, comments and the XML declaration. Depth, elements and attributes have limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType

from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.stanza import FRAMING, LANG, XML, Element

_LANG = f"{XML} lang"


@dataclass(frozen=True)
class XmlLimits:
    """The limits of one message."""

    size: int = 262_144
    """Bytes of the message."""
    depth: int = 50
    """Levels of elements."""
    elements: int = 4_000
    """Elements in the message."""
    attributes: int = 50
    """Attributes of one element, and declarations of namespaces in one element."""
    uri: int = 1_000
    """Characters of a namespace."""

    @property
    def written(self) -> int:
        """Limit in bytes of a message as it is passed on, with a declaration of the namespace in each element."""
        return 2 * self.size


DEFAULTS = XmlLimits()

_ESCAPED = 6
"""The most by which escaping lengthens a text: a quotation mark becomes &quot;."""


def _tooLong(limits: XmlLimits) -> StreamError:
    """The error for a message that would be too long when it is passed on."""
    return StreamError("policy-violation", f"a message has at most {limits.written} bytes with all its namespaces")


class Builder:
    """Builds elements from the callbacks of expat. Complete elements at the depth `cut` are passed to `whole`."""

    def __init__(self, limits: XmlLimits, cut: int = 0) -> None:
        self.limits = limits
        self.root: Element | None = None
        self._cut = cut
        self._stack: list[Element] = []
        self._elements = 0
        self._declared = 0
        self._hasPrefixes = False
        self._namespaces: dict[str, str] = {}
        """One string for each namespace, since expat creates a new one for every element."""
        self.grown = 0
        """Upper bound of the characters of the namespaces that replace prefixes."""

    def parser(self) -> XMLParserType:
        """A new expat parser that calls this builder."""
        # Each parser interns names for itself, so names that strangers invent are not kept.
        parser = ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartNamespaceDeclHandler = self._declare
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        parser.CommentHandler = self._refuse
        parser.XmlDeclHandler = self._refuse
        return parser

    def begun(self, root: Element) -> None:
        """Called if `cut` is set: the root has begun."""

    def whole(self, element: Element) -> None:
        """Called if `cut` is set: a child of the root is complete."""

    def ended(self) -> None:
        """Called if `cut` is set: the root has ended."""

    def _refuse(self, *_: Any) -> None:
        raise StreamError(
            "restricted-xml",
            "a message has neither a document type nor entities, comments, processing instructions or a declaration",
        )

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared += 1
        if self._declared > self.limits.attributes:
            raise StreamError("policy-violation", f"an element has at most {self.limits.attributes} declarations")
        if uri is not None and len(uri) > self.limits.uri:
            raise StreamError("policy-violation", f"a namespace has at most {self.limits.uri} characters")
        self._hasPrefixes = self._hasPrefixes or prefix is not None

    def _start(self, tag: str, attrs: dict[str, str]) -> None:
        limits, stack = self.limits, self._stack
        self._declared = 0
        self._elements += 1
        if self._elements > limits.elements:
            raise StreamError("policy-violation", f"a message has at most {limits.elements} elements")
        if len(stack) >= limits.depth:
            raise StreamError("policy-violation", f"elements are nested at most {limits.depth} deep")
        if len(attrs) > limits.attributes:
            raise StreamError("policy-violation", f"an element has at most {limits.attributes} attributes")
        if _LANG in attrs:
            attrs[LANG] = attrs.pop(_LANG)
        ns, _, name = tag.rpartition(" ")
        ns = self._namespaces.setdefault(ns, ns)
        if self._hasPrefixes:
            self._grow(ns, attrs)
        element = Element(ns, name, attrs)
        if len(stack) > self._cut:
            stack[-1].children.append(element)
        elif not stack:
            self.root = element
            if self._cut:
                self.begun(element)
        stack.append(element)

    def _grow(self, ns: str, attrs: dict[str, str]) -> None:
        """Count the characters of namespaces. Elements without prefixes declare theirs already, and do not grow."""
        self.grown += len(ns) + sum(len(key) for key in attrs if " " in key)
        if self.grown > self.limits.written:
            raise _tooLong(self.limits)

    def _end(self, tag: str) -> None:
        element = self._stack.pop()
        if self._cut and len(self._stack) == self._cut:
            self._elements = 0
            self.whole(element)
        elif self._cut and not self._stack:
            self.ended()

    def _text(self, data: str) -> None:
        if len(self._stack) > self._cut:
            self._stack[-1].children.append(data)


def checkEncoding(data: bytes) -> None:
    """
    Raises StreamError for a zero byte, which no XML in UTF-8 has (RFC 6120 11.6).

    Expat takes a document for UTF-16 if it begins so, even if it was told that the encoding is UTF-8.
    """
    if b"\0" in data:
        raise StreamError("not-well-formed", "XML has no zero bytes; send it in UTF-8 (RFC 6120 11.6)")


def parse(message: bytes, limits: XmlLimits = DEFAULTS) -> Element:
    """Parses the one element of a message. Raises StreamError."""
    if len(message) > limits.size:
        raise StreamError("policy-violation", f"a message has at most {limits.size} bytes")
    if message[:1] != b"<":
        raise StreamError("not-well-formed", "a message begins with < (RFC 7395 3.3.3)")
    checkEncoding(message)
    builder = Builder(limits)
    try:
        builder.parser().Parse(message, True)
    except ExpatError as error:
        raise StreamError("not-well-formed", f"a message is one complete element: {error}") from None
    root = builder.root
    assert root is not None
    # A short message cannot become too long, so only a long one is written to measure it.
    if _ESCAPED * (len(message) + builder.grown) > limits.written and len(root.toXml().encode()) > limits.written:
        raise _tooLong(limits)
    return root


def openTag(attrs: dict[str, str]) -> str:
    """The <open/> that begins a stream (RFC 7395 3.4); strophe.js compares its first letters."""
    return Element(FRAMING, "open", attrs).toXml()


def closeTag(seeOther: str | None = None) -> str:
    """The <close/> that ends a stream (RFC 7395 3.6), or sends the client to another URL (3.6.1)."""
    return Element(FRAMING, "close", {} if seeOther is None else {"see-other-uri": seeOther}).toXml()
