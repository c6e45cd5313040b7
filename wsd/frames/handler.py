"""What a plane is given, and what it calls: the connection whose frames it reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wsd.frames.deflate import InflateError
from wsd.metrics import Traffic


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """The limits of a route's connections, and where their messages are counted."""

    traffic: Traffic
    maxMessage: int
    """Bytes of a message, after inflating."""
    maxFrame: int
    """Bytes of a frame, by the length in its head, before inflating."""
    maxUnsent: int
    """Bytes that may wait to be sent. The connection is dropped if more do."""
    streams: bool
    """Whether messages are passed on in pieces, as they arrive."""


class FrameHandler(Protocol):
    """
    A connection, as its plane sees it.

    The connection owns `state` and `held`, and tells its plane of each change: see the plane's `isOpen` and `held`.
    """

    state: int
    """Autobahn's state. Messages are read and written while it is `OPEN`."""
    held: int
    """How many ask that nothing is read."""

    @property
    def copies(self) -> bool:
        """Whether the transport copies large data that it is given."""

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""

    # -- what arrives ---------------------------------------------------------------------------------------------

    def messageReceived(self, payload: bytes, isBinary: bool) -> None:
        """A complete message has come; text is checked."""

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """The protocol's own hook. A fast plane calls it directly, instead of `messageReceived`."""

    def hookReturned(self, result: Any, size: int) -> None:
        """`received` returned this result, which is not None, for a message of this size."""

    def hookFailed(self) -> None:
        """`received` raised the exception that is being handled."""

    def messageBegan(self, isBinary: bool) -> None:
        """A message begins, and its pieces follow."""

    def messageArrived(self, data: bytes) -> None:
        """A piece of the message, inflated and checked."""

    def messageEnded(self) -> None:
        """The message is complete."""

    def onPing(self, payload: bytes) -> None:
        """A ping has come (RFC 6455 5.5.2)."""

    def onPong(self, payload: bytes) -> None:
        """A pong has come (RFC 6455 5.5.3)."""

    def inflateFailed(self, error: InflateError) -> None:
        """A message cannot be inflated, or exceeds its limit: fail the connection."""

    def invalidText(self, isTruncated: bool) -> None:
        """A text message is not UTF-8, or ends within a character: fail the connection (RFC 6455 8.1)."""

    def fallBack(self, rest: bytes, left: int, final: bool, inside: bool, total: int) -> None:
        """
        Autobahn reads on from here, beginning with `rest`.

        The first `left` bytes belong to a frame that is ignored; `final` says whether it is the last one of its
        message. `inside` says that a message has begun, of which `total` bytes have come.
        """

    def readPlain(self, data: bytes) -> None:
        """Autobahn reads this."""

    def consumeData(self) -> None:
        """Autobahn reads what is in its buffer."""

    # -- backpressure ---------------------------------------------------------------------------------------------

    def onBuffered(self, size: int) -> None:
        """So many received bytes wait while reading is held."""

    def yieldToReactor(self) -> None:
        """Hold reading until the next turn of the reactor, so that other connections get their turn."""

    def deflateInSteps(self, step: Callable[[], bool]) -> None:
        """Hold reading, and call `step` once in each turn of the reactor until it returns False."""

    def deflateDone(self) -> None:
        """The message that was deflated in steps is sent: resume reading."""

    def overrun(self) -> None:
        """More bytes than allowed wait to be sent: drop the connection."""

    # -- memory ---------------------------------------------------------------------------------------------------

    def noteReceived(self, size: int) -> None:
        """The plane keeps `size` received bytes that it has not passed on."""

    def noteDeflating(self, size: int) -> None:
        """The message being deflated, and what waits behind it, take `size` bytes."""

    def noteUnsent(self) -> bool:
        """Returns whether bytes wait in the transport. If so, it reports their number from now on."""

    # -- help -----------------------------------------------------------------------------------------------------

    def unmask(self, data: bytes, mask: bytes) -> bytes:
        """Unmask a large payload (RFC 6455 5.3)."""
