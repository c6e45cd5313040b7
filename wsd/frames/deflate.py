"""permessage-deflate (RFC 7692): deflates and inflates the payloads of one connection's messages."""

from __future__ import annotations

import zlib
from enum import Enum
from typing import Protocol

from wsd.frames.contexts import DeflateContextCache
from wsd.frames.libraries import Choice, Deflating, Inflating, chosen
from wsd.metrics import CompressedBytes

TAIL = b"\x00\x00\xff\xff"
"""The end of a flushed block. It is removed from a deflated message (RFC 7692 7.2.1)."""

_EMPTY = b"\x00"
"""The payload of an empty message (RFC 7692 7.2.3.6). For no data, a context's flush returns nothing."""

STEP = 256 * 1024
"""Bytes inflated in one step, which takes 0.1 to 1 ms. A thousand times as much may stand in a small message."""

_MAX_FINAL_BLOCKS = 64
"""Blocks with the BFINAL bit in one message. One is usual. Each costs its sender two bytes, and us a new context."""

_DEFLATING, _INFLATING = 6 * 1024, 7 * 1024
"""Bytes of a context beside its window and tables, which zlib's zconf.h gives by window bits and memory level."""

DeflateKey = tuple[int, int, int]
"""The parameters of our deflating: window bits, level and memory level."""


class InflateError(Exception):
    """Raised when received data cannot be inflated."""


class InflateLimitExceeded(InflateError):
    """Raised when a message inflates to more bytes than allowed."""


class DeflateParameters(Protocol):
    """The parameters negotiated in the opening handshake (RFC 7692 7.1)."""

    @property
    def serverNoContext(self) -> bool:
        """Whether we deflate each message on its own (server_no_context_takeover, 7.1.1.1)."""

    @property
    def clientNoContext(self) -> bool:
        """Whether the client deflates each message on its own (client_no_context_takeover, 7.1.1.2)."""

    @property
    def serverBits(self) -> int:
        """Our deflating window is 2**serverBits bytes (server_max_window_bits, 7.1.2.1)."""

    @property
    def clientBits(self) -> int:
        """The client's deflating window is at most 2**clientBits bytes (client_max_window_bits, 7.1.2.2)."""


class _Progress(Enum):
    """How much of a compressed message has been inflated."""

    NONE = 0
    """No message is being inflated."""
    BEGUN = 1
    """A message has begun, and none of its payload has arrived."""
    WITHIN = 2
    """Some of its payload has been inflated."""


# Module globals, because CPython 3.11 looks up a member of an enum in several steps, for each message.
_NONE, _BEGUN, _WITHIN = _Progress


class Deflater:
    """
    Deflates the messages that one connection sends, and inflates those that it receives.

    Its two contexts are large. They are made when they are needed, and freed by `freeContexts`. A new deflating context
    refers to no earlier message. A new inflating context gets the last inflated bytes as its window: a message can
    refer to no others.
    """

    __slots__ = (
        "_agreed",
        "_cache",
        "_choice",
        "_counted",
        "_deflating",
        "_finalBlocks",
        "_inflating",
        "_isLast",
        "_progress",
        "_window",
        "before",
        "key",
        "pending",
        "used",
    )

    def __init__(
        self,
        agreed: DeflateParameters,
        level: int,
        memory: int,
        cache: DeflateContextCache | None = None,
        choice: Choice | None = None,
    ) -> None:
        self._agreed = agreed
        self._cache = cache
        self._choice = choice or chosen()
        self._counted = CompressedBytes() if cache is None else cache.compressed
        self._deflating: Deflating | None = None
        self._inflating: Inflating | None = None
        self._window = bytearray()
        self._progress = _NONE
        self._finalBlocks = 0
        self._isLast = False
        """Whether `pending` is the end of the message."""
        self.pending: bytes | None = None
        """What was received of the message and is left for `inflateMore`; None if everything is inflated."""
        self.used = False
        """Whether a context was used since this was set to False."""
        self.key: DeflateKey = (agreed.serverBits, level, memory)
        """Connections with the same key and the same `before` can be sent the same deflated bytes."""
        self.before = b""
        """The end of the peer's window, as far as a new deflating context may refer to it."""

    # -- sending --------------------------------------------------------------------------------------------------

    def deflate(self, payload: bytes) -> bytes:
        """Deflate the payload of a message."""
        if not payload:
            return _EMPTY
        context = self.deflatingContext()
        deflated = (context.compress(payload) + context.flush(zlib.Z_SYNC_FLUSH))[:-4]
        # Not by `countSent`, whose call would cost more than the counting.
        counted = self._counted
        counted.plainOut += len(payload)
        counted.deflatedOut += len(deflated)
        return deflated

    def countSent(self, plain: int, deflated: int) -> None:
        """Count the bytes of a message that is sent, before and after deflating."""
        self._counted.plainOut += plain
        self._counted.deflatedOut += deflated

    def deflatingContext(self) -> Deflating:
        """Returns the context that deflates the next message."""
        context = self._deflating
        if context is None:
            context = newContext(self.key, self.before, self._choice)
            self.before = b""
            if not self._agreed.serverNoContext:
                self._deflating = context
                self._register()
        self.used = True
        return context

    def forget(self, before: bytes = b"") -> None:
        """
        Discard the deflating context, after bytes were sent that it has not seen.

        The next message may refer to `before`, the end of these bytes, and to nothing else.
        """
        if self._deflating is not None:
            self._deflating = None
            self._weigh()
        if not self._agreed.serverNoContext:
            self.before = before

    # -- receiving ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Called when a compressed message begins."""
        self._progress = _BEGUN
        self._finalBlocks = 0
        if self._agreed.clientNoContext:
            self._inflating = None
            self._window.clear()

    def inflate(self, data: bytes | memoryview, last: bool, most: int) -> bytes:
        """
        Inflate some of a message's payload, to at most `most` bytes. `last` says whether it is the end of the message.

        Raises InflateLimitExceeded as soon as more than `most` bytes would result, and InflateError for malformed data.
        The connection cannot be used afterwards.
        """
        plain = self.inflateSome(data, last, most)
        pieces, size, rest = [plain], len(plain), self.pending
        while rest is not None:
            pieces.append(self.inflateMore(most - size))
            size, rest = size + len(pieces[-1]), self.pending
        return b"".join(pieces)

    def inflateSome(self, data: bytes | memoryview, last: bool, most: int) -> bytes:
        """The same, but returns after at most `STEP` bytes. While `pending` is not None, `inflateMore` goes on."""
        self._counted.deflatedIn += len(data)
        if last:
            isEmpty = self._progress is _BEGUN and not data
            self._progress = _NONE
            if isEmpty:
                return b""
            # "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload" (RFC 7692 7.2.2).
            data = b"".join((data, TAIL))
        elif data:
            self._progress = _WITHIN
        return self._step(data, last, most)

    def inflateMore(self, most: int) -> bytes:
        """Inflate the next `STEP` bytes of what is `pending`, to at most `most` bytes."""
        data, self.pending = self.pending or b"", None
        if self._isLast:
            self._progress = _NONE
        return self._step(data, self._isLast, most)

    def _step(self, data: bytes | memoryview, last: bool, most: int) -> bytes:
        context = self._inflating
        if context is None:
            context = self._newInflating()
        self.used = True
        limit = STEP if most >= STEP else most + 1
        try:
            plain = context.decompress(data, limit)
        except self._choice.inflates.module.error as error:
            raise InflateError(str(error)) from error
        if len(plain) > most:
            raise InflateLimitExceeded(f"a message inflates to more than {most} bytes")
        self._counted.plainIn += len(plain)
        window, size = self._window, 1 << self._agreed.clientBits
        window += plain if len(plain) <= size else plain[-size:]
        if len(window) > 2 * size:
            # Up to twice the window is kept, so that few messages pay for cutting it.
            del window[:-size]
        if context.eof:
            self._endBlock(context.unused_data, last)
        elif len(plain) == limit:
            self._defer(context.unconsumed_tail, last)
        return plain

    def _defer(self, rest: bytes, last: bool) -> None:
        # The context is within the message, so it may not be freed.
        self._progress = _WITHIN
        self.pending, self._isLast = rest, last

    def _newInflating(self) -> Inflating:
        bits = self._agreed.clientBits
        self._inflating = context = self._choice.inflates.inflating(bits, bytes(self._window[-1 << bits :]))
        self._register()
        return context

    def _endBlock(self, rest: bytes, last: bool) -> None:
        """
        Handle the end of a block with the BFINAL bit, behind which a message may go on (RFC 7692 7.2.3.4).

        That needs a new context with the same window.
        """
        self._finalBlocks += 1
        if self._finalBlocks > _MAX_FINAL_BLOCKS:
            raise InflateError(f"a message has more than {_MAX_FINAL_BLOCKS} final blocks")
        self._inflating = None
        self._weigh()
        # What follows is either nothing, or the beginning of another stream, and `TAIL` behind it.
        if len(rest) > (len(TAIL) if last else 0):
            self._defer(rest, last)
        elif not last:
            self._progress = _BEGUN

    # -- contexts -------------------------------------------------------------------------------------------------

    @property
    def agreed(self) -> DeflateParameters:
        """The negotiated parameters."""
        return self._agreed

    @property
    def window(self) -> bytes:
        """What the next message of the peer may refer to."""
        return b"" if self._agreed.clientNoContext else bytes(self._window[-1 << self._agreed.clientBits :])

    def restore(self, window: bytes) -> None:
        """Let the next message of the peer refer to these bytes, which another process has inflated."""
        self._window = bytearray(window)
        self._weigh()

    @property
    def memory(self) -> int:
        """The bytes of memory of the contexts, and of the window while there is no inflating context."""
        bits, _, memory = self.key
        deflating = 0 if self._deflating is None else (1 << bits + 2) + (1 << memory + 9) + _DEFLATING
        if self._inflating is None:
            return deflating + len(self._window)
        # Its own window, and up to twice as many bytes that we keep to make it again.
        return deflating + 3 * (1 << self._agreed.clientBits) + _INFLATING

    def _weigh(self) -> None:
        if self._cache is not None:
            self._cache.weigh(self)

    def _register(self) -> None:
        if self._cache is not None:
            self._cache.add(self)

    def freeContexts(self) -> bool:
        """
        Free the contexts. Returns False if the inflating one had to stay: within a message it could not be made again.
        """
        self._deflating = None
        if self._progress is not _NONE and self._inflating is not None:
            self._weigh()
            return False
        self._inflating = None
        self._window = bytearray() if self._agreed.clientNoContext else self._window[-1 << self._agreed.clientBits :]
        self._weigh()
        return True

    def close(self) -> None:
        """Called when the connection is gone."""
        self._deflating = self._inflating = None
        self._window = bytearray()
        if self._cache is not None:
            self._cache.discard(self)


def newContext(key: DeflateKey, before: bytes = b"", choice: Choice | None = None) -> Deflating:
    """Returns a deflating context that may refer to `before`, and to nothing else."""
    bits, level, memory = key
    return (choice or chosen()).deflates[level].deflating(bits, level, memory, before)
