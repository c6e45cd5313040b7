"""
blob.wsd.v1, the reliable way: docs/blob.md specifies it.

Up: begin -> ready, then chunks -> acks, then end -> done. Down: get -> file, then chunks under the client's credit,
then sent. What has been acknowledged is on disk for good, and a transfer goes on from there on any connection.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from struct import Struct
from typing import TYPE_CHECKING, Any

from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.messages import parse
from wsd.protocols.blob.part import Part, Wanted
from wsd.protocols.blob.pipe import Pipe
from wsd.protocols.blob.sending import Sending
from wsd.protocols.blob.store import Store

if TYPE_CHECKING:
    from wsd.protocols.blob.protocol import BlobConnection

HEAD = Struct(">QI")
"""What a chunk begins with: its offset in the file, and the CRC-32 (zlib's) of what follows."""


class Reliable:
    """One upload and one download at a time; an error ends that one, and the connection goes on."""

    def __init__(self, connection: BlobConnection) -> None:
        self._connection = connection
        self._transfers = connection.factory.transfers
        self._options = connection.options
        self._pipe: Pipe | None = None
        self._deaf = False
        """After an error: what is still on its way belongs to a transfer that is over."""
        self._most = self._next = self._granted = self._told = 0
        self._head = b""
        self._length = 0
        self._sending: Sending | None = None
        connection.tell(
            "hello",
            {
                "max_file": self._options.max_file,
                "max_chunk": self._options.max_chunk,
                "sync": self._options.sync,
                "expire": self._options.expire,
            },
        )

    # -- text -----------------------------------------------------------------------------------------------------

    @property
    def isBusy(self) -> bool:
        """Never: an upload can be resumed, even with the next daemon."""
        return False

    async def text(self, message: str) -> None:
        """A message; nothing more is read before it is answered."""
        try:
            name, fields = parse(message)
            await getattr(self, f"_{name}")(**fields)
        except BlobError as error:
            self._connection.send(error.text)

    async def _begin(
        self,
        name: str,
        size: int,
        token: str | None = None,
        type: str | None = None,
        sha256: str | None = None,
        chunk: int | None = None,
    ) -> None:
        await self._setDown()
        token = token or secrets.token_urlsafe(24)
        wanted = Wanted(self._connection.owner, name, type, size, sha256, self._connection.source)
        begun = await self._transfers.begin(wanted, token, self)
        self._deaf = False
        if isinstance(begun, Blob):
            self._connection.tell("have", self._connection.factory.receipt(begun))
            return
        if not self._connection.isOpen:
            begun.letGo()
            return
        self._pipe = begun
        self._most = min(chunk or self._options.max_chunk, self._options.max_chunk)
        self._next = self._told = begun.durable
        self._granted = self._next + self._options.credit
        answer = {"token": token, "offset": self._next, "credit": self._options.credit, "chunk": self._most}
        self._connection.tell("ready", answer)

    async def _end(self, sha256: str | None = None) -> None:
        if self._deaf:
            return  # It was sent before the error came.
        pipe, self._pipe = self._current(), None
        blob = await pipe.finish(sha256)
        self._connection.tell("done", self._connection.factory.receipt(blob))

    async def _abort(self, token: str | None = None) -> None:
        if token is not None:
            await self._transfers.abort(token)
        else:
            pipe, self._pipe = self._current(), None
            await pipe.abort()
        self._connection.tell("aborted", {})

    def _current(self) -> Pipe:
        if self._pipe is None:
            raise BlobError("no_transfer", "nothing has been begun here, or it is over; begin first")
        return self._pipe

    async def _setDown(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.letGo()
            await pipe.gone

    async def _list(self) -> None:
        self._connection.tell("files", await self._connection.factory.listOf(self._connection.owner))

    async def _delete(self, id: str) -> None:
        await self._connection.factory.remove(id, self._connection.owner)
        self._connection.tell("deleted", {"id": id})

    # -- chunks come ----------------------------------------------------------------------------------------------

    def began(self) -> Awaitable[None] | None:
        """A chunk begins."""
        self._head = b""
        self._length = 0
        if self._pipe is None and not self._deaf:
            self._deaf = True
            self._connection.send(BlobError("no_transfer", "a chunk came before anything was begun; begin first").text)
        return None

    def arrived(self, data: bytes) -> None:
        """Some of it."""
        if self._pipe is None:
            return
        lacking = HEAD.size - len(self._head)
        if lacking:
            self._head += data[:lacking]
            if len(self._head) == HEAD.size:
                self._headed()
            data = data[lacking:]
        if data and self._pipe is not None:
            self._length += len(data)
            end = self._next + self._length
            if self._length > self._most:
                self._fail(BlobError("too_large", f"a chunk has {self._most} bytes at the most here; cut it"))
            elif end > self._granted:
                self._fail(BlobError("credit", f"there is credit up to byte {self._granted}; wait for an ack"))
            else:
                self._pipe.write(data)

    def _headed(self) -> None:
        assert self._pipe is not None
        offset, _ = HEAD.unpack(self._head)
        if offset != self._next:
            self._fail(
                BlobError("offset", f"a chunk for byte {offset} came, and byte {self._next} is due; begin again")
            )
        else:
            self._pipe.do(Part.mark)

    def ended(self) -> Awaitable[None] | None:
        """It is whole: check it."""
        if self._pipe is None:
            return None
        if len(self._head) < HEAD.size:
            self._fail(BlobError("bad_message", "a chunk begins with its offset (8 bytes) and its CRC-32 (4 bytes)"))
            return None
        _, crc = HEAD.unpack(self._head)
        self._pipe.do(lambda part: part.check(crc))
        self._next += self._length
        return None

    def _fail(self, error: BlobError) -> None:
        """The transfer is set down; the client may begin it again with its token."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.letGo()
        self._deaf = True
        self._connection.send(error.text)

    def gone(self) -> None:
        """The connection is lost: what has come is kept for the next one."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.letGo()
        if self._sending is not None:
            self._sending.stop()

    # -- the pipe tells -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The disk is slower than the network."""
        self._connection.hold()

    def resume(self) -> None:
        """It has caught up."""
        self._connection.release()

    def progressed(self) -> None:
        """Acknowledge what is on disk for good, and give new credit for what is written."""
        pipe = self._pipe
        if pipe is None:
            return
        granted = pipe.written + self._options.credit
        if pipe.durable != self._told or granted - self._granted >= self._options.credit // 2:
            self._told, self._granted = pipe.durable, max(granted, self._granted)
            self._connection.tell("ack", {"offset": self._told, "credit": self._granted - self._told})

    def failed(self, error: BlobError) -> None:
        """The transfer is set down already."""
        self._pipe = None
        self._deaf = True
        self._connection.send(error.text)

    # -- downloads ------------------------------------------------------------------------------------------------

    async def _get(self, id: str, credit: int, offset: int = 0, length: int | None = None) -> None:
        if self._sending is not None:
            raise BlobError("busy", "one file after the other: this connection is being sent one; stop it first")
        blob, reader = await self._transfers.run(Store.reader, id)
        end = blob.size if length is None else offset + length
        if end > blob.size or offset > blob.size:
            await self._transfers.disk.run(reader.close)
            raise BlobError("range", f"the file has {blob.size} bytes; ask for a part of those")
        told: dict[str, Any] = {**self._connection.factory.receipt(blob), "offset": offset, "length": end - offset}
        self._connection.tell("file", told)
        self._sending = Sending(self._connection, self._transfers.disk, reader, offset, end, credit)
        self._sending.done.addCallback(self._sent)

    def _sent(self, error: BlobError | None) -> None:
        sending, self._sending = self._sending, None
        assert sending is not None
        if error is not None:
            self._connection.send(error.text)
        else:
            self._connection.tell("sent", {"offset": sending.offset})

    async def _credit(self, bytes: int) -> None:
        if self._sending is not None:
            self._sending.grant(bytes)

    async def _stop(self) -> None:
        if self._sending is not None:
            self._sending.stop()
