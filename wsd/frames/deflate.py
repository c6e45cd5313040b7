"""permessage-deflate (RFC 7692): the payloads of one connection's compressed messages, made and read."""

from __future__ import annotations

import zlib
from typing import Protocol

from wsd.frames.libraries import Choice, Deflating, Inflating, chosen

TAIL = b"\x00\x00\xff\xff"
"""What a flushed block ends on, and a message leaves out (RFC 7692 7.2.1)."""

_EMPTY = b"\x00"
"""An empty message (RFC 7692 7.2.3.6); there is nothing that a stream could flush."""

_MOST_ENDS = 64
"""Last blocks in a message: one is usual; each costs a new stream, and takes but two bytes to ask for."""

_BETWEEN, _BEGUN, _WITHIN = range(3)
"""Where reading is: between two messages, or in one, of which nothing has come yet or something has."""

Key = tuple[int, int, int]
"""Window bits, level and memory of what we deflate."""


class TooBig(Exception):
    """A message inflates to more than it may."""


class Corrupt(Exception):
    """What came cannot be inflated."""


class Agreed(Protocol):
    """What was agreed on in the opening handshake (RFC 7692 7.1)."""

    @property
    def serverNoContext(self) -> bool:
        """Whether each message that we send is deflated on its own."""

    @property
    def clientNoContext(self) -> bool:
        """Whether each message that comes is."""

    @property
    def serverBits(self) -> int:
        """We refer to at most 2**serverBits bytes before."""

    @property
    def clientBits(self) -> int:
        """The other side refers to at most 2**clientBits bytes before."""


class Awake(Protocol):
    """Who sees to it that streams which are not used are put away."""

    def woke(self, deflater: Deflater) -> None:
        """It has a stream again, and wants `sleep` to be called when `used` stays False."""

    def left(self, deflater: Deflater) -> None:
        """Its connection is gone."""


class Deflater:
    """
    Deflates what one connection sends, inflates what it receives.

    Its two streams are large, so they are made when they are needed and put away with `sleep`. The one that deflates
    may be begun anew at any message: it then refers to nothing before. The one that inflates is made again from the
    last bytes that came out of it, which is all that a message may refer to.
    """

    __slots__ = (
        "_agreed",
        "_awake",
        "_choice",
        "_deflating",
        "_ends",
        "_inflating",
        "_progress",
        "_window",
        "before",
        "key",
        "used",
    )

    def __init__(
        self, agreed: Agreed, level: int, memory: int, awake: Awake | None = None, choice: Choice | None = None
    ) -> None:
        self._agreed = agreed
        self._awake = awake
        self._choice = choice or chosen()
        self._deflating: Deflating | None = None
        self._inflating: Inflating | None = None
        self._window = bytearray()
        self._progress = _BETWEEN
        self._ends = 0
        self.used = False
        """Whether anything was deflated or inflated since somebody set it to False."""
        self.key: Key = (agreed.serverBits, level, memory)
        """Connections with the same key can be sent the same deflated bytes, when `before` is the same too."""
        self.before = b""
        """The last bytes that the other side has and the next message may refer to, unless our own stream knows."""

    # -- sending --------------------------------------------------------------------------------------------------

    def deflate(self, payload: bytes) -> bytes:
        """The payload of a compressed message, from that of a plain one."""
        if not payload:
            return _EMPTY
        stream = self.stream()
        return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def stream(self) -> Deflating:
        """The stream that deflates the next message."""
        stream = self._deflating
        if stream is None:
            stream = newStream(self.key, self.before, self._choice)
            self.before = b""
            if not self._agreed.serverNoContext:
                self._deflating = stream
                self._wake()
        self.used = True
        return stream

    def forget(self, before: bytes = b"") -> None:
        """Bytes that our own stream does not know were sent: refer to no others, and to these if they are given."""
        self._deflating = None
        if not self._agreed.serverNoContext:
            self.before = before

    # -- receiving ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A compressed message begins."""
        self._progress = _BEGUN
        self._ends = 0
        if self._agreed.clientNoContext:
            self._inflating = None
            self._window.clear()

    def inflate(self, data: bytes | memoryview, last: bool, most: int) -> bytes:
        """
        Some plain bytes of a message, at most `most`, from some of its payload; `last` says that this is the end of it.

        Raises `TooBig` as soon as more than `most` would come out, and `Corrupt`; the connection is of no use then.
        """
        if last:
            bare, self._progress = self._progress == _BEGUN and not data, _BETWEEN
            if bare:
                return b""
            data = b"".join((data, TAIL))
        elif data:
            self._progress = _WITHIN
        stream = self._inflating
        if stream is None:
            stream = self._newInflating()
        self.used = True
        try:
            plain = stream.decompress(data, most + 1)
        except self._choice.inflates.module.error as error:
            raise Corrupt(str(error)) from error
        if len(plain) > most:
            raise TooBig(f"a message inflates to more than {most} bytes")
        window, size = self._window, 1 << self._agreed.clientBits
        window += plain if len(plain) <= size else plain[-size:]
        if len(window) > 2 * size:
            # Seldom, since as much again as the window is kept.
            del window[:-size]
        return plain + self._goOn(stream.unused_data, last, most - len(plain)) if stream.eof else plain

    def _newInflating(self) -> Inflating:
        bits = self._agreed.clientBits
        self._inflating = stream = self._choice.inflates.inflating(bits, bytes(self._window[-1 << bits :]))
        self._wake()
        return stream

    def _goOn(self, rest: bytes, last: bool, most: int) -> bytes:
        """
        A block came that says it is the last, which a message may have (RFC 7692 7.2.3.4).

        What follows begins another stream with the same window.
        """
        self._ends += 1
        if self._ends > _MOST_ENDS:
            raise Corrupt(f"a message has more than {_MOST_ENDS} blocks that say they are the last")
        self._inflating = None
        self._progress = _BEGUN
        return self.inflate(rest[:-4] if last else rest, last, most)

    # -- resting --------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._awake is not None:
            self._awake.woke(self)

    def sleep(self) -> bool:
        """
        Put away the streams, and say whether that could be done.

        Within a message the one that inflates stays, since it could not be made again there.
        """
        self._deflating = None
        if self._progress != _BETWEEN and self._inflating is not None:
            return False
        self._inflating = None
        self._window = bytearray() if self._agreed.clientNoContext else self._window[-1 << self._agreed.clientBits :]
        return True

    def close(self) -> None:
        """The connection is gone."""
        self._deflating = self._inflating = None
        if self._awake is not None:
            self._awake.left(self)


def newStream(key: Key, before: bytes = b"", choice: Choice | None = None) -> Deflating:
    """A stream that deflates, with nothing to refer to but `before`."""
    bits, level, memory = key
    return (choice or chosen()).deflates[level].deflating(bits, level, memory, before)
