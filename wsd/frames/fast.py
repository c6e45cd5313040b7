"""
fast: frames read in Python (RFC 6455 5, RFC 7692 6), several times faster than Autobahn reads them.

This plane reads what an open connection normally receives. From the first byte of anything else, such as a close frame
or a malformed head, Autobahn reads on: it implements every rule, so that all planes behave the same.

Messages that arrive whole, in a single frame, are read here. `wsd.frames.reading` reads all other frames.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from wsd.frames.codes import Opcode
from wsd.frames.handler import FrameHandler, FrameLimits
from wsd.frames.heads import FIN
from wsd.frames.reading import (
    AUTOBAHN,
    FRAME,
    FRAME_END,
    INFLATING,
    MASKED,
    MESSAGE,
    PAYLOAD,
    SMALL,
    FrameReader,
    number,
)
from wsd.frames.text import isText
from wsd.frames.unread import Unread

_TEXT, _BINARY = FIN | Opcode.TEXT, FIN | Opcode.BINARY
"""The first byte of a message in a single frame (RFC 6455 5.4)."""

TURN = 64
"""Frames read from one connection before other connections get their turn."""

TURN_SECONDS = 0.001
"""Seconds after which other connections get their turn, even if fewer frames were read."""

_READ = 256 * 1024
"""Bytes read at a time, so that a large message arrives in few pieces."""

_BETWEEN_FRAMES = (MESSAGE, FRAME)
_WITHIN_FRAMES = (PAYLOAD, FRAME_END, INFLATING)


class Fast(FrameReader):
    """Reads and writes the frames of one open connection."""

    __slots__ = ("_feeding", "_frames", "_kept", "_most", "_takesWhole")

    def __init__(self, handler: FrameHandler, transport: Any, limits: FrameLimits, deflater: Any, rest: bytes) -> None:
        """`rest` is what was received before the connection was open. The first `resumeReading` reads it."""
        super().__init__(handler, transport, limits, deflater, rest)
        self._takesWhole = limits.takesWhole
        self._most = min(limits.maxMessage, limits.maxFrame)
        self._feeding = False
        self._frames = 0
        self._kept = len(rest)

    # -- bytes arrive ---------------------------------------------------------------------------------------------

    def attach(self, socket: Any) -> None:
        """Read from this non-blocking socket when `doRead` is called, and send to it."""
        self._socket = socket

    def doRead(self) -> Any:
        """Read once and handle the data. Returns why the connection is lost, None if it is not."""
        try:
            data = self._socket.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.dataReceived(data)
        return None

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer."""
        handler = self._handler
        self.heard = True
        if self._reading is AUTOBAHN:
            handler.readPlain(data)
            return
        if self._rest:
            data = self._rest + data
        if self._feeding or self.held:
            self._rest = data
            handler.onBuffered(len(data))
            self._reportKept()
            return
        self._rest = b""
        self._run(data)

    def resumeReading(self) -> None:
        """Called when reading is no longer held: read the data that was kept."""
        if self._reading is AUTOBAHN:
            self._handler.consumeData()
        elif not self._feeding:
            data, self._rest = self._rest, b""
            self._run(data)

    def _run(self, data: bytes) -> None:
        """Read frames, and gather what is sent meanwhile."""
        self._feeding = True
        self.cork()
        try:
            self._read(data)
        finally:
            self._feeding = False
            self.uncork()
            self._reportKept()

    def _reportKept(self) -> None:
        """Report the number of kept bytes if there are any, or were."""
        kept = self.kept
        if (kept or self._kept) and self._handler is not None:
            self._kept = kept
            self._handler.noteReceived(len(self._rest), self.assembled, self.inflated)

    # -- frames ---------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        """Read frames until the bytes are used up, reading is held, or other connections get their turn."""
        position, end, began = 0, len(data), 0.0
        self._frames = 0
        while self.isOpen and not self.held:
            before = position
            reading = self._reading
            if reading in _WITHIN_FRAMES:
                position = self._payload(data, position)
            else:
                if reading is MESSAGE and self._takesWhole:
                    position = self._messages(data, position)
                if position == before:
                    position = self._head(data, position)
                    if position == before:
                        break
            if position < 0:
                return
            if position == end and self._reading is not INFLATING and (self._left or self._reading in _BETWEEN_FRAMES):
                return
            if not self._frames:
                began = perf_counter()
            self._frames += 1
            if self.isOpen and self._reading is INFLATING:
                self._handler.inflateInTurn()
            elif (self._frames >= TURN or perf_counter() - began > TURN_SECONDS) and self.isOpen:
                self._handler.yieldToReactor()
        if self.isOpen:
            self._rest = data[position:]
        else:
            self._fallBack(data[position:])

    def _messages(self, data: bytes, position: int) -> int:
        """Read messages that are complete, single frames, as most are. Returns where anything else begins."""
        end, began = len(data), 0.0
        while self._frames < TURN:
            start = position + 6
            if start > end:
                break
            first, length = data[position], data[position + 1] - MASKED
            if (first != _TEXT and first != _BINARY) or length < 0 or length > 126:
                break
            if length == 126:
                start += 2
                length = data[position + 2] << 8 | data[position + 3]
                if length < 126:
                    break
            stop = start + length
            if stop > end or length > self._most:
                break
            if length <= SMALL:
                key = (data[start - 4 : start] * ((length >> 2) + 1))[:length]
                payload = (number(data[start:stop], "little") ^ number(key, "little")).to_bytes(length, "little")
            else:
                payload = self._handler.unmask(data[start:stop], data[start - 4 : start])
            if first == _TEXT and not payload.isascii() and not isText(payload):
                break
            position = stop
            self._deliver(payload, first == _BINARY)
            if position == end or self.held or not self.isOpen:
                break
            self._frames += 1
            if not began:
                began = perf_counter()
            elif perf_counter() - began > TURN_SECONDS:
                self._frames = TURN
        return position

    # -- moving to another process --------------------------------------------------------------------------------

    @property
    def isIdle(self) -> bool:
        """Whether the next byte begins a message."""
        return self._reading is MESSAGE and not self._rest

    @property
    def unread(self) -> Unread | None:
        """What was received and is not passed on, for another process; None if that is not possible."""
        return None if self._feeding else self._unread()
