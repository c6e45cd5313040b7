"""A message too large to be deflated at once. It is deflated in steps, and later messages queue behind it."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

from wsd.frames.deflate import TAIL, Deflater
from wsd.frames.libraries import Deflating

AT_ONCE = 256 * 1024
"""Bytes deflated in one step, which takes 1 to 10 ms. A message up to this size is sent at once."""


class LargeMessage:
    """A message deflated in steps. None of it is sent before the last step, so it can still be sent uncompressed."""

    __slots__ = ("_at", "_context", "_deflater", "_pieces", "behind", "fragment", "opcode", "payload", "size")

    def __init__(self, deflater: Deflater, payload: bytes, opcode: int, fragment: int) -> None:
        self.payload = payload
        self.opcode = opcode
        self.fragment = fragment
        self.size = len(payload)
        """Bytes of the message, and of everything queued behind it."""
        self.behind: deque[tuple[int, Callable[..., None], tuple[Any, ...]]] = deque()
        """Sends queued behind it, each as its size, function and arguments."""
        self._deflater = deflater
        self._context: Deflating = deflater.deflatingContext()
        self._pieces: list[bytes] = []
        self._at = 0

    def add(self, size: int, send: Callable[..., None], given: tuple[Any, ...]) -> None:
        """Queue a send behind the message."""
        self.size += size
        self.behind.append((size, send, given))

    def next(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        """Remove and return the first queued send."""
        size, send, given = self.behind.popleft()
        self.size -= size
        return send, given

    def follow(self, before: LargeMessage) -> None:
        """Queue everything that is queued behind another large message, which was sent before this one."""
        self.behind.extend(before.behind)
        self.size += sum(size for size, _, _ in before.behind)

    def step(self) -> bytes | None:
        """Deflate the next piece. Returns the compressed payload after the last piece, None before."""
        piece = self.payload[self._at : self._at + AT_ONCE]
        self._at += len(piece)
        self._pieces.append(self._context.compress(piece))
        if self._at < len(self.payload):
            return None
        self._pieces.append(self._context.flush(zlib.Z_SYNC_FLUSH)[: -len(TAIL)])
        deflated = b"".join(self._pieces)
        self._deflater.countSent(len(self.payload), len(deflated))
        return deflated
