"""Parses the text messages of blob.wsd.v1: JSON objects with one key, the message's name, and an object of fields."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.names import checkName, checkType

_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_ID = re.compile(r"[0-9a-z]{1,64}")
_MAX_SAFE = 2**53 - 1
"""The largest integer that every JSON reader reads exactly (RFC 8259 6)."""


def checkToken(value: object) -> str:
    """Returns the token of an upload. Raises BlobError if it is invalid."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise BlobError(
            "bad_message", "the token must have 16 to 128 characters of A-Z, a-z, 0-9, - and _; generate a random one"
        )
    return value


def _digest(value: object) -> str:
    """Returns a SHA-256 in hex. Raises BlobError if it is invalid."""
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise BlobError("bad_message", "sha256 must be 64 hexadecimal digits; it is optional, and may be sent with end")
    return value.lower()


def _blobId(value: object) -> str:
    """Returns the id of a file. Raises BlobError if it is invalid."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise BlobError("unknown", "there is no such file; use the id from a receipt")
    return value


def _number(name: str, least: int = 0) -> Callable[[object], int]:
    """Returns a reader of integers from `least` on."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MAX_SAFE:
            raise BlobError("bad_message", f"{name} must be a whole number from {least} to 2^53 - 1")
        return value

    return read


_FIELDS: Mapping[str, Mapping[str, Callable[[object], Any]]] = {
    "begin": {
        "name": checkName,
        "size": _number("size"),
        "token": checkToken,
        "type": checkType,
        "sha256": _digest,
        "chunk": _number("chunk", 1),
    },
    "end": {"sha256": _digest},
    "abort": {"token": checkToken},
    "get": {"id": _blobId, "credit": _number("credit"), "offset": _number("offset"), "length": _number("length")},
    "credit": {"bytes": _number("bytes")},
    "stop": {},
    "list": {},
    "delete": {"id": _blobId},
}
"""The messages of a client, with the reader of each field."""

_REQUIRED = {"begin": ("name", "size"), "get": ("id", "credit"), "credit": ("bytes",), "delete": ("id",)}
"""The fields that a message must have."""


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Returns the name of a message and its fields. A field that is null counts as missing. Raises BlobError."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise BlobError("bad_message", 'this is not JSON; write {"begin": {"name": ..., "size": ...}}') from None
    if not isinstance(message, dict) or len(message) != 1:
        raise BlobError(
            "bad_message", 'a message must have exactly one key, its name; write {"begin": {"name": ..., "size": ...}}'
        )
    ((name, content),) = message.items()
    readers = _FIELDS.get(name)
    if readers is None or not isinstance(content, dict):
        raise BlobError(
            "bad_message", f"{name[:40]!r} is not a message; the messages are {', '.join(_FIELDS)}, each with an object"
        )
    given = {field: value for field, value in content.items() if value is not None}
    for field in given:
        if field not in readers:
            raise BlobError("bad_message", f"{name} has no field {field[:40]!r}; it has {', '.join(readers) or 'none'}")
    for field in _REQUIRED.get(name, ()):
        if field not in given:
            raise BlobError("bad_message", f"the field {field} is missing in {name}")
    return name, {field: readers[field](value) for field, value in given.items()}
