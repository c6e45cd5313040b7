"""
The whiteboard of a class: a canvas on which a client may paint only if its token says so.

Its picture is stored in the state folder, so that a restart of the daemon does not lose it.
"""

from __future__ import annotations

import os
import time
import zlib
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from wsd.config import stateFolder
from wsd.config.state import makeFolder
from wsd.connection import Accept, Refused, Request
from wsd.protocols import load

# `class` is a keyword, so that no statement can import from this package.
readToken: Any = import_module("wsd.uses.class.room").readToken

Canvas: Any = load("canvas")
"""The protocol that a whiteboard extends."""

BEARER = "bearer."
"""The subprotocol that brings a token begins with this, as for topics."""
EXPIRED = 4001
"""The close code when a token has expired, as of topics."""
KEEP = 0.25
"""Seconds after which a change of a whiteboard is stored."""
BOARDS, DAY = 100, 86400
"""The most whiteboards that are stored, and for how many seconds."""


def boardFile(name: str) -> Path:
    """Where the picture of a class's whiteboard is stored."""
    return Path(stateFolder(os.environ)) / "uses-class-boards" / name


def write(path: Path, pixels: bytes) -> None:
    """Store a picture, and remove those that are too old or too many. Blocks."""
    makeFolder(path.parent)
    new = path.with_suffix(".new")
    new.write_bytes(zlib.compress(pixels, 1))
    new.replace(path)
    ages = {each: time.time() - each.stat().st_mtime for each in path.parent.iterdir()}
    for number, (each, age) in enumerate(sorted(ages.items(), key=lambda item: item[1])):
        if number >= BOARDS or age > DAY:
            each.unlink()


def read(path: Path) -> bytes | None:
    """Read a picture that was stored. Blocks."""
    with suppress(OSError, zlib.error):
        return zlib.decompress(path.read_bytes())
    return None


class BoardConnection(Canvas.connection):
    """A whiteboard: everyone with a token of the class may watch; the teacher and whoever has the pen may paint."""

    factory: BoardFactory
    _expires = 0.0
    _expiry: IDelayedCall | None = None

    async def opening(self, request: Request) -> Accept:
        """Refuse a client whose token does not allow what it asks for."""
        offered = [each.removeprefix(BEARER) for each in request.subprotocols if each.startswith(BEARER)]
        claims = readToken("".join(offered))
        # lesson: paint
        if request.head.path != f"{self.below}{claims['class']}":
            raise Refused(403, "the token is for another class")
        if request.queries.get("role") != "viewer" and not claims["paints"]:
            raise Refused(403, "only the teacher and whoever has the pen may paint; open the board with role=viewer")
        # end of lesson
        self._expires = claims["exp"]
        pixels = await self.factory.load(claims["class"])
        accept: Accept = await super().opening(request)
        if pixels is not None and self._board.frame is None and len(pixels) == self._size.bytes:
            self._board.paint(self._size, pixels)
        return accept

    def opened(self) -> None:
        """Begin, until the token expires."""
        super().opened()
        seconds = max(0.0, self._expires - time.time())
        self._expiry = self.clock.callLater(seconds, self.close, EXPIRED, "the token has expired; get a new one")

    def received(self, payload: bytes, isBinary: bool) -> None:
        """Paint."""
        super().received(payload, isBinary)
        self.factory.painted()

    def closed(self, code: int, reason: str) -> None:
        """Leave the board."""
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        super().closed(code, reason)


class BoardFactory(Canvas):
    """The whiteboards of classes."""

    connection = BoardConnection
    about = MappingProxyType({"en": "The whiteboards of /uses/class.", "zh": "/uses/class 课堂的白板。"})
    subprotocols = ("canvas",)
    """Offered beside the token, since a browser requires that one of its offers is chosen."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._files = self.pool.share("boards", self.route.path, threads=1)
        self._stored: dict[str, Any] = {}
        """The frame of each board that is stored."""
        self._storing: IDelayedCall | None = None

    def stopped(self) -> Deferred[None]:
        """Store what is not stored yet."""
        return Deferred.fromCoroutine(self._stopped())

    async def _stopped(self) -> None:
        if self._storing is not None:
            self._storing.cancel()
        self._store()
        await self._files.stop()
        await super().stopped()

    def painted(self) -> None:
        """Store in a moment what has changed."""
        if self._storing is None:
            self._storing = self.clock.callLater(KEEP, self._store)

    def _store(self) -> None:
        self._storing = None
        stored, self._stored = self._stored, {name: board.frame for name, board in self.boards if board.frame}
        for name, frame in self._stored.items():
            if frame is not stored.get(name):
                done = self._files.run(write, boardFile(name), frame.pixels.payload)
                done.addErrback(lambda failure: self.log.failure("a whiteboard cannot be stored", failure))

    async def load(self, name: str) -> bytes | None:
        """The stored picture of a board that is not in memory; None if there is none."""
        board = self.boards.find(name)
        return await self._files.run(read, boardFile(name)) if board is None or board.frame is None else None

    def page(self) -> None:
        """The page is at /uses/class."""

    def resource(self) -> None:
        """No pictures over HTTP, since their requests have no token."""
