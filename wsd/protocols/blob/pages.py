"""What answers HTTP at a route of blobs: files by their ids, their list, their removal, and tus."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from zope.interface import implementer

from wsd.connection import Refused
from wsd.policies.origin import checkOrigin
from wsd.protocols.blob.answers import answer, say
from wsd.protocols.blob.download import Download
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.slots import BlobSlots
from wsd.protocols.blob.store import Store
from wsd.protocols.blob.tus import Tus
from wsd.resources import IBody, IStreamed, PageFiles, finish, setFields

if TYPE_CHECKING:
    from wsd.protocols.blob.protocol import BlobFactory

_ALLOWED = "DELETE, GET, HEAD, OPTIONS"
_ASK = (
    "Content-Type, Range, If-Range, If-None-Match, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, "
    "Upload-Checksum, X-HTTP-Method-Override, X-Requested-With, X-Request-ID"
)
_TELL = (
    "Location, Content-Location, Content-Range, Content-Disposition, ETag, Tus-Resumable, Tus-Version, Tus-Extension, "
    "Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires"
)


@implementer(IStreamed)
class Files(Resource):
    """`/blob`, `/blob/ID` and `/blob/tus`."""

    isLeaf = True

    def __init__(self, factory: BlobFactory) -> None:
        super().__init__()
        self._factory = factory
        self._tus = Tus(factory)
        self._slots = BlobSlots(factory)
        folder = files("wsd.protocols.blob").joinpath("page")
        self._page = PageFiles(folder, {"route": escape(factory.route.path.rstrip("/"))})

    def bodyOf(self, request: Any) -> IBody | None:
        """Only tus has bodies; one that is refused is not read."""
        try:
            self._letIn(request)
        except BlobError:
            return None
        if _isAt(request, b"slot"):
            return self._slots.bodyOf(request)
        return self._tus.bodyOf(request) if _isAt(request, b"tus") else None

    def render(self, request: Any) -> Any:
        """Answer; other sites' pages only where the route lets them (CORS, as the Fetch standard has it)."""
        try:
            self._letIn(request)
            if _isAt(request, b"slot"):
                return self._slots.render(request)
            return self._tus.render(request) if _isAt(request, b"tus") else super().render(request)
        except BlobError as error:
            return answer(request, _refuse(error))
        except UnsupportedMethod:
            request.setHeader(b"Allow", _ALLOWED.encode())
            return answer(request, _refuse(BlobError("bad_method", f"a file is asked for with one of {_ALLOWED}")))

    def _letIn(self, request: Any) -> None:
        origin = request.head.headers.get("Origin")
        if origin is None:
            return
        try:
            checkOrigin(origin, self._factory.route.origins, request.head.host, request.site.hosts)
        except Refused as refused:
            raise BlobError("forbidden", refused.sentence) from None
        fields = {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _TELL, "Vary": "Origin"}
        if "Access-Control-Request-Method" in request.head.headers:
            fields["Access-Control-Allow-Methods"] = "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE"
            fields["Access-Control-Allow-Headers"] = _ASK
            fields["Access-Control-Max-Age"] = "86400"
        setFields(request, fields)

    def render_OPTIONS(self, request: Any) -> int:
        """What a browser asks before a page of another site may ask."""
        request.setHeader(b"Allow", _ALLOWED.encode())
        return answer(request, _nothing(request))

    def render_GET(self, request: Any) -> int | bytes:
        """One file, or a part of it; without an id a browser gets a page, others the list of their files."""
        name = request.postpath[0].decode("latin-1") if len(request.postpath) == 1 else ""
        if not name and "text/html" in (request.head.headers.get("Accept") or ""):
            name = "index.html"
        if name in self._page:
            request.setHeader(b"Vary", b"Accept")
            return self._page.render(request, name)
        id = _idOf(request)
        return answer(request, self._get(request, id) if id else self._list(request))

    async def _get(self, request: Any, id: str) -> None:
        blob, reader = await self._factory.transfers.run(Store.reader, id)
        try:
            await Download(request, blob, reader, self._factory.disk.run).send()
        finally:
            reader.close()

    async def _list(self, request: Any) -> None:
        theirs = await self._factory.listOf(self._factory.ownerOf(request))
        say(request, 200, json.dumps({"files": theirs}, ensure_ascii=False))

    def render_DELETE(self, request: Any) -> int:
        """Remove one."""
        id = _idOf(request)
        if not id:
            request.setHeader(b"Allow", b"GET, HEAD, OPTIONS")
            raise BlobError("bad_method", "a file is removed by its id: DELETE /blob/ID")
        return answer(request, self._delete(request, id))

    async def _delete(self, request: Any, id: str) -> None:
        await self._factory.remove(id, self._factory.ownerOf(request))
        await _nothing(request)


async def _refuse(error: BlobError) -> None:
    raise error


async def _nothing(request: Any) -> None:
    finish(request, 204, {})


def _isAt(request: Any, name: bytes) -> bool:
    return bool(request.postpath[:1] == [name])


def _idOf(request: Any) -> str:
    parts: list[str] = [part.decode("latin-1") for part in request.postpath]
    if parts in ([], [""]):
        return ""
    if len(parts) != 1 or not parts[0].isalnum():
        raise BlobError("unknown", f"nothing is at {request.head.path[:80]}; a file is asked for by its id")
    return parts[0]
