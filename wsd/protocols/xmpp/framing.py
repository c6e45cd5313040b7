"""
The framing of RFC 7395: one message is one complete element, and nothing else.

The parser is expat's, with everything refused that XMPP has no use for (RFC 6120 11.1): document types, entities of
one's own, processing instructions, comments, the XML declaration; and with caps on depth, elements and attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType

from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.stanza import FRAMING, LANG, XML, Element

_LANG = f"{XML} lang"


@dataclass(frozen=True)
class Caps:
    """What one message may have."""

    size: int = 262_144
    """Bytes."""
    depth: int = 50
    """Elements in one another."""
    elements: int = 4_000
    """Elements in all."""
    attributes: int = 50
    """Attributes, and declarations of namespaces, of one element."""
    uri: int = 1_000
    """Characters of a namespace."""

    @property
    def written(self) -> int:
        """Limit in bytes of a message when each element declares its own namespace, as when it is passed on."""
        return 2 * self.size


DEFAULTS = Caps()

_ESCAPED = 6
"""How many times longer escaping can make a text: a quotation mark becomes &quot;."""


def _tooLong(caps: Caps) -> StreamError:
    """A message would be too long when it is passed on."""
    return StreamError("policy-violation", f"a message has at most {caps.written} bytes with all its namespaces")


class Builder:
    """What expat calls, building elements; whole ones of the depth `cut` are handed to `whole`."""

    def __init__(self, caps: Caps, cut: int = 0) -> None:
        self.caps = caps
        self.root: Element | None = None
        self._cut = cut
        self._stack: list[Element] = []
        self._elements = 0
        self._declared = 0
        self._hasPrefixes = False
        self._spaces: dict[str, str] = {}
        """Each namespace once, since expat creates a new string for every element."""
        self.grown = 0
        """Upper bound of the characters of namespaces that replace prefixes."""

    def parser(self) -> XMLParserType:
        """An expat that builds with this."""
        # Interning is shared within one parser alone: what a stranger sends is not kept.
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
        """In a stream that is cut: its root has begun."""

    def whole(self, element: Element) -> None:
        """In a stream that is cut: one of its children is whole."""

    def ended(self) -> None:
        """In a stream that is cut: its root has ended."""

    def _refuse(self, *_: Any) -> None:
        raise StreamError(
            "restricted-xml",
            "a message has neither a document type nor entities, comments, processing instructions or a declaration",
        )

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared += 1
        if self._declared > self.caps.attributes:
            raise StreamError("policy-violation", f"an element has at most {self.caps.attributes} declarations")
        if uri is not None and len(uri) > self.caps.uri:
            raise StreamError("policy-violation", f"a namespace has at most {self.caps.uri} characters")
        self._hasPrefixes = self._hasPrefixes or prefix is not None

    def _start(self, tag: str, attrs: dict[str, str]) -> None:
        caps, stack = self.caps, self._stack
        self._declared = 0
        self._elements += 1
        if self._elements > caps.elements:
            raise StreamError("policy-violation", f"a message has at most {caps.elements} elements")
        if len(stack) >= caps.depth:
            raise StreamError("policy-violation", f"elements lie at most {caps.depth} deep")
        if len(attrs) > caps.attributes:
            raise StreamError("policy-violation", f"an element has at most {caps.attributes} attributes")
        if _LANG in attrs:
            attrs[LANG] = attrs.pop(_LANG)
        ns, _, name = tag.rpartition(" ")
        ns = self._spaces.setdefault(ns, ns)
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
        """Without prefixes each element declares its namespace already, and does not grow."""
        self.grown += len(ns) + sum(len(key) for key in attrs if " " in key)
        if self.grown > self.caps.written:
            raise _tooLong(self.caps)

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


def parse(message: bytes, caps: Caps = DEFAULTS) -> Element:
    """The one element of a message. Raises StreamError."""
    if len(message) > caps.size:
        raise StreamError("policy-violation", f"a message has at most {caps.size} bytes")
    if message[:1] != b"<":
        raise StreamError("not-well-formed", "a message begins with < (RFC 7395 3.3.3)")
    builder = Builder(caps)
    try:
        builder.parser().Parse(message, True)
    except ExpatError as error:
        raise StreamError("not-well-formed", f"a message is one complete element: {error}") from None
    root = builder.root
    assert root is not None
    # Most messages are too short to become too long, so they need not be written to find out.
    if _ESCAPED * (len(message) + builder.grown) > caps.written and len(root.toXml().encode()) > caps.written:
        raise _tooLong(caps)
    return root


def openTag(attrs: dict[str, str]) -> str:
    """The header of a stream, as it is sent; strophe.js looks for these very first letters."""
    return Element(FRAMING, "open", attrs).toXml()


def closeTag(seeOther: str | None = None) -> str:
    """The end of a stream, or where to find another (RFC 7395 3.6.1)."""
    return Element(FRAMING, "close", {} if seeOther is None else {"see-other-uri": seeOther}).toXml()
