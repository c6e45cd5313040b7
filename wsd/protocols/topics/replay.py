"""What a new subscriber is sent first: last values, the newest messages, or everything since a position."""

from __future__ import annotations

from dataclasses import dataclass

from wsd.protocols.topics.backend import Backend
from wsd.protocols.topics.names import isFilter
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication


@dataclass(frozen=True, slots=True)
class Replay:
    """What was found."""

    publications: list[Publication]
    position: Position | None
    """The place in the topic behind all of them; None for a filter."""
    isComplete: bool
    """Whether nothing is missing since the position that was asked for."""
    recovered: int
    """The number of publications since that position."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What was asked for, at a topic or a filter."""

    topic: str
    levels: tuple[str, ...]
    last: bool = False
    history: int = 0
    since: Position | None = None
    mayReplay: bool = True
    """Otherwise it is told no more than whether something is missing since that position."""

    async def recover(self, backend: Backend) -> Replay:
        """
        Ask the backend. Last values and history come in the order of their positions, and nothing comes twice.

        Last values are asked for last: a message between the two answers is behind the position, and comes after them.
        """
        if isFilter(self.topic):
            return Replay(await self._last(backend), None, isComplete=True, recovered=0)
        found = (
            await backend.newest(self.topic, self.history)
            if self.since is None
            else await backend.since(self.topic, self.since)
        )
        if not self.mayReplay:
            return Replay([], found.position, isComplete=found.position == self.since, recovered=0)
        replayed = {publication.position.offset: publication for publication in found.publications}
        replayed |= {publication.position.offset: publication for publication in await self._last(backend)}
        isComplete = self.since is None or found.isComplete
        publications = [replayed[offset] for offset in sorted(replayed)]
        return Replay(publications, found.position, isComplete, len(found.publications))

    async def _last(self, backend: Backend) -> list[Publication]:
        return await backend.last(self.levels) if self.last else []
