"""
ConnectionApi: the hooks and methods that the author of a protocol uses.

A protocol overrides the hooks (`opening`, `opened`, `answer`, `received` or `began`/`arrived`/`ended`, `full`,
`drained`, `closed`) and calls `send`, `close`, `hold`, `release`. An exception in a hook is logged, and closes its own
connection alone, with 1011.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from wsd.connection.engine import Engine, fitReason
from wsd.connection.interfaces import ForeignTransport, RouteFactory, WsdTransport
from wsd.connection.request import Accept, Request
from wsd.frames.codes import CloseCode, checkCode
from wsd.frames.prepared import Prepared
from wsd.metrics import Cause
from wsd.policies.address import TlsInfo


class Closed(Exception):
    """
    Raised by a hook to close the connection: a close code (RFC 6455 7.4) and a sentence for the other side.

    With a code that may not be sent it is a ValueError instead.
    """

    def __init__(self, code: int, sentence: str = "") -> None:
        checkCode(code)
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence


class ConnectionApi(Engine):
    """
    One WebSocket connection, as the author of its protocol sees it.

    It has `id`, `peer`, `user`, `tls`, `clock`, `options`, `log`, `request` and, once open, `subprotocol` and
    `extension`.
    """

    factory: RouteFactory
    id: str
    peer: Any
    """The true client, also behind a proxy: a `wsd.policies.address.Peer`."""
    tls: TlsInfo | None
    user: str | None = None
    request: Request
    subprotocol: str | None = None
    extension = ""
    """The Sec-WebSocket-Extensions of the response, "" for none."""

    openedAt = 0.0
    """When the connection opened, by its `clock`."""

    roundTrip: float | None = None
    """Seconds from the last ping of the keep-alive to its pong; None before the first pong."""

    _wire: WsdTransport = ForeignTransport()

    # -- hooks ----------------------------------------------------------------------------------------------------

    async def opening(self, request: Request) -> Accept | None:
        """
        Decide before the 101: return `Accept`, raise `Refused`, or call `request.takeRaw` and return None.

        The default accepts, with the subprotocol that the factory chooses. Reading is held meanwhile.
        """
        return Accept(self.factory.choose(request.subprotocols))

    def opened(self) -> Any:
        """Called when the connection is open: `send` may be called from now on."""

    def answer(self, payload: bytes, isBinary: bool) -> Any:
        """
        Called with a complete message; text is valid UTF-8. Returns the answer, or None if there is none.

        `bytes` are sent as the same kind as the message, `str` as text; a `Prepared` message has its kind. Reading is
        held until a returned awaitable is done, whose result is sent. A streaming protocol may define it as well: then
        it is called with some of the messages that came in one piece.
        """

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """
        Called with a complete message, like `answer`, for a protocol that calls `send` itself, at any time.

        The default calls `answer`, and sends what it returns. The plane does so by itself, which is faster, unless a
        protocol overrides this hook or `send`. Reading is held until a returned awaitable is done.
        """

    def began(self, isBinary: bool) -> Any:
        """Called instead of `received` in a streaming protocol, when a message begins."""

    def arrived(self, data: bytes) -> Any:
        """Called in a streaming protocol with bytes of the message as they arrive, also within a frame."""

    def ended(self) -> Any:
        """Called in a streaming protocol when the message is complete."""

    def full(self) -> None:
        """Called when the unsent bytes have passed the high water mark: a well-behaved sender stops."""

    def drained(self) -> None:
        """Called when the unsent bytes have fallen to the low water mark again."""

    def closed(self, code: int, reason: str) -> Any:
        """
        Called when the connection is gone, with the peer's close code and reason (RFC 6455 7.1.5, 7.1.6).

        The code is 1005 for a close frame without a code, and 1006 if there was no close frame.
        """

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """
        Whether `saveState` could be called now: nothing is under way that it does not include.

        It is asked again for up to a few seconds. Then the connection is closed with 1012 instead of being moved.
        """
        return True

    def saveState(self) -> Any:
        """
        Called in an upgrade: return what the new process cannot find out from the request, as JSON values and bytes.

        It is called only if the factory has a `stateVersion`.
        """
        return None

    def restoreState(self, state: Any, version: int) -> None:
        """
        Called in an upgrade instead of `opening` and `opened`, with what `saveState` returned in the old process.

        `version` is the `stateVersion` of the old process. Nothing may be sent yet. An exception closes the connection
        with 1012.
        """

    # -- what a protocol calls ------------------------------------------------------------------------------------

    @property
    def clock(self) -> IReactorTime:
        """The clock to use, instead of the reactor."""
        return self.factory.clock

    @property
    def options(self) -> Any:
        """The protocol's own keys of the route: an instance of the factory's `Options`."""
        return self.factory.options

    @property
    def isOpen(self) -> bool:
        """Whether messages can be sent."""
        return bool(self.state == self.STATE_OPEN)

    @property
    def isBusy(self) -> bool:
        """
        Whether a received message is still being answered. A stopping daemon waits for the answer, for up to `drain`.

        It is true while an awaitable of a hook is not done, or bytes are unsent. A protocol that answers later
        overrides it.
        """
        return bool(self.held or self.unsent)

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent or are being deflated. On a transport that is not wsd's, only the latter count."""
        return self._wire.unsent + (0 if self.frames is None else int(self.frames.waiting))

    @property
    def messagesReceived(self) -> int:
        """Messages received since the connection opened; 0 once it is gone, as are the other three numbers."""
        return 0 if self.frames is None else int(self.frames.messagesIn)

    @property
    def messagesSent(self) -> int:
        """Messages sent or queued for sending."""
        return 0 if self.frames is None else int(self.frames.messagesOut)

    @property
    def bytesReceived(self) -> int:
        """Bytes of the received messages, after inflating and without frame headers."""
        return 0 if self.frames is None else int(self.frames.bytesIn)

    @property
    def bytesSent(self) -> int:
        """Bytes of the sent messages, before deflating and without frame headers."""
        return 0 if self.frames is None else int(self.frames.bytesOut)

    def send(
        self, payload: bytes | str | Prepared, isBinary: bool = True, fragment: int = 0, deflate: bool = True
    ) -> None:
        """
        Send a message: `str` is text; `bytes` are binary, or text in UTF-8 if `isBinary` is False.

        `fragment` is the largest payload of a frame in bytes, 0 for a single frame. With `deflate` False the message is
        sent uncompressed. A `Prepared` message has its frame already, and ignores both. If the connection is not open,
        nothing happens.
        """
        frames = self.frames
        if frames is not None:
            frames.send(payload, isBinary, fragment, deflate)

    def keepFresh(self, size: int) -> None:
        """
        Let the kernel buffer at most `size` unsent bytes, so that a slow reader gets recent messages.

        This costs more system calls.
        """
        self._wire.limitKernelBuffer(size)

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping. Its payload is cut to 125 bytes (RFC 6455 5.5)."""
        if self.state == self.STATE_OPEN:
            self.factory.counters.pings += 1
            self.sendPingFrame(payload[:125])

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, sentence: str = "", cause: Cause = Cause.closed) -> None:
        """
        Begin the closing handshake (RFC 6455 7.1.2). The sentence is cut to 123 bytes, the longest close reason.

        The connection's id follows it where both fit, unless the policy `close_id` or the attribute `namesId` is False.

        Messages that are received from now on are ignored. Raises ValueError for a code that may not be sent.
        """
        checkCode(code)
        if self.state == self.STATE_CONNECTING:
            self.drop(cause)
            return
        if self.state == self.STATE_OPEN:
            self.noteCause(cause)
            self.sendCloseFrame(code, fitReason(sentence))

    def drop(self, cause: Cause = Cause.aborted) -> None:
        """End the connection at once, without a closing handshake. Unsent bytes are lost."""
        self.noteCause(cause)
        if cause is not Cause.aborted:
            drops = self.factory.counters.drops
            drops[cause] = drops.get(cause, 0) + 1
        if self.state != self.STATE_CLOSED:
            self.dropConnection(abort=True)
        else:
            self.transport.abortConnection()

    def hold(self) -> None:
        """Stop reading, even messages that have arrived already. Calls are counted: each needs its own `release`."""
        raise NotImplementedError

    def release(self) -> None:
        """Undo one `hold`. Reading resumes when all are undone."""
        raise NotImplementedError

    # -- calling hooks --------------------------------------------------------------------------------------------

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> None:
        """Call a hook. Its error ends only this connection. Reading is held until its awaitable result is done."""
        try:
            result = hook(*arguments)
        except Exception:
            self._failed(Failure())
        else:
            if result is not None:
                self._await(result)

    def _await(self, result: Any) -> Deferred[Any] | None:
        """Hold reading until a hook's awaitable result is done. Returns its Deferred, or None for any other result."""
        if not isawaitable(result):
            return None
        self.hold()
        done = result if isinstance(result, Deferred) else Deferred.fromCoroutine(_done(result))
        done.addErrback(self._failed)
        done.addBoth(lambda _: self.release())
        return done

    def _failed(self, failure: Failure) -> None:
        """Called when a hook failed: close as `Closed` says, or log the error and close with 1011."""
        error = failure.value
        if isinstance(error, Closed):
            self.close(error.code, error.sentence)
            return
        if failure.check(CancelledError):
            return
        self.log.failure("a hook failed", failure, event="connection.error")
        if self.state == self.STATE_OPEN:
            self.close(
                CloseCode.INTERNAL_ERROR, "an internal error occurred; see the server's log", Cause.internal_error
            )


async def _done(result: Awaitable[Any]) -> None:
    """Any awaitable as a coroutine, for `Deferred.fromCoroutine`."""
    await result
