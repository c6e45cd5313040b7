"""The body of an HTTP request that is an upload: of a PATCH of tus, or a PUT at a slot."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.protocols.blob.errors import BlobError, blobErrorOf
from wsd.protocols.blob.pipe import Pipe
from wsd.protocols.blob.transfers import Transfers
from wsd.protocols.blob.upload import BlobUpload
from wsd.resources import IBody


class _Arrival(Enum):
    """How much of the body has arrived."""

    PARTIAL = auto()
    COMPLETE = auto()
    CUT = auto()
    """The connection ended before the body was complete."""


@implementer(IBody)
class UploadBody:
    """Receives a body and writes it to an upload, from `offset` on."""

    def __init__(
        self,
        request: Any,
        transfers: Transfers,
        token: str,
        offset: int,
        checksum: tuple[Any, bytes | None] = (None, None),
    ) -> None:
        """`token` is the upload's. `checksum` is an empty hash of hashlib, and the digest that the body must have."""
        self._request = request
        self._offset = offset
        self._hash, self._digest = checksum
        self._arrival = _Arrival.PARTIAL
        self._early: list[bytes] = []
        """Bytes that arrived before the upload was open."""
        self._pipe: Pipe | None = None
        self._error: BlobError | None = None
        request.hold()
        self._begun: Deferred[None] = Deferred()
        Deferred.fromCoroutine(self._begin(transfers, token)).addErrback(self._notBegun)

    async def _begin(self, transfers: Transfers, token: str) -> None:
        pipe = await transfers.resume(token, self)
        if pipe.written != self._offset:
            written = pipe.written
            await pipe.detach()
            raise BlobError(
                "offset",
                f"Upload-Offset is {self._offset}, but the next byte is {written}; send HEAD to get the offset",
            )
        if self._arrival is _Arrival.CUT:
            await pipe.detach()
        else:
            self._pipe = pipe
            if self._hash is not None:
                made = self._hash
                pipe.do(lambda upload: upload.beginPiece(made))
            early, self._early = self._early, []
            for data in early:
                pipe.write(data)
        self._begun.callback(None)
        self._request.release()

    def _notBegun(self, failure: Failure) -> None:
        self._request.release()
        self.failed(blobErrorOf(failure))
        self._begun.callback(None)

    async def finish(self) -> None:
        """Write the complete body to the disk. If it ends the file, the file is finished. Raises BlobError."""
        await self._begun
        pipe, self._pipe = self._pipe, None
        if self._error is not None:
            raise self._error
        assert pipe is not None
        await pipe.last(self._conclude)

    def _conclude(self, upload: BlobUpload) -> None:
        """Check the body, and finish or close the upload, on a thread of the pool."""
        if self._hash is not None:
            upload.checkPiece(digest=self._digest)
        if upload.written == upload.size:
            upload.finish()
        else:
            upload.close()

    # -- called by the request ------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Called with the next bytes of the body."""
        if self._pipe is not None:
            self._pipe.write(data)
        elif self._error is None:
            self._early.append(data)
        else:
            self._answerNow()

    def ended(self) -> None:
        """Called when the body is complete."""
        self._arrival = _Arrival.COMPLETE

    def lost(self) -> None:
        """Called when the connection is cut. Keep what has arrived, unless a checksum is still to be checked."""
        self._arrival = _Arrival.CUT
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.letGo()

    # -- called by the pipe ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Called when the disk is slower than the network."""
        self._request.hold()

    def resume(self) -> None:
        """Called when the disk has caught up."""
        self._request.release()

    def progressed(self) -> None:
        """Called when more is written. The client is not told; it asks with HEAD."""

    def failed(self, error: BlobError) -> None:
        """Called when the upload has failed. Answer at once; the rest of the body is not read."""
        self._error = error
        self._pipe = None
        if self._request.body is self and self._arrival is _Arrival.PARTIAL:
            self._answerNow()

    def _answerNow(self) -> None:
        self._request.channel.answerEarly(self._request)
