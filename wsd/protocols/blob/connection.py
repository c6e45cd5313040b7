"""One WebSocket of a route of blobs: passes messages to its subprotocol."""

from __future__ import annotations

import json
from collections.abc import Awaitable

from wsd.connection import Accept, Connection, Request
from wsd.policies.admission import accountOf
from wsd.protocols.blob.bare import BareUploads
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.reliable import ReliableProtocol
from wsd.protocols.blob.service import BlobService, userOf
from wsd.protocols.blob.subprotocol import Subprotocol

RELIABLE = "blob.wsd.v1"
"""The name of the reliable subprotocol. A connection without a subprotocol takes bare uploads."""

_MOST_TEXT = 16384
"""The longest text message in bytes; no valid one is longer."""


class BlobConnection(Connection):
    """Takes messages in pieces, as they arrive."""

    service: BlobService
    """Set by the factory."""
    owner: str
    """The user who owns the files of this connection."""
    source: str
    """The client's address, or its /64 for IPv6."""
    _subprotocol: Subprotocol
    _text: bytearray | None = None
    """A text message that is not complete yet."""

    async def opening(self, request: Request) -> Accept:
        """Accept every client."""
        self.owner = userOf(self.user, request.tls, request.peer)
        self.source = accountOf(request.peer.address)
        return Accept(self.factory.choose(request.subprotocols))

    def opened(self) -> None:
        """Called when the connection is open: begin to speak the subprotocol."""
        subprotocol = ReliableProtocol if self.subprotocol == RELIABLE else BareUploads
        self._subprotocol = subprotocol(self, self.service)

    def began(self, isBinary: bool) -> Awaitable[None] | None:
        """Called when a message begins."""
        self._text = None if isBinary else bytearray()
        return self._subprotocol.began() if isBinary else None

    def arrived(self, data: bytes) -> None:
        """Called with the next bytes of a message."""
        if self._text is None:
            self._subprotocol.arrived(data)
            return
        self._text += data
        if len(self._text) > _MOST_TEXT:
            self.refuse(
                BlobError(
                    "too_large", f"a text message may have at most {_MOST_TEXT} bytes; send files as binary messages"
                )
            )

    def ended(self) -> Awaitable[None] | None:
        """Called when a message is complete."""
        if self._text is None:
            return self._subprotocol.ended()
        text, self._text = self._text, None
        return self._subprotocol.text(text.decode()) if self.isOpen else None

    @property
    def isBusy(self) -> bool:
        """Whether a file is being received that cannot be resumed, or there is something to answer or to send."""
        return super().isBusy or self._subprotocol.isBusy

    def closed(self, code: int, reason: str) -> None:
        """Called when the connection is gone."""
        self._subprotocol.gone()

    def refuse(self, error: BlobError) -> None:
        """Send an error, and close the connection with its close code."""
        self.send(error.text)
        self.close(error.closeCode, error.sentence)

    def tell(self, name: str, content: object) -> None:
        """Send a text message: a JSON object with this one key."""
        self.send(json.dumps({name: content}, ensure_ascii=False, separators=(",", ":")))
