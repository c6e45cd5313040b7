"""The writing half of every plane: messages become frames (RFC 6455 5.2, RFC 7692 6.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsd.frames.codes import Opcode
from wsd.frames.handler import FrameHandler, FrameLimits
from wsd.frames.heads import frameHead
from wsd.frames.large import AT_ONCE, LargeMessage
from wsd.frames.prepared import Prepared

OPEN = 3
"""Autobahn's number for the state of a connection in which messages are read and written."""

_MAX_COPIED = 16384
"""A payload of up to this many bytes is joined to its frame's head. A larger one is sent without a copy."""

_MAX_CORKED = 65536
"""The most bytes that are gathered while a read is handled. If there are more, they are sent."""

LEAST_DEFLATED = 128
"""The smallest message that is deflated. A smaller one would save less than its packet's headers take."""

_PORTION = 262144
"""Bytes written at a time to a transport that copies, so that its copies stay small."""

_TEXT_HEADS = tuple(frameHead(Opcode.TEXT, length) for length in range(126))
_BINARY_HEADS = tuple(frameHead(Opcode.BINARY, length) for length in range(126))
"""The heads of messages whose length fits into the second byte (RFC 6455 5.2)."""


def sendAll(frames: list[Any], message: Prepared, but: Any) -> None:
    """Send one message to many connections, by the frames of each, and not to `but`."""
    for each in frames:
        if each is not but:
            each.send(message)


class Writer:
    """
    Writes the messages of one open connection.

    What is sent while a read is handled is gathered, and written at the end of the read.
    """

    __slots__ = (
        "_batch",
        "_corked",
        "_deflater",
        "_handler",
        "_large",
        "_maxUnsent",
        "_socket",
        "_traffic",
        "_transport",
        "bytesIn",
        "bytesOut",
        "heard",
        "held",
        "isOpen",
        "messagesIn",
        "messagesOut",
        "sent",
    )

    def __init__(self, handler: FrameHandler, transport: Any, limits: FrameLimits, deflater: Any) -> None:
        """`deflater` is None unless permessage-deflate was agreed on (RFC 7692)."""
        self._handler: Any = handler
        self._transport: Any = transport
        self._traffic = limits.traffic
        self._deflater = deflater
        self._maxUnsent = limits.maxUnsent
        self._batch: list[bytes] | None = None
        self._corked = 0
        self._large: LargeMessage | None = None
        self._socket: Any = None
        self.sent = 0
        """Bytes sent to the socket directly, bypassing the transport."""
        self.isOpen = handler.state == OPEN
        self.held = handler.held
        self.heard = True
        """Whether anything was received since this was set to False."""
        self.messagesIn = self.messagesOut = self.bytesIn = self.bytesOut = 0
        """The messages of this connection and their bytes, as `wsd.metrics.Traffic` has those of its route."""

    # -- counting -------------------------------------------------------------------------------------------------

    def countIn(self, size: int) -> None:
        """Count a received message of this size."""
        self.countPiece(size)
        self.countEnd(size)

    def countPiece(self, size: int) -> None:
        """Count bytes of a message that is passed on in pieces."""
        self._traffic.bytesIn += size
        self.bytesIn += size

    def countEnd(self, size: int) -> None:
        """Count a message of this size, whose bytes are counted already."""
        traffic = self._traffic
        traffic.messagesIn += 1
        traffic.countSizeIn(size)
        self.messagesIn += 1

    def countOut(self, size: int) -> None:
        """Count a sent message of this size."""
        traffic = self._traffic
        traffic.messagesOut += 1
        traffic.bytesOut += size
        traffic.countSizeOut(size)
        self.messagesOut += 1
        self.bytesOut += size

    # -- messages -------------------------------------------------------------------------------------------------

    def send(
        self, payload: bytes | str | Prepared, isBinary: bool = True, fragment: int = 0, deflate: bool = True
    ) -> None:
        """Send a message, as `Connection.send` says."""
        if not self.isOpen:
            return
        if type(payload) is bytes and len(payload) < 126 and not fragment and self._large is None:
            self.countOut(len(payload))
            self.write((_BINARY_HEADS if isBinary else _TEXT_HEADS)[len(payload)] + payload)
            return
        if isinstance(payload, str):
            payload, isBinary = payload.encode(), False
        if isinstance(payload, (bytes, bytearray, memoryview)):
            self.countOut(len(payload))
            self._sendInTurn(
                len(payload),
                self._sendMessage,
                bytes(payload),
                Opcode.BINARY if isBinary else Opcode.TEXT,
                fragment,
                deflate,
            )
        else:
            self.countOut(len(payload.payload))
            self._sendInTurn(len(payload.payload), self._sendPrepared, payload)

    def _sendMessage(self, payload: bytes, opcode: int, fragment: int, deflate: bool) -> None:
        """Send a message, deflated if `deflate` is True and it is worth it."""
        compressed = deflate and self._deflater is not None and len(payload) >= LEAST_DEFLATED
        if compressed and len(payload) > AT_ONCE:
            self._deflateInSteps(LargeMessage(self._deflater, payload, opcode, fragment))
            return
        self._sendFrames(self._deflater.deflate(payload) if compressed else payload, opcode, fragment, compressed)

    def _sendFrames(self, payload: bytes, opcode: int, fragment: int, compressed: bool) -> None:
        """Send a message in one frame, or in fragments (RFC 6455 5.4). Only the first has RSV1 (RFC 7692 6.1)."""
        if not 0 < fragment < len(payload):
            self._frame(frameHead(opcode, len(payload), True, compressed), payload)
            return
        for start in range(0, len(payload), fragment):
            piece, last = payload[start : start + fragment], start + fragment >= len(payload)
            self._frame(
                frameHead(Opcode.CONTINUATION if start else opcode, len(piece), last, compressed and not start), piece
            )

    def _sendPrepared(self, prepared: Prepared) -> None:
        if self._deflater is None or len(prepared.payload) < LEAST_DEFLATED:
            frame = prepared.plain
        else:
            frame = prepared.deflated(self._deflater)
        if len(frame) <= _MAX_COPIED:
            self.write(frame)
        else:
            self._sendLarge(frame)

    def _frame(self, head: bytes, payload: bytes) -> None:
        if len(payload) <= _MAX_COPIED:
            self.write(head + payload)
        else:
            self._sendLarge(head, payload)

    def _sendLarge(self, *pieces: bytes) -> None:
        """Send large data without a copy, after the gathered data."""
        self.flush()
        if not self._handler.copies:
            self._transport.writeSequence(pieces)
        else:
            for piece in pieces:
                for start in range(0, len(piece), _PORTION):
                    self._transport.write(piece[start : start + _PORTION])
        self._checkUnsent()

    # -- a large message ------------------------------------------------------------------------------------------

    def _sendInTurn(self, size: int, send: Callable[..., None], *given: Any) -> None:
        """Call `send` now, or after a large message that is being deflated."""
        if self._large is None:
            send(*given)
        else:
            self._large.add(size, send, given)
            self._noteDeflating()
            self._checkUnsent()

    def writeInTurn(self, frame: bytes) -> None:
        """Send a complete frame of a message, after all earlier messages."""
        self._sendInTurn(len(frame), self.write, frame)

    def _deflateInSteps(self, large: LargeMessage) -> None:
        self._large = large
        self._handler.deflateInSteps(self._step)
        self._noteDeflating()

    def _noteDeflating(self) -> None:
        if self._handler is not None:
            self._handler.noteDeflating(self.waiting)

    def _step(self) -> bool:
        """Deflate another piece. After the last one, send the message. Returns whether there is more to deflate."""
        large = self._large
        if large is None:
            return False
        payload = large.step()
        if payload is not None:
            self._finish(large, payload, True)
        return payload is None

    def _finish(self, large: LargeMessage, payload: bytes, compressed: bool) -> None:
        """Send the large message and everything queued behind it, up to another large message."""
        self._sendFrames(payload, large.opcode, large.fragment, compressed)
        while self._large is large and self.isOpen and large.behind:
            send, given = large.next()
            send(*given)
        if self._large is large:
            self._large = None
        elif self._large is not None:
            # Another large message was queued: the rest is now queued behind that one.
            self._large.follow(large)
        self._noteDeflating()
        self._deflateDone()

    def _deflateDone(self) -> None:
        if self._handler is not None:
            self._handler.deflateDone()

    def sendUncompressed(self) -> None:
        """Send the message being deflated uncompressed, and everything queued behind it: a close frame follows."""
        while (large := self._large) is not None:
            self._deflater.forget()
            self._finish(large, large.payload, False)

    @property
    def isBusy(self) -> bool:
        """Whether a message is being deflated in steps."""
        return self._large is not None

    @property
    def waiting(self) -> int:
        """Bytes of the message being deflated, and of everything queued behind it."""
        return 0 if self._large is None else self._large.size

    # -- frames ---------------------------------------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        """Send a complete frame."""
        batch = self._batch
        if batch is None:
            self._put(frame)
            return
        batch.append(frame)
        self._corked += len(frame)
        if self._corked > _MAX_CORKED:
            self.flush()

    def cork(self) -> None:
        """Gather frames until `uncork`."""
        self._batch = []

    def uncork(self) -> None:
        """Send the gathered frames. From now on frames are sent at once."""
        self.flush()
        self._batch = None

    def flush(self) -> None:
        """Send the gathered frames."""
        batch = self._batch
        if batch:
            data = batch[0] if len(batch) == 1 else b"".join(batch)
            self._corked = 0
            batch.clear()
            self._put(data)

    def _put(self, data: bytes) -> None:
        """Send to the socket, unless the transport has unsent bytes; write what is left to the transport."""
        if self._socket is not None and not self._transport.unsent:
            try:
                taken = self._socket.send(data)
            except OSError:
                # The transport gets the same error, and reports it.
                taken = 0
            self.sent += taken
            if taken == len(data):
                return
            data = data[taken:]
        self._transport.write(data)
        self._checkUnsent()

    def _checkUnsent(self) -> None:
        """Drop the connection if there are more unsent bytes than allowed."""
        handler = self._handler
        if handler is not None:
            handler.noteUnsent()
            if handler.unsent > self._maxUnsent:
                handler.overrun()

    def close(self) -> None:
        """Called when the connection is gone."""
        self._handler = self._transport = self._batch = self._socket = self._large = None
