"""
ConnectionApi: what the author of a protocol meets.

A protocol overrides the hooks (`opening`, `opened`, `received` or `began`/`arrived`/`ended`, `full`, `drained`,
`closed`) and calls `send`, `close`, `hold`, `release`. An error of a hook ends its own connection only: a log line,
and 1011.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from wsd.connection.engine import Engine, fitReason
from wsd.connection.request import Accept, Request
from wsd.frames.codes import CloseCode, checkCode
from wsd.frames.prepared import Prepared
from wsd.metrics import Cause
from wsd.policies.address import TlsInfo

if TYPE_CHECKING:
    from wsd.connection.factory import Factory


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


class WsdTransport(Protocol):
    """What the house's own transports tell of what waits to be sent."""

    unsent: int
    """Bytes written to the transport that the kernel has not taken."""

    def written(self) -> int:
        """Bytes written to the transport since the connection began."""

    def acknowledged(self) -> int:
        """Those of them that have reached the peer."""

    def setKept(self, size: int) -> None:
        """Bytes that the kernel keeps beside what it has sent, at the most."""

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the number of waiting bytes: now, and whenever it changes, until the connection is lost."""

    copies: bool
    """Whether large data that is written is copied."""

    def setReceiver(self, receiver: Any) -> None:
        """Deliver what is read to `receiver.dataReceived` from now on, past every protocol between."""


class _ForeignTransport:
    """Another's transport: what waits in it is not known, only whether it is too much."""

    unsent = 0
    copies = True

    def written(self) -> int:
        """This transport does not count them."""
        return 0

    def acknowledged(self) -> int:
        """It is not known."""
        return 0

    def setKept(self, size: int) -> None:
        """It keeps what it keeps."""

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """This transport does not count them."""

    def setReceiver(self, receiver: Any) -> None:
        """The connection's `dataReceived` passes on what is read."""


class ConnectionApi(Engine):
    """
    One WebSocket connection, as its protocol sees it.

    It is given `id`, `peer` (the true one), `user`, `tls`, `clock`, `options`, `log`, `request` and, once open,
    `subprotocol` and `extension`.
    """

    factory: Factory
    id: str
    peer: Any
    """Who is there: a `wsd.policies.address.Peer`."""
    tls: TlsInfo | None
    user: str | None = None
    request: Request
    subprotocol: str | None = None
    extension = ""
    """What the answer said of extensions, "" for none."""

    _wire: WsdTransport = _ForeignTransport()

    # -- hooks ----------------------------------------------------------------------------------------------------

    async def opening(self, request: Request) -> Accept | None:
        """
        Decide before the 101: return `Accept`, raise `Refused`, or `request.takeRaw` and return None.

        The default accepts, with the subprotocol that the route's order chooses. Nothing is read meanwhile.
        """
        return Accept(self.factory.choose(request.subprotocols))

    def opened(self) -> Any:
        """The connection is open: `send` may be called from here on."""

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """A whole message; text is UTF-8, checked. When an awaitable is returned, reading is held until it is done."""

    def began(self, isBinary: bool) -> Any:
        """The streaming form, instead of `received`: a message begins."""

    def arrived(self, data: bytes) -> Any:
        """The streaming form: some bytes of the message, as they arrive, within a single frame too."""

    def ended(self) -> Any:
        """The streaming form: the message is whole."""

    def full(self) -> None:
        """What waits to be sent passed the high water mark: a well-behaved sender stops."""

    def drained(self) -> None:
        """What waits to be sent is below the low water mark again."""

    def closed(self, code: int, reason: str) -> Any:
        """The connection is gone: the peer's close code and reason, 1005 for a close without one, 1006 for none."""

    # -- what a protocol calls ------------------------------------------------------------------------------------

    @property
    def clock(self) -> IReactorTime:
        """The clock to use: never the reactor itself."""
        return self.factory.clock

    @property
    def options(self) -> Any:
        """The route's own keys: an instance of the factory's `Options`."""
        return self.factory.options

    @property
    def isOpen(self) -> bool:
        """Whether `send` would send."""
        return bool(self.state == self.STATE_OPEN)

    @property
    def isBusy(self) -> bool:
        """
        Whether a received message is still being answered; a stopping daemon waits for that, for up to `drain`.

        True while a hook has not returned, or bytes wait to be sent. A protocol that answers later overrides it.
        """
        return bool(self.held or self.unsent)

    @property
    def copies(self) -> bool:
        """Whether the transport copies large data that it is given."""
        return self._wire.copies

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent or are still being deflated; some transports cannot tell."""
        return self._wire.unsent + (0 if self.frames is None else int(self.frames.waiting))

    def send(
        self, payload: bytes | str | Prepared, isBinary: bool = True, fragment: int = 0, deflate: bool = True
    ) -> None:
        """
        Send a message: `str` is text, `bytes` are binary unless `isBinary` is False (they are UTF-8 then).

        `fragment` is the most bytes a frame carries, 0 for a single frame; `deflate` False sends it as it is. On a
        connection that is not open any more nothing happens: `closed` tells.
        """
        frames = self.frames
        if frames is not None:
            frames.send(payload, isBinary, fragment, deflate)

    def keepFresh(self, size: int) -> None:
        """
        Let no more than so many bytes wait beyond `unsent`, in the kernel, so that who reads slowly gets what is new.

        The kernel is woken more often for it.
        """
        self._wire.setKept(size)

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping of at most 125 bytes."""
        if self.state == self.STATE_OPEN:
            self.factory.counters.pings += 1
            self.sendPingFrame(payload[:125])

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, sentence: str = "", cause: Cause = Cause.closed) -> None:
        """
        Begin the closing handshake. The sentence is cut to the 123 bytes there is room for.

        What is received from now on is dropped. Raises ValueError for a code that may not be sent.
        """
        checkCode(code)
        if self.state == self.STATE_CONNECTING:
            self.drop(cause)
            return
        if self.state == self.STATE_OPEN:
            self.noteCause(cause)
            self.sendCloseFrame(code, fitReason(sentence))

    def drop(self, cause: Cause = Cause.aborted) -> None:
        """End the connection at once, without a closing handshake; what waits to be sent is lost."""
        self.noteCause(cause)
        if cause is not Cause.aborted:
            drops = self.factory.counters.drops
            drops[cause] = drops.get(cause, 0) + 1
        if self.state != self.STATE_CLOSED:
            self.dropConnection(abort=True)
        else:
            self.transport.abortConnection()

    def hold(self) -> None:
        """Stop reading, before the next message even within what has arrived. Counted: each needs its `release`."""
        raise NotImplementedError

    def release(self) -> None:
        """Take back one `hold`; with the last, reading goes on."""
        raise NotImplementedError

    def setFrames(self, frames: Any) -> None:
        """Set the plane, which reads what the transport receives and sends the messages; None when it is closed."""
        self.frames = frames
        if frames is None:
            self.__dict__.pop("send", None)
            return
        self._wire.setReceiver(frames)
        if type(self).send is ConnectionApi.send:
            # Protocols call the plane's own `send`: the method between would take a tenth of a small message's time.
            self.__dict__["send"] = frames.send

    # -- hooks are called -----------------------------------------------------------------------------------------

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> None:
        """Call a hook: its errors end this connection only, and what it awaits holds our reading."""
        try:
            result = hook(*arguments)
        except Exception:
            self._failed(Failure())
        else:
            if result is not None:
                self._await(result)

    def _await(self, result: Any) -> Deferred[Any] | None:
        """Hold reading until an awaitable result of a hook is done. Returns its Deferred, else None."""
        if not isawaitable(result):
            return None
        self.hold()
        done = result if isinstance(result, Deferred) else Deferred.fromCoroutine(_done(result))
        done.addErrback(self._failed)
        done.addBoth(lambda _: self.release())
        return done

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, Closed):
            self.close(error.code, error.sentence)
            return
        if failure.check(CancelledError):
            return
        self.log.failure("a hook failed", failure, event="connection.error")
        if self.state == self.STATE_OPEN:
            self.close(
                CloseCode.INTERNAL_ERROR, "the server failed at this message; its log says why", Cause.internal_error
            )


async def _done(result: Awaitable[Any]) -> None:
    """Any awaitable as a coroutine, which is what Twisted takes."""
    await result
