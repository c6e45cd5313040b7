"""Files over HTTP: GET and HEAD with ranges and conditions (RFC 9110), under labels that let no page run as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web import http
from zope.interface import implementer

from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.file import Reader
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.names import contentType, disposition
from wsd.protocols.blob.ranges import Unsatisfiable, isMet, rangeOf

if TYPE_CHECKING:
    pass

_PIECE = 1 << 18

SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""What an uploaded page may do when a browser shows it: nothing, and not as one of ours."""


@implementer(IPushProducer)
class Download:
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
