"""The interface that a plane uses: the connection whose frames it reads and writes, and the limits of frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wsd.frames.deflate import InflateError
from wsd.metrics import Traffic


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """The limits of a route's connections, and the counters of their messages."""

    traffic: Traffic
    maxMessage: int
    """The largest message in bytes, after inflating."""
    maxFrame: int
    """The largest payload of a frame in bytes, before inflating."""
    maxUnsent: int
    """The most unsent bytes. The connection is dropped if there are more."""
    streams: bool
    """Whether messages are passed on in pieces, as they arrive."""
    takesWhole: bool
    """Whether a message that came in one piece is passed on as a whole, also if others are passed on in pieces."""
    answers: bool
    """Whether complete messages are passed to the hook `answer`, and what it returns is sent."""


class FrameHandler(Protocol):
    """
    A connection, as its plane sees it.

    The connection owns `state` and `held`, and sets the plane's `isOpen` and `held` when they change.
    """

    state: int
    """Autobahn's state. Messages are read and written while it is `OPEN`."""
    held: int
    """The number of `hold`s that are not released. Nothing is read while it is not 0."""

    @property
    def copies(self) -> bool:
        """Whether writing to the transport copies large data."""

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""

    # -- what arrives ---------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """The protocol's own hook, called with a complete message; text is valid UTF-8."""

    def answer(self, payload: bytes, isBinary: bool) -> Any:
        """The same for a protocol that returns its answer."""

    def sendAnswer(self, answer: Any, isBinary: bool) -> Any:
        """Send what `answer` returned. Returns an awaitable if it is not known yet, and None otherwise."""

    def hookReturned(self, result: Any, size: int) -> None:
        """Called with a result of the hook other than None, for a message of `size` bytes."""

    def hookFailed(self) -> None:
        """Called while the exception that the hook raised is being handled."""

    def messageBegan(self, isBinary: bool) -> None:
        """Called when a message begins. Its pieces follow."""

    def messageArrived(self, data: bytes) -> None:
        """Called with a piece of the message, inflated and checked."""

    def messageEnded(self) -> None:
        """Called when the message is complete."""

    def onPing(self, payload: bytes) -> None:
        """Called with the payload of a ping (RFC 6455 5.5.2)."""

    def onPong(self, payload: bytes) -> None:
        """Called with the payload of a pong (RFC 6455 5.5.3)."""

    def inflateFailed(self, error: InflateError) -> None:
        """Called when a message cannot be inflated, or exceeds its limit: fail the connection."""

    def invalidText(self, isTruncated: bool) -> None:
        """Called when a text message is not UTF-8, or ends within a character: fail the connection (RFC 6455 8.1)."""

    def fallBack(self, rest: bytes, left: int, final: bool, inside: bool, total: int) -> None:
        """
        Let Autobahn read on from here, beginning with `rest`.

        The first `left` bytes belong to a frame that is ignored; `final` says whether it is the last frame of its
        message. `inside` says whether a message has begun, of which `total` bytes have been received.
        """

    def readPlain(self, data: bytes) -> None:
        """Let Autobahn read this."""

    def consumeData(self) -> None:
        """Let Autobahn read its buffer."""

    @property
    def unreadPlain(self) -> bytes | None:
        """What Autobahn has not read yet; None while it is within a message."""

    # -- backpressure ---------------------------------------------------------------------------------------------

    def onBuffered(self, size: int) -> None:
        """Called while reading is held, with the number of bytes that were received meanwhile."""

    def yieldToReactor(self) -> None:
        """Hold reading until the next turn of the reactor, so that other connections get their turn."""

    def inflateInTurn(self) -> None:
        """The same, but until all other connections that inflate or deflate in steps have done a step."""

    def deflateInSteps(self, step: Callable[[], bool]) -> None:
        """Hold reading, and call `step` once in each turn of the reactor until it returns False."""

    def deflateDone(self) -> None:
        """Called when the message that was deflated in steps is sent: resume reading."""

    def overrun(self) -> None:
        """Called when there are more unsent bytes than allowed: drop the connection."""

    # -- memory ---------------------------------------------------------------------------------------------------

    def noteReceived(self, rest: int, assembled: int, inflated: int) -> None:
        """
        Called with the received bytes that the plane has not passed on.

        `rest` is not read yet. An incomplete message has `assembled` bytes, or `inflated` ones if it is compressed.
        """

    def noteDeflating(self, size: int) -> None:
        """Called with the bytes of the message being deflated and of everything queued behind it."""

    def noteUnsent(self) -> bool:
        """Returns whether the transport has unsent bytes. If so, it reports their number from now on."""

    # -- help -----------------------------------------------------------------------------------------------------

    def unmask(self, data: bytes, mask: bytes) -> bytes:
        """Unmask a large payload (RFC 6455 5.3)."""
