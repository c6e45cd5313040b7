"""How frames are read and written: the planes, and which of them serves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wsd.frames.fast import Fast
from wsd.frames.plain import Plain
from wsd.metrics import Traffic


@dataclass(frozen=True, slots=True)
class Plane:
    """One way to read and write frames: what is built for each connection, and what its messages are counted in."""

    name: str
    frames: Any
    traffic: Callable[[], Traffic] = Traffic


def _found() -> dict[str, Plane]:
    planes = [Plane("fast", Fast), Plane("plain", Plain)]
    with suppress(ImportError):
        from wsd.frames import _fast

        planes.insert(0, Plane("_fast", _fast.Frames, _fast.Traffic))
    return {plane.name: plane for plane in planes}


PLANES = _found()
"""The planes there are, the fastest first. `plain` is Autobahn's own reading of frames; `_fast` may not be built."""


def choose(wanted: str) -> Plane:
    """The plane for the key `frames`: `auto` takes the fastest there is. Raises ValueError for a name that is none."""
    if wanted == "auto":
        return next(iter(PLANES.values()))
    if wanted not in PLANES:
        raise ValueError(f'"{wanted}" is no plane; write one of auto, {", ".join(PLANES)}')
    return PLANES[wanted]
