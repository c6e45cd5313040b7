"""The client of blob.wsd.v1: whatever a server sends is an answer, or one sentence."""

from __future__ import annotations

import zlib
from struct import pack
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from wsd.client.blobclient import BlobClient, Refusal
from wsd.client.failures import Unanswered

DATA = b"some bytes"
CHUNK = pack(">QI", 7, zlib.crc32(DATA)) + DATA


class Connection:
    """A connection with one message to be received."""

    def __init__(self, payload: bytes, isBinary: bool) -> None:
        self.message = payload, isBinary, 0.0

    def receive(self) -> Deferred[tuple[bytes, bool, float]]:
        return succeed(self.message)


def client(payload: bytes, isBinary: bool) -> BlobClient:
    connection: Any = Connection(payload, isBinary)
    return BlobClient(connection, Clock())


def outcome(coroutine: Any) -> Any:
    """What a coroutine that does not wait returns; its exception is raised."""
    found: list[Any] = []
    ensureDeferred(coroutine).addBoth(found.append)
    (result,) = found
    if isinstance(result, Failure):
        result.raiseException()
    return result


def test_a_chunk_is_its_data() -> None:
    assert outcome(client(CHUNK, True).receiveChunk(7)) == DATA


@pytest.mark.parametrize(
    "chunk", [b"", CHUNK[:11], CHUNK[:-1], CHUNK.replace(b"bytes", b"Bytes")], ids=["empty", "short", "cut", "changed"]
)
def test_a_damaged_one_is_not(chunk: bytes) -> None:
    with pytest.raises(Unanswered, match="sent a damaged chunk"):
        outcome(client(chunk, True).receiveChunk(7))


def test_nor_is_one_of_another_place() -> None:
    with pytest.raises(Unanswered, match="sent a damaged chunk"):
        outcome(client(CHUNK, True).receiveChunk(8))


@pytest.mark.parametrize("text", [b'{"done": 1}', b"1", b'"error"'])
def test_another_message_ends_the_download(text: bytes) -> None:
    with pytest.raises(Unanswered, match="ended the download early"):
        outcome(client(text, False).receiveChunk(7))


def test_an_error_of_the_server_is_a_refusal() -> None:
    error = b'{"error": {"code": "busy", "message": "try later"}}'
    with pytest.raises(Refusal, match="try later"):
        outcome(client(error, False).receiveChunk(7))
    with pytest.raises(Refusal, match="try later"):
        outcome(client(error, False).receive("ready"))


def test_text_that_is_not_json_is_one_sentence() -> None:
    for receiving in (client(b"hello", False).receive("ready"), client(b"hello", False).receiveChunk(7)):
        with pytest.raises(Unanswered, match="is not JSON"):
            outcome(receiving)
