"""Sends files over HTTP: GET and HEAD with conditions and ranges (RFC 9110 13, 14)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web import http
from zope.interface import implementer

from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.file import FileReader
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.names import contentType, disposition
from wsd.protocols.blob.store import BlobStore
from wsd.protocols.blob.transfers import Transfers
from wsd.resources import setFields

_READ_SIZE = 1 << 18
"""Bytes that are read at a time."""

_SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of a file: in a browser it runs no script and has an opaque origin."""

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE | re.ASCII)


class Unsatisfiable(Exception):
    """The range is beyond the end of the file (RFC 9110 15.5.17)."""


def rangeOf(field: str | None, size: int) -> tuple[int, int] | None:
    """
    Returns the start and the end of the range in a Range field; the end is exclusive. None is the whole file.

    A field that is invalid or has several ranges is ignored (RFC 9110 14.2). Raises Unsatisfiable.
    """
    match = _RANGE.fullmatch(field or "")
    if match is None or match[1] == match[2] == "":
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), size if not match[2] else min(size, int(match[2]) + 1)
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or start >= end:
        raise Unsatisfiable
    return start, end


def isMet(condition: str | None, tag: str, modified: str) -> bool:
    """Whether an If-Range field lets the range apply, since it names this file (RFC 9110 13.1.5)."""
    return condition is None or condition.strip() in (tag, modified)


async def sendFile(request: Any, transfers: Transfers, blobId: str) -> None:
    """Answer a request with a file. Raises BlobError."""
    blob, reader = await transfers.run(BlobStore.reader, blobId)
    try:
        await HttpDownload(request, blob, reader, transfers.disk.run).send()
    finally:
        reader.close()


@implementer(IPushProducer)
class HttpDownload:
    """The answer to one request for a file, which is read on the pool as fast as the client takes it."""

    def __init__(self, request: Any, blob: Blob, reader: FileReader, run: Callable[..., Deferred[bytes]]) -> None:
        self._request = request
        self._blob = blob
        self._reader = reader
        self._run = run
        self._resumed: Deferred[None] | None = None
        """While the transport is full: fires when it has room again."""
        self._isGone = False

    async def send(self) -> None:
        """Answer. Returns when all is sent or the client is gone. Raises BlobError."""
        start, end = self._head()
        request = self._request
        request.notifyFinish().addErrback(lambda _: self.stopProducing())
        if request.code != http.NOT_MODIFIED and request.head.method != "HEAD":
            request.registerProducer(self, True)
            try:
                await self._body(start, end)
            finally:
                request.unregisterProducer()
        if not self._isGone:
            request.finish()

    async def _body(self, start: int, end: int) -> None:
        while start < end and not self._isGone:
            if self._resumed is not None:
                await self._resumed
                continue
            data = await self._run(self._reader.read, start, min(_READ_SIZE, end - start))
            if not data:
                raise BlobError("unavailable", "the stored file is truncated; run wsd blob verify on the server")
            if not self._isGone:
                self._request.write(data)
                start += len(data)

    def _head(self) -> tuple[int, int]:
        """Set the status and the header fields. Returns the range to send."""
        request, blob = self._request, self._blob
        tag, modified = f'"{blob.sha256}"', http.datetimeToString(int(blob.at)).decode()
        fields = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Security-Policy": _SANDBOX,
            "Content-Disposition": disposition(blob.name, blob.type),
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        if "Origin" in request.head.headers:
            fields["Cross-Origin-Resource-Policy"] = "cross-origin"
        setFields(request, fields)
        if http.CACHED in (request.setLastModified(int(blob.at)), request.setETag(tag.encode())):
            return 0, 0
        request.setHeader(b"Content-Type", contentType(blob.type).encode())
        headers = request.head.headers
        try:
            found = rangeOf(headers.get("Range"), blob.size) if isMet(headers.get("If-Range"), tag, modified) else None
        except Unsatisfiable:
            request.setHeader(b"Content-Range", b"bytes */%d" % blob.size)
            raise BlobError("range", f"the range is beyond the end of the file, which has {blob.size} bytes") from None
        start, end = found or (0, blob.size)
        if found is not None:
            request.setResponseCode(http.PARTIAL_CONTENT)
            request.setHeader(b"Content-Range", b"bytes %d-%d/%d" % (start, end - 1, blob.size))
        request.setHeader(b"Content-Length", b"%d" % (end - start))
        return start, end

    # -- called by the transport ----------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Called when the transport is full."""
        if self._resumed is None:
            self._resumed = Deferred()

    def resumeProducing(self) -> None:
        """Called when the transport has room again."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)

    def stopProducing(self) -> None:
        """Called when the client is gone."""
        self._isGone = True
        self.resumeProducing()
