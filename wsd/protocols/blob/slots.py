"""
Slots: a file is put at a URL that was agreed on before, and fetched there by who knows it (HTTP PUT, RFC 9110 9.3.4).

`/blob/slot/TOKEN/NAME` is one. Another route asks for it, for a user of its own: chat has its pictures so. The token is
not to be guessed, and stands for the file as long as the file is kept.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wsd.connection import Refused
from wsd.protocols.blob.answers import answer
from wsd.protocols.blob.download import Download
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.messages import token as checkToken
from wsd.protocols.blob.names import checkName, checkType
from wsd.protocols.blob.part import Wanted
from wsd.protocols.blob.store import SLOT, Store
from wsd.protocols.blob.tus import Patch
from wsd.resources import finish

if TYPE_CHECKING:
    from wsd.protocols.blob.protocol import BlobFactory


class BlobSlots:
    """Makes slots, and answers at them."""

    def __init__(self, factory: BlobFactory) -> None:
        self._factory = factory

    @property
    def maxFile(self) -> int:
        """Bytes of a file."""
        return int(self._factory.options.max_file)

    async def newSlot(self, owner: str, name: str, size: int, mediaType: str | None, source: str | None = None) -> str:
        """The path at which the owner's file of this name may be put, and then be fetched. Raises Refused."""
        token = secrets.token_urlsafe(24)
        try:
            wanted = Wanted(f"{SLOT}{owner}", checkName(name), checkType(mediaType), size, source=source)
            await self._factory.transfers.run(Store.create, wanted, f"{SLOT}{token}")
        except BlobError as error:
            raise Refused(error.status, error.sentence) from None
        return f"{self._factory.route.path.rstrip('/')}/slot/{token}/{quote(name, safe='')}"

    def bodyOf(self, request: Any) -> Patch | None:
        """Where the body of a PUT goes."""
        if request.head.method != "PUT":
            return None
        try:
            request.patch = Patch(request, self._factory, _tokenOf(request), 0)
        except BlobError:
            return None
        patch: Patch = request.patch
        return patch

    def render(self, request: Any) -> int:
        """Answer."""
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
            raise BlobError("bad_method", f"{method[:20]} is not for this path; PUT the file once, then GET it")

    async def _put(self, request: Any, token: str) -> None:
        patch = getattr(request, "patch", None) or Patch(request, self._factory, token, 0)
        await patch.finish()
        row = await self._factory.transfers.row(token)
        if not row.done:
            raise BlobError("size", f"the body has {row.durable} bytes, and {row.size} were announced; take a new slot")
        finish(request, 201, {})

    async def _get(self, request: Any, token: str) -> None:
        row = await self._factory.transfers.row(token)
        if not row.done or row.id is None:
            raise BlobError("unknown", "there is no such file yet, or not any more")
        blob, reader = await self._factory.transfers.run(Store.reader, row.id)
        try:
            await Download(request, blob, reader, self._factory.disk.run).send()
        finally:
            reader.close()


def _tokenOf(request: Any) -> str:
    try:
        return SLOT + checkToken(request.postpath[1].decode("latin-1"))
    except BlobError:
        raise BlobError("unknown", "there is no such slot, or not any more; ask for a new one") from None
