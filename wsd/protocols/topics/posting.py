"""Bodies of POST: one message of any media type, or many as NDJSON."""

from __future__ import annotations

import re

from zope.interface import implementer

from wsd.connection import Refused
from wsd.policies.jsontexts import TooManyValues, checkValues, readJson
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.messages import JSON
from wsd.protocols.topics.publication import TopicMessage
from wsd.resources import IBody

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_JSON = re.compile(r"application/(?:json|[a-z0-9.!#$&^_-]+\+json)")
_TEXT = re.compile(r"text/.+|application/(?:x-www-form-urlencoded|xml|javascript|[a-z0-9.!#$&^_-]+\+xml)")
_MAX_LINES = 1000
_MOST_LINES = 10 * _MAX_LINES
"""Lines of a body, with empty ones."""
_MAX_TYPE = 200


@implementer(IBody)
class Body:
    """The body of a POST, up to a limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces = bytearray()

    def received(self, data: bytes) -> None:
        """Some of it. Raises `Refused` (413)."""
        self._pieces += data
        if len(self._pieces) > self._most:
            raise Refused(413, f"a message may have at most {self._most} bytes")

    def ended(self) -> None:
        """It is whole."""

    def lost(self) -> None:
        """The client is gone."""
        self._pieces.clear()

    @property
    def kept(self) -> int:
        """The bytes that it has so far."""
        return len(self._pieces)

    @property
    def content(self) -> bytes:
        """The whole body."""
        return bytes(self._pieces)


def isBatch(contentType: str | None) -> bool:
    """Whether a body of this type has a message in each line."""
    return _essence(contentType) in NDJSON


def messageOf(content: bytes, contentType: str | None) -> TopicMessage:
    """The message that a body is. Text must be UTF-8, and JSON valid. Raises TopicError."""
    essence = _essence(contentType)
    if contentType is not None and len(contentType) > _MAX_TYPE:
        raise TopicError("bad_message", f"Content-Type is longer than {_MAX_TYPE} characters")
    if _JSON.fullmatch(essence):
        _checkJson(content, "the body")
        return TopicMessage(content, isBinary=False, mediaType=JSON)
    if _TEXT.fullmatch(essence):
        _decode(content, "the body")
        return TopicMessage(content, isBinary=False, mediaType=contentType)
    return TopicMessage(content, isBinary=True, mediaType=contentType)


def messagesOf(content: bytes) -> list[TopicMessage]:
    """The messages of an NDJSON body, one JSON text in each line. Raises TopicError that names the line."""
    if (count := content.count(b"\n")) > _MOST_LINES:
        raise TopicError("too_large", f"the body has {count} lines; {_MAX_LINES} messages may be published at once")
    lines = [(number, line.strip(b" \t\r")) for number, line in enumerate(content.split(b"\n"), 1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise TopicError("bad_message", "the body is empty; send one JSON value per line")
    # Before they are parsed: a body may have a million lines.
    if len(lines) > _MAX_LINES:
        raise TopicError("too_large", f"the body has {len(lines)} messages; {_MAX_LINES} may be published at once")
    try:
        # The signs that are counted are the same in ASCII and UTF-8.
        checkValues(content.decode("latin-1"))
    except TooManyValues as error:
        raise TopicError("too_large", str(error)) from None
    for number, line in lines:
        _checkJson(line, f"line {number}")
    return [TopicMessage(line, isBinary=False, mediaType=JSON) for _, line in lines]


def _essence(contentType: str | None) -> str:
    return (contentType or "").partition(";")[0].strip().lower()


def _decode(content: bytes, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise TopicError("bad_message", f"{what} is not UTF-8; send text in UTF-8, or another Content-Type") from None


def _checkJson(content: bytes, what: str) -> None:
    try:
        readJson(_decode(content, what))
    except TooManyValues as error:
        raise TopicError("too_large", str(error)) from None
    except ValueError:
        raise TopicError("bad_message", f"{what} is not JSON") from None
