"""
echo: sends every message back, unchanged and in order. Switches in the query make it do what else servers do.

The switches are `close=CODE`, `reason=TEXT`, `abrupt`, `delay=MS`, `fragment=N`, `repeat=N`, `size=N`, `ping=N`,
`push=MS`, `nodeflate` and `protocol=NAME`: `/echo?close=4000&reason=enough`. They can be combined. Keys of the route
limit their numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from wsd.connection import Accept, CloseCode, Closed, Connection, Factory, Placement, Refused, Request, maySend
from wsd.metrics import Cause

_MAX_REASON = 123
"""The longest reason of a close frame in bytes: its code takes two of the 125 (RFC 6455 5.5)."""


@dataclass(frozen=True)
class EchoOptions:
    """The limits of the switches."""

    max_delay: int = field(default=60_000)
    """The longest `delay`, in milliseconds."""
    max_repeat: int = field(default=1_000)
    """The largest `repeat`."""
    max_size: int = field(default=32 * 1024 * 1024, metadata={"size": True})
    """The largest `size`, in bytes."""
    max_answer: int = field(default=64 * 1024 * 1024, metadata={"size": True})
    """The largest total of all answers to one message with `repeat`, in bytes."""
    max_fragments: int = field(default=4_096)
    """The most frames that `fragment` cuts a message into; a larger message has larger frames."""
    max_pings: int = field(default=100)
    """The largest `ping`."""
    min_push: int = field(default=10)
    """The shortest `push`, in milliseconds."""
    max_push: int = field(default=3_600_000)
    """The longest `push`, in milliseconds."""

    def __post_init__(self) -> None:
        """Raises ValueError if no `push` would be allowed."""
        if self.min_push > self.max_push:
            raise ValueError(f"min_push: {self.min_push} must not be more than max_push ({self.max_push})")


@dataclass(frozen=True)
class Switches:
    """The switches of a query."""

    close: int | None = None
    reason: str = ""
    abrupt: bool = False
    delay: int = 0
    fragment: int = 0
    repeat: int = 1
    size: int | None = None
    ping: int = 0
    push: int = 0
    nodeflate: bool = False
    protocol: str | None = None

    @property
    def isPlain(self) -> bool:
        """Whether a message is answered at once with itself, in one piece."""
        return not self.delay and self.repeat == 1 and self.size is None and not self.fragment


def _number(name: str, text: str, least: int, most: int, unit: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise Refused(400, f"{name}={text[:40]!r} is not a number of {unit}; use {least} to {most}")
    return int(text)


def _closeCode(text: str) -> int:
    """A close code that may be sent (RFC 6455 7.4)."""
    code = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not maySend(code):
        raise Refused(400, f"close={text[:40]!r} is not a close code; use 1000 to 1003, 1007 to 1014 or 3000 to 4999")
    return code


def _reason(text: str) -> str:
    """A reason that fits into a close frame beside its code (RFC 6455 5.5)."""
    size = len(text.encode())
    if size > _MAX_REASON:
        raise Refused(400, f"reason is {size} bytes of UTF-8; a close frame has room for {_MAX_REASON}")
    return text


def _flag(name: str, text: str) -> bool:
    if text not in ("", "1", "true"):
        raise Refused(400, f"{name}={text[:40]!r} takes no value; write {name}")
    return True


def readSwitches(queries: dict[str, str], options: EchoOptions) -> Switches:
    """Reads the switches of a query. Raises `Refused` (400), which names the bad one."""
    o = options
    readers: dict[str, Callable[[str], Any]] = {
        "close": _closeCode,
        "reason": _reason,
        "abrupt": lambda text: _flag("abrupt", text),
        "delay": lambda text: _number("delay", text, 0, o.max_delay, "milliseconds"),
        "fragment": lambda text: _number("fragment", text, 1, o.max_size, "bytes"),
        "repeat": lambda text: _number("repeat", text, 1, o.max_repeat, "times"),
        "size": lambda text: _number("size", text, 0, o.max_size, "bytes"),
        "ping": lambda text: _number("ping", text, 1, o.max_pings, "pings"),
        "push": lambda text: _number("push", text, o.min_push, o.max_push, "milliseconds"),
        "nodeflate": lambda text: _flag("nodeflate", text),
        "protocol": str,
    }
    for name in queries:
        if name not in readers:
            raise Refused(400, f"{name[:40]!r} is not an option of echo; the options are {', '.join(readers)}")
    switches = Switches(**{name: readers[name](text) for name, text in queries.items()})
    if switches.repeat > 1 and switches.repeat * (switches.size or 0) > o.max_answer:
        raise Refused(
            400,
            f"repeat={switches.repeat} of size={switches.size} is {switches.repeat * (switches.size or 0)} bytes; "
            f"ask for at most {o.max_answer}",
        )
    return switches


class Echo(Connection):
    """Sends back what it receives. While its send buffer is full, it does not read."""

    switches = Switches()
    _isPlain = True
    _pushing: LoopingCall | None = None
    _waiting: Deferred[Any] | None = None

    async def opening(self, request: Request) -> Accept:
        """Read the switches. `protocol` selects one of the offered subprotocols."""
        if request.queries:
            self.switches = readSwitches(request.queries, self.options)
            self._isPlain = self.switches.isPlain
        switches = self.switches
        if switches.protocol is None:
            chosen = self.factory.choose(request.subprotocols)
        elif switches.protocol in request.subprotocols:
            chosen = switches.protocol
        else:
            raise Refused(400, f"protocol={switches.protocol[:40]!r} was not offered; add it to Sec-WebSocket-Protocol")
        return Accept(chosen, deflate=not switches.nodeflate)

    def opened(self) -> Any:
        """Called when the connection is open: send pings, begin to push, or close."""
        switches = self.switches
        for number in range(switches.ping):
            self.ping(b"%d" % (number + 1))
        self._startPushing(now=True)
        if switches.close is not None or switches.abrupt:
            return self._finish()
        return None

    def _startPushing(self, now: bool) -> None:
        if self.switches.push:
            self._pushing = LoopingCall(self._push)
            self._pushing.clock = self.clock
            self._pushing.start(self.switches.push / 1000, now)

    def answer(self, payload: bytes, isBinary: bool) -> Any:
        """Called with a message. Returns the answer."""
        return payload if self._isPlain else self._answer(payload, isBinary)

    async def _answer(self, payload: bytes, isBinary: bool) -> None:
        switches = self.switches
        await self._delay()
        if switches.size is not None:
            payload = _filler(switches.size)
        if switches.repeat > 1 and switches.repeat * len(payload) > self.options.max_answer:
            raise Closed(
                CloseCode.MESSAGE_TOO_BIG,
                f"{switches.repeat} times {len(payload)} bytes exceeds the limit of {self.options.max_answer}",
            )
        least = -(-len(payload) // self.options.max_fragments)
        fragment = max(switches.fragment, least) if switches.fragment else 0
        for _ in range(switches.repeat):
            await self.room()
            if not self.isOpen:
                return
            self.send(payload, isBinary, fragment=fragment)

    async def _finish(self) -> None:
        await self._delay()
        if self.switches.abrupt:
            self.drop(Cause.aborted)
        elif self.switches.close is not None:
            self.namesId = False  # The client gave the reason, and expects it back.
            self.close(self.switches.close, self.switches.reason)

    async def _delay(self) -> None:
        if self.switches.delay:
            self._waiting = deferLater(self.clock, self.switches.delay / 1000)
            await self._waiting
            self._waiting = None

    def _push(self) -> None:
        """Send the time, unless the send buffer is full."""
        if not self.isFull:
            now = datetime.fromtimestamp(time(), UTC)
            self.send(now.isoformat(timespec="milliseconds"))

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether there is nothing more to do than to answer: a close that is to come could be lost."""
        return self.switches.close is None and not self.switches.abrupt

    def restoreState(self, state: Any, version: int) -> None:
        """Go on with the switches of the query."""
        if self.request.queries:
            self.switches = readSwitches(self.request.queries, self.options)
            self._isPlain = self.switches.isPlain
        self._startPushing(now=False)

    def full(self) -> None:
        """Called when the send buffer is full: stop reading."""
        self.hold()

    def drained(self) -> None:
        """Called when the send buffer has room again: resume reading."""
        self.release()

    def closed(self, code: int, reason: str) -> None:
        """Called when the connection is gone: cancel its timers."""
        if self._pushing is not None and self._pushing.running:
            self._pushing.stop()
        if self._waiting is not None:
            self._waiting.cancel()


def _filler(size: int) -> bytes:
    """Returns a payload of this size. It repeats the alphabet, so it is valid as text too."""
    alphabet = b"abcdefghijklmnopqrstuvwxyz"
    return (alphabet * (size // len(alphabet) + 1))[:size]


class EchoFactory(Factory):
    """A route of echo."""

    connection = Echo
    placement = Placement.free
    about = MappingProxyType(
        {
            "en": "Sends every message back. Query parameters add delays, pushes, closes and more.",
            "zh": "原样返回每条消息。查询参数可以设置延迟、推送、关闭等行为。",
        }
    )
    Options = EchoOptions
    stateVersion = 1
