"""A file on its way to a client of blob.wsd.v1: as fast as its credit and its connection take it."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from wsd.protocols.blob.crc import crc32
from wsd.protocols.blob.errors import BlobError, blobErrorOf
from wsd.protocols.blob.file import Reader
from wsd.protocols.blob.iopool import IoPool

if TYPE_CHECKING:
    from wsd.protocols.blob.protocol import BlobConnection

_HEAD = Struct(">QI")
_PIECE = 1 << 18


class Sending:
    """
    From `offset` to `end`, in chunks with an offset and a CRC-32. `done` fires with None, or with what went wrong.

    After `stop` it fires too; `offset` says how far it came.
    """

    def __init__(
        self, connection: BlobConnection, disk: IoPool, reader: Reader, offset: int, end: int, credit: int
    ) -> None:
        self._connection = connection
        self._disk = disk
        self._reader = reader
        self.offset = offset
        self._end = end
        self._credit = credit
        self._granted: Deferred[None] | None = None
        self._stopped = False
        self.done: Deferred[BlobError | None] = Deferred()
        Deferred.fromCoroutine(self._send()).addBoth(self._over)

    def grant(self, bytes: int) -> None:
        """The client takes so many bytes more."""
        self._credit += bytes
        self._wake()

    def stop(self) -> None:
        """Send no more."""
        self._stopped = True
        self._wake()

    def _wake(self) -> None:
        granted, self._granted = self._granted, None
        if granted is not None:
            granted.callback(None)

    async def _send(self) -> None:
        while self.offset < self._end and not self._stopped:
            if not self._credit:
                self._granted = Deferred()
                await self._granted
                continue
            await self._connection.room()
            size = min(_PIECE, self._credit, self._end - self.offset)
            chunk = await self._disk.run(self._chunk, self.offset, size)
            if not self._stopped:
                self._connection.send(chunk)
                self.offset += size
                self._credit -= size

    def _chunk(self, offset: int, size: int) -> bytes:
        """On a thread of the pool."""
        data = self._reader.read(offset, size)
        if len(data) != size:
            raise BlobError("unavailable", "the file is shorter than it was; run wsd blob verify there")
        return _HEAD.pack(offset, crc32(data)) + data

    def _over(self, result: Failure | None) -> None:
        self._reader.close()
        self.done.callback(blobErrorOf(result) if isinstance(result, Failure) else None)
