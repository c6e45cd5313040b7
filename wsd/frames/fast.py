"""
fast: frames read in Python (RFC 6455 5, RFC 7692 6), several times faster than Autobahn reads them.

This plane reads what an open connection normally receives. From the first byte of anything else, such as a close frame
or a malformed head, Autobahn reads on: it implements every rule, so that all planes behave the same.
"""

from __future__ import annotations

import codecs
from enum import Enum
from io import BytesIO
from time import perf_counter
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from wsd.frames.codes import Opcode
from wsd.frames.deflate import InflateError
from wsd.frames.handler import FrameHandler, FrameLimits
from wsd.frames.heads import COMPRESSED, FIN
from wsd.frames.unread import Unread, framesOf
from wsd.frames.writing import Writer

_MASKED = 0x80
"""The bit before a frame's length: "a client MUST mask all frames that it sends to the server" (RFC 6455 5.1)."""

_TEXT, _BINARY = FIN | Opcode.TEXT, FIN | Opcode.BINARY
"""The first byte of a message in a single frame (RFC 6455 5.4)."""

_number = int.from_bytes
"""A payload is unmasked as one large integer, which is the fastest XOR in Python (RFC 6455 5.3)."""

TURN = 64
"""Frames read from one connection before other connections get their turn."""

TURN_SECONDS = 0.001
"""Seconds after which other connections get their turn, even if fewer frames were read."""

_SMALL = 4096
"""The largest payload that is unmasked here. For a larger one, Autobahn's compiled masker is faster."""

_READ = 256 * 1024
"""Bytes read at a time, so that a large message arrives in few pieces."""

_newDecoder = codecs.getincrementaldecoder("utf-8")
_HALF_SURROGATES = frozenset(bytes([0xED, second]) for second in range(0xA0, 0xC0))
"""
The beginnings of encoded surrogates, which are invalid in UTF-8 (RFC 3629 3).

Python's decoder does not reject them before the next byte, because of its error handler `surrogatepass`.
"""


class Reading(Enum):
    """What the next received byte is."""

    MESSAGE = 0
    """The beginning of a message, or of a control frame."""
    FRAME = 1
    """The beginning of the next frame of a message, or of a control frame (RFC 6455 5.4)."""
    PAYLOAD = 2
    """A part of a frame's payload."""
    FRAME_END = 3
    """Not part of this frame, whose payload is complete. The frame is handled once reading is not held."""
    AUTOBAHN = 4
    """For Autobahn, which reads the connection to its end."""


# Module globals, because CPython 3.11 looks up a member of an enum in several steps, for each frame.
_MESSAGE, _FRAME, _PAYLOAD, _FRAME_END, _AUTOBAHN = Reading
_BETWEEN_FRAMES = (_MESSAGE, _FRAME)


def isText(payload: bytes) -> bool:
    """Returns whether a payload is valid UTF-8 (RFC 3629)."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


class Fast(Writer):
    """Reads and writes the frames of one open connection."""

    __slots__ = (
        "_before",
        "_compressed",
        "_decoder",
        "_feeding",
        "_final",
        "_frames",
        "_isBinary",
        "_kept",
        "_left",
        "_mask",
        "_maxFrame",
        "_maxMessage",
        "_most",
        "_parts",
        "_raw",
        "_reading",
        "_received",
        "_rest",
        "_streams",
        "_takesWhole",
        "_total",
    )

    def __init__(self, handler: FrameHandler, transport: Any, limits: FrameLimits, deflater: Any, rest: bytes) -> None:
        """`rest` is what was received before the connection was open. The first `resumeReading` reads it."""
        super().__init__(handler, transport, limits, deflater)
        self._received: Any = handler.received
        self._maxMessage = limits.maxMessage
        self._maxFrame = limits.maxFrame
        self._streams = limits.streams
        self._takesWhole = limits.takesWhole
        self._most = min(limits.maxMessage, limits.maxFrame)
        self._rest = rest
        self._feeding = False
        self._reading = _MESSAGE
        self._left = self._total = self._frames = 0
        self._kept = len(rest)
        self._parts: BytesIO | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._raw: BytesIO | None = None
        """The compressed payload of a message that arrives in pieces; None for any other message."""
        self._before = b""
        """The inflating window before that message."""

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
        if self._reading is _AUTOBAHN:
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
        if self._reading is _AUTOBAHN:
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

    @property
    def kept(self) -> int:
        """The number of received bytes that are not passed on yet."""
        return len(self._rest) + self.assembled + self.inflated

    @property
    def assembled(self) -> int:
        """Bytes of an incomplete message that is not compressed."""
        return 0 if self._parts is None or self._raw is not None else self._total

    @property
    def inflated(self) -> int:
        """Bytes of an incomplete compressed message: inflated, and as they were received."""
        return 0 if self._raw is None else (0 if self._parts is None else self._total) + self._raw.tell()

    def _reportKept(self) -> None:
        """Report the number of kept bytes if there are any, or were."""
        kept = self.kept
        if (kept or self._kept) and self._handler is not None:
            self._kept = kept
            self._handler.noteReceived(len(self._rest), self.assembled, self.inflated)

    def _read(self, data: bytes) -> None:
        """Read frames until the bytes are used up, reading is held, or other connections get their turn."""
        position, end, began = 0, len(data), 0.0
        self._frames = 0
        while self.isOpen and not self.held:
            before = position
            reading = self._reading
            if reading is _PAYLOAD or reading is _FRAME_END:
                position = self._payload(data, position)
            else:
                if reading is _MESSAGE and self._takesWhole:
                    position = self._messages(data, position)
                if position == before:
                    position = self._head(data, position)
                    if position == before:
                        break
            if position < 0:
                return
            if position == end and (self._left or self._reading in _BETWEEN_FRAMES):
                return
            if not self._frames:
                began = perf_counter()
            self._frames += 1
            if (self._frames >= TURN or perf_counter() - began > TURN_SECONDS) and self.isOpen:
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
            first, length = data[position], data[position + 1] - _MASKED
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
            if length <= _SMALL:
                key = (data[start - 4 : start] * ((length >> 2) + 1))[:length]
                payload = (_number(data[start:stop], "little") ^ _number(key, "little")).to_bytes(length, "little")
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

    def _unmasked(self, data: bytes, mask: bytes) -> bytes:
        size = len(data)
        if size > _SMALL:
            payload: bytes = self._handler.unmask(data, mask)
            return payload
        key = (mask * ((size >> 2) + 1))[:size]
        return (_number(data, "little") ^ _number(key, "little")).to_bytes(size, "little")

    def _deliver(self, payload: bytes, isBinary: bool) -> None:
        self.countIn(len(payload))
        # A local variable, since the attribute is cleared if the hook loses the connection.
        handler = self._handler
        try:
            result = self._received(payload, isBinary)
        except Exception:
            handler.hookFailed()
        else:
            if result is not None:
                handler.hookReturned(result, len(payload))

    # -- one frame after the other --------------------------------------------------------------------------------

    def _head(self, data: bytes, position: int) -> int:
        """
        Read a frame's head, or a complete ping or pong.

        Returns the position behind it, or `position` if it is not complete.
        """
        have = len(data) - position
        if have < 2:
            return position
        first, second = data[position], data[position + 1]
        if not self._isSound(first, second):
            return self._fallBack(data[position:])
        length, start = second & 127, position + 6
        if length == 126:
            start += 2
            length = int.from_bytes(data[position + 2 : position + 4], "big")
        elif length == 127:
            start += 8
            length = int.from_bytes(data[position + 2 : position + 10], "big")
        if len(data) < start:
            return position
        if first & 8:
            return self._control(data, position, start, start + length)
        if not self._isAllowed(second & 127, length):
            return self._fallBack(data[position:])
        self._begin(first, length, data[start - 4 : start])
        return start

    def _isSound(self, first: int, second: int) -> bool:
        """Returns whether these first two bytes of a frame are valid here, and not for Autobahn (RFC 6455 5.2, 5.4)."""
        opcode, reserved = first & 15, first & 0x70
        if second < _MASKED or (reserved and (reserved != COMPRESSED or self._deflater is None)):
            return False
        if opcode in (Opcode.PING, Opcode.PONG):
            return bool(first & FIN) and not reserved and second & 127 < 126
        if opcode == Opcode.CONTINUATION:
            return self._reading is _FRAME and not reserved
        return opcode in (Opcode.TEXT, Opcode.BINARY) and self._reading is _MESSAGE

    def _isAllowed(self, short: int, length: int) -> bool:
        """Returns whether a data frame's length is in its shortest form (RFC 6455 5.2) and within the limits."""
        if (short == 126 and length < 126) or (short == 127 and length < 65536):
            return False
        before = self._total if self._reading is _FRAME else 0
        return length <= self._maxFrame and before + length <= self._maxMessage

    def _control(self, data: bytes, position: int, start: int, end: int) -> int:
        """Handle a ping or pong. Returns `end`, or `position` if the frame is not complete."""
        if end > len(data):
            return position
        payload = self._unmasked(data[start:end], data[start - 4 : start])
        if data[position] & 15 == Opcode.PING:
            self._handler.onPing(payload)
        else:
            self._handler.onPong(payload)
        return end

    def _begin(self, first: int, length: int, mask: bytes) -> None:
        """Begin the payload of a data frame, and its message if it is the first frame."""
        isContinued, self._reading = self._reading is _FRAME, _PAYLOAD
        self._final = bool(first & FIN)
        self._left = length
        self._mask = mask
        if isContinued:
            return
        self._total = 0
        self._isBinary = first & 15 == Opcode.BINARY
        self._compressed = bool(first & COMPRESSED)
        self._decoder = None
        self._raw = None
        if self._compressed:
            self._deflater.begin()
        if self._streams:
            self._handler.messageBegan(self._isBinary)

    def _payload(self, data: bytes, position: int) -> int:
        """Read some of a frame's payload, and handle the end of the frame. Returns the position behind it."""
        if self._reading is _PAYLOAD:
            end = min(position + self._left, len(data))
            piece = self._unmasked(data[position:end], self._mask)
            size = end - position
            self._mask = self._mask[size & 3 :] + self._mask[: size & 3]
            self._left -= size
            if not self._left:
                self._reading = _FRAME_END
            position = end
            if not self._piece(piece):
                return self._fallBack(data[position:])
            if self.held or not self.isOpen:
                return position
        if self._reading is _FRAME_END:
            if not self._final:
                self._reading = _FRAME
            elif not self._end():
                return self._fallBack(data[position:])
        return position

    def _piece(self, piece: bytes) -> bool:
        """Handle a piece of a message. Returns False if it fails the connection."""
        if self._compressed:
            last = self._final and self._reading is _FRAME_END
            if not last and not self._streams:
                self._keepRaw(piece)
            try:
                piece = self._deflater.inflate(piece, last, self._maxMessage - self._total)
            except InflateError as error:
                self._handler.inflateFailed(error)
                return False
        self._total += len(piece)
        if not self._isBinary and not self._isTextSoFar(piece):
            return False
        if not piece:
            return True
        if self._streams:
            self.countPiece(len(piece))
            self._handler.messageArrived(piece)
        else:
            if self._parts is None:
                self._parts = BytesIO()
            self._parts.write(piece)
        return True

    def _keepRaw(self, piece: bytes) -> None:
        """Keep a piece of a compressed message as it was received: another process cannot continue to inflate it."""
        if self._raw is None:
            self._raw = BytesIO()
            self._before = self._deflater.window
        self._raw.write(piece)

    def _isTextSoFar(self, piece: bytes) -> bool:
        """Check UTF-8 as it arrives, so that the first invalid byte fails the connection (RFC 6455 8.1)."""
        if self._decoder is None:
            if isText(piece):
                return True
            self._decoder = _newDecoder()
        try:
            self._decoder.decode(piece)
            isSound = self._decoder.getstate()[0] not in _HALF_SURROGATES
        except UnicodeDecodeError:
            isSound = False
        if not isSound:
            self._handler.invalidText(False)
        return isSound

    def _end(self) -> bool:
        """Handle the end of a message. Returns False if the message ends within a character (RFC 6455 8.1)."""
        self._reading = _MESSAGE
        self._raw = None
        if self._decoder is not None and self._decoder.getstate()[0]:
            self._handler.invalidText(True)
            return False
        # getvalue() makes no copy if there is no other reference to the BytesIO.
        parts, self._parts = self._parts, None
        if self._streams:
            self.countEnd(self._total)
            self._handler.messageEnded()
        else:
            payload = b"" if parts is None else parts.getvalue()
            del parts
            self._deliver(payload, self._isBinary)
        return True

    @property
    def isIdle(self) -> bool:
        """Whether the next byte begins a message."""
        return self._reading is _MESSAGE and not self._rest

    @property
    def unread(self) -> Unread | None:
        """
        What was received and is not passed on, for another process.

        None if that is not possible: Autobahn reads, or some of the message is passed on already.
        """
        reading, deflater = self._reading, self._deflater
        if reading is _AUTOBAHN or self._feeding:
            return None
        window = b"" if deflater is None else deflater.window
        if reading is _MESSAGE:
            return Unread(self._rest, window)
        if self._streams:
            return None
        isWhole = reading is _FRAME_END and self._final
        isCompressed = self._compressed and not isWhole
        kept = self._raw if isCompressed else self._parts
        left, isLast = (self._left, self._final) if reading is _PAYLOAD else (0, isWhole)
        frames = framesOf(
            Opcode.BINARY if self._isBinary else Opcode.TEXT,
            b"" if kept is None else kept.getvalue(),
            self._maxFrame,
            isCompressed,
            left,
            self._mask,
            isLast,
        )
        return Unread(frames + self._rest, self._before if isCompressed and self._raw is not None else window)

    # -- ending ---------------------------------------------------------------------------------------------------

    def handOver(self, rest: bytes, left: int) -> None:
        """Called when the connection closes, between messages or `left` bytes before the end of one."""
        self._reading = _PAYLOAD if left else _MESSAGE
        self._left, self._final = left, True
        self._fallBack(rest)

    def _fallBack(self, rest: bytes) -> int:
        """Let Autobahn read on from here. Returns -1."""
        reading, self._reading = self._reading, _AUTOBAHN
        self._parts = self._raw = None
        if self._handler is not None:
            left = self._left if reading is _PAYLOAD else 0
            inside = reading in (_FRAME, _PAYLOAD) or (reading is _FRAME_END and not self._final)
            self._handler.fallBack(rest, left, self._final if left else False, inside, self._total)
        return -1

    def close(self) -> None:
        """Called when the connection is gone."""
        super().close()
        self._received = self._parts = self._raw = None
        self._rest = b""
