"""
tus 1.0 (https://tus.io/protocols/resumable-upload), with the extensions creation, checksum, expiration, termination.

`POST /blob/tus` creates an upload at `/blob/tus/TOKEN`. A body is written to the store as it arrives, and what is
written when the connection is cut is kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from typing import Any

from twisted.web import http

from wsd.policies.admission import accountOf
from wsd.protocols.blob.answers import answer
from wsd.protocols.blob.body import UploadBody
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import UploadRow, UploadState
from wsd.protocols.blob.messages import checkToken
from wsd.protocols.blob.names import checkName, checkType
from wsd.protocols.blob.service import BlobService, requestUser
from wsd.protocols.blob.store import BlobStore
from wsd.protocols.blob.upload import NewUpload
from wsd.resources import finish

VERSION = "1.0.0"
EXTENSIONS = "creation,checksum,expiration,termination"
ALGORITHMS = ("sha1", "sha256", "sha512", "md5")
_PATCH_TYPE = "application/offset+octet-stream"


class Tus:
    """Answers at and below `/blob/tus`."""

    def __init__(self, service: BlobService) -> None:
        self._service = service
        self._transfers = service.transfers

    def bodyOf(self, request: Any) -> UploadBody | None:
        """Returns what receives the body of a PATCH; None for other methods, and if the request is refused."""
        try:
            self._check(request)
            if methodOf(request) != "PATCH":
                return None
            request.uploadBody = self._bodyOfPatch(request)
        except BlobError:
            return None  # `render` answers with the error.
        body: UploadBody = request.uploadBody
        return body

    def render(self, request: Any) -> int:
        """Answer a request."""
        request.setHeader(b"Tus-Resumable", VERSION.encode())
        return answer(request, self._answer(request))

    async def _answer(self, request: Any) -> None:
        method = methodOf(request)
        if method == "OPTIONS":
            self._describe(request)
            return
        self._check(request)
        if request.postpath in ([b"tus"], [b"tus", b""]) and method == "POST":
            await self._create(request)
        elif len(request.postpath) == 2 and method in ("HEAD", "PATCH", "DELETE"):
            await getattr(self, f"_{method.lower()}")(request, _tokenOf(request))
        else:
            raise BlobError(
                "bad_method",
                f"{method[:20]} is not supported here; create an upload with POST, then use HEAD, PATCH and DELETE",
            )

    def _check(self, request: Any) -> None:
        """Raises BlobError for another version of tus. The answer then has Tus-Version (tus 1.0.0, Tus-Resumable)."""
        version = request.head.headers.get("Tus-Resumable")
        if version != VERSION:
            request.setHeader(b"Tus-Version", VERSION.encode())
            found = "there is no Tus-Resumable" if version is None else f"Tus-Resumable is {version!r}"
            raise BlobError("tus_version", f"{found}; this is version {VERSION} of tus")

    def _describe(self, request: Any) -> None:
        fields = {
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(self._service.options.max_file),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        }
        finish(request, 204, fields)

    # -- methods --------------------------------------------------------------------------------------------------

    async def _create(self, request: Any) -> None:
        headers = request.head.headers
        size = _numberIn(request, "Upload-Length")
        field = headers.get("Upload-Metadata")
        metadata = _metadata(field or "")
        name = metadata.get("filename") or metadata.get("name")
        mediaType = metadata.get("filetype") or metadata.get("type")
        new = NewUpload(
            requestUser(request),
            _nameOf(name) if name else "blob",
            checkType(mediaType.decode("utf-8", "replace")) if mediaType else None,
            size,
            source=accountOf(request.peer.address),
            metadata=field,
        )
        token = secrets.token_urlsafe(24)
        await self._transfers.run(BlobStore.create, new, token)
        row = await self._transfers.row(token)
        finish(request, 201, {"Location": f"{self._service.path}/tus/{token}", **self._progress(row)})

    async def _head(self, request: Any, token: str) -> None:
        row = await self._transfers.row(token)
        length = str(row.durable if row.size is None else row.size)
        fields = {"Upload-Length": length, "Cache-Control": "no-store"}
        if row.metadata is not None:
            fields["Upload-Metadata"] = row.metadata
        finish(request, 200, {**self._progress(row), **fields})

    async def _patch(self, request: Any, token: str) -> None:
        body = getattr(request, "uploadBody", None) or self._bodyOfPatch(request)
        await body.finish()
        finish(request, 204, self._progress(await self._transfers.row(token)))

    def _bodyOfPatch(self, request: Any) -> UploadBody:
        headers = request.head.headers
        if headers.get("Content-Type") != _PATCH_TYPE:
            raise BlobError("content_type", f"a PATCH must have Content-Type: {_PATCH_TYPE}")
        offset, checksum = _numberIn(request, "Upload-Offset"), _checksum(headers.get("Upload-Checksum"))
        return UploadBody(request, self._transfers, _tokenOf(request), offset, checksum)

    async def _delete(self, request: Any, token: str) -> None:
        row = await self._transfers.row(token)
        if row.state is UploadState.FINISHED and row.id is not None:
            await self._service.remove(row.id, requestUser(request))
        else:
            await self._transfers.abort(token)
        finish(request, 204, {})

    def _progress(self, row: UploadRow) -> dict[str, str]:
        """Returns the header fields for the offset of an upload, and for the file's path or the time of expiry."""
        fields = {"Upload-Offset": str(row.durable)}
        if row.state is UploadState.FINISHED and row.id is not None:
            fields["Content-Location"] = self._service.urlOf(row.id)
        else:
            until = int(row.at + self._service.options.expire)
            fields["Upload-Expires"] = http.datetimeToString(until).decode()
        return fields


# -- fields -----------------------------------------------------------------------------------------------------------


def methodOf(request: Any) -> str:
    """Returns the method, or the one in X-HTTP-Method-Override (tus 1.0.0)."""
    return str(request.head.headers.get("X-HTTP-Method-Override") or request.head.method)


def _tokenOf(request: Any) -> str:
    try:
        return checkToken(request.postpath[1].decode("latin-1"))
    except (BlobError, IndexError):
        raise BlobError("unknown", "there is no such upload; create a new one") from None


def _numberIn(request: Any, name: str) -> int:
    text = request.head.headers.get(name) or ""
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise BlobError("bad_message", f"{name} is not a number of bytes; send for example {name}: 1000")
    return int(text)


def _metadata(field: str) -> dict[str, bytes]:
    """Returns the pairs in Upload-Metadata: ASCII keys, and values in base64 that may be missing. Raises BlobError."""
    if not field.isascii():
        raise BlobError("bad_message", "Upload-Metadata is not ASCII; encode its values in base64")
    metadata = {}
    for pair in filter(None, (pair.strip() for pair in field.split(","))):
        key, _, value = pair.partition(" ")
        try:
            metadata[key] = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise BlobError("bad_message", f"Upload-Metadata: {key[:40]} is not in base64") from None
    return metadata


def _nameOf(value: bytes) -> str:
    try:
        return checkName(value.decode())
    except UnicodeDecodeError:
        raise BlobError("bad_message", "Upload-Metadata: the file's name is not UTF-8 in base64") from None


def _checksum(field: str | None) -> tuple[Any, bytes | None]:
    """Returns an empty hash of the algorithm in Upload-Checksum, and the expected digest. Raises BlobError."""
    if field is None:
        return None, None
    name, _, value = field.partition(" ")
    if name not in ALGORITHMS:
        raise BlobError("bad_message", f"Upload-Checksum: {name[:20]!r} is not one of {', '.join(ALGORITHMS)}")
    try:
        return hashlib.new(name, usedforsecurity=False), base64.b64decode(value, validate=True)
    except ValueError:
        raise BlobError("bad_message", "Upload-Checksum is not a name and a checksum in base64") from None
