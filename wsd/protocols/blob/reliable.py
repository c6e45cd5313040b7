"""
blob.wsd.v1, the reliable subprotocol; docs/blob-protocol.md specifies it.

An upload is begin -> ready, then chunks -> acks, then end -> done. A download is get -> file, then chunks within the
client's credit, then sent. Acknowledged bytes are safely on disk, and any later connection can resume after them.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from enum import Enum, auto
from typing import Any

from wsd.protocols.blob.chunk import HEADER
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.messages import parse
from wsd.protocols.blob.pipe import Pipe
from wsd.protocols.blob.sending import ChunkSender
from wsd.protocols.blob.service import BlobService
from wsd.protocols.blob.store import BlobStore
from wsd.protocols.blob.subprotocol import BlobPeer
from wsd.protocols.blob.upload import BlobUpload, NewUpload


class _ChunkState(Enum):
    """What is done with chunks."""

    IDLE = auto()
    """No upload has begun. A chunk is an error."""
    RECEIVING = auto()
    """Chunks are written to the pipe."""
    DISCARDING = auto()
    """After an error. Chunks that the client sent before it got the error are dropped, until it begins again."""


class ReliableProtocol:
    """Handles one upload and one download at a time. An error ends one of them; the connection stays open."""

    def __init__(self, peer: BlobPeer, service: BlobService) -> None:
        self._peer = peer
        self._service = service
        self._transfers = service.transfers
        self._options = service.options
        self._state = _ChunkState.IDLE
        self._pipe: Pipe | None = None
        """The pipe of the upload, while RECEIVING."""
        self._maxChunk = 0
        self._nextOffset = 0
        """The offset of the next chunk."""
        self._granted = 0
        """The offset up to which the client has credit."""
        self._acknowledged = 0
        """The offset of the last ack."""
        self._header = b""
        """The bytes of the current chunk's header that have arrived."""
        self._length = 0
        """Bytes of the file that have arrived in the current chunk."""
        self._sender: ChunkSender | None = None
        """The download."""
        peer.tell(
            "hello",
            {
                "max_file": self._options.max_file,
                "max_chunk": self._options.max_chunk,
                "sync": self._options.sync,
                "expire": self._options.expire,
            },
        )

    @property
    def isBusy(self) -> bool:
        """Never: an upload can be resumed, even with the next daemon."""
        return False

    # -- messages -------------------------------------------------------------------------------------------------

    async def text(self, message: str) -> None:
        """Called with a text message. Nothing more is read until it is answered."""
        try:
            name, fields = parse(message)
            await getattr(self, f"_{name}")(fields)
        except BlobError as error:
            self._peer.send(error.text)

    async def _begin(self, fields: dict[str, Any]) -> None:
        await self._detach()
        token = fields.get("token") or secrets.token_urlsafe(24)
        name, mediaType, size, digest = fields["name"], fields.get("type"), fields["size"], fields.get("sha256")
        new = NewUpload(self._peer.owner, name, mediaType, size, digest, self._peer.source)
        begun = await self._transfers.begin(new, token, self)
        self._state = _ChunkState.IDLE
        if isinstance(begun, Blob):
            self._peer.tell("have", self._service.receipt(begun))
            return
        if not self._peer.isOpen:
            begun.letGo()
            return
        self._state, self._pipe = _ChunkState.RECEIVING, begun
        self._maxChunk = min(fields.get("chunk") or self._options.max_chunk, self._options.max_chunk)
        self._nextOffset = self._acknowledged = begun.durable
        self._granted = self._nextOffset + self._options.credit
        answer = {
            "token": token,
            "offset": self._nextOffset,
            "credit": self._options.credit,
            "chunk": self._maxChunk,
        }
        self._peer.tell("ready", answer)

    async def _end(self, fields: dict[str, Any]) -> None:
        if self._state is _ChunkState.DISCARDING:
            return
        blob = await self._takePipe().finish(fields.get("sha256"))
        self._peer.tell("done", self._service.receipt(blob))

    async def _abort(self, fields: dict[str, Any]) -> None:
        if "token" in fields:
            await self._transfers.abort(fields["token"])
        else:
            await self._takePipe().abort()
        self._peer.tell("aborted", {})

    def _takePipe(self) -> Pipe:
        """Returns the pipe of the upload, which is over for this connection. Raises BlobError if there is none."""
        pipe = self._pipe
        if pipe is None:
            raise BlobError("no_transfer", "there is no upload on this connection; send begin first")
        self._state, self._pipe = _ChunkState.IDLE, None
        return pipe

    async def _detach(self) -> None:
        """Close the unfinished upload, if there is one. The client can resume it with its token."""
        if self._pipe is not None:
            pipe = self._takePipe()
            pipe.letGo()
            await pipe.gone

    async def _list(self, fields: dict[str, Any]) -> None:
        self._peer.tell("files", await self._service.receiptsOf(self._peer.owner))

    async def _delete(self, fields: dict[str, Any]) -> None:
        await self._service.remove(fields["id"], self._peer.owner)
        self._peer.tell("deleted", {"id": fields["id"]})

    # -- chunks ---------------------------------------------------------------------------------------------------

    def began(self) -> Awaitable[None] | None:
        """Called when a chunk begins."""
        self._header = b""
        self._length = 0
        if self._state is _ChunkState.IDLE:
            self._state = _ChunkState.DISCARDING
            self._peer.send(BlobError("no_transfer", "received a chunk before begin; send begin first").text)
        return None

    def arrived(self, data: bytes) -> None:
        """Called with the next bytes of a chunk."""
        if self._pipe is None:
            return
        missing = HEADER.size - len(self._header)
        if missing:
            self._header += data[:missing]
            if len(self._header) == HEADER.size:
                self._beginPiece()
            data = data[missing:]
        if data and self._pipe is not None:
            self._length += len(data)
            end = self._nextOffset + self._length
            if self._length > self._maxChunk:
                self._fail(BlobError("too_large", f"a chunk may have at most {self._maxChunk} bytes"))
            elif end > self._granted:
                self._fail(BlobError("credit", f"the credit ends at byte {self._granted}; wait for an ack"))
            else:
                self._pipe.write(data)

    def _beginPiece(self) -> None:
        assert self._pipe is not None
        offset, _ = HEADER.unpack(self._header)
        if offset != self._nextOffset:
            self._fail(
                BlobError(
                    "offset", f"received a chunk for byte {offset}, but expected byte {self._nextOffset}; begin again"
                )
            )
        else:
            self._pipe.do(BlobUpload.beginPiece)

    def ended(self) -> Awaitable[None] | None:
        """Called when a chunk is complete."""
        if self._pipe is None:
            return None
        if len(self._header) < HEADER.size:
            self._fail(
                BlobError("bad_message", "a chunk must begin with its offset (8 bytes) and its CRC-32 (4 bytes)")
            )
            return None
        _, crc = HEADER.unpack(self._header)
        self._pipe.do(lambda upload: upload.checkPiece(crc))
        self._nextOffset += self._length
        return None

    def _fail(self, error: BlobError) -> None:
        """Close the upload and send the error. The client can resume with its token."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.letGo()
        self.failed(error)

    def gone(self) -> None:
        """Called when the connection is gone. Keep what has arrived of an upload."""
        if self._pipe is not None:
            self._takePipe().letGo()
        if self._sender is not None:
            self._sender.stop()

    # -- called by the pipe ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Called when the disk is slower than the network."""
        self._peer.hold()

    def resume(self) -> None:
        """Called when the disk has caught up."""
        self._peer.release()

    def progressed(self) -> None:
        """Called when more is written or durable. Acknowledge durable bytes; give credit for written ones."""
        pipe = self._pipe
        if pipe is None:
            return
        granted = pipe.written + self._options.credit
        if pipe.durable != self._acknowledged or granted - self._granted >= self._options.credit // 2:
            self._acknowledged, self._granted = pipe.durable, max(granted, self._granted)
            self._peer.tell("ack", {"offset": self._acknowledged, "credit": self._granted - self._acknowledged})

    def failed(self, error: BlobError) -> None:
        """Called when the upload has failed; it is closed already."""
        self._state, self._pipe = _ChunkState.DISCARDING, None
        self._peer.send(error.text)

    # -- downloads ------------------------------------------------------------------------------------------------

    async def _get(self, fields: dict[str, Any]) -> None:
        if self._sender is not None:
            raise BlobError("busy", "a download is already running on this connection; stop it first")
        blob, reader = await self._transfers.run(BlobStore.reader, fields["id"])
        if not self._peer.isOpen:
            reader.close()
            return
        offset = fields.get("offset", 0)
        end = offset + fields["length"] if "length" in fields else blob.size
        if end > blob.size or offset > blob.size:
            reader.close()
            raise BlobError("range", f"the range is beyond the end of the file, which has {blob.size} bytes")
        self._peer.tell("file", {**self._service.receipt(blob), "offset": offset, "length": end - offset})
        self._sender = ChunkSender(self._peer, self._transfers.disk, reader, offset, end, fields["credit"])
        self._sender.done.addCallback(self._sent)

    def _sent(self, error: BlobError | None) -> None:
        sender, self._sender = self._sender, None
        assert sender is not None
        if error is not None:
            self._peer.send(error.text)
        else:
            self._peer.tell("sent", {"offset": sender.offset})

    async def _credit(self, fields: dict[str, Any]) -> None:
        if self._sender is not None:
            self._sender.grant(fields["bytes"])

    async def _stop(self, fields: dict[str, Any]) -> None:
        if self._sender is not None:
            self._sender.stop()
