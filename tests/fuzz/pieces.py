"""How an input says in which pieces its bytes arrive."""

from __future__ import annotations


def piecesOf(data: bytes) -> list[bytes]:
    """All bytes but the first, in pieces of as many bytes as the first says; in one piece if it is 0."""
    size, rest = data[:1], data[1:]
    step = size[0] if size and size[0] else max(1, len(rest))
    return [rest[start : start + step] for start in range(0, len(rest), step)]
