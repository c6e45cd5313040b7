"""How frames are read and written: the planes, and which of them serves."""

from __future__ import annotations

PLANES = ("plain",)
"""The planes there are, the fastest first. `plain` is Autobahn's own reading and writing of frames."""


def choose(wanted: str) -> str:
    """The plane for the key `frames`: `auto` takes the fastest there is. Raises ValueError for a name that is none."""
    if wanted == "auto":
        return PLANES[0]
    if wanted not in PLANES:
        raise ValueError(f'"{wanted}" is no plane; write one of auto, {", ".join(PLANES)}')
    return wanted
