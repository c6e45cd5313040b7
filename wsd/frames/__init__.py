"""Frames are read and written by one of several planes, which differ only in speed (RFC 6455 5)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from wsd.frames.fast import Fast
from wsd.frames.plain import Plain
from wsd.frames.prepared import Prepared
from wsd.frames.writing import sendAll
from wsd.metrics import Traffic


@dataclass(frozen=True, slots=True)
class Plane:
    """One implementation of reading and writing frames."""

    name: str
    frames: Any
    """The class that reads and writes the frames of one connection."""
    traffic: Callable[[], Traffic] = Traffic
    """The class that counts the messages of one route."""
    sendAll: Callable[[list[Any], Prepared, Any], None] = sendAll
    """Sends one message to many connections, by the frames of each, and not to the one of the last argument."""
    gathering: Callable[[], AbstractContextManager[None]] = nullcontext
    """A context in which several messages to the same connections are sent; they may leave as one write to each."""


def _found() -> dict[str, Plane]:
    planes = [Plane("fast", Fast), Plane("plain", Plain)]
    with suppress(ImportError):
        from wsd.frames import _fast

        planes.insert(0, Plane("_fast", _fast.Frames, _fast.Traffic, _fast.sendAll, _fast.Gathering))
    return {plane.name: plane for plane in planes}


PLANES = _found()
"""The available planes, the fastest first. `_fast` is missing where it is not built; in `plain`, Autobahn reads."""


def choose(wanted: str) -> Plane:
    """Returns the plane for a value of the key `frames`; "auto" is the fastest. Raises ValueError if it is unknown."""
    if wanted == "auto":
        return next(iter(PLANES.values()))
    if wanted not in PLANES:
        raise ValueError(f'"{wanted}" is not a plane; use one of auto, {", ".join(PLANES)}')
    return PLANES[wanted]
