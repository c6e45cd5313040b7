"""
Engine: Autobahn's server protocol, adapted (RFC 6455, sections 5 to 7).

Autobahn reads frames, checks them and answers closing handshakes. This class overrides what its options cannot change:
no debug output is formatted for each connection, no timers are set, a failed connection is closed with the code of the
failure instead of being dropped, and reading stops between two messages while it is held.
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
"""The largest payload of a control frame (RFC 6455 5.5)."""

_MAX_REASON = 123
"""The longest reason of a close frame in bytes: its code takes two of the 125 (RFC 6455 5.5)."""

_STEPS = 2 * TURN
"""Autobahn reads a frame in two steps: its head, and its payload."""

_CAUSES: dict[int, Cause] = {
    CloseCode.PROTOCOL_ERROR: Cause.protocol_error,
    CloseCode.INVALID_DATA: Cause.invalid_payload,
    CloseCode.MESSAGE_TOO_BIG: Cause.too_big,
    CloseCode.INTERNAL_ERROR: Cause.internal_error,
}


def fitReason(sentence: str) -> bytes:
    """Returns the sentence in UTF-8, cut between two characters to the size of a close reason (RFC 6455 5.5.1)."""
    return sentence.encode()[:_MAX_REASON].decode(errors="ignore").encode()


def withId(reason: bytes, connectionId: str) -> bytes:
    """Returns a close reason with the id behind it; unchanged if both do not fit into a close frame."""
    named = b"%b [%b]" % (reason, connectionId.encode()) if reason else b"[%b]" % connectionId.encode()
    return named if len(named) <= _MAX_REASON else reason


class Engine(WebSocketServerProtocol):
    """Autobahn's server protocol with its own state, sending and ending."""

    transport: Any
    """An ITransport, IConsumer and IPushProducer with `abortConnection`, as all stream transports of Twisted are."""
    log: ConnectionLog
    factory: Any

    # Autobahn sets these on each connection. Most connections never change them, so the class has the initial values.
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
    """Why this connection has ended or is about to. The first cause counts."""

    explains = True
    """Whether the close frame of a failed connection has a reason (RFC 6455 7.1.6)."""

    namesId = True
    """Whether the reason of a close frame that we send first ends with the connection's id, if `close_id` is on."""

    told: str | None = None
    """The reason of the close frame that we sent first, without the id; None for those of handlers and of clients."""

    frames: Any = None
    """The plane, which reads and writes the frames of the open connection: see `wsd.frames`."""
    _consuming = False
    __state = WebSocketServerProtocol.STATE_CONNECTING
    __held = 0

    def __init__(self) -> None:
        """Autobahn's __init__ makes two Deferreds and a record of the transport for each connection; none is used."""

    @cached_property
    def utf8validator(self) -> Utf8Validator:  # type: ignore[override]
        """Autobahn's validator, made for the first text message."""
        return Utf8Validator()

    @property
    def state(self) -> int:
        """Autobahn's state of the connection. Sets the plane's `isOpen`."""
        return self.__state

    @state.setter
    def state(self, state: int) -> None:
        self.__state = state
        if self.frames is not None:
            self.frames.isOpen = state == self.STATE_OPEN

    @property
    def held(self) -> int:
        """The number of `hold`s that are not released. Reading is held while it is not 0. Sets the plane's `held`."""
        return self.__held

    @held.setter
    def held(self, held: int) -> None:
        self.__held = held
        if self.frames is not None:
            self.frames.held = held

    # -- reading --------------------------------------------------------------------------------------------------

    def consumeData(self) -> None:
        """Let Autobahn read its buffer, until the buffer is used up or reading is held."""
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
        """Do one step of Autobahn's reading, unless reading is held. Returns whether there is more to read."""
        if self.held:
            return False
        sound = not self.failedByMe
        return bool(super().processData()) or (sound and self.failedByMe and bool(self.data))

    def onFrameData(self, payload: bytes) -> bool | None:
        """Called with bytes of a frame. After a failure, only the peer's close frame is read (RFC 6455 7.1.7)."""
        if self.failedByMe and not self.__isClose:
            return None
        if not self._isMessageCompressed:
            found: bool | None = super().onFrameData(payload)
            return found
        lacking = self.lacking
        self._perMessageCompress.last = self.current_frame.fin and not lacking
        # Autobahn already counts the frame's missing bytes, which are deflated, as bytes of the inflated message.
        self.message_data_total_length -= lacking
        found = super().onFrameData(payload)
        self.message_data_total_length += lacking
        return found

    def onFrameEnd(self) -> bool | None:
        """Called when a frame is complete. While reading is held, a data frame is left for later."""
        if self.failedByMe and not self.__isClose:
            opcode, self.current_frame = self.current_frame.opcode, None
            if opcode == Opcode.CLOSE:
                # Its payload is too long to be read, but it is still the peer's last frame (RFC 6455 5.5.1).
                self.remoteClosed()
            return None
        if self.held and self.current_frame.opcode < Opcode.CLOSE:
            return False
        found: bool | None = super().onFrameEnd()
        return found

    def remoteClosed(self) -> None:
        """Called after our close frame was sent, when the peer's has come and is too long to be read."""
        self.wasClean = True
        self.dropConnection(abort=True)

    @property
    def __isClose(self) -> bool:
        """Whether the current frame is a close frame that can be read (RFC 6455 5.5)."""
        frame = self.current_frame
        return bool(frame.opcode == Opcode.CLOSE and frame.length <= _MAX_CONTROL)

    @property
    def lacking(self) -> int:
        """The number of missing bytes of the current frame, 0 between frames."""
        return 0 if self.current_frame is None else self.current_frame.length - self.current_frame_masker.pointer()

    def fallBack(self, rest: bytes, left: int, final: bool, inside: bool, total: int) -> None:
        """Let Autobahn read on from here; see `wsd.frames.handler.FrameHandler`."""
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

    @property
    def unreadPlain(self) -> bytes | None:
        """What Autobahn has not read yet; None while it is within a message, or the connection closes."""
        isBetween = self.state == self.STATE_OPEN and self.current_frame is None and not self.inside_message
        return self.data if isBetween and not self._consuming else None

    def invalidText(self, isTruncated: bool) -> None:
        """Called when a text message is not UTF-8, or ends within a character: fail the connection (RFC 6455 8.1)."""
        reason = (
            "UTF-8 text message payload ended within Unicode code point"
            if isTruncated
            else "encountered invalid UTF-8 while processing text message"
        )
        self._fail_connection(CloseCode.INVALID_DATA, reason)

    def inflateFailed(self, error: InflateError) -> None:
        """Called when a message cannot be inflated (RFC 7692 6.2), or exceeds its limit: fail the connection."""
        if isinstance(error, InflateLimitExceeded):
            most = self.factory.maxMessagePayloadSize
            reason = f"received WebSocket message exceeds payload limit of {most} octets after decompression"
            self._fail_connection(CloseCode.MESSAGE_TOO_BIG, reason)
        else:
            reason = f"received WebSocket message cannot be decompressed: {error}"
            self._fail_connection(CloseCode.INVALID_DATA, reason)

    @staticmethod
    def unmask(data: bytes, mask: bytes) -> bytes:
        """Unmask a large payload (RFC 6455 5.3)."""
        unmasked: bytes = create_xor_masker(mask, len(data)).process(data)
        return unmasked

    # -- sending --------------------------------------------------------------------------------------------------

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Called by Autobahn to send bytes."""
        self.transport.write(data)

    def sendPingFrame(self, payload: bytes) -> None:
        """Send a ping."""
        self.frames.write(frameHead(Opcode.PING, len(payload)) + payload)

    def sendPongFrame(self, payload: bytes) -> None:
        """Send a pong."""
        self.frames.write(frameHead(Opcode.PONG, len(payload)) + payload)

    # -- ending ---------------------------------------------------------------------------------------------------

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Send a close frame, unless one was sent already. Without a code it has no body (RFC 6455 5.5.1)."""
        if self.state != self.STATE_OPEN:
            return
        if not isReply and self.namesId:
            self.told = (reasonUtf8 or b"").decode(errors="replace") or None
            if self.factory.policies.close_id:
                reasonUtf8 = withId(reasonUtf8 or b"", self.log.id)
        body = b"" if code is None else code.to_bytes(2, "big") + (reasonUtf8 or b"")
        self.frames.sendUncompressed()
        self.frames.write(frameHead(Opcode.CLOSE, len(body)) + body)
        self.state = self.STATE_CLOSING
        self.closedByMe = not isReply
        self.localCloseCode = code
        self.localCloseReason = reasonUtf8
        self.closeBegun()

    def _fail_connection(self, code: int = CloseCode.GOING_AWAY, reason: str = "going away") -> None:
        """
        Called when Autobahn has found a fault in received data: close with the fault's code (RFC 6455 7.1.7).

        Later faults are ignored. If a frame's head is at fault, Autobahn finds the fault again with each piece of the
        head that arrives, and the number of pieces must make no difference.
        """
        self.failedByMe = True
        if self.state != self.STATE_OPEN:
            return
        code = self.faulted(code, reason)
        # Only Autobahn says where in a message the fault is, and all planes give the same reason.
        reason = reason.partition(" at payload octet index")[0]
        self.log.info("fails with {code}: {reason}", event="connection.failed", code=code, reason=reason)
        self.noteCause(_CAUSES.get(code, Cause.protocol_error))
        self.sendCloseFrame(code, fitReason(reason) if self.explains else b"")

    def faulted(self, code: int, reason: str) -> int:
        """Called when received data cannot be accepted. Returns the code to close with."""
        return code

    def dropConnection(self, abort: bool = False) -> None:
        """End the TCP connection after everything unsent is sent; with `abort` at once, unless the end is clean."""
        if self.state == self.STATE_CLOSED:
            return
        self.state = self.STATE_CLOSED
        if self.frames is not None:
            self.frames.flush()
        self.sendingEnded()
        if abort and not self.wasClean:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()
            self.closeBegun()

    def noteCause(self, cause: Cause) -> None:
        """Set why the connection ends, unless a cause is set already."""
        if self.cause is None:
            self.cause = cause

    def yieldToReactor(self) -> None:
        """Hold reading until the next turn of the reactor, so that other connections get their turn."""
        raise NotImplementedError

    def closeBegun(self) -> None:
        """Called when the closing handshake has begun, which must end in time."""
        raise NotImplementedError

    def sendingEnded(self) -> None:
        """Called when nothing more will be sent."""
        raise NotImplementedError
