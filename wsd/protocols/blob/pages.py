"""Answers HTTP at a route of blobs: files, their list, their removal, the page, tus and slots."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from twisted.web.error import UnsupportedMethod
from twisted.web.resource import Resource
from zope.interface import implementer

from wsd.connection import Refused
from wsd.policies.origin import checkOrigin
from wsd.protocols.blob.answers import answer, say
from wsd.protocols.blob.download import sendFile
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.service import BlobService, requestUser
from wsd.protocols.blob.slots import BlobSlots
from wsd.protocols.blob.tus import Tus
from wsd.resources import IBody, IStreamed, PageFiles, contentCoding, finish, prefersHtml, setFields

_ALLOWED = "DELETE, GET, HEAD, OPTIONS"
_ALLOWED_FIELDS = (
    "Content-Type, Range, If-Range, If-None-Match, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, "
    "Upload-Checksum, X-HTTP-Method-Override, X-Requested-With, X-Request-ID"
)
_EXPOSED_FIELDS = (
    "Location, Content-Location, Content-Range, Content-Disposition, ETag, Tus-Resumable, Tus-Version, Tus-Extension, "
    "Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires"
)


@implementer(IStreamed)
class BlobResource(Resource):
    """Answers at `/blob`, `/blob/ID`, `/blob/tus` and `/blob/slot`."""

    isLeaf = True

    def __init__(self, service: BlobService, origins: tuple[str, ...]) -> None:
        """Pages of these `origins` may send requests."""
        super().__init__()
        self._service = service
        self._origins = origins
        self._tus = Tus(service)
        self._slots = BlobSlots(service)
        folder = files("wsd.protocols.blob").joinpath("page")
        texts = {
            "route": escape(service.path),
            "list": json.dumps(service.options.list),
            "delete": json.dumps(service.options.delete),
            "most": str(service.options.max_file),
        }
        self._page = PageFiles(folder, texts)

    def bodyOf(self, request: Any) -> IBody | None:
        """Returns what receives the body, for tus and slots; None if the request is refused or needs no body."""
        try:
            self._checkOrigin(request)
            _checkCoding(request)
        except BlobError:
            return None
        if _isAt(request, b"slot"):
            return self._slots.bodyOf(request)
        return self._tus.bodyOf(request) if _isAt(request, b"tus") else None

    def render(self, request: Any) -> Any:
        """Answer a request. A page of another site must have an allowed origin (Fetch standard, CORS)."""
        try:
            self._checkOrigin(request)
            _checkCoding(request)
            if _isAt(request, b"slot"):
                return self._slots.render(request)
            return self._tus.render(request) if _isAt(request, b"tus") else super().render(request)
        except BlobError as error:
            return answer(request, _refuse(error))
        except UnsupportedMethod:
            request.setHeader(b"Allow", _ALLOWED.encode())
            return answer(request, _refuse(BlobError("bad_method", f"this path supports only {_ALLOWED}")))

    def _checkOrigin(self, request: Any) -> None:
        """Set the header fields of CORS. Raises BlobError if the origin is not allowed."""
        origin = request.head.headers.get("Origin")
        if origin is None:
            return
        try:
            checkOrigin(origin, self._origins, request.head.host, request.site.hosts)
        except Refused as refused:
            raise BlobError("forbidden", refused.sentence) from None
        fields = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _EXPOSED_FIELDS,
            "Vary": "Origin",
        }
        if "Access-Control-Request-Method" in request.head.headers:
            fields["Access-Control-Allow-Methods"] = "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE"
            fields["Access-Control-Allow-Headers"] = _ALLOWED_FIELDS
            fields["Access-Control-Max-Age"] = "86400"
        setFields(request, fields)

    def render_OPTIONS(self, request: Any) -> int:
        """Answer a preflight request of a browser (Fetch standard, CORS)."""
        request.setHeader(b"Allow", _ALLOWED.encode())
        return answer(request, _nothing(request))

    def render_GET(self, request: Any) -> int | bytes:
        """Answer with a file. Without an id, answer with the page to a browser, else with the list of files."""
        name = request.postpath[0].decode("latin-1") if len(request.postpath) == 1 else ""
        if request.postpath in ([], [b""]) and prefersHtml(request.head):
            name = "index.html"
        if name in self._page:
            request.setHeader(b"Vary", b"Accept")
            return self._page.render(request, name)
        blobId = _idOf(request)
        if not blobId:
            return answer(request, self._list(request))
        return answer(request, sendFile(request, self._service.transfers, blobId))

    async def _list(self, request: Any) -> None:
        theirs = await self._service.receiptsOf(requestUser(request))
        say(request, 200, json.dumps({"files": theirs}, ensure_ascii=False))

    def render_DELETE(self, request: Any) -> int:
        """Remove a file."""
        blobId = _idOf(request)
        if not blobId:
            request.setHeader(b"Allow", b"GET, HEAD, OPTIONS")
            raise BlobError("bad_method", "delete a file by its id: DELETE /blob/ID")
        return answer(request, self._delete(request, blobId))

    async def _delete(self, request: Any, blobId: str) -> None:
        await self._service.remove(blobId, requestUser(request))
        await _nothing(request)


def _checkCoding(request: Any) -> None:
    """Raises BlobError for a body with a Content-Encoding: sizes, offsets and hashes are those of the bytes as sent."""
    coding = contentCoding(request.head)
    if coding and request.head.hasBody:
        request.setHeader(b"Accept-Encoding", b"identity")
        raise BlobError(
            "content_type", f"the Content-Encoding {coding[:40]!r} is not supported here; send the bytes of the file"
        )


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
        raise BlobError("unknown", f"there is nothing at {request.head.path[:80]}; request a file by its id")
    return parts[0]
