"""Parses the URL of a canvas: its name, and the query."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from wsd.connection import Refused
from wsd.protocols.canvas.messages import tooLarge
from wsd.protocols.canvas.picture import USUAL, Size

PNG = ".png"
"""The end of the path of a canvas's picture. No name of a canvas ends with it."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_FIELDS = ("width", "height", "role", "meta", "echo", "watching")
_ROLES = ("painter", "viewer")


@dataclass(frozen=True, slots=True)
class CanvasQuery:
    """The fields of a query."""

    size: Size = USUAL
    """The size of the frames that the client sends and expects."""
    isViewer: bool = False
    """Whether the client only watches."""
    meta: bool = False
    """Whether a line is sent before each frame."""
    echo: bool = False
    """Whether the client's own frames are sent back to it."""
    watching: bool = False
    """Whether the client is told how many connections the canvas has."""


def nameOf(path: str) -> str:
    """Returns the name of a canvas, from the percent-encoded rest of the path. Raises `Refused` (404)."""
    return checkName(unquote(path))


def checkName(name: str) -> str:
    """Returns the name of a canvas if it is valid. Raises `Refused` (404) if it is not."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise Refused(404, f"{name[:80]!r} is not a valid canvas name; use 1 to 64 letters, digits, '-', '_' and '.'")
    if name.endswith(PNG):
        raise Refused(
            404, f"{name!r} is not a valid canvas name: a name does not end in {PNG}, which is the picture over HTTP"
        )
    return name


def readQuery(queries: dict[str, str], most: int) -> CanvasQuery:
    """Parses a query. A picture has at most `most` pixels. Raises `Refused` (400), which names the bad field."""
    for name in queries:
        if name not in _FIELDS:
            raise Refused(400, f"unknown query field {name[:40]!r}; a canvas knows {', '.join(_FIELDS)}")
    role = queries.get("role", "painter")
    if role not in _ROLES:
        raise Refused(400, f"role={role[:40]!r} is not a role; use painter or viewer")
    meta, echo, watching = (_flag(queries, name) for name in ("meta", "echo", "watching"))
    return CanvasQuery(_size(queries, most), role == "viewer", meta, echo, watching)


def _size(queries: dict[str, str], most: int) -> Size:
    given = [name for name in ("width", "height") if name in queries]
    if not given:
        return USUAL
    if len(given) == 1:
        raise Refused(400, f"{given[0]} is given alone; give both, as in width=400&height=320, or neither")
    for name in given:
        if not _NUMBER.fullmatch(queries[name]):
            raise Refused(
                400, f"{name}={queries[name][:40]!r} is not a number of pixels; use a whole number of at least 1"
            )
    size = Size(int(queries["width"]), int(queries["height"]))
    if size.pixels > most:
        raise Refused(400, tooLarge(size, most))
    return size


def _flag(queries: dict[str, str], name: str) -> bool:
    if queries.get(name, "1") not in ("", "1", "true"):
        raise Refused(400, f"{name}={queries[name][:40]!r} is not a switch; write {name} alone")
    return name in queries
