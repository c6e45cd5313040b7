"""StreamParser: splits the stream of another server (RFC 6120 4) into its elements, with limits on what it keeps."""

from __future__ import annotations

import re
from typing import Protocol
from xml.parsers.expat import ExpatError, XMLParserType

from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import Builder, XmlLimits, checkEncoding
from wsd.protocols.xmpp.stanza import LANG, Element, quote

_ADDRESSES = ("to", "from", "id", "type", LANG)

_PARSER_BYTES = 1 << 18
"""Bytes after which a new expat parser takes over. A parser remembers every name that it reads until it ends."""


class StreamListener(Protocol):
    """The receiver of the elements of a stream."""

    def begun(self, root: Element) -> None:
        """The root element has begun."""

    def whole(self, element: Element) -> None:
        """A child of the root is complete."""

    def ended(self) -> None:
        """The root has ended."""


class _ParserIsFull(Exception):
    """Raised inside a parser that must be replaced. At `index` the end tag of the last element begins."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class StreamParser(Builder):
    """
    Parses the bytes of a stream, and hands each child of its root to a listener.

    The server is trusted to send XML, but the content of an element may come from anybody. An element over the
    limits loses its content but keeps its name and addresses. It is still passed on, because both sides count stanzas
    (XEP-0198 4).
    """

    def __init__(self, limits: XmlLimits, listener: StreamListener) -> None:
        super().__init__(limits, 1)
        self._listener: StreamListener | None = listener
        self._root = ""
        """The name of the root as it was sent, with its prefix."""
        self._declarations: dict[str | None, str | None] = {}
        """The namespaces that the root declares, by prefix."""
        self._isTooMuch = False
        """Whether a declaration of the next element is over the limits."""
        self._isEmptied = False
        """Whether the present element has lost its content."""
        self._hasContent = False
        """Whether the present element has an end tag of its own, unlike <a/>."""
        self._read = 0
        """Bytes given to the present parser."""
        self._expat = self._newParser()

    def _newParser(self) -> XMLParserType:
        parser = self.parser()
        # A stream may begin with an XML declaration (RFC 6120 11.5).
        parser.XmlDeclHandler = None
        # Since 2.6 expat defers elements until more bytes arrive; a stanza must not wait for the next one.
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)
        return parser

    def feed(self, data: bytes) -> None:
        """Parse some bytes. Raises StreamError."""
        checkEncoding(data)
        while data:
            try:
                self._expat.Parse(data, False)
            except ExpatError as error:
                raise StreamError("not-well-formed", str(error)) from None
            except _ParserIsFull as full:
                data = self._renew(data, full.index)
            else:
                self._read += len(data)
                return

    def _renew(self, data: bytes, index: int) -> bytes:
        """Start a new parser inside the same root. Returns the bytes after the end tag that begins at `index`."""
        end = data.index(b">", max(0, index - self._read)) + 1
        declared = "".join(
            f' xmlns{f":{prefix}" if prefix else ""}="{quote(uri or "")}"' for prefix, uri in self._declarations.items()
        )
        self._read = 0
        self._stack.clear()
        self._expat = self._newParser()
        # The listener has heard of the root already.
        listener, self._listener = self._listener, None
        self.feed(f"<{self._root}{declared}>".encode())
        self._listener = listener
        return data[end:]

    def mute(self) -> None:
        """Ignore the rest of this stream, since another has begun."""
        self._listener = None

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        if not self._stack:
            self._declarations[prefix] = uri
        try:
            super()._declare(prefix, uri)
        except StreamError:
            self._isTooMuch = True

    def _start(self, tag: str, attrs: dict[str, str]) -> None:
        if not self._stack:
            read = self._expat.GetInputContext()
            assert read is not None
            self._root = re.split(rb"[\s/>]", read[1:], maxsplit=1)[0].decode()
        self._hasContent = self._hasContent or len(self._stack) > self._cut
        try:
            if not self._isTooMuch and not self._isEmptied:
                super()._start(tag, attrs)
                return
        except StreamError:
            pass
        self._isTooMuch, self._declared = False, 0
        if not self._stack:
            raise StreamError("policy-violation", "the header of the stream is too large")
        if len(self._stack) > self._cut:
            self._stack.append(self._stack[-1])
        else:
            ns, _, name = tag.rpartition(" ")
            self._stack.append(Element(ns, name, {key: attrs[key] for key in _ADDRESSES if key in attrs}))
        self._empty()

    def _text(self, data: str) -> None:
        if len(self._stack) <= self._cut or self._isEmptied:
            return
        self._hasContent = True
        self.grown += len(data)
        if self.grown > self.limits.written:
            self._empty()
        else:
            super()._text(data)

    def _empty(self) -> None:
        self._isEmptied = True
        self._stack[self._cut].children.clear()

    def begun(self, root: Element) -> None:
        """Called when the root begins."""
        if self._listener is not None:
            self._listener.begun(root)

    def whole(self, element: Element) -> None:
        """Called with each complete element. Raises _ParserIsFull if a new parser must take over."""
        hasContent, self._hasContent = self._hasContent, False
        self._isEmptied, self.grown = False, 0
        self._namespaces.clear()
        if self._listener is not None:
            self._listener.whole(element)
        index = self._expat.CurrentByteIndex
        if hasContent and index > _PARSER_BYTES:
            raise _ParserIsFull(index)

    def ended(self) -> None:
        """Called when the root has ended."""
        if self._listener is not None:
            self._listener.ended()
