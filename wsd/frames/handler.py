"""What a plane is given, and what it calls: the connection whose frames it reads and writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wsd.metrics import Traffic


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """What holds for the frames of a route's connections."""

    traffic: Traffic
    maxMessage: int
    """Bytes of a message, after inflating."""
    maxFrame: int
    """Bytes of a frame, by the length in its header, before inflating."""
    maxUnsent: int
    """Bytes that may wait to be sent before the connection is dropped."""
    streams: bool
    """Whether messages are passed on in pieces, as they arrive."""


class FrameHandler(Protocol):
    """A connection, as its plane sees it."""

    state: int
    """Autobahn's; a plane reads and writes messages while it is `OPEN`. A change is told by the plane's `isOpen`."""
    held: int
    """How many ask that nothing is read. A change is told by the plane's `held`."""
    copies: bool
    """Whether the transport copies what it is given."""

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""

    def messageReceived(self, payload: bytes, isBinary: bool) -> None:
        """A message has come, whole and checked."""

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """The protocol's own hook, for a plane that spares the call of `messageReceived`."""

    def hookReturned(self, result: Any, size: int) -> None:
        """`received` returned this, and not None, for a message of this size."""

    def hookFailed(self) -> None:
        """`received` raised what is being handled."""

    def messageBegan(self, isBinary: bool) -> None:
        """In the streaming form: a message begins."""

    def messageArrived(self, data: bytes) -> None:
        """In the streaming form: some of it, inflated and checked."""

    def messageEnded(self) -> None:
        """In the streaming form: it is whole."""

    def onPing(self, payload: bytes) -> None:
        """A ping has come."""

    def onPong(self, payload: bytes) -> None:
        """A pong has come."""

    def inflateFailed(self, error: Exception) -> None:
        """A message cannot be inflated, or not within its limit: close."""

    def invalidText(self, isCut: bool) -> None:
        """A text message is not UTF-8, or ends within a character: close."""

    def fallBack(self, rest: bytes, left: int, final: bool, inside: bool, total: int) -> None:
        """
        Autobahn reads on from here, with `rest`.

        Its first `left` bytes belong to a frame that nobody looks at any more, the `final` one of its message or not;
        `inside` a message of `total` bytes so far.
        """

    def readPlain(self, data: bytes) -> None:
        """Autobahn reads this."""

    def consumeData(self) -> None:
        """Autobahn reads what it has kept."""

    def onBuffered(self, size: int) -> None:
        """So many bytes wait while reading is held."""

    def yieldToReactor(self) -> None:
        """Hold reading until the others have had their turn."""

    def deflateInSteps(self, step: Callable[[], bool]) -> None:
        """Deflate a message in steps: hold reading, and call `step` once a turn until it returns False."""

    def deflateDone(self) -> None:
        """The message is sent: read on."""

    def noteReceived(self, size: int) -> None:
        """`size` received bytes are held and not passed on yet."""

    def noteDeflating(self, size: int) -> None:
        """`size` bytes are held of the message being deflated and of what waits behind it."""

    def noteUnsent(self) -> bool:
        """Whether bytes wait in the transport, which reports their number from now on."""

    def overrun(self) -> None:
        """More waits to be sent than may: drop the connection."""

    def unmask(self, data: bytes, mask: bytes) -> bytes:
        """A large payload without its mask."""
