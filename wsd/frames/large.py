"""A message too large to be deflated at once: it is deflated in steps, and what is sent meanwhile waits behind it."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

from wsd.frames.deflate import TAIL, Deflater
from wsd.frames.libraries import Deflating

AT_ONCE = 256 * 1024
"""Bytes of a message that are deflated in one step: 1 to 10 ms. A message up to this size is sent at once."""


class Large:
    """Deflated in steps. Nothing of it is sent before it is whole, so that it may still be sent as it is."""

    __slots__ = ("_at", "_pieces", "_stream", "behind", "fragment", "opcode", "payload", "size")

    def __init__(self, deflater: Deflater, payload: bytes, opcode: int, fragment: int) -> None:
        self.payload = payload
        self.opcode = opcode
        self.fragment = fragment
        self.size = len(payload)
        """Bytes of it, and of what waits behind it."""
        self.behind: deque[tuple[int, Callable[..., None], tuple[Any, ...]]] = deque()
        """What was sent meanwhile, in its order."""
        self._stream: Deflating = deflater.stream()
        self._pieces: list[bytes] = []
        self._at = 0

    def add(self, size: int, send: Callable[..., None], given: tuple[Any, ...]) -> None:
        """Something of this size is sent behind it."""
        self.size += size
        self.behind.append((size, send, given))

    def next(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        """The first behind it: how it is sent."""
        size, send, given = self.behind.popleft()
        self.size -= size
        return send, given

    def follow(self, before: Large) -> None:
        """What waited behind another one waits behind this one now."""
        self.behind.extend(before.behind)
        self.size += sum(size for size, _, _ in before.behind)

    def step(self) -> bytes | None:
        """Deflate some more: the payload of the compressed message when it is whole, None before."""
        piece = self.payload[self._at : self._at + AT_ONCE]
        self._at += len(piece)
        self._pieces.append(self._stream.compress(piece))
        if self._at < len(self.payload):
            return None
        self._pieces.append(self._stream.flush(zlib.Z_SYNC_FLUSH)[: -len(TAIL)])
        return b"".join(self._pieces)
