"""Files over HTTP: GET and HEAD with ranges and conditions (RFC 9110), under labels that let no page run as ours."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from wsd.connection import Refused
from wsd.policies.origin import checkOrigin
from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.file import Reader
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.names import contentType, disposition
from wsd.protocols.blob.ranges import Unsatisfiable, isMet, rangeOf
from wsd.protocols.blob.store import Store

if TYPE_CHECKING:
    from wsd.protocols.blob.protocol import BlobFactory

_PIECE = 1 << 18

SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""What an uploaded page may do when a browser shows it: nothing, and not as one of ours."""


def answer(request: Any, coroutine: Coroutine[Any, Any, None]) -> int:
    """Render by a coroutine; a BlobError of it is the answer."""

    def failed(failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, BlobError):
            request.processingFailed(failure)
        elif not request.startedWriting:
            say(request, error.status, error.text)
        else:
            request.channel.loseConnection()

    Deferred.fromCoroutine(coroutine).addErrback(failed)
    return NOT_DONE_YET


def say(request: Any, status: int, text: str) -> None:
    """Answer with JSON."""
    content = text.encode() + b"\n"
    request.setResponseCode(status, b"Checksum Mismatch" if status == 460 else None)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"Content-Length", b"%d" % len(content))
    if request.head.method != "HEAD":
        request.write(content)
    request.finish()


class Files(Resource):
    """`/blob/ID`, and `/blob` itself."""

    isLeaf = True

    def __init__(self, factory: BlobFactory) -> None:
        super().__init__()
        self._factory = factory

    def render(self, request: Any) -> Any:
        """Other sites' pages may ask only where the route lets them (the Fetch standard's CORS protocol)."""
        self._letIn(request)
        return super().render(request)

    def _letIn(self, request: Any) -> None:
        origin = request.head.headers.get("Origin")
        if origin is None:
            return
        checkOrigin(origin, self._factory.route.origins, request.head.host, request.site.hosts)
        request.setHeader(b"Access-Control-Allow-Origin", origin.encode("latin-1"))
        request.setHeader(b"Vary", b"Origin")

    def render_GET(self, request: Any) -> int:
        """One file, or a part of it."""
        return answer(request, self._get(request, _idOf(request)))

    async def _get(self, request: Any, id: str) -> None:
        blob, reader = await self._factory.transfers.run(Store.reader, id)
        try:
            await _Sending(request, blob, reader, self._factory.disk.run).send()
        finally:
            reader.close()


def _idOf(request: Any) -> str:
    parts: list[str] = [part.decode("latin-1") for part in request.postpath]
    if len(parts) != 1 or not parts[0].isalnum():
        raise Refused(404, f"nothing answers at {request.head.path[:80]}")
    return parts[0]


@implementer(IPushProducer)
class _Sending:
    """One answer with a file: read on the pool, piece by piece, as the client takes them."""

    def __init__(self, request: Any, blob: Blob, reader: Reader, run: Any) -> None:
        self._request = request
        self._blob = blob
        self._reader = reader
        self._run = run
        self._taking: Deferred[None] | None = None
        self._isGone = False

    async def send(self) -> None:
        """Answer; returns when all is sent, or nobody is there to take it."""
        start, end = self._head()
        request = self._request
        request.notifyFinish().addErrback(lambda _: self.stopProducing())
        if request.code != http.NOT_MODIFIED and request.head.method != "HEAD":
            request.registerProducer(self, True)
            await self._body(start, end)
            request.unregisterProducer()
        if not self._isGone:
            request.finish()

    async def _body(self, start: int, end: int) -> None:
        while start < end and not self._isGone:
            if self._taking is not None:
                await self._taking
                continue
            data = await self._run(self._reader.read, start, min(_PIECE, end - start))
            if not data:
                raise BlobError("unavailable", "the file is shorter than it was; run wsd blob verify there")
            if not self._isGone:
                self._request.write(data)
                start += len(data)

    def _head(self) -> tuple[int, int]:
        """The status and its fields; the first byte that is sent and the one behind the last."""
        request, blob = self._request, self._blob
        tag, modified = f'"{blob.sha256}"', http.datetimeToString(int(blob.at)).decode()
        fields = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Security-Policy": SANDBOX,
            "Content-Disposition": disposition(blob.name, blob.type),
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        if "Origin" in request.head.headers:
            fields["Cross-Origin-Resource-Policy"] = "cross-origin"
        for name, value in fields.items():
            request.setHeader(name.encode(), value.encode())
        if http.CACHED in (request.setLastModified(int(blob.at)), request.setETag(tag.encode())):
            return 0, 0
        request.setHeader(b"Content-Type", contentType(blob.type).encode())
        headers = request.head.headers
        try:
            found = rangeOf(headers.get("Range"), blob.size) if isMet(headers.get("If-Range"), tag, modified) else None
        except Unsatisfiable:
            request.setHeader(b"Content-Range", b"bytes */%d" % blob.size)
            raise BlobError("range", f"this range lies behind the file's {blob.size} bytes; ask for less") from None
        start, end = found or (0, blob.size)
        if found is not None:
            request.setResponseCode(http.PARTIAL_CONTENT)
            request.setHeader(b"Content-Range", b"bytes %d-%d/%d" % (start, end - 1, blob.size))
        request.setHeader(b"Content-Length", b"%d" % (end - start))
        return start, end

    # -- the connection tells -------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """It takes no more for now."""
        if self._taking is None:
            self._taking = Deferred()

    def resumeProducing(self) -> None:
        """It does again."""
        taking, self._taking = self._taking, None
        if taking is not None:
            taking.callback(None)

    def stopProducing(self) -> None:
        """It is gone."""
        self._isGone = True
        self.resumeProducing()
