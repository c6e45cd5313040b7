"""
Engine: Autobahn's server made fit for the house (RFC 6455, sections 5 to 7).

Autobahn reads frames, checks them and answers closing handshakes. Taken over here are the parts that its options cannot
put right: its state is set without formatting a page of debug output for each connection, it holds no timers, it closes
with the code a failure has instead of dropping the connection, and it stops between two messages when it is told to.
"""

from __future__ import annotations

from functools import cached_property
from time import perf_counter
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import FrameHeader, TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator
from autobahn.websocket.xormasker import XorMaskerNull, create_xor_masker  # type: ignore[attr-defined]

from wsd.frames.codes import CloseCode, Opcode
from wsd.frames.deflate import InflateError, InflateLimitExceeded
from wsd.frames.fast import TURN, TURN_SECONDS
from wsd.frames.heads import frameHead
from wsd.logs import ConnectionLog
from wsd.metrics import Cause

_MAX_CONTROL = 125
"""Bytes of payload a control frame may have (RFC 6455 5.5)."""

_MAX_REASON = 123
"""Bytes of UTF-8 a close frame has room for beside its code (RFC 6455 5.5)."""

_STEPS = 2 * TURN
"""Autobahn reads a frame in two steps, its head and its payload."""

_CAUSES: dict[int, Cause] = {
    CloseCode.PROTOCOL_ERROR: Cause.protocol_error,
    CloseCode.INVALID_DATA: Cause.invalid_payload,
    CloseCode.MESSAGE_TOO_BIG: Cause.too_big,
    CloseCode.INTERNAL_ERROR: Cause.internal_error,
}


def fitReason(sentence: str) -> bytes:
    """As much of a sentence as a close frame has room for, cut between two characters."""
    return sentence.encode()[:_MAX_REASON].decode(errors="ignore").encode()


class Engine(WebSocketServerProtocol):
    """Autobahn's server protocol with its state, its sending and its endings taken over."""

    transport: Any
    """ITransport, IConsumer and IPushProducer in one, which can abort: what every stream of Twisted's is."""
    log: ConnectionLog

    # What Autobahn sets for each connection, and most connections never change: it stays with the class.
    send_state = WebSocketServerProtocol.SEND_STATE_GROUND
    data = b""
    send_queue: Any = ()
    triggered = False
    trafficStats = TrafficStats()
    trackedTimings: Any = None
    current_frame: Any = None
    inside_message = False
    websocket_version = 13
    wasMaxFramePayloadSizeExceeded = False
    wasMaxMessagePayloadSizeExceeded = False
    closedByMe = False
    failedByMe = False
    droppedByMe = False
    wasClean = False
    wasNotCleanReason: Any = None
    localCloseCode: Any = None
    localCloseReason: Any = None
    remoteCloseCode: Any = None
    remoteCloseReason: Any = None
    closeHandshakeTimeoutCall = None
    autoPingTimeoutCall = None
    autoPingPending = None
    _perMessageCompress: Any = None
    _isMessageCompressed = False

    cause: Cause | None = None
    """Why this connection ended or is about to; the first cause counts."""

    explains = True
    """Whether the close of a failed connection says what was wrong."""

    frames: Any = None
    """What reads and writes the frames of the open connection: see `wsd.frames`."""
    _consuming = False
    __state = WebSocketServerProtocol.STATE_CONNECTING
    __held = 0

    def __init__(self) -> None:
        """Autobahn's own makes two Deferreds and a record of the transport for each connection; none is asked for."""

    @cached_property
    def utf8validator(self) -> Utf8Validator:  # type: ignore[override]
        """Made with the first text message."""
        return Utf8Validator()

    @property
    def state(self) -> int:
        """Autobahn's number for how far the connection is."""
        return self.__state

    @state.setter
    def state(self, state: int) -> None:
        self.__state = state
        if self.frames is not None:
            self.frames.isOpen = state == self.STATE_OPEN

    @property
    def held(self) -> int:
        """How many ask that nothing is read."""
        return self.__held

    @held.setter
    def held(self, held: int) -> None:
        self.__held = held
        if self.frames is not None:
            self.frames.held = held

    # -- reading --------------------------------------------------------------------------------------------------

    def consumeData(self) -> None:
        """Read frames from what has arrived, until it is used up or reading is held."""
        if self._consuming or self.state not in (self.STATE_OPEN, self.STATE_CLOSING):
            return
        self._consuming = True
        steps, began = 0, perf_counter()
        try:
            while self.processData() and self.state != self.STATE_CLOSED:
                steps += 1
                if steps % _STEPS == 0 or perf_counter() - began > TURN_SECONDS:
                    self.yieldToReactor()
        finally:
            self._consuming = False

    def processData(self) -> bool:
        """One step of Autobahn's reading, or none while reading is held; a step that finds a fault is not the last."""
        if self.held:
            return False
        sound = not self.failedByMe
        return bool(super().processData()) or (sound and self.failedByMe and bool(self.data))

    def onFrameData(self, payload: bytes) -> bool | None:
        """Some bytes of a frame; after a fault only those of the peer's close are looked at."""
        if self.failedByMe and not self.__isClose:
            return None
        if not self._isMessageCompressed:
            found: bool | None = super().onFrameData(payload)
            return found
        lacking = self.lacking
        self._perMessageCompress.last = self.current_frame.fin and not lacking
        # Autobahn already counts the bytes still to come, in their deflated size, as part of the message.
        self.message_data_total_length -= lacking
        found = super().onFrameData(payload)
        self.message_data_total_length += lacking
        return found

    def onFrameEnd(self) -> bool | None:
        """A frame is whole; its message goes on when reading is not held any more."""
        if self.failedByMe and not self.__isClose:
            opcode, self.current_frame = self.current_frame.opcode, None
            if opcode == Opcode.CLOSE:
                # Too long to be looked into, and the peer's last frame all the same (RFC 6455 5.5.1).
                self.remoteClosed()
            return None
        if self.held and self.current_frame.opcode < Opcode.CLOSE:
            return False
        found: bool | None = super().onFrameEnd()
        return found

    def remoteClosed(self) -> None:
        """The peer's close has come, without a code that could be read: ours is sent already."""
        self.wasClean = True
        self.dropConnection(abort=True)

    @property
    def __isClose(self) -> bool:
        frame = self.current_frame
        return bool(frame.opcode == Opcode.CLOSE and frame.length <= _MAX_CONTROL)

    @property
    def lacking(self) -> int:
        """Bytes that the present frame still lacks, 0 between frames."""
        return 0 if self.current_frame is None else self.current_frame.length - self.current_frame_masker.pointer()

    def fallBack(self, rest: bytes, left: int, final: bool, inside: bool, total: int) -> None:
        """Autobahn reads on from here; see `wsd.frames.handler.FrameHandler`."""
        self.data = rest
        if inside:
            self.inside_message = self.message_is_binary = True
            self.message_data: list[bytes] = []
            self.message_data_total_length = total
            self.utf8validateIncomingCurrentMessage = False
        if left:
            self.current_frame = FrameHeader(Opcode.CONTINUATION, final, 0, left, None)  # type: ignore[arg-type]
            self.current_frame_masker = XorMaskerNull()
            self.frame_data = []
        self.consumeData()

    def invalidText(self, isTruncated: bool) -> None:
        """A text message is not UTF-8, or ends within a character (RFC 6455 8.1)."""
        reason = (
            "UTF-8 text message payload ended within Unicode code point"
            if isTruncated
            else "encountered invalid UTF-8 while processing text message"
        )
        self._fail_connection(CloseCode.INVALID_DATA, reason)

    def inflateFailed(self, error: InflateError) -> None:
        """A message cannot be inflated (RFC 7692 6.2), or exceeds its limit."""
        if isinstance(error, InflateLimitExceeded):
            most = self.factory.maxMessagePayloadSize
            reason = f"received WebSocket message exceeds payload limit of {most} octets after decompression"
            self._fail_connection(CloseCode.MESSAGE_TOO_BIG, reason)
        else:
            reason = f"received WebSocket message cannot be decompressed: {error}"
            self._fail_connection(CloseCode.INVALID_DATA, reason)

    @staticmethod
    def unmask(data: bytes, mask: bytes) -> bytes:
        """A large payload without its mask (RFC 6455 5.3)."""
        unmasked: bytes = create_xor_masker(mask, len(data)).process(data)
        return unmasked

    # -- sending --------------------------------------------------------------------------------------------------

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Hand bytes to the transport."""
        self.transport.write(data)

    def sendPingFrame(self, payload: bytes) -> None:
        """Send a ping."""
        self.frames.write(frameHead(Opcode.PING, len(payload)) + payload)

    def sendPongFrame(self, payload: bytes) -> None:
        """Send a pong."""
        self.frames.write(frameHead(Opcode.PONG, len(payload)) + payload)

    # -- ending ---------------------------------------------------------------------------------------------------

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Send a close frame, once; without a code it has no body."""
        if self.state != self.STATE_OPEN:
            return
        body = b"" if code is None else code.to_bytes(2, "big") + (reasonUtf8 or b"")
        self.frames.sendUncompressed()
        self.frames.write(frameHead(Opcode.CLOSE, len(body)) + body)
        self.state = self.STATE_CLOSING
        self.closedByMe = not isReply
        self.localCloseCode = code
        self.localCloseReason = reasonUtf8
        self.closing()

    def _fail_connection(self, code: int = CloseCode.GOING_AWAY, reason: str = "going away") -> None:
        """
        What the peer sent cannot be accepted: close with its code.

        While we are closing, more of it is read over: Autobahn finds the fault of a head again with each piece that
        comes of it, and where the pieces are cut must make no difference.
        """
        self.failedByMe = True
        if self.state != self.STATE_OPEN:
            return
        code = self.faulted(code, reason)
        # Where in a message the fault was met is told by one plane only.
        reason = reason.partition(" at payload octet index")[0]
        self.log.info("fails with {code}: {reason}", event="connection.failed", code=code, reason=reason)
        self.noteCause(_CAUSES.get(code, Cause.protocol_error))
        self.sendCloseFrame(code, fitReason(reason) if self.explains else b"")

    def faulted(self, code: int, reason: str) -> int:
        """Called when what the peer sent cannot be accepted. Returns the code to close with."""
        return code

    def dropConnection(self, abort: bool = False) -> None:
        """End the TCP connection: after what waits has been sent, or with `abort` at once unless the end is clean."""
        if self.state == self.STATE_CLOSED:
            return
        self.state = self.STATE_CLOSED
        if self.frames is not None:
            self.frames.flush()
        self.leaving()
        if abort and not self.wasClean:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()
            self.closing()

    def noteCause(self, cause: Cause) -> None:
        """Note why the connection ends, unless that is known already."""
        if self.cause is None:
            self.cause = cause

    def yieldToReactor(self) -> None:
        """Hold reading until the others have had their turn."""
        raise NotImplementedError

    def closing(self) -> None:
        """The end has begun and must not take for ever."""
        raise NotImplementedError

    def leaving(self) -> None:
        """Nothing more is sent."""
        raise NotImplementedError
