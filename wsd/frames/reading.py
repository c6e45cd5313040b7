"""The reading half of the plane `fast`: one frame after the other, in pieces of any size (RFC 6455 5, RFC 7692 6)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from wsd.frames.codes import Opcode
from wsd.frames.deflate import InflateError
from wsd.frames.handler import FrameHandler, FrameLimits
from wsd.frames.heads import COMPRESSED, FIN
from wsd.frames.incoming import IncomingMessage, InvalidText
from wsd.frames.unread import Unread
from wsd.frames.writing import Writer

MASKED = 0x80
"""The bit before a frame's length: "a client MUST mask all frames that it sends to the server" (RFC 6455 5.1)."""

SMALL = 4096
"""The largest payload that is unmasked in Python. For a larger one, Autobahn's compiled masker is faster."""

number = int.from_bytes
"""A payload is unmasked as one large integer, which is the fastest XOR in Python (RFC 6455 5.3)."""


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
    INFLATING = 4
    """Not read before what has arrived of a frame's payload is inflated."""
    AUTOBAHN = 5
    """For Autobahn, which reads the connection to its end."""


# Module globals, because CPython 3.11 looks up a member of an enum in several steps, for each frame.
MESSAGE, FRAME, PAYLOAD, FRAME_END, INFLATING, AUTOBAHN = Reading

_WITHIN = (PAYLOAD, INFLATING)
_AT_END = (FRAME_END, INFLATING)


class FrameReader(Writer):
    """Reads frames from given bytes, and writes those of the same connection. `Fast` gets the bytes."""

    __slots__ = (
        "_answers",
        "_final",
        "_left",
        "_mask",
        "_maxFrame",
        "_maxMessage",
        "_message",
        "_reading",
        "_received",
        "_rest",
        "_streams",
    )

    def __init__(self, handler: FrameHandler, transport: Any, limits: FrameLimits, deflater: Any, rest: bytes) -> None:
        """`rest` is what was received before the connection was open."""
        super().__init__(handler, transport, limits, deflater)
        self._answers = limits.answers
        self._received: Any = handler.answer if limits.answers else handler.received
        self._maxMessage = limits.maxMessage
        self._maxFrame = limits.maxFrame
        self._streams = limits.streams
        self._rest = rest
        """What was received and is not read yet."""
        self._reading = MESSAGE
        self._left = 0
        """Bytes of the current frame that are missing."""
        self._message: IncomingMessage | None = None

    # -- heads ----------------------------------------------------------------------------------------------------

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
        if second < MASKED or (reserved and (reserved != COMPRESSED or self._deflater is None)):
            return False
        if opcode in (Opcode.PING, Opcode.PONG):
            return bool(first & FIN) and not reserved and second & 127 < 126
        if opcode == Opcode.CONTINUATION:
            return self._reading is FRAME and not reserved
        return opcode in (Opcode.TEXT, Opcode.BINARY) and self._reading is MESSAGE

    def _isAllowed(self, short: int, length: int) -> bool:
        """Returns whether a data frame's length is in its shortest form (RFC 6455 5.2) and within the limits."""
        if (short == 126 and length < 126) or (short == 127 and length < 65536):
            return False
        before = 0 if self._message is None else self._message.size
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
        self._reading = PAYLOAD
        self._final = bool(first & FIN)
        self._left = length
        self._mask = mask
        if self._message is not None:
            return
        isBinary, deflater = first & 15 == Opcode.BINARY, self._deflater if first & COMPRESSED else None
        self._message = IncomingMessage(isBinary, deflater, self._maxMessage, not self._streams)
        if self._streams:
            self._handler.messageBegan(isBinary)

    # -- payloads -------------------------------------------------------------------------------------------------

    def _payload(self, data: bytes, position: int) -> int:
        """Read some of a frame's payload, and handle the end of the frame. Returns the position behind it."""
        if self._reading is PAYLOAD:
            end = min(position + self._left, len(data))
            piece = self._unmasked(data[position:end], self._mask)
            size = end - position
            self._mask = self._mask[size & 3 :] + self._mask[: size & 3]
            self._left -= size
            if not self._left:
                self._reading = FRAME_END
            position = end
            assert self._message is not None
            if not self._piece(self._message.add, piece, self._final and not self._left):
                return self._fallBack(data[position:])
        elif self._reading is INFLATING:
            assert self._message is not None
            self._reading = PAYLOAD if self._left else FRAME_END
            if self._message.isInflating and not self._piece(self._message.addMore):
                return self._fallBack(data[position:])
        if self._reading is FRAME_END and not self.held and self.isOpen:
            if not self._final:
                self._reading = FRAME
            elif not self._end():
                return self._fallBack(data[position:])
        return position

    def _piece(self, add: Callable[..., bytes], *given: Any) -> bool:
        """Add to the message, and pass on what was added. Returns False if it fails the connection."""
        message = self._message
        assert message is not None
        try:
            piece = add(*given)
        except InflateError as error:
            self._handler.inflateFailed(error)
            return False
        except InvalidText as error:
            self._handler.invalidText(error.isTruncated)
            return False
        if message.isInflating:
            self._reading = INFLATING
        if piece and self._streams:
            self.countPiece(len(piece))
            self._handler.messageArrived(piece)
        return True

    def inflateOn(self, first: int, piece: bytes) -> None:
        """
        Go on with a compressed message in a single frame, of which another plane has inflated the first `piece`.

        `first` is the first byte of its frame.
        """
        self._begin(first, 0, b"")
        assert self._message is not None
        if not self._piece(self._message.addInflated, piece):
            self._fallBack(b"")

    def _end(self) -> bool:
        """Handle the end of a message. Returns False if it fails the connection."""
        self._reading = MESSAGE
        message, self._message = self._message, None
        assert message is not None
        try:
            payload = message.end()
        except InvalidText as error:
            self._handler.invalidText(error.isTruncated)
            return False
        if self._streams:
            self.countEnd(message.size)
            self._handler.messageEnded()
        else:
            self._deliver(payload, message.isBinary)
        return True

    def _unmasked(self, data: bytes, mask: bytes) -> bytes:
        size = len(data)
        if size > SMALL:
            payload: bytes = self._handler.unmask(data, mask)
            return payload
        key = (mask * ((size >> 2) + 1))[:size]
        return (number(data, "little") ^ number(key, "little")).to_bytes(size, "little")

    def _deliver(self, payload: bytes, isBinary: bool) -> None:
        self.countIn(len(payload))
        # A local variable, since the attribute is cleared if the hook loses the connection.
        handler = self._handler
        try:
            result = self._received(payload, isBinary)
            if self._answers and result is not None:
                if type(result) is bytes:
                    self.send(result, isBinary)
                    result = None
                else:
                    result = handler.sendAnswer(result, isBinary)
        except Exception:
            handler.hookFailed()
        else:
            if result is not None:
                handler.hookReturned(result, len(payload))

    # -- what is kept ---------------------------------------------------------------------------------------------

    @property
    def kept(self) -> int:
        """The number of received bytes that are not passed on yet."""
        return len(self._rest) + self.assembled + self.inflated

    @property
    def assembled(self) -> int:
        """Bytes of an incomplete message that is not compressed."""
        return 0 if self._message is None else self._message.assembled

    @property
    def inflated(self) -> int:
        """Bytes of an incomplete compressed message: inflated, and as they were received."""
        return 0 if self._message is None else self._message.inflated

    def _unread(self) -> Unread | None:
        """What was received and is not passed on; None if Autobahn reads, or if some of the message is passed on."""
        self._inflateRest()
        reading, message = self._reading, self._message
        if reading is AUTOBAHN:
            return None
        window = b"" if self._deflater is None else self._deflater.window
        if message is None:
            return Unread(self._rest, window)
        if self._streams:
            return None
        isFinal = self._final and reading is not FRAME
        left = self._left if reading in _WITHIN else 0
        found = message.unread(window, self._maxFrame, left, self._mask, isFinal)
        return found._replace(data=found.data + self._rest)

    def _inflateRest(self) -> None:
        """Inflate the end of a compressed message at once: another process could not go on in the midst of it."""
        message = self._message
        while message is not None and message.isWhole and message.isInflating:
            if not self._piece(message.addMore):
                self._fallBack(self._rest)
                return

    # -- ending ---------------------------------------------------------------------------------------------------

    def handOver(self, rest: bytes, left: int) -> None:
        """Called when the connection closes, between messages or `left` bytes before the end of one."""
        self._reading = PAYLOAD if left else MESSAGE
        self._left, self._final = left, True
        self._fallBack(rest)

    def _fallBack(self, rest: bytes) -> int:
        """Let Autobahn read on from here. Returns -1."""
        reading, self._reading = self._reading, AUTOBAHN
        message, self._message = self._message, None
        if self._handler is not None:
            left = self._left if reading in _WITHIN else 0
            isInside = bool(left) or reading in (FRAME, PAYLOAD) or (reading in _AT_END and not self._final)
            total = 0 if message is None else message.size
            self._handler.fallBack(rest, left, self._final if left else False, isInside, total)
        return -1

    def close(self) -> None:
        """Called when the connection is gone."""
        super().close()
        self._received = self._message = None
        self._rest = b""
