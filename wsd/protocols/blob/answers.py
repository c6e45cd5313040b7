"""How HTTP requests about blobs are answered: by coroutines, and with one shape of error."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from wsd.protocols.blob.errors import BlobError


def answer(request: Any, coroutine: Coroutine[Any, Any, None]) -> int:
    """Render by a coroutine; a BlobError of it is the answer. Who left gets none."""
    request.isGone = False
    request.notifyFinish().addErrback(lambda _: setattr(request, "isGone", True))

    def failed(failure: Failure) -> None:
        error = failure.value
        if request.isGone and isinstance(error, BlobError):
            return
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
    fields = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    finish(request, status, fields, content)


def finish(request: Any, status: int, fields: Mapping[str, str], content: bytes = b"") -> None:
    """Answer, unless nobody is there any more."""
    if request.isGone:
        return
    request.setResponseCode(status, b"Checksum Mismatch" if status == 460 else None)
    for name, value in fields.items():
        request.setHeader(name.encode(), value.encode())
    if status != 204:
        request.setHeader(b"Content-Length", b"%d" % len(content))
    if content and request.head.method != "HEAD":
        request.write(content)
    request.finish()
