"""A received message that arrives in pieces: inflated, checked, and kept until it is complete or passed on at once."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from wsd.frames.codes import Opcode
from wsd.frames.text import TextCheck
from wsd.frames.unread import Unread, framesOf


class InvalidText(Exception):
    """Raised when a text message is not UTF-8, or ends within a character if `isTruncated`."""

    def __init__(self, isTruncated: bool) -> None:
        super().__init__(isTruncated)
        self.isTruncated = isTruncated


class IncomingMessage:
    """A message of which at least the head of the first frame has arrived."""

    __slots__ = ("_before", "_deflater", "_isWhole", "_keeps", "_most", "_parts", "_raw", "_text", "isBinary", "size")

    def __init__(self, isBinary: bool, deflater: Any, most: int, keeps: bool) -> None:
        """
        `deflater` is None if the message is not compressed. It may have `most` bytes, after inflating.

        `keeps` is False if the payload is passed on as it arrives.
        """
        self.isBinary = isBinary
        self.size = 0
        """Bytes of the payload so far, after inflating."""
        self._deflater = deflater
        self._most = most
        self._keeps = keeps
        self._isWhole = False
        """Whether the last piece has been added."""
        self._text = None if isBinary else TextCheck()
        self._parts: BytesIO | None = None
        self._raw: BytesIO | None = None
        """The payload so far as it was received, if it is compressed: another process cannot continue to inflate it."""
        self._before = b""
        """The inflating window before this message."""
        if deflater is not None and deflater.pending is None:
            deflater.begin()

    def add(self, piece: bytes, isLast: bool) -> bytes:
        """
        Add an unmasked piece of the payload, the last one if `isLast`. Returns the piece, inflated.

        While `isInflating`, that is only its beginning: `addMore` must be called before the next piece is added.

        Raises InflateError and `InvalidText`.
        """
        self._isWhole = isLast
        if self._deflater is not None:
            if self._keeps and not isLast:
                self._keepRaw(piece)
            piece = self._deflater.inflateSome(piece, isLast, self._most - self.size)
        return self._keep(piece)

    @property
    def isWhole(self) -> bool:
        """Whether the last piece was added."""
        return self._isWhole

    @property
    def isInflating(self) -> bool:
        """Whether there is more to inflate of the piece that was added."""
        return self._deflater is not None and self._deflater.pending is not None

    def addMore(self) -> bytes:
        """Inflate some more of the last piece. Returns that. Raises InflateError and `InvalidText`."""
        return self._keep(self._deflater.inflateMore(self._most - self.size))

    def addInflated(self, piece: bytes) -> bytes:
        """Add the beginning of the only piece, which is inflated. Raises `InvalidText`."""
        self._isWhole = True
        return self._keep(piece)

    def _keep(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self._text is not None and not self._text.add(piece):
            raise InvalidText(False)
        if self._keeps and piece:
            if self._parts is None:
                self._parts = BytesIO()
            self._parts.write(piece)
        return piece

    def _keepRaw(self, piece: bytes) -> None:
        if self._raw is None:
            self._raw = BytesIO()
            self._before = self._deflater.window
        self._raw.write(piece)

    def end(self) -> bytes:
        """Called after the last piece. Returns the payload as far as it was kept. Raises `InvalidText`."""
        if self._text is not None and self._text.isTruncated:
            raise InvalidText(True)
        # getvalue() makes no copy.
        parts, self._parts = self._parts, None
        return b"" if parts is None else parts.getvalue()

    @property
    def assembled(self) -> int:
        """The number of kept bytes, if they were not compressed."""
        return 0 if self._parts is None or self._deflater is not None else self.size

    @property
    def inflated(self) -> int:
        """The number of kept bytes of a compressed message: inflated, and as they were received."""
        if self._deflater is None:
            return 0
        received = (0 if self._raw is None else self._raw.tell()) + len(self._deflater.pending or b"")
        return received + (0 if self._parts is None else self.size)

    def unread(self, window: bytes, most: int, left: int, mask: bytes, isFinal: bool) -> Unread:
        """
        Returns what has arrived, for another process: frames of at most `most` bytes, and the window before them.

        Of the current frame, `left` bytes are missing, masked with `mask`. `isFinal` says whether it is the last frame.
        `window` is the window of the next message. If the last piece was added, none of it may be left to inflate.
        """
        opcode = Opcode.BINARY if self.isBinary else Opcode.TEXT
        isCompressed = self._deflater is not None and not self._isWhole
        kept = self._raw if isCompressed else self._parts
        body = b"" if kept is None else kept.getvalue()
        frames = framesOf(opcode, body, most, isCompressed, left, mask, isFinal)
        return Unread(frames, self._before if isCompressed and self._raw is not None else window)
