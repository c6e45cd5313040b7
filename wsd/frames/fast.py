"""
fast: frames read in Python (RFC 6455 5, RFC 7692 6), several times faster than Autobahn reads them.

Read here is what an open connection normally sends. At the first byte of anything else, the peer's close or a fault in
a frame's head, Autobahn reads on: it knows every rule, and its answer is the same on every plane.
"""

from __future__ import annotations

import codecs
from io import BytesIO
from time import perf_counter
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from wsd.frames.codes import Opcode
from wsd.frames.deflate import InflateError
from wsd.frames.handler import FrameHandler, FrameLimits
from wsd.frames.heads import COMPRESSED, FIN
from wsd.frames.writing import Writer

_MASKED = 0x80

_TEXT, _BINARY = FIN | Opcode.TEXT, FIN | Opcode.BINARY
"""How a message of one frame begins."""

_number = int.from_bytes
"""Bytes are unmasked as one number, which Python adds fast."""

TURN = 64
"""Frames of one connection that are read before the others have their turn."""

TURN_SECONDS = 0.001
"""Seconds after which they have it sooner."""

_SMALL = 4096
"""Bytes up to which a payload is unmasked here; beyond, Autobahn's compiled masker is faster."""

_READ = 256 * 1024
"""Bytes asked for at a time: a large message comes in few pieces."""

_newDecoder = codecs.getincrementaldecoder("utf-8")
_HALF_SURROGATES = frozenset(bytes([0xED, second]) for second in range(0xA0, 0xC0))
"""What Python's decoder waits for the rest of, for its own `surrogatepass`, though it begins no character."""


def isText(payload: bytes) -> bool:
    """Whether it is UTF-8 (RFC 3629)."""
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
        "_compressed",
        "_decoder",
        "_fedOut",
        "_feeding",
        "_fellBack",
        "_final",
        "_frames",
        "_inFrame",
        "_inMessage",
        "_isBinary",
        "_kept",
        "_left",
        "_mask",
        "_maxFrame",
        "_maxMessage",
        "_most",
        "_parts",
        "_received",
        "_rest",
        "_streams",
        "_total",
    )

    def __init__(self, handler: FrameHandler, transport: Any, limits: FrameLimits, deflater: Any, rest: bytes) -> None:
        """`rest` came before the connection was open; it is read with the first `resumeReading`."""
        super().__init__(handler, transport, limits, deflater)
        self._received: Any = handler.received
        self._maxMessage = limits.maxMessage
        self._maxFrame = limits.maxFrame
        self._streams = limits.streams
        self._most = min(limits.maxMessage, limits.maxFrame)
        self._rest = rest
        self._feeding = self._fellBack = self._inFrame = self._inMessage = self._fedOut = False
        self._left = self._total = self._frames = 0
        self._kept = len(rest)
        self._parts: BytesIO | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    # -- bytes arrive ---------------------------------------------------------------------------------------------

    def attach(self, socket: Any) -> None:
        """Read from this socket, which does not block, with `doRead`, and send to it."""
        self._socket = socket

    def doRead(self) -> Any:
        """Read once, and answer; what is returned is why the connection is lost."""
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
        if self._fellBack:
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
        """Reading is not held any more."""
        if self._fellBack:
            self._handler.consumeData()
        elif not self._feeding:
            data, self._rest = self._rest, b""
            self._run(data)

    def _run(self, data: bytes) -> None:
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
        """Received bytes that were not passed on yet."""
        return len(self._rest) + (0 if self._parts is None else self._total)

    def _reportKept(self) -> None:
        """Report that number if it has changed."""
        kept = self.kept
        if kept != self._kept and self._handler is not None:
            self._kept = kept
            self._handler.noteReceived(kept)

    def _read(self, data: bytes) -> None:
        """Read frames until the bytes are used up, reading is held, or the others have their turn."""
        position, end, began = 0, len(data), 0.0
        self._frames = 0
        while self.isOpen and not self.held:
            before = position
            if self._inFrame:
                position = self._payload(data, position)
            else:
                if not self._inMessage and not self._streams:
                    position = self._messages(data, position)
                if position == before:
                    position = self._head(data, position)
                    if position == before:
                        break
            if position < 0:
                return
            if position == end and (self._left or not self._inFrame):
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
        """Read messages of one whole frame, which most are; what is not that is left where it is."""
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
        traffic = self._traffic
        traffic.messagesIn += 1
        traffic.bytesIn += len(payload)
        # Held in a local variable: the hook may lose the connection, which clears the attribute.
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
        """Read a frame's head, or a ping or pong as a whole: where it ends, or where it began when more is needed."""
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
        """Whether a frame may begin like this here and is nothing that Autobahn should read."""
        opcode, reserved = first & 15, first & 0x70
        if second < _MASKED or (reserved and (reserved != COMPRESSED or self._deflater is None)):
            return False
        if opcode in (Opcode.PING, Opcode.PONG):
            return bool(first & FIN) and not reserved and second & 127 < 126
        if opcode == Opcode.CONTINUATION:
            return self._inMessage and not reserved
        return opcode in (Opcode.TEXT, Opcode.BINARY) and not self._inMessage

    def _isAllowed(self, short: int, length: int) -> bool:
        """Whether a data frame's length is in its shortest form, and within what may be received."""
        if (short == 126 and length < 126) or (short == 127 and length < 65536):
            return False
        return length <= self._maxFrame and length + (self._total if self._inMessage else 0) <= self._maxMessage

    def _control(self, data: bytes, position: int, start: int, end: int) -> int:
        if end > len(data):
            return position
        payload = self._unmasked(data[start:end], data[start - 4 : start])
        if data[position] & 15 == Opcode.PING:
            self._handler.onPing(payload)
        else:
            self._handler.onPong(payload)
        return end

    def _begin(self, first: int, length: int, mask: bytes) -> None:
        self._inFrame, self._fedOut = True, False
        self._final = bool(first & FIN)
        self._left = length
        self._mask = mask
        if self._inMessage:
            return
        self._inMessage = True
        self._total = 0
        self._isBinary = first & 15 == Opcode.BINARY
        self._compressed = bool(first & COMPRESSED)
        self._decoder = None
        if self._compressed:
            self._deflater.begin()
        if self._streams:
            self._handler.messageBegan(self._isBinary)

    def _payload(self, data: bytes, position: int) -> int:
        """Read what there is of a frame's payload, and end the frame when that is all."""
        if not self._fedOut:
            end = min(position + self._left, len(data))
            piece = self._unmasked(data[position:end], self._mask)
            size = end - position
            self._mask = self._mask[size & 3 :] + self._mask[: size & 3]
            self._left -= size
            self._fedOut = not self._left
            position = end
            if not self._piece(piece):
                return self._fallBack(data[position:])
            if self.held or not self.isOpen:
                return position
        if self._fedOut:
            self._inFrame = False
            if self._final and not self._end():
                return self._fallBack(data[position:])
        return position

    def _piece(self, piece: bytes) -> bool:
        """Take a piece of a message; False when it cannot be accepted, which the peer has been told then."""
        if self._compressed:
            try:
                last = self._final and self._fedOut
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
            self._traffic.bytesIn += len(piece)
            self._handler.messageArrived(piece)
        else:
            if self._parts is None:
                self._parts = BytesIO()
            self._parts.write(piece)
        return True

    def _isTextSoFar(self, piece: bytes) -> bool:
        """Check UTF-8 as it comes: a message that will never be text is refused at once."""
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
        """A message is whole; False when it ends within a character, which the peer has been told then."""
        self._inMessage = False
        if self._decoder is not None and self._decoder.getstate()[0]:
            self._handler.invalidText(True)
            return False
        # Its value is what it has written into, without a copy.
        parts, self._parts = self._parts, None
        if self._streams:
            self._traffic.messagesIn += 1
            self._handler.messageEnded()
        else:
            payload = b"" if parts is None else parts.getvalue()
            del parts
            self._deliver(payload, self._isBinary)
        return True

    @property
    def isIdle(self) -> bool:
        """Whether the next byte begins a message."""
        return not (self._inFrame or self._inMessage or self._rest or self._fellBack)

    # -- ending ---------------------------------------------------------------------------------------------------

    def handOver(self, rest: bytes, left: int) -> None:
        """The connection closes in the middle of a message whose last frame lacks `left` bytes, or between two."""
        self._inFrame = self._inMessage = left > 0
        self._left, self._final, self._fedOut = left, True, False
        self._fallBack(rest)

    def _fallBack(self, rest: bytes) -> int:
        """Let Autobahn read on from here."""
        self._fellBack = True
        self._parts = None
        if self._handler is not None:
            left = self._left if self._inFrame else 0
            inside = self._inMessage and not (self._inFrame and self._fedOut and self._final)
            self._handler.fallBack(rest, left, self._final if left else False, inside, self._total)
        return -1

    def close(self) -> None:
        """The connection is gone."""
        super().close()
        self._received = self._parts = None
        self._rest = b""
