"""Handlers that read the connection's bytes themselves: each has the TCP stream and a thread."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from wsd.connection import Accept, Refused
from wsd.policies.upgrade import acceptKey
from wsd.protocols.pywebsocket.answers import answer, closeAnswer, closeOf, refusalOf
from wsd.protocols.pywebsocket.api import common
from wsd.protocols.pywebsocket.api._stream_exceptions import (
    BadOperationException,
    ConnectionTerminatedException,
    InvalidUTF8Exception,
    UnsupportedFrameException,
)
from wsd.protocols.pywebsocket.api.stream import Stream, StreamOptions
from wsd.protocols.pywebsocket.exchange import BINARY, LOST, OPENED, HandlerEndpoint
from wsd.protocols.pywebsocket.handlers import Handler
from wsd.protocols.pywebsocket.request import HandlerRequest
from wsd.protocols.pywebsocket.threads import HandlerThreads, NoThread, ThreadBridge

_FAULTS = (InvalidUTF8Exception, UnsupportedFrameException)
"""Faults of the peer that are ignored during the closing handshake."""


class BytewiseConnection:
    """`request.connection`: the bytes of the stream after the head of the request."""

    def __init__(self, bridge: ThreadBridge, runner: BytewiseRunner, connection: HandlerEndpoint) -> None:
        self._bridge = bridge
        self._runner = runner
        self._rest = b""
        self.remote_addr = connection.remoteAddress
        self.local_addr = connection.localAddress

    def write(self, data: bytes) -> None:
        """Send bytes. Blocks while the send buffer is full."""
        self._bridge.send(len(data), self._runner.write, bytes(memoryview(data)))

    def read(self, length: int) -> bytes:
        """Wait for `length` bytes. Returns fewer if the stream ends before."""
        pieces, missing = [], length
        while missing > 0:
            if not self._rest:
                kind, content = self._bridge.take()
                if kind == LOST:
                    break
                self._rest = content
            piece, self._rest = self._rest[:missing], self._rest[missing:]
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


class BytewiseRunner(Protocol):
    """Runs the handler of one connection, and queues the bytes that it has not read yet."""

    transport: Any

    def __init__(self, connection: HandlerEndpoint, handler: Handler, threads: HandlerThreads, uri: str) -> None:
        """Start the handler's thread. Raises Refused if all threads are in use."""
        self._connection = connection
        self._handler = handler
        self._key = connection.request.key
        self._bridge = ThreadBridge(threads, self)
        self._request = HandlerRequest(connection.request, uri, BytewiseConnection(self._bridge, self, connection))
        try:
            threads.start(self._run)
        except NoThread:
            raise Refused(503, "all handler threads are in use; try again", [("Retry-After", "5")]) from None

    # -- on the reactor -------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Called when the stream is handed over."""
        self.transport.registerProducer(self, True)
        self._bridge.put(OPENED, None)

    def dataReceived(self, data: bytes) -> None:
        """Called with bytes for the handler."""
        self._bridge.put(BINARY, data, len(data))

    def connectionLost(self, reason: Any = None) -> None:
        """Called when the stream has ended."""
        self._bridge.end(LOST, None)

    def hold(self) -> None:
        """Stop reading."""
        self.transport.pauseProducing()

    def release(self) -> None:
        """Resume reading."""
        self.transport.resumeProducing()

    def noteQueued(self, size: int) -> None:
        """Called with the bytes that are queued for the handler, if they are many, or were."""
        self._connection.noteQueued(size)

    def pauseProducing(self) -> None:
        """Called when the send buffer is full."""
        self._bridge.full(True)

    def resumeProducing(self) -> None:
        """Called when the send buffer has room again."""
        self._bridge.full(False)

    def stopProducing(self) -> None:
        """Called when the peer is gone; `connectionLost` follows."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.write(data)

    def _finish(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    # -- on the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        if self._bridge.take()[0] != OPENED:
            return
        request, connection = self._request, self._request.connection
        try:
            self._handler.handshake(request)
            connection.write(self._accepted(answer(request)))
        except BaseException as error:
            refusal = refusalOf(error)
            self._bridge.callFromThread(self._connection.handshakeFailed, Failure())
            if isinstance(refusal, Refused) and not self._bridge.hasEnded:
                connection.write(_refused(refusal))
        else:
            self._transfer()
        self._bridge.callFromThread(self._finish)

    def _accepted(self, accept: Accept) -> bytes:
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {acceptKey(self._key)}",
            *([f"Sec-WebSocket-Protocol: {accept.subprotocol}"] if accept.subprotocol else []),
            *(f"{name}: {value}" for name, value in accept.headers),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def _transfer(self) -> None:
        """Run the handler, then close with the code for its result or its exception."""
        request = self._request
        request.ws_stream = Stream(request, StreamOptions())
        request._dispatcher = self
        try:
            self._handler.transfer(request)
            code: int | None = common.STATUS_NORMAL_CLOSURE
        except BaseException as error:
            code = closeOf(error)
            if code == common.STATUS_INTERNAL_ENDPOINT_ERROR:
                self._bridge.callFromThread(self._connection.handlerFailed, Failure(), self._handler.path)
        if code is None or request.server_terminated:
            return
        # The peer may be gone or break the rules; nobody is left to be told.
        with suppress(BadOperationException, ConnectionTerminatedException, *_FAULTS):
            request.ws_stream.close_connection(code)

    def passive_closing_handshake(self, request: Any) -> tuple[int | None, str]:
        """Called by the stream. Returns code and reason of the answer to the peer's close."""
        hook = self._handler.closing
        return closeAnswer(hook and hook(request))


def _refused(refusal: Refused) -> bytes:
    body = f"{refusal.sentence}\n"
    lines = [
        f"HTTP/1.1 {refusal.status} {refusal.phrase}",
        *(f"{name}: {value}" for name, value in refusal.headers),
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode("latin-1", "replace")
