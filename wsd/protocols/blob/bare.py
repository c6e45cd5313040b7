"""Bare uploads: one binary message is one file, and is answered with a receipt."""

from __future__ import annotations

import json

from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.names import checkName, checkType
from wsd.protocols.blob.pipe import Pipe
from wsd.protocols.blob.service import BlobService
from wsd.protocols.blob.subprotocol import BlobPeer
from wsd.protocols.blob.upload import NewUpload

_NAMELESS = "blob"
"""The name of a file that was given none."""


class BareUploads:
    """
    The files of one connection, each a binary message. Receipts come in the order of the files.

    A text message names the next file: `{"name": "holiday.jpg"}`. It may have a "type" too, which counts if the
    content does not show its type.
    """

    def __init__(self, peer: BlobPeer, service: BlobService) -> None:
        self._peer = peer
        self._service = service
        self._name = _NAMELESS
        self._type: str | None = None
        self._pipe: Pipe | None = None
        self._isGone = False

    @property
    def isBusy(self) -> bool:
        """Whether a file is being received."""
        return self._pipe is not None

    def text(self, message: str) -> None:
        """Called with a text message, which names the next file."""
        try:
            self._name, self._type = _read(message)
        except BlobError as error:
            self._peer.send(error.text)

    async def began(self) -> None:
        """Called when a file begins. None of it is read until the upload has begun."""
        new = NewUpload(self._peer.owner, self._name, self._type, source=self._peer.source)
        self._name, self._type = _NAMELESS, None
        try:
            begun = await self._service.transfers.begin(new, None, self)
        except BlobError as error:
            self.failed(error)
            return
        assert isinstance(begun, Pipe)
        self._pipe = begun
        if self._isGone:
            self.gone()

    def arrived(self, data: bytes) -> None:
        """Called with the next bytes of the file."""
        if self._pipe is not None:
            self._pipe.write(data)

    async def ended(self) -> None:
        """Called when the file is complete. Send the receipt once it is on disk."""
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        try:
            blob = await pipe.finish()
        except BlobError as error:
            self.failed(error)
        else:
            self._peer.send(json.dumps(self._service.receipt(blob), ensure_ascii=False))

    def gone(self) -> None:
        """Called when the connection is gone. An incomplete file is removed."""
        self._isGone = True
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.discard()

    # -- called by the pipe ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Called when the disk is slower than the network."""
        self._peer.hold()

    def resume(self) -> None:
        """Called when the disk has caught up."""
        self._peer.release()

    def progressed(self) -> None:
        """Called when more is written. The client gets no message before the receipt."""

    def failed(self, error: BlobError) -> None:
        """Called when the upload has failed. Close the connection, since the message cannot be stopped otherwise."""
        self._pipe = None
        self._peer.refuse(error)


def _read(message: str) -> tuple[str, str | None]:
    """Returns the name and the type in a text message. Raises BlobError."""
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or "name" not in content or not set(content) <= {"name", "type"}:
        raise BlobError(
            "bad_message",
            'a text message must name the next file, such as {"name": "holiday.jpg"}; send files as binary messages',
        )
    return checkName(content["name"]), checkType(content.get("type"))
