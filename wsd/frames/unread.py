"""
What was received of a message that is not complete, as frames that another plane can begin to read again.

An upgrade hands this to the new process. Whatever was read of a message becomes frames again, whose payload is masked
with a key of zeros, so that the next plane needs no state but its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wsd.frames.codes import Opcode
from wsd.frames.heads import frameHead

_MASKED = 0x80
_NO_MASK = b"\0\0\0\0"


class Unread(NamedTuple):
    """Received bytes that begin with a frame, and the window with which their first message is inflated."""

    data: bytes
    window: bytes


def maskedHead(opcode: int, length: int, fin: bool = True, compressed: bool = False, mask: bytes = _NO_MASK) -> bytes:
    """Returns the head of a frame as a client sends it (RFC 6455 5.2). The default mask changes no byte."""
    head = frameHead(opcode, length, fin, compressed)
    return bytes((head[0], head[1] | _MASKED)) + head[2:] + mask


def framesOf(
    opcode: int, body: bytes, most: int, compressed: bool, left: int = 0, mask: bytes = _NO_MASK, final: bool = False
) -> bytes:
    """
    Returns the frames of what was received of a message: its `body`, in frames of at most `most` bytes.

    With `left`, a frame is incomplete: `left` bytes of it are to come, masked with `mask`. `final` says whether the
    last frame is the message's last one.
    """
    return b"".join(_frames(opcode, body, most, compressed, left, mask, final))


def _frames(
    opcode: int, body: bytes, most: int, compressed: bool, left: int, mask: bytes, final: bool
) -> Iterator[bytes]:
    starts = range(0, len(body), most) if body or left else (0,)
    for start in starts:
        piece = body[start : start + most]
        isLast = not left and start + most >= len(body)
        yield maskedHead(opcode, len(piece), final and isLast, compressed) + piece
        opcode, compressed = Opcode.CONTINUATION, False
    if left:
        yield maskedHead(opcode, left, final, compressed, mask)
