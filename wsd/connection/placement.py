"""Which of several workers may serve a route: docs/processes.md."""

from __future__ import annotations

from enum import Enum


class Placement(Enum):
    """Where the connections of a route may be, if several workers serve as one daemon."""

    free = "in every worker: no connection needs to know of another"
    shared = "in the owner, since its connections share state that is in memory"
    pinned = "in the owner, since it has files or connections that only one process may have"

    @property
    def isOwned(self) -> bool:
        """Whether only the owner serves the route."""
        return self is not Placement.free
