"""Cutter: cuts the stream of another server (RFC 6120 4) into its elements."""

from __future__ import annotations

import re
from typing import Protocol
from xml.parsers.expat import ExpatError, XMLParserType

from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import Builder, Caps
from wsd.protocols.xmpp.stanza import LANG, Element, quote

_ADDRESSES = ("to", "from", "id", "type", LANG)

_WORN = 1 << 18
"""Bytes after which a new expat parser goes on, since each keeps all names that it has read until it ends."""


class Listener(Protocol):
    """The receiver of the elements of a stream."""

    def begun(self, root: Element) -> None:
        """The root element has begun."""

    def whole(self, element: Element) -> None:
        """A child of the root is complete."""

    def ended(self) -> None:
        """The root has ended."""


class _Worn(Exception):
    """A parser has read enough; `index` is where the end tag of the last element begins."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Cutter(Builder):
    """
    The stream of RFC 6120 that another server sends, cut into its elements.

    That server is trusted to send XML, but the content of an element may come from anybody. An element over the
    caps keeps its name and addresses and loses its content, so its receiver counts it as the server does (XEP-0198).
    """

    def __init__(self, caps: Caps, listener: Listener) -> None:
        super().__init__(caps, 1)
        self._listener: Listener | None = listener
        self._root = ""
        """The name of the root as it was sent, with its prefix."""
        self._declarations: dict[str | None, str | None] = {}
        """The namespaces that the root declares."""
        self._isTooMuch = False
        self._isEmptied = False
        self._hasContent = False
        """Whether an element has begun that will have an end tag."""
        self._isRenewed = False
        self._read = 0
        """Bytes given to the present parser."""
        self._expat = self._newParser()

    def _newParser(self) -> XMLParserType:
        parser = self.parser()
        # That server may declare its version of XML, and expat must not wait for bytes beyond an element.
        parser.XmlDeclHandler = None
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)
        return parser

    def feed(self, data: bytes) -> None:
        """Some bytes. Raises StreamError."""
        while data:
            try:
                self._expat.Parse(data, False)
            except ExpatError as error:
                raise StreamError("not-well-formed", str(error)) from None
            except _Worn as worn:
                data = self._renew(data, worn.index)
            else:
                self._read += len(data)
                return

    def _renew(self, data: bytes, index: int) -> bytes:
        """Go on with a new parser inside the same root. Returns the bytes after the end tag that begins at `index`."""
        end = data.index(b">", max(0, index - self._read)) + 1
        declared = "".join(
            f' xmlns{f":{prefix}" if prefix else ""}="{quote(uri or "")}"' for prefix, uri in self._declarations.items()
        )
        self._isRenewed, self._read = True, 0
        self._stack.clear()
        self._expat = self._newParser()
        self.feed(f"<{self._root}{declared}>".encode())
        return data[end:]

    def mute(self) -> None:
        """Another stream has begun: ignore the rest of this one."""
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
        if self.grown > self.caps.written:
            self._empty()
        else:
            super()._text(data)

    def _empty(self) -> None:
        self._isEmptied = True
        self._stack[self._cut].children.clear()

    def begun(self, root: Element) -> None:
        """Pass it on."""
        if self._listener is not None and not self._isRenewed:
            self._listener.begun(root)

    def whole(self, element: Element) -> None:
        """Pass the element on, and check whether a new parser is due."""
        hasContent, self._hasContent = self._hasContent, False
        self._isEmptied, self.grown = False, 0
        self._spaces.clear()
        if self._listener is not None:
            self._listener.whole(element)
        index = self._expat.CurrentByteIndex
        if hasContent and index > _WORN:
            raise _Worn(index)

    def ended(self) -> None:
        """Pass it on."""
        if self._listener is not None:
            self._listener.ended()
