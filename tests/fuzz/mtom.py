"""MTOM: a message is a document, a `Fault` or a close, and an envelope is read as it was before it was written."""

from __future__ import annotations

from typing import Any

from lxml import etree

from wsd.connection import Closed, Refused
from wsd.protocols.soap.encodings.choice import encodingOfRequest
from wsd.protocols.soap.encodings.encoding import Encoding
from wsd.protocols.soap.encodings.mtom import Mtom
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import SOAP12

_MOST = 20_000
_SOCKET = Mtom(SOAP12, "", hasHeaders=True)
"""The encoding of a WebSocket, whose messages have headers of their own."""


def check(data: bytes) -> None:
    """Takes a message with its headers; over HTTP, the first line is the content type."""
    _check(_SOCKET, data)
    contentType, _, body = data.partition(b"\r\n")
    try:
        encoding = encodingOfRequest(contentType.decode("latin-1"))
    except Refused:
        return
    _check(encoding, body)


def _check(encoding: Encoding, message: bytes) -> None:
    root = _read(encoding, message, _MOST)
    if root is None:
        return
    text = etree.tostring(root, encoding="unicode")
    again = _read(_SOCKET, _SOCKET.write(text), 10 * _MOST)
    assert again is not None, text
    assert etree.canonicalize(etree.tostring(again, encoding="unicode")) == etree.canonicalize(text)


def _read(encoding: Encoding, message: bytes, most: int) -> Any:
    """The root of a document; None if the message is refused."""
    reader = encoding.reader(most)
    reader.feed(message)
    try:
        document = reader.close()
    except (Fault, Closed):
        document = None
    assert reader.weight == 0
    if document is None:
        return None
    assert document.size <= most
    return document.root
