"""Answers to HTTP requests that are rendered by coroutines."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import NO_CONTENT
from twisted.web.server import NOT_DONE_YET

from wsd.head import Refused


def answerBy(request: Any, coroutine: Coroutine[Any, Any, None]) -> int:
    """
    Run a coroutine that answers a request. Returns NOT_DONE_YET, as a resource's `render` does.

    If the coroutine raises `Refused`, that is the answer. Any other exception is logged, and answered with 500.
    """

    def failed(failure: Failure) -> None:
        if not isinstance(failure.value, Refused):
            request.processingFailed(failure)
        elif request.startedWriting and not request.isLost:
            request.channel.loseConnection()
        else:
            request.refuse(failure.value)

    Deferred.fromCoroutine(coroutine).addErrback(failed)
    return NOT_DONE_YET


def setFields(request: Any, fields: Mapping[str, str]) -> None:
    """Set header fields of the answer."""
    for name, value in fields.items():
        request.setHeader(name.encode(), value.encode("latin-1"))


def finish(
    request: Any, status: int, fields: Mapping[str, str], content: bytes = b"", phrase: bytes | None = None
) -> None:
    """Send a complete answer, unless the client is gone. A 204 has no Content-Length (RFC 9110 8.6)."""
    if request.isLost:
        return
    request.setResponseCode(status, phrase)
    setFields(request, fields)
    if status != NO_CONTENT:
        request.setHeader(b"Content-Length", b"%d" % len(content))
    if content and request.head.method != "HEAD":
        request.write(content)
    request.finish()
