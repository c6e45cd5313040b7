"""The text messages of a canvas: the lines that clients send, and the errors and lines for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wsd.errors import ProtocolError
from wsd.frames.codes import CloseCode
from wsd.protocols.canvas.picture import Region, Size

CODES: Mapping[str, CloseCode | None] = {
    "bad_message": None,
    "bad_length": CloseCode.INVALID_DATA,
    "too_large": CloseCode.MESSAGE_TOO_BIG,
    "viewer": CloseCode.POLICY_VIOLATION,
}
"""Each code with its close code; None if the connection stays open."""

_SEPARATORS = (",", ":")

_MOST_TEXT = 1024
"""The longest line in characters; no valid one is longer."""

_FAR = 1 << 31
"""The limit of coordinates, as in putImageData (a `long` of Web IDL)."""

_LINE = 'write {"width": 400, "height": 320}, or with "x" and "y" for a part'


class CanvasError(ProtocolError):
    """An error with a code of `CODES`."""

    separators = _SEPARATORS

    @property
    def closeCode(self) -> CloseCode | None:
        """The close code; None if the connection stays open."""
        return CODES[self.code]


def line(**content: object) -> str:
    """Returns a line: one JSON object."""
    return json.dumps(content, ensure_ascii=False, separators=_SEPARATORS)


def readLine(text: str, most: int) -> Size | Region:
    """
    Returns what a client's line announces: the size of the next frames, or the region of the next binary message.

    A picture has at most `most` pixels. Raises CanvasError.
    """
    found = _object(text)
    for name in found:
        if name not in ("x", "y", "width", "height"):
            raise CanvasError("bad_message", f"{name[:40]!r} is an unknown key; {_LINE}")
    if len(found) not in (2, 4) or "width" not in found or "height" not in found:
        raise CanvasError("bad_message", f"width and height are required, and x and y only together; {_LINE}")
    size = Size(_whole(found, "width", 1), _whole(found, "height", 1))
    if size.pixels > most:
        raise CanvasError("too_large", tooLarge(size, most))
    if len(found) == 2:
        return size
    return Region(_whole(found, "x", -_FAR), _whole(found, "y", -_FAR), size)


def tooLarge(size: Size, most: int) -> str:
    """Returns the sentence for a size beyond the limit."""
    return f"{size} is {size.pixels} pixels; this route allows at most {most}"


def _object(text: str) -> dict[str, Any]:
    if len(text) > _MOST_TEXT:
        raise CanvasError(
            "bad_message", f"a text message may have at most {_MOST_TEXT} characters; send pixels as binary messages"
        )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CanvasError("bad_message", f"this text is not a JSON object; {_LINE}")
    return found


def _whole(found: dict[str, Any], name: str, least: int) -> int:
    number = found[name]
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number < _FAR:
        raise CanvasError(
            "bad_message", f"{name} is {json.dumps(number)[:40]}; write a whole number of at least {least}"
        )
    return number
