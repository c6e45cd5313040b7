"""
tus 1.0 on the same store, for the clients that there are: core, creation, checksum, expiration, termination.

`/blob/tus` begins an upload, `/blob/tus/TOKEN` is one. A body goes to the store as it arrives, and what of it is on
disk counts when the connection is cut.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.web import http
from zope.interface import implementer

from wsd.policies.admission import accountOf
from wsd.protocols.blob.answers import answer
from wsd.protocols.blob.errors import BlobError, blobErrorOf
from wsd.protocols.blob.messages import token as checkToken
from wsd.protocols.blob.names import checkName, checkType
from wsd.protocols.blob.part import Part, Wanted
from wsd.protocols.blob.pipe import Pipe
from wsd.protocols.blob.store import Store
from wsd.resources import IBody, finish

if TYPE_CHECKING:
    from wsd.protocols.blob.index import PartRow
    from wsd.protocols.blob.protocol import BlobFactory

VERSION = "1.0.0"
EXTENSIONS = "creation,checksum,expiration,termination"
ALGORITHMS = ("sha1", "sha256", "sha512", "md5")
_PIECES = "application/offset+octet-stream"


class Tus:
    """Answers everything below `/blob/tus`."""

    def __init__(self, factory: BlobFactory) -> None:
        self._factory = factory
        self._transfers = factory.transfers

    def bodyOf(self, request: Any) -> Patch | None:
        """Where the body of a PATCH goes; no other is read, and none that is refused."""
        try:
            self._check(request)
            if methodOf(request) != "PATCH":
                return None
            request.patch = self._patchOf(request)
        except BlobError:
            return None
        patch: Patch = request.patch
        return patch

    def render(self, request: Any) -> int:
        """Answer."""
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
            raise BlobError("bad_method", f"{method[:20]} is not for this path; POST begins, then HEAD, PATCH, DELETE")

    def _check(self, request: Any) -> None:
        version = request.head.headers.get("Tus-Resumable")
        if version != VERSION:
            request.setHeader(b"Tus-Version", VERSION.encode())
            told = "there is no Tus-Resumable" if version is None else f"Tus-Resumable is {version!r}"
            raise BlobError("tus_version", f"{told}; this is version {VERSION} of tus")

    def _describe(self, request: Any) -> None:
        fields = {
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(self._factory.options.max_file),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        }
        finish(request, 204, fields)

    # -- methods --------------------------------------------------------------------------------------------------

    async def _create(self, request: Any) -> None:
        headers = request.head.headers
        size = _numberIn(request, "Upload-Length")
        field = headers.get("Upload-Metadata")
        known = _metadata(field or "")
        name, kind = known.get("filename") or known.get("name"), known.get("filetype") or known.get("type")
        wanted = Wanted(
            self._factory.ownerOf(request),
            _nameOf(name) if name else "blob",
            checkType(kind.decode("utf-8", "replace")) if kind else None,
            size,
            source=accountOf(request.peer.address),
            metadata=field,
        )
        token = secrets.token_urlsafe(24)
        await self._transfers.run(Store.create, wanted, token)
        row = await self._transfers.row(token)
        location = f"{self._factory.route.path.rstrip('/')}/tus/{token}"
        finish(request, 201, {"Location": location, **self._progress(row)})

    async def _head(self, request: Any, token: str) -> None:
        row = await self._transfers.row(token)
        length = str(row.durable if row.size is None else row.size)
        fields = {"Upload-Length": length, "Cache-Control": "no-store"}
        if row.metadata is not None:
            fields["Upload-Metadata"] = row.metadata
        finish(request, 200, {**self._progress(row), **fields})

    async def _patch(self, request: Any, token: str) -> None:
        patch = getattr(request, "patch", None) or self._patchOf(request)
        await patch.finish()
        finish(request, 204, self._progress(await self._transfers.row(token)))

    def _patchOf(self, request: Any) -> Patch:
        headers = request.head.headers
        if headers.get("Content-Type") != _PIECES:
            raise BlobError("content_type", f"a PATCH has Content-Type: {_PIECES}")
        offset, checksum = _numberIn(request, "Upload-Offset"), _checksum(headers.get("Upload-Checksum"))
        return Patch(request, self._factory, _tokenOf(request), offset, checksum)

    async def _delete(self, request: Any, token: str) -> None:
        row = await self._transfers.row(token)
        if row.done and row.id is not None:
            await self._factory.remove(row.id, self._factory.ownerOf(request))
        else:
            await self._transfers.abort(token)
        finish(request, 204, {})

    def _progress(self, row: PartRow) -> dict[str, str]:
        """How far it is, until when it is kept, and where the file is when it is whole."""
        fields = {"Upload-Offset": str(row.durable)}
        if row.done and row.id is not None:
            fields["Content-Location"] = self._factory.urlOf(row.id)
        else:
            until = int(row.at + self._factory.options.expire)
            fields["Upload-Expires"] = http.datetimeToString(until).decode()
        return fields


@implementer(IBody)
class Patch:
    """The body of one PATCH or PUT, on its way into the store. Raises BlobError."""

    def __init__(
        self,
        request: Any,
        factory: BlobFactory,
        token: str,
        offset: int,
        checksum: tuple[Any, bytes | None] = (None, None),
    ) -> None:
        """It goes on at `offset` of what the token stands for; a checksum is a hash to feed and what it has to be."""
        self._request = request
        self._offset = offset
        self._hash, self._digest = checksum
        self._early: list[bytes] = []
        self._pipe: Pipe | None = None
        self._error: BlobError | None = None
        self._isWhole = self._isLost = False
        request.hold()
        self._begun: Deferred[None] = Deferred()
        Deferred.fromCoroutine(self._begin(factory, token)).addErrback(self._notBegun)

    async def _begin(self, factory: BlobFactory, token: str) -> None:
        pipe = await factory.transfers.resume(token, self)
        if pipe.written != self._offset:
            written = pipe.written
            await pipe.detach()
            raise BlobError("offset", f"Upload-Offset is {self._offset}, and byte {written} is due; ask with HEAD")
        if self._isLost:
            await pipe.detach()
            return
        self._pipe = pipe
        if self._hash is not None:
            made = self._hash
            pipe.do(lambda part: part.mark(made))
        early, self._early = self._early, []
        for data in early:
            pipe.write(data)
        self._begun.callback(None)
        self._request.release()

    def _notBegun(self, failure: Any) -> None:
        self._request.release()
        self.failed(blobErrorOf(failure))
        self._begun.callback(None)

    async def finish(self) -> None:
        """The body is here: bring it to the disk; with its last byte the file is whole."""
        await self._begun
        pipe, self._pipe = self._pipe, None
        if self._error is not None:
            raise self._error
        assert pipe is not None
        await pipe.last(self._conclude)

    def _conclude(self, part: Part) -> None:
        if self._hash is not None:
            part.check(digest=self._digest)
        if part.written == part.size:
            part.finish()
        else:
            part.close()

    # -- the body comes -------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Some of it."""
        if self._pipe is not None:
            self._pipe.write(data)
        elif self._error is None:
            self._early.append(data)
        else:
            self._answerNow()

    def ended(self) -> None:
        """It is whole."""
        self._isWhole = True

    def lost(self) -> None:
        """The connection was cut: what has come counts, unless a checksum of the whole was to be checked."""
        self._isLost = True
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.letGo()

    # -- the pipe tells -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The disk is slower than the network."""
        self._request.hold()

    def resume(self) -> None:
        """It has caught up."""
        self._request.release()

    def progressed(self) -> None:
        """HEAD tells."""

    def failed(self, error: BlobError) -> None:
        """Answer now; the rest of the body is not read."""
        self._error = error
        self._pipe = None
        if self._request.body is self and not self._isWhole and not self._isLost:
            self._answerNow()

    def _answerNow(self) -> None:
        self._request.channel.answerEarly(self._request)


# -- fields -----------------------------------------------------------------------------------------------------------


def methodOf(request: Any) -> str:
    """The method, which X-HTTP-Method-Override replaces where a client may not send the one it means."""
    return str(request.head.headers.get("X-HTTP-Method-Override") or request.head.method)


def _tokenOf(request: Any) -> str:
    try:
        return checkToken(request.postpath[1].decode("latin-1"))
    except BlobError:
        raise BlobError("unknown", "there is no such upload, or not any more; begin it anew") from None


def _numberIn(request: Any, name: str) -> int:
    text = request.head.headers.get(name) or ""
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise BlobError("bad_message", f"{name} is no number of bytes; send {name}: 1000")
    return int(text)


def _metadata(field: str) -> dict[str, bytes]:
    """Upload-Metadata: keys in ASCII, each with a value in base64 or none."""
    if not field.isascii():
        raise BlobError("bad_message", "Upload-Metadata is not ASCII; write its values in base64")
    known = {}
    for pair in filter(None, (pair.strip() for pair in field.split(","))):
        key, _, value = pair.partition(" ")
        try:
            known[key] = base64.b64decode(value, validate=True)
        except binascii.Error:
            raise BlobError("bad_message", f"Upload-Metadata: {key[:40]} is not in base64") from None
    return known


def _nameOf(value: bytes) -> str:
    try:
        return checkName(value.decode())
    except UnicodeDecodeError:
        raise BlobError("bad_message", "Upload-Metadata: the file's name is not UTF-8 in base64") from None


def _checksum(field: str | None) -> tuple[Any, bytes | None]:
    """Upload-Checksum: the hash to make, and what has to come of it."""
    if field is None:
        return None, None
    name, _, value = field.partition(" ")
    if name not in ALGORITHMS:
        raise BlobError("bad_message", f"Upload-Checksum: {name[:20]!r} is none of {', '.join(ALGORITHMS)}")
    try:
        return hashlib.new(name, usedforsecurity=False), base64.b64decode(value, validate=True)
    except ValueError:
        raise BlobError("bad_message", "Upload-Checksum is not a name and a checksum in base64") from None
