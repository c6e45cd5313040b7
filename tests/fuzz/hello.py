"""The ClientHello of TLS: read alike however it arrives."""

from __future__ import annotations

from tests.fuzz.pieces import piecesOf
from wsd.listen.clienthello import ClientHello, ClientHelloReader


def check(data: bytes) -> None:
    """Takes the size of the pieces, and what a client sends first."""
    hello = _read(piecesOf(data))
    assert hello == _read([data[1:]])
    if hello is not None and hello.protocols is not None:
        assert all(isinstance(each, bytes) for each in hello.protocols)


def _read(pieces: list[bytes]) -> ClientHello | None:
    reader = ClientHelloReader()
    return next((hello for piece in pieces if (hello := reader.feed(piece)) is not None), None)
