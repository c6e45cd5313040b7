"""XMPP over TCP: a stream is split into the same elements however it arrives, and by however many parsers."""

from __future__ import annotations

from unittest.mock import patch

from tests.fuzz.pieces import piecesOf
from tests.protocols.xmpp.trees import flat
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import XmlLimits
from wsd.protocols.xmpp.gateway import streamparser
from wsd.protocols.xmpp.stanza import Element

_LIMITS = XmlLimits(size=1_000, depth=10, elements=20, attributes=10, uri=100)


class _Listener:
    """Notes what it is told as plain data."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def begun(self, root: Element) -> None:
        self.told.append(("begun", flat(root)))

    def whole(self, element: Element) -> None:
        self.told.append(flat(element))

    def ended(self) -> None:
        self.told.append("ended")


def check(data: bytes) -> None:
    """Takes the size of the pieces, and the stream of a server."""
    told, error = _outcome([data[1:]])
    toldInPieces, errorInPieces = _outcome(piecesOf(data))
    assert (error is None) == (errorInPieces is None)
    if error is not None:
        # What comes before an error in the same piece may be told or not.
        assert toldInPieces[: len(told)] == told[: len(toldInPieces)]
        return
    assert toldInPieces == told
    with patch.object(streamparser, "_PARSER_BYTES", 64):
        assert _outcome(piecesOf(data)) == (told, None)


def _outcome(pieces: list[bytes]) -> tuple[list[object], str | None]:
    listener = _Listener()
    parser = streamparser.StreamParser(_LIMITS, listener)
    try:
        for piece in pieces:
            parser.feed(piece)
    except StreamError as error:
        return listener.told, error.condition
    return listener.told, None
