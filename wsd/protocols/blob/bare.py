"""Bare uploads: one binary message is one file, and is answered with a receipt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.names import checkName, checkType
from wsd.protocols.blob.part import Wanted
from wsd.protocols.blob.pipe import Pipe

if TYPE_CHECKING:
    from wsd.protocols.blob.protocol import BlobConnection

_NAMELESS = "blob"


class Bare:
    """
    A text message names the next file: `{"name": "holiday.jpg"}`, with a "type" if the content does not
    show it. Both ends keep the messages' order.
    """

    def __init__(self, connection: BlobConnection) -> None:
        self._connection = connection
        self._transfers = connection.factory.transfers
        self._name = _NAMELESS
        self._type: str | None = None
        self._pipe: Pipe | None = None
        self._isGone = False

    @property
    def isBusy(self) -> bool:
        """Whether a file is being received."""
        return self._pipe is not None

    def text(self, message: str) -> None:
        """The name of what comes next."""
        try:
            self._name, self._type = _read(message)
        except BlobError as error:
            self._connection.send(error.text)

    async def began(self) -> None:
        """A file comes; nothing of it is read before there is a place for it."""
        connection = self._connection
        wanted = Wanted(connection.owner, self._name, self._type, source=connection.source)
        self._name, self._type = _NAMELESS, None
        try:
            begun = await self._transfers.begin(wanted, None, self)
        except BlobError as error:
            self.failed(error)
            return
        assert isinstance(begun, Pipe)
        self._pipe = begun
        if self._isGone:
            self.gone()

    def arrived(self, data: bytes) -> None:
        """Some of it."""
        if self._pipe is not None:
            self._pipe.write(data)

    async def ended(self) -> None:
        """It is whole: the receipt goes out when it is on disk."""
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return
        try:
            blob: Blob = await pipe.finish()
        except BlobError as error:
            self.failed(error)
        else:
            self._connection.send(json.dumps(self._connection.factory.receipt(blob), ensure_ascii=False))

    def gone(self) -> None:
        """Half a file is of no use to anybody."""
        self._isGone = True
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.abort().addErrback(lambda _: None)

    # -- the pipe tells -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The disk is slower than the network."""
        self._connection.hold()

    def resume(self) -> None:
        """It has caught up."""
        self._connection.release()

    def progressed(self) -> None:
        """There is nothing to tell before the end."""

    def failed(self, error: BlobError) -> None:
        """There is no way to stop a message but to close."""
        self._pipe = None
        self._connection.refuse(error)


def _read(message: str) -> tuple[str, str | None]:
    """Name and type."""
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or "name" not in told or not set(told) <= {"name", "type"}:
        raise BlobError("bad_message", 'a text message names the next file: {"name": "holiday.jpg"}; files are binary')
    return checkName(told["name"]), checkType(told.get("type"))
