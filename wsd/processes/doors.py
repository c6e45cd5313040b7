"""The doors of connections that may move to another process: what can be done with them, and what they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wsd.processes.passing import Leaving, wireOf
from wsd.web.door import Door


def factoryOf(door: Door) -> Any:
    """The factory of a WebSocket; None for any other connection, and for one that is relayed."""
    return None if door.connection is None else getattr(door.connection, "factory", None)


def mayMove(door: Door) -> bool:
    """Whether a connection could become movable."""
    return door.connection is not None and door.connection.isOpen and wireOf(door) is not None


def freeze(door: Door) -> None:
    """Stop reading, if it is a WebSocket."""
    if door.connection is not None:
        door.connection.freeze()


def isGone(door: Door) -> bool:
    """Whether there is no open WebSocket."""
    return door.connection is None or not door.connection.isOpen


def isMovable(door: Door) -> bool:
    """Whether a WebSocket that is frozen can be moved now."""
    return door.connection is not None and door.connection.isMovable


def thawAll(doors: Iterable[Door]) -> None:
    """Read again."""
    for door in doors:
        if door.connection is not None:
            door.connection.thaw()


def takeBack(leaving: Iterable[Leaving]) -> None:
    """Go on here with connections that no other process has."""
    for each in leaving:
        each.takeBack()
