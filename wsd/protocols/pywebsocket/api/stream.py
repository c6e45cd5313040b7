"""
Frames (RFC 6455 5), and the stream of a handler that reads the connection's bytes itself.

A `Stream` uses `request.connection`. It reads and writes one frame at a time, without extensions.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any

from wsd.protocols.pywebsocket.api import common, util
from wsd.protocols.pywebsocket.api._stream_exceptions import (
    BadOperationException,
    ConnectionTerminatedException,
    InvalidFrameException,
    InvalidUTF8Exception,
    UnsupportedFrameException,
)

__all__ = [
    "BadOperationException",
    "ConnectionTerminatedException",
    "Frame",
    "InvalidFrameException",
    "InvalidUTF8Exception",
    "Stream",
    "StreamOptions",
    "UnsupportedFrameException",
    "create_binary_frame",
    "create_close_frame",
    "create_closing_handshake_body",
    "create_header",
    "create_length_header",
    "create_ping_frame",
    "create_pong_frame",
    "create_text_frame",
    "parse_frame",
]

_NEVER_SENT = (common.STATUS_NO_STATUS_RECEIVED, common.STATUS_ABNORMAL_CLOSURE, common.STATUS_TLS_HANDSHAKE)
_MAX_CONTROL = 125
"""The largest payload of a control frame (RFC 6455 5.5)."""


class Frame:
    """A frame: its bits, its opcode and its payload."""

    def __init__(
        self, fin: int = 1, rsv1: int = 0, rsv2: int = 0, rsv3: int = 0, opcode: int | None = None, payload: bytes = b""
    ) -> None:
        self.fin = fin
        self.rsv1 = rsv1
        self.rsv2 = rsv2
        self.rsv3 = rsv3
        self.opcode = opcode
        self.payload = payload


def create_length_header(length: int, mask: bool) -> bytes:
    """Returns the second byte of a frame and its extended length (RFC 6455 5.2). Raises ValueError."""
    bit = 0x80 if mask else 0
    if not 0 <= length < 1 << 63:
        raise ValueError(f"a frame cannot have {length} bytes")
    if length <= _MAX_CONTROL:
        return util.pack_byte(bit | length)
    if length < 1 << 16:
        return struct.pack("!BH", bit | 126, length)
    return struct.pack("!BQ", bit | 127, length)


def create_header(opcode: int, payload_length: int, fin: int, rsv1: int, rsv2: int, rsv3: int, mask: bool) -> bytes:
    """Returns the header of a frame, without the masking key. Raises ValueError."""
    if not 0 <= opcode <= 0xF:
        raise ValueError(f"{opcode} is not an opcode; those are 0 to 15")
    if (fin | rsv1 | rsv2 | rsv3) & ~1:
        raise ValueError("fin, rsv1, rsv2 and rsv3 are bits: 0 or 1")
    return util.pack_byte(fin << 7 | rsv1 << 6 | rsv2 << 5 | rsv3 << 4 | opcode) + create_length_header(
        payload_length, mask
    )


def _frame(opcode: int, payload: bytes, fin: int, mask: bool, frame_filters: Any) -> bytes:
    frame = Frame(fin=fin, opcode=opcode, payload=payload)
    for frame_filter in frame_filters:
        frame_filter.filter(frame)
    if common.is_control_opcode(opcode) and len(frame.payload) > _MAX_CONTROL:
        raise BadOperationException(f"a control frame may have at most {_MAX_CONTROL} bytes")
    head = create_header(opcode, len(frame.payload), frame.fin, frame.rsv1, frame.rsv2, frame.rsv3, mask)
    if not mask:
        return head + frame.payload
    key = os.urandom(4)
    return head + key + util.RepeatedXorMasker(key).mask(frame.payload)


def create_binary_frame(
    message: bytes, opcode: int = common.OPCODE_BINARY, fin: int = 1, mask: bool = False, frame_filters: Any = ()
) -> bytes:
    """Returns a frame with bytes."""
    return _frame(opcode, message, fin, mask, frame_filters)


def create_text_frame(
    message: str, opcode: int = common.OPCODE_TEXT, fin: int = 1, mask: bool = False, frame_filters: Any = ()
) -> bytes:
    """Returns a frame with text."""
    return _frame(opcode, message.encode(), fin, mask, frame_filters)


def create_ping_frame(body: bytes, mask: bool = False, frame_filters: Any = ()) -> bytes:
    """Returns a ping. Raises BadOperationException if it is too long."""
    return _frame(common.OPCODE_PING, body, 1, mask, frame_filters)


def create_pong_frame(body: bytes, mask: bool = False, frame_filters: Any = ()) -> bytes:
    """Returns a pong. Raises BadOperationException if it is too long."""
    return _frame(common.OPCODE_PONG, body, 1, mask, frame_filters)


def create_close_frame(body: bytes, mask: bool = False, frame_filters: Any = ()) -> bytes:
    """Returns a close frame. Raises BadOperationException if it is too long."""
    return _frame(common.OPCODE_CLOSE, body, 1, mask, frame_filters)


def create_closing_handshake_body(code: int | None, reason: str | bytes | None) -> bytes:
    """Returns the body of a close frame; without a code it is empty. Raises BadOperationException if it is invalid."""
    if code is None:
        return b""
    if not common.STATUS_NORMAL_CLOSURE <= code <= common.STATUS_USER_PRIVATE_MAX:
        raise BadOperationException(f"{code} is not a close code; those are 1000 to 4999")
    if code in _NEVER_SENT:
        raise BadOperationException(f"the close code {code} is never sent")
    said = reason or b""
    return struct.pack("!H", code) + (said.encode() if isinstance(said, str) else said)


def parse_frame(
    receive_bytes: Callable[[int], bytes],
    logger: Any = None,
    ws_version: int = common.VERSION_HYBI_LATEST,
    unmask_receive: bool = True,
) -> tuple[int, bytes, int, int, int, int]:
    """
    Read a frame. Returns opcode, payload, fin, rsv1, rsv2 and rsv3.

    `receive_bytes` must return exactly as many bytes as requested. Raises InvalidFrameException.
    """
    first, second = receive_bytes(2)
    isMasked = bool(second & 0x80)
    if isMasked != unmask_receive:
        raise InvalidFrameException("the frame is not masked" if unmask_receive else "the frame is masked")
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", receive_bytes(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", receive_bytes(8))
        if length >= 1 << 63:
            raise InvalidFrameException("the frame's length has its highest bit set")
    masker: Any = util.RepeatedXorMasker(receive_bytes(4)) if isMasked else util.NoopMasker()
    payload = masker.mask(receive_bytes(length)) if length else b""
    return first & 0xF, payload, first >> 7, first >> 6 & 1, first >> 5 & 1, first >> 4 & 1


class StreamOptions:
    """The options of a `Stream`."""

    def __init__(self) -> None:
        self.outgoing_frame_filters: list[Any] = []
        self.incoming_frame_filters: list[Any] = []
        self.outgoing_message_filters: list[Any] = []
        self.incoming_message_filters: list[Any] = []
        self.encode_text_message_to_utf8 = True
        self.mask_send = False
        self.unmask_receive = True


class Stream:
    """Sends and receives messages over `request.connection`."""

    def __init__(self, request: Any, options: StreamOptions) -> None:
        self._request = request
        self._options = options
        request.client_terminated = False
        request.server_terminated = False
        self._fragments: list[bytes] | None = None
        self._opcode: int | None = None
        self._sending: int | None = None

    # -- bytes ----------------------------------------------------------------------------------------------------

    def receive_bytes(self, length: int) -> bytes:
        """Read exactly `length` bytes. Raises ConnectionTerminatedException if the peer is gone before."""
        pieces: list[bytes] = []
        while length > 0:
            try:
                piece = self._request.connection.read(length)
            except OSError as error:
                raise ConnectionTerminatedException(f"the connection cannot be read: {error}") from error
            if not piece:
                raise ConnectionTerminatedException(f"the peer disconnected {length} bytes before the end of a frame")
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)

    def _write(self, frame: bytes) -> None:
        self._request.connection.write(frame)

    # -- sending --------------------------------------------------------------------------------------------------

    def send_message(self, message: Any, end: bool = True, binary: bool = False) -> None:
        """Send a message, or with `end=False` a fragment of one. Raises BadOperationException."""
        if self._request.server_terminated:
            raise BadOperationException("send_message after the connection was closed from here")
        if binary and isinstance(message, str):
            raise BadOperationException("a binary message is bytes, not str")
        opcode = common.OPCODE_BINARY if binary else common.OPCODE_TEXT
        if self._sending not in (None, opcode):
            raise BadOperationException("all fragments of a message are text, or all are binary")
        for message_filter in self._options.outgoing_message_filters:
            message = message_filter.filter(message, end, binary)
        payload = message.encode() if isinstance(message, str) else message
        sent = opcode if self._sending is None else common.OPCODE_CONTINUATION
        self._sending = None if end else opcode
        self._write(_frame(sent, payload, int(end), self._options.mask_send, self._options.outgoing_frame_filters))

    def send_ping(self, body: Any, binary: bool = False) -> None:
        """Send a ping."""
        payload = body.encode() if isinstance(body, str) else body
        self._write(create_ping_frame(payload, self._options.mask_send, self._options.outgoing_frame_filters))

    def close_connection(
        self, code: int | None = common.STATUS_NORMAL_CLOSURE, reason: Any = "", wait_response: bool = True
    ) -> None:
        """Close. With `wait_response` wait for the peer's close. Raises BadOperationException."""
        if self._request.server_terminated:
            return
        if code is None and reason:
            raise BadOperationException("a close without a code has no reason")
        self._close(code, reason)
        if code in (common.STATUS_GOING_AWAY, common.STATUS_PROTOCOL_ERROR) or not wait_response:
            return
        if self.receive_message() is not None:
            raise ConnectionTerminatedException("the peer sent a message instead of its close")

    def _close(self, code: int | None, reason: Any) -> None:
        body = create_closing_handshake_body(code, reason)
        self._request.server_terminated = True
        self._write(create_close_frame(body, self._options.mask_send, self._options.outgoing_frame_filters))

    # -- receiving ------------------------------------------------------------------------------------------------

    def receive_message(self) -> str | bytes | None:
        """
        Receive a message. Returns None if the peer has closed.

        Raises BadOperationException if that was received before, and other exceptions for invalid frames.
        """
        if self._request.client_terminated:
            raise BadOperationException("receive_message after the peer has closed")
        while True:
            payload = self._message()
            if payload is None:
                continue
            for message_filter in self._options.incoming_message_filters:
                payload = message_filter.filter(payload)
            if self._opcode == common.OPCODE_BINARY:
                return payload
            if self._opcode == common.OPCODE_TEXT:
                try:
                    return payload.decode()
                except UnicodeDecodeError as error:
                    raise InvalidUTF8Exception(error) from None
            if self._opcode == common.OPCODE_CLOSE:
                self._closed(payload)
                return None
            self._control(payload)

    def _message(self) -> bytes | None:
        """Read a frame. Returns the payload of a control frame or of a message that is complete, else None."""
        options = self._options
        opcode, payload, fin, rsv1, rsv2, rsv3 = parse_frame(self.receive_bytes, None, 13, options.unmask_receive)
        frame = Frame(fin, rsv1, rsv2, rsv3, opcode, payload)
        for frame_filter in options.incoming_frame_filters:
            frame_filter.filter(frame)
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise UnsupportedFrameException("a reserved bit of the frame is set")
        if common.is_control_opcode(opcode):
            if not fin or len(payload) > _MAX_CONTROL:
                raise InvalidFrameException("a control frame is in fragments, or longer than 125 bytes")
            self._opcode = opcode
            return frame.payload
        if (opcode == common.OPCODE_CONTINUATION) != (self._fragments is not None):
            raise InvalidFrameException("a fragment is out of place")
        if self._fragments is None:
            self._opcode, self._fragments = opcode, []
        self._fragments.append(frame.payload)
        if not fin:
            return None
        whole, self._fragments = b"".join(self._fragments), None
        return whole

    def _control(self, payload: bytes) -> None:
        request = self._request
        if self._opcode == common.OPCODE_PING:
            handler = getattr(request, "on_ping_handler", None)
            if handler is None:
                self._write(create_pong_frame(payload, self._options.mask_send, self._options.outgoing_frame_filters))
        elif self._opcode == common.OPCODE_PONG:
            handler = getattr(request, "on_pong_handler", None)
        else:
            raise UnsupportedFrameException(f"there is no opcode {self._opcode}")
        if handler is not None:
            handler(request, payload)

    def _closed(self, body: bytes) -> None:
        """Note the peer's close, and answer it unless the handler has closed before."""
        request = self._request
        request.client_terminated = True
        if len(body) == 1:
            raise InvalidFrameException("the body of a close frame has a single byte")
        request.ws_close_code = struct.unpack("!H", body[:2])[0] if body else common.STATUS_NO_STATUS_RECEIVED
        request.ws_close_reason = body[2:].decode("utf-8", "replace") if body else None
        if request.server_terminated:
            return
        code, reason = common.STATUS_NORMAL_CLOSURE, ""
        dispatcher = getattr(request, "_dispatcher", None)
        if dispatcher is not None:
            code, reason = dispatcher.passive_closing_handshake(request)
        self._close(code, reason if code is not None else "")

    def get_last_received_opcode(self) -> int | None:
        """Returns the opcode of the last message."""
        return self._opcode
