"""A connection to a route of blobs by blob.wsd.v1, from the client's side: messages and chunks (docs/blob.md)."""

from __future__ import annotations

import json
import zlib
from argparse import Namespace
from struct import Struct
from typing import Any

from wsd.client.talker import OPENING, Talker, Unanswered, connect, soon
from wsd.config.values import printable

SUBPROTOCOL = "blob.wsd.v1"

_HEAD = Struct(">QI")
"""The offset and the CRC-32 before the bytes of a chunk."""

_ANSWER = 60.0
"""Seconds to wait for an answer."""


class Refusal(Exception):
    """The server refused: a code of docs/blob.md, and a sentence."""

    def __init__(self, error: Any) -> None:
        super().__init__(error["code"], error["message"])
        self.code = str(error["code"])
        self.sentence = printable(str(error["message"]))


class _Quiet(Talker):
    """Prints no handshakes. It offers no compression, since most files are compressed already."""

    showsHeads = False
    deflates = False


class BlobClient:
    """One connection that speaks blob.wsd.v1. Raises `Unanswered` and `Refusal`."""

    def __init__(self, talker: Talker, reactor: Any) -> None:
        self._talker = talker
        self._reactor = reactor

    async def next(self, *names: str) -> Any:
        """Receive the next message. It must have one of these names."""
        payload, isBinary = await self._next()
        message = None if isBinary else json.loads(payload)
        if not isinstance(message, dict):
            raise Unanswered(f"speaks {SUBPROTOCOL} and sent a chunk where {' or '.join(names)} was due")
        if "error" in message:
            raise Refusal(message["error"])
        if not set(names) & set(message):
            raise Unanswered(f"said {printable(str(message)[:80])} where {' or '.join(names)} was due")
        return message

    async def nextChunk(self, due: int) -> bytes:
        """Receive the next chunk. It must begin at byte `due`."""
        payload, isBinary = await self._next()
        if not isBinary:
            message = json.loads(payload)
            raise Refusal(message["error"]) if "error" in message else Unanswered("ended before the end of the file")
        offset, crc = _HEAD.unpack_from(payload)
        if offset != due or zlib.crc32(payload[_HEAD.size :]) != crc:
            raise Unanswered("sent a piece that is not what it should be")
        return payload[_HEAD.size :]

    async def _next(self) -> tuple[bytes, bool]:
        late = "no answer came within {:g} seconds"
        payload, isBinary, _ = await soon(self._talker.next(), self._reactor, _ANSWER, late)
        return payload, isBinary

    def say(self, message: str, /, **fields: object) -> None:
        """Send a message. Fields that are None are left out."""
        given = {name: value for name, value in fields.items() if value is not None}
        self._send(json.dumps({message: given}).encode(), False)

    def sendChunk(self, offset: int, data: bytes) -> None:
        """Send a chunk."""
        self._send(_HEAD.pack(offset, zlib.crc32(data)) + data, True)

    def _send(self, payload: bytes, isBinary: bool) -> None:
        if self._talker.gone.called:
            raise Unanswered("the connection is lost")
        self._talker.sendMessage(payload, isBinary)

    def close(self) -> None:
        """Begin the closing handshake."""
        if not self._talker.gone.called:
            self._talker.sendClose(1000)


async def openBlob(reactor: Any, arguments: Namespace) -> tuple[BlobClient, Any]:
    """Connect. Returns the connection, and the limits of the server."""
    talker = await connect(reactor, arguments, [SUBPROTOCOL], _Quiet)
    await soon(talker.opened, reactor, OPENING, "the server did not answer the handshake within {:g} seconds")
    if talker.websocket_protocol_in_use != SUBPROTOCOL:
        raise Unanswered(f"does not speak {SUBPROTOCOL}; is it a route of blobs?")
    line = BlobClient(talker, reactor)
    return line, (await line.next("hello"))["hello"]
