"""What a client of a canvas says in JSON, and what it is told: lines, receipts, errors."""

from __future__ import annotations

import json
from typing import Any

from wsd.protocols.canvas.picture import Part, Size

CODES = {
    "bad_message": None,
    "bad_length": 1007,
    "too_large": 1009,
    "viewer": 1008,
}
"""A code to the close code that follows it; None where the connection goes on."""

_MOST_TEXT = 1024
"""Characters of a line; there is none that needs more."""

_FAR = 1 << 31
"""Where a part may begin at the most, as putImageData's own numbers (a `long` of Web IDL)."""

_LINE = 'write {"width": 400, "height": 320}, or with "x" and "y" for a part'


class CanvasError(Exception):
    """A code of `CODES` and a sentence that says what was wrong and what would be right."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence

    @property
    def closeCode(self) -> int | None:
        """The close code where it ends the connection."""
        return CODES[self.code]

    @property
    def text(self) -> str:
        """As it is told: `{"error": {"code", "message"}}`."""
        return line(error={"code": self.code, "message": self.sentence})


def line(**content: object) -> str:
    """One JSON object."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def readLine(text: str, most: int) -> Size | Part:
    """What a text message announces: the size of frames, or that the next binary is a part. Raises CanvasError."""
    found = _object(text)
    for name in found:
        if name not in ("x", "y", "width", "height"):
            raise CanvasError("bad_message", f"{name[:40]!r} is not known here; {_LINE}")
    if len(found) not in (2, 4) or "width" not in found or "height" not in found:
        raise CanvasError("bad_message", f"a line has a width and a height, and both of x and y or none; {_LINE}")
    size = Size(_whole(found, "width", 1), _whole(found, "height", 1))
    if size.pixels > most:
        raise CanvasError("too_large", tooLarge(size, most))
    if len(found) == 2:
        return size
    return Part(_whole(found, "x", -_FAR), _whole(found, "y", -_FAR), size)


def tooLarge(size: Size, most: int) -> str:
    """The sentence about a size beyond the route's key."""
    return f"{size} are {size.pixels} pixels; this route takes {most} at the most"


def _object(text: str) -> dict[str, Any]:
    if len(text) > _MOST_TEXT:
        raise CanvasError("bad_message", f"a line has {_MOST_TEXT} characters at the most; pixels are binary")
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
        raise CanvasError("bad_message", f"{name} is {json.dumps(number)[:40]}; write a whole number from {least} on")
    return number
