"""The client's side of the subprotocol blob.wsd.v1: messages and chunks (docs/blob-protocol.md)."""

from __future__ import annotations

import json
import zlib
from argparse import Namespace
from struct import Struct
from typing import Any

from wsd.client.connection import OPENING, ClientConnection, connect
from wsd.client.failures import NO_ANSWER, NO_HANDSHAKE, Unanswered, withTimeout
from wsd.client.target import Target
from wsd.client.trust import trustOf
from wsd.config.values import printable

SUBPROTOCOL = "blob.wsd.v1"

_HEAD = Struct(">QI")
"""The offset and the CRC-32 before the bytes of a chunk."""

_ANSWER = 60.0
"""Seconds to wait for an answer."""


class Refusal(Exception):
    """The server sent an error: a code of docs/blob-protocol.md, and a sentence."""

    def __init__(self, error: Any) -> None:
        super().__init__(error["code"], error["message"])
        self.code = str(error["code"])
        self.sentence = printable(str(error["message"]))


class _BlobConnection(ClientConnection):
    """A connection that offers no compression, since most files are compressed already."""

    deflates = False


class BlobClient:
    """One connection that speaks blob.wsd.v1. Raises `Unanswered` and `Refusal`."""

    def __init__(self, connection: ClientConnection, reactor: Any) -> None:
        self._connection = connection
        self._reactor = reactor

    async def receive(self, *names: str) -> Any:
        """Receive the next message. It must have one of these names."""
        payload, isBinary = await self._receive()
        message = None if isBinary else _jsonIn(payload)
        if not isinstance(message, dict):
            raise Unanswered(f"sent a chunk where {' or '.join(names)} was expected")
        if "error" in message:
            raise Refusal(message["error"])
        if not set(names) & set(message):
            raise Unanswered(f"sent {printable(str(message)[:80])} where {' or '.join(names)} was expected")
        return message

    async def receiveChunk(self, due: int) -> bytes:
        """Receive the next chunk. It must begin at byte `due`."""
        payload, isBinary = await self._receive()
        if not isBinary:
            message = _jsonIn(payload)
            isError = isinstance(message, dict) and "error" in message
            raise Refusal(message["error"]) if isError else Unanswered("ended the download early")
        offset, crc = _HEAD.unpack_from(payload) if len(payload) >= _HEAD.size else (None, None)
        if offset != due or zlib.crc32(payload[_HEAD.size :]) != crc:
            raise Unanswered("sent a damaged chunk")
        return payload[_HEAD.size :]

    async def _receive(self) -> tuple[bytes, bool]:
        payload, isBinary, _ = await withTimeout(self._connection.receive(), self._reactor, _ANSWER, NO_ANSWER)
        return payload, isBinary

    def send(self, message: str, /, **fields: object) -> None:
        """Send a message. Fields that are None are left out."""
        given = {name: value for name, value in fields.items() if value is not None}
        self._send(json.dumps({message: given}).encode(), False)

    def sendChunk(self, offset: int, data: bytes) -> None:
        """Send a chunk."""
        self._send(_HEAD.pack(offset, zlib.crc32(data)) + data, True)

    def _send(self, payload: bytes, isBinary: bool) -> None:
        if self._connection.closed.called:
            raise Unanswered("the connection was lost")
        self._connection.sendMessage(payload, isBinary)

    def close(self) -> None:
        """Begin the closing handshake."""
        self._connection.close()


def _jsonIn(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        raise Unanswered("sent text that is not JSON; is this a blob route?") from None


async def openBlob(reactor: Any, arguments: Namespace) -> tuple[BlobClient, Any]:
    """Connect. Returns the connection, and the limits that the server has announced."""
    target = Target(arguments.url, (SUBPROTOCOL,), trust=trustOf(arguments))
    connection = await connect(reactor, target, _BlobConnection)
    await withTimeout(connection.opened, reactor, OPENING, NO_HANDSHAKE)
    if connection.websocket_protocol_in_use != SUBPROTOCOL:
        raise Unanswered(f"does not support {SUBPROTOCOL}; is this a blob route?")
    client = BlobClient(connection, reactor)
    return client, (await client.receive("hello"))["hello"]
