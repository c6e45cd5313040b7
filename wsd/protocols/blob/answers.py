"""Answers to HTTP requests about blobs: rendered by coroutines, with errors as JSON, or as pages for browsers."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from wsd.head import Refused
from wsd.protocols.blob.errors import BlobError
from wsd.resources import answerBy, finish, prefersHtml


def answer(request: Any, coroutine: Coroutine[Any, Any, None]) -> int:
    """Render by a coroutine. A BlobError becomes the answer, and closes the connection if another one has begun."""
    return answerBy(request, _withErrors(request, coroutine))


async def _withErrors(request: Any, coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        await coroutine
    except BlobError as error:
        if not request.startedWriting and prefersHtml(request.head):
            raise Refused(error.status, error.sentence) from None
        if not request.startedWriting:
            say(request, error.status, error.text)
        elif not request.isLost:
            request.channel.loseConnection()


def say(request: Any, status: int, text: str) -> None:
    """Answer with JSON."""
    fields = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    finish(request, status, fields, text.encode() + b"\n", b"Checksum Mismatch" if status == 460 else None)
