"""permessage-deflate (RFC 7692): deflates and inflates the payloads of one connection's messages."""

from __future__ import annotations

import zlib
from enum import Enum
from typing import Protocol

from wsd.frames.contexts import DeflateContextCache
from wsd.frames.libraries import Choice, Deflating, Inflating, chosen

TAIL = b"\x00\x00\xff\xff"
"""The end of a flushed block, which is left out of a message (RFC 7692 7.2.1)."""

_EMPTY = b"\x00"
"""The payload of an empty message (RFC 7692 7.2.3.6). A context would flush nothing for it."""

_MAX_FINAL_BLOCKS = 64
"""Blocks with the BFINAL bit in one message. One is usual; each takes two bytes to send and costs us a new context."""

DeflateKey = tuple[int, int, int]
"""The parameters of our deflating: window bits, level and memory level."""


class InflateError(Exception):
    """Received data cannot be inflated."""


class InflateLimitExceeded(InflateError):
    """A message inflates to more bytes than it may have."""


class DeflateParameters(Protocol):
    """What was agreed on in the opening handshake (RFC 7692 7.1)."""

    @property
    def serverNoContext(self) -> bool:
        """Whether we deflate each message on its own (server_no_context_takeover, 7.1.1.1)."""

    @property
    def clientNoContext(self) -> bool:
        """Whether the client deflates each message on its own (client_no_context_takeover, 7.1.1.2)."""

    @property
    def serverBits(self) -> int:
        """We refer to at most 2**serverBits bytes before (server_max_window_bits, 7.1.2.1)."""

    @property
    def clientBits(self) -> int:
        """The client refers to at most 2**clientBits bytes before (client_max_window_bits, 7.1.2.2)."""


class _Progress(Enum):
    """How much of a compressed message has been inflated."""

    NONE = 0
    """No message is being inflated."""
    BEGUN = 1
    """A message has begun, and none of its payload has come."""
    WITHIN = 2
    """Some of its payload has been inflated."""


class Deflater:
    """
    Deflates what one connection sends, inflates what it receives.

    Its two contexts are large. They are made when they are needed, and freed by `freeContexts`. A new deflating context
    refers to nothing before. A new inflating context is given the last bytes that were inflated: a message may refer to
    no others.
    """

    __slots__ = (
        "_agreed",
        "_cache",
        "_choice",
        "_deflating",
        "_finalBlocks",
        "_inflating",
        "_progress",
        "_window",
        "before",
        "key",
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
        self._deflating: Deflating | None = None
        self._inflating: Inflating | None = None
        self._window = bytearray()
        self._progress = _Progress.NONE
        self._finalBlocks = 0
        self.used = False
        """Whether anything was deflated or inflated since this was set to False."""
        self.key: DeflateKey = (agreed.serverBits, level, memory)
        """Connections with the same key and the same `before` can be sent the same deflated bytes."""
        self.before = b""
        """The last bytes that the peer has, which a new deflating context may refer to."""

    # -- sending --------------------------------------------------------------------------------------------------

    def deflate(self, payload: bytes) -> bytes:
        """Deflate the payload of a message."""
        if not payload:
            return _EMPTY
        context = self.deflatingContext()
        return (context.compress(payload) + context.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def deflatingContext(self) -> Deflating:
        """The context that deflates the next message."""
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
        Start anew with the next message, after bytes were sent that the deflating context has not seen.

        The next message may refer to `before`, the end of these bytes, and to nothing else.
        """
        self._deflating = None
        if not self._agreed.serverNoContext:
            self.before = before

    # -- receiving ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A compressed message begins."""
        self._progress = _Progress.BEGUN
        self._finalBlocks = 0
        if self._agreed.clientNoContext:
            self._inflating = None
            self._window.clear()

    def inflate(self, data: bytes | memoryview, last: bool, most: int) -> bytes:
        """
        Inflate some of a message's payload, to at most `most` bytes; `last` says that it is the end of the message.

        Raises InflateLimitExceeded as soon as more than `most` bytes would come out, and InflateError for data that
        cannot be inflated. The connection cannot be used afterwards.
        """
        if last:
            isEmpty = self._progress is _Progress.BEGUN and not data
            self._progress = _Progress.NONE
            if isEmpty:
                return b""
            # "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload" (RFC 7692 7.2.2).
            data = b"".join((data, TAIL))
        elif data:
            self._progress = _Progress.WITHIN
        context = self._inflating
        if context is None:
            context = self._newInflating()
        self.used = True
        try:
            plain = context.decompress(data, most + 1)
        except self._choice.inflates.module.error as error:
            raise InflateError(str(error)) from error
        if len(plain) > most:
            raise InflateLimitExceeded(f"a message inflates to more than {most} bytes")
        window, size = self._window, 1 << self._agreed.clientBits
        window += plain if len(plain) <= size else plain[-size:]
        if len(window) > 2 * size:
            # Cut seldom: twice the window is kept so that few messages pay for it.
            del window[:-size]
        return plain + self._afterFinalBlock(context.unused_data, last, most - len(plain)) if context.eof else plain

    def _newInflating(self) -> Inflating:
        bits = self._agreed.clientBits
        self._inflating = context = self._choice.inflates.inflating(bits, bytes(self._window[-1 << bits :]))
        self._register()
        return context

    def _afterFinalBlock(self, rest: bytes, last: bool, most: int) -> bytes:
        """
        Inflate what follows a block with the BFINAL bit, which a message may have (RFC 7692 7.2.3.4).

        It needs another context with the same window.
        """
        self._finalBlocks += 1
        if self._finalBlocks > _MAX_FINAL_BLOCKS:
            raise InflateError(f"a message has more than {_MAX_FINAL_BLOCKS} blocks that say they are the last")
        self._inflating = None
        self._progress = _Progress.BEGUN
        return self.inflate(rest[:-4] if last else rest, last, most)

    # -- contexts -------------------------------------------------------------------------------------------------

    def _register(self) -> None:
        if self._cache is not None:
            self._cache.add(self)

    def freeContexts(self) -> bool:
        """
        Free the contexts; returns False if the inflating one had to stay.

        Within a message it could not be made again.
        """
        self._deflating = None
        if self._progress is not _Progress.NONE and self._inflating is not None:
            return False
        self._inflating = None
        self._window = bytearray() if self._agreed.clientNoContext else self._window[-1 << self._agreed.clientBits :]
        return True

    def close(self) -> None:
        """The connection is gone."""
        self._deflating = self._inflating = None
        if self._cache is not None:
            self._cache.discard(self)


def newContext(key: DeflateKey, before: bytes = b"", choice: Choice | None = None) -> Deflating:
    """A deflating context that refers to nothing but `before`."""
    bits, level, memory = key
    return (choice or chosen()).deflates[level].deflating(bits, level, memory, before)
