"""SOAP envelopes: parsed alike however they arrive, then read for both versions of SOAP; a `Fault`, or a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml import etree

from tests.fuzz.pieces import piecesOf
from wsd.protocols.soap.envelope import readEnvelope, readRelayed
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import SOAP11, SOAP12
from wsd.protocols.soap.reader import EnvelopeReader


def check(data: bytes) -> None:
    """Takes the size of the pieces, and a message."""
    pieces = piecesOf(data)
    whole, fed = _outcome(lambda: EnvelopeReader().parse(data[1:])), _outcome(lambda: _fed(pieces))
    assert _canonical(whole) == _canonical(fed)
    if whole is None:
        return
    for version in (SOAP11, SOAP12):
        envelope = readEnvelope(whole, version)
        assert envelope.body is None or envelope.fault is None
        readRelayed(whole, version)


def _fed(pieces: list[bytes]) -> Any:
    reader = EnvelopeReader()
    for piece in pieces:
        reader.feed(piece)
    document = reader.close()
    assert reader.weight == 0
    return document


def _outcome(read: Callable[[], Any]) -> Any:
    try:
        return read().root
    except Fault:
        return None


def _canonical(root: Any) -> str | None:
    return None if root is None else etree.canonicalize(etree.tostring(root, encoding="unicode"))
