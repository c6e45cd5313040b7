"""What the streams of handlers on threads and of coroutines have in common: the checks of messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wsd.frames.codes import Opcode
from wsd.protocols.pywebsocket.api import common
from wsd.protocols.pywebsocket.api._stream_exceptions import BadOperationException, ConnectionTerminatedException
from wsd.protocols.pywebsocket.api.stream import create_closing_handshake_body
from wsd.protocols.pywebsocket.exchange import CLOSE, FAULT, OutgoingFrame, QueueItem
from wsd.protocols.pywebsocket.request import HandlerRequest

_MAX_CONTROL = 125
"""The largest payload of a control frame (RFC 6455 5.5)."""


class HandlerStream:
    """The base of `request.ws_stream`. Of its subclasses one blocks, and the other is awaited."""

    def __init__(self, request: HandlerRequest) -> None:
        self._request = request
        self._opcode: int | None = None
        self._sending: int | None = None

    def get_last_received_opcode(self) -> int | None:
        """Returns the opcode of the last message; CLOSE after the peer has closed."""
        return self._opcode

    # -- sending -------------------------------------------------------------------------------------------------

    def _pieces(self, message: Any, end: bool, binary: bool) -> Iterator[OutgoingFrame]:
        """Yields the frames of a message: one, or one for each part of a generator. Raises BadOperationException."""
        if self._request.server_terminated:
            raise BadOperationException("send_message after the connection was closed from here")
        opcode = Opcode.BINARY if binary else Opcode.TEXT
        if not hasattr(message, "__next__"):
            yield self._piece(message, opcode, end)
            return
        before: Any = None
        for part in message:
            if before is not None:
                yield self._piece(before, opcode, False)
            before = part
        yield self._piece(before if before is not None else b"" if binary else "", opcode, end)

    def _piece(self, part: Any, opcode: int, isLast: bool) -> OutgoingFrame:
        if self._sending not in (None, opcode):
            raise BadOperationException("all fragments of a message are text, or all are binary")
        if isinstance(part, str) == (opcode == Opcode.BINARY):
            raise BadOperationException("a text message is str, and a binary one bytes, with binary=True")
        payload = part.encode() if isinstance(part, str) else bytes(part)
        sent = opcode if self._sending is None else Opcode.CONTINUATION
        self._sending = None if isLast else opcode
        return OutgoingFrame(payload, sent, isLast)

    def _ping(self, body: Any) -> OutgoingFrame:
        payload = body.encode() if isinstance(body, str) else bytes(body)
        if len(payload) > _MAX_CONTROL:
            raise BadOperationException(f"a ping may have at most {_MAX_CONTROL} bytes")
        return OutgoingFrame(payload, Opcode.PING)

    def _beginClose(self, code: int | None, reason: Any) -> tuple[int | None, bytes]:
        """Note the handler's close. Returns its code and reason. Raises BadOperationException if they are invalid."""
        if code is None and reason:
            raise BadOperationException("a close without a code has no reason")
        body = create_closing_handshake_body(code, reason)
        if len(body) > _MAX_CONTROL:
            raise BadOperationException(f"a close reason may have at most {_MAX_CONTROL - 2} bytes")
        self._request.server_terminated = True
        return code, body[2:]

    # -- receiving -----------------------------------------------------------------------------------------------

    def _checkMayReceive(self) -> None:
        if self._request.client_terminated:
            raise BadOperationException("receive_message after the peer has closed")

    def _message(self, item: QueueItem) -> str | bytes:
        """Returns the content of a message."""
        self._opcode, payload = item
        return payload.decode() if self._opcode == Opcode.TEXT else payload  # type: ignore[no-any-return]

    def _peerClosed(self, code: int | None, reason: str | None) -> None:
        request = self._request
        self._opcode = CLOSE
        request.client_terminated = True
        request.ws_close_code = common.STATUS_NO_STATUS_RECEIVED if code is None else code
        request.ws_close_reason = reason

    def _lost(self, item: QueueItem) -> None:
        """Called with the item FAULT or LOST. Raises the reason, unless both sides have closed."""
        kind, content = item
        if kind == FAULT:
            raise content
        if self._request.server_terminated and content.isClean:
            self._peerClosed(content.code, content.reason)
            return
        raise ConnectionTerminatedException("the connection is closed")
