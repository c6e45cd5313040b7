"""Sends a file to a client of blob.wsd.v1, as fast as its credit and the connection allow."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.protocols.blob.chunk import encodeChunk
from wsd.protocols.blob.errors import BlobError, blobErrorOf
from wsd.protocols.blob.file import FileReader
from wsd.protocols.blob.iopool import IoPool
from wsd.protocols.blob.subprotocol import BlobPeer

_MOST = 1 << 18
"""The most bytes of the file in one chunk."""


class ChunkSender:
    """
    Sends the bytes from `offset` to `end` in chunks.

    `done` fires with None when all is sent or after `stop`, and with the BlobError if there is one. `offset` is that of
    the next byte to send.
    """

    def __init__(self, peer: BlobPeer, disk: IoPool, reader: FileReader, offset: int, end: int, credit: int) -> None:
        self._peer = peer
        self._disk = disk
        self._reader = reader
        self.offset = offset
        self._end = end
        self._credit = credit
        self._granted: Deferred[None] | None = None
        self._isStopped = False
        self.done: Deferred[BlobError | None] = Deferred()
        Deferred.fromCoroutine(self._send()).addBoth(self._over)

    def grant(self, size: int) -> None:
        """Add this many bytes to the client's credit."""
        self._credit += size
        self._wake()

    def stop(self) -> None:
        """Send nothing more."""
        self._isStopped = True
        self._wake()

    def _wake(self) -> None:
        granted, self._granted = self._granted, None
        if granted is not None:
            granted.callback(None)

    async def _send(self) -> None:
        try:
            while self.offset < self._end and not self._isStopped:
                if not self._credit:
                    self._granted = Deferred()
                    await self._granted
                    continue
                await self._peer.room()
                size = min(_MOST, self._credit, self._end - self.offset)
                chunk = await self._disk.run(self._chunk, self.offset, size)
                if not self._isStopped:
                    self._peer.send(chunk)
                    self.offset += size
                    self._credit -= size
        finally:
            self._reader.close()

    def _chunk(self, offset: int, size: int) -> bytes:
        """Read a chunk. Called on a thread of the pool."""
        data = self._reader.read(offset, size)
        if len(data) != size:
            raise BlobError("unavailable", "the stored file is truncated; run wsd blob verify on the server")
        return encodeChunk(offset, data)

    def _over(self, result: Failure | None) -> None:
        self.done.callback(blobErrorOf(result) if isinstance(result, Failure) else None)
