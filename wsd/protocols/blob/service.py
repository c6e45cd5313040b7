"""What clients may do with the store of a route: who owns a file, what a receipt says, who may list and remove."""

from __future__ import annotations

from typing import Any

from wsd.policies.address import Peer, TlsInfo
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.options import BlobOptions
from wsd.protocols.blob.store import BlobStore
from wsd.protocols.blob.transfers import Transfers


def userOf(user: str | None, tls: TlsInfo | None, peer: Peer) -> str:
    """Returns the owner of a client's files: its login, else the subject of its certificate, else its address."""
    if user is not None:
        return f"user {user}"
    if tls is not None and tls.client:
        return f"certificate {tls.client}"
    return "local" if peer.direct else f"address {peer.address}"


def requestUser(request: Any) -> str:
    """Returns the owner of the files of an HTTP request."""
    return userOf(request.user, request.tls, request.peer)


class BlobService:
    """The files at a path. All coroutines raise BlobError."""

    def __init__(self, path: str, options: BlobOptions, transfers: Transfers) -> None:
        self.path = path.rstrip("/")
        self.options = options
        self.transfers = transfers

    def urlOf(self, blobId: str) -> str:
        """Returns the path of a file."""
        return f"{self.path}/{blobId}"

    def receipt(self, blob: Blob) -> dict[str, Any]:
        """Returns the receipt of a file: what clients are told of it."""
        return {
            "id": blob.id,
            "name": blob.name,
            "size": blob.size,
            "sha256": blob.sha256,
            "type": blob.type,
            "url": self.urlOf(blob.id),
        }

    async def receiptsOf(self, user: str) -> list[dict[str, Any]]:
        """Returns the receipts of a user's files, oldest first."""
        if not self.options.list:
            raise BlobError("forbidden", "this route does not list files; set its key list to allow it")
        return [self.receipt(blob) for blob in await self.transfers.run(BlobStore.list, user)]

    async def remove(self, blobId: str, user: str) -> None:
        """Remove a file of this user."""
        if not self.options.delete:
            raise BlobError("forbidden", "this route does not delete files; set its key delete to allow it")
        blob = await self.transfers.run(BlobStore.blob, blobId)
        if blob.user != user:
            raise BlobError("forbidden", "only the user who uploaded this file may delete it")
        await self.transfers.run(BlobStore.remove, blobId)
