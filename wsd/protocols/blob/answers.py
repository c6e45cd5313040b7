"""Answers to HTTP requests about blobs: rendered by coroutines, with errors as JSON."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from wsd.protocols.blob.errors import BlobError
from wsd.resources import answerBy, finish


def answer(request: Any, coroutine: Coroutine[Any, Any, None]) -> int:
    """Render by a coroutine. A BlobError becomes the answer; if the answer has begun, the connection is closed."""
    return answerBy(request, _withErrors(request, coroutine))


async def _withErrors(request: Any, coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        await coroutine
    except BlobError as error:
        if not request.startedWriting:
            say(request, error.status, error.text)
        elif not request.isLost:
            request.channel.loseConnection()


def say(request: Any, status: int, text: str) -> None:
    """Answer with JSON."""
    fields = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    finish(request, status, fields, text.encode() + b"\n", b"Checksum Mismatch" if status == 460 else None)
