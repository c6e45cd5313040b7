"""Values of JSON and bytes, packed into one body of a message: the state of connections and routes."""

from __future__ import annotations

import json
from typing import Any

_BYTES = "\0bytes"
"""The only name in an object that stands for bytes, with their number."""
_SIZE = 8


def pack(value: Any) -> bytes:
    """Pack a value of dicts, lists, strings, numbers, booleans, None and bytes. Raises TypeError for any other."""
    pieces: list[bytes] = []

    def keep(item: Any) -> dict[str, int]:
        if not isinstance(item, (bytes, bytearray, memoryview)):
            raise TypeError(f"{type(item).__name__} cannot be passed to another process; use values of JSON, or bytes")
        pieces.append(bytes(item))
        return {_BYTES: len(item)}

    text = json.dumps(value, default=keep, separators=(",", ":")).encode()
    return b"".join((len(text).to_bytes(_SIZE, "big"), text, *pieces))


def unpack(body: bytes) -> Any:
    """Returns what was packed; tuples have become lists. Raises ValueError."""
    end = _SIZE + int.from_bytes(body[:_SIZE], "big")
    place = end

    def restore(found: dict[str, Any]) -> Any:
        nonlocal place
        size = found.get(_BYTES)
        if size is None or len(found) != 1:
            return found
        start, place = place, place + size
        return body[start:place]

    value = json.loads(body[_SIZE:end], object_hook=restore)
    if place != len(body):
        raise ValueError("a packed value is incomplete")
    return value
