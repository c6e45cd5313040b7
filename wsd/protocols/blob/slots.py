"""
Slots: URLs that are made before the file is uploaded there (PUT, RFC 9110 9.3.4), and that serve it afterwards.

A slot is at `/blob/slot/TOKEN/NAME`. Another route requests it for one of its users, as chat does for pictures
(XEP-0363). The token cannot be guessed, and names the file for as long as the file is kept.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote

from wsd.connection import Refused
from wsd.protocols.blob.answers import answer
from wsd.protocols.blob.body import UploadBody
from wsd.protocols.blob.download import sendFile
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import UploadState
from wsd.protocols.blob.messages import checkToken
from wsd.protocols.blob.names import checkName, checkType
from wsd.protocols.blob.service import BlobService
from wsd.protocols.blob.store import SLOT, BlobStore
from wsd.protocols.blob.upload import NewUpload
from wsd.resources import finish


class BlobSlots:
    """Makes slots, and answers HTTP at them."""

    def __init__(self, service: BlobService) -> None:
        self._service = service
        self._transfers = service.transfers

    @property
    def maxFile(self) -> int:
        """The largest file, in bytes."""
        return self._service.options.max_file

    async def newSlot(self, owner: str, name: str, size: int, mediaType: str | None, source: str | None = None) -> str:
        """Returns the path at which a file of the owner can be put and then fetched. Raises Refused."""
        token = secrets.token_urlsafe(24)
        try:
            new = NewUpload(f"{SLOT}{owner}", checkName(name), checkType(mediaType), size, source=source)
            await self._transfers.run(BlobStore.create, new, f"{SLOT}{token}")
        except BlobError as error:
            raise Refused(error.status, error.sentence) from None
        return f"{self._service.path}/slot/{token}/{quote(name, safe='')}"

    def bodyOf(self, request: Any) -> UploadBody | None:
        """Returns what receives the body of a PUT; None for other methods."""
        if request.head.method != "PUT":
            return None
        try:
            request.uploadBody = UploadBody(request, self._transfers, _tokenOf(request), 0)
        except BlobError:
            return None  # `render` answers with the error.
        body: UploadBody = request.uploadBody
        return body

    def render(self, request: Any) -> int:
        """Answer a request."""
        return answer(request, self._answer(request))

    async def _answer(self, request: Any) -> None:
        method, token = request.head.method, _tokenOf(request)
        if method == "OPTIONS":
            finish(request, 204, {"Allow": "GET, HEAD, OPTIONS, PUT"})
        elif method in ("GET", "HEAD"):
            await self._get(request, token)
        elif method == "PUT":
            await self._put(request, token)
        else:
            raise BlobError("bad_method", f"{method[:20]} is not supported here; PUT the file once, then GET it")

    async def _put(self, request: Any, token: str) -> None:
        body = getattr(request, "uploadBody", None) or UploadBody(request, self._transfers, token, 0)
        await body.finish()
        row = await self._transfers.row(token)
        if row.state is not UploadState.FINISHED:
            raise BlobError(
                "size", f"the body has {row.durable} bytes, but {row.size} were announced; request a new slot"
            )
        finish(request, 201, {})

    async def _get(self, request: Any, token: str) -> None:
        row = await self._transfers.row(token)
        if row.state is not UploadState.FINISHED or row.id is None:
            raise BlobError("unknown", "there is no such file")
        await sendFile(request, self._transfers, row.id)


def _tokenOf(request: Any) -> str:
    try:
        return SLOT + checkToken(request.postpath[1].decode("latin-1"))
    except (BlobError, IndexError):
        raise BlobError("unknown", "there is no such slot; request a new one") from None
