"""Topics in memory that note what changes, so that it can be written down."""

from __future__ import annotations

from collections.abc import Callable

from wsd.policies.meter import Meter
from wsd.protocols.topics.backend import Bounds
from wsd.protocols.topics.journal import Changes, Kept, TopicState
from wsd.protocols.topics.memory import MemoryBackend
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication
from wsd.protocols.topics.topic import Retention, Topic


class RecordedTopics(MemoryBackend):
    """`MemoryBackend`, whose publications and changes are taken by the file backend."""

    def __init__(
        self, keep: Retention, bounds: Bounds, seconds: Callable[[], float], meter: Meter | None = None
    ) -> None:
        super().__init__(keep, bounds, seconds, meter)
        self._publications: list[Publication] = []
        self._changed: dict[str, Topic] = {}
        """Topics that have changed, by name."""
        self._gone: dict[str, None] = {}
        """Topics that were dropped; one of the same name may have been made since."""
        self._new: list[Publication] = []
        self._newOnce: list[tuple[str, str, Position, float]] = []

    def takePublications(self) -> list[Publication]:
        """What was published since the last call."""
        taken, self._publications = self._publications, []
        return taken

    def takeChanges(self) -> Changes:
        """What has changed since the last call."""
        changes = Changes(once=self._newOnce, onceSince=self._seconds() - self._bounds.onceAge)
        changes.dropped += self._gone
        for name, topic in self._changed.items():
            changes.topics.append(TopicState(name, topic.epoch, topic.position.offset, topic.usedAt, topic.first))
            changes.last += [(name, key, topic.lastOf(key)) for key in topic.takeChangedKeys()]
        for publication in self._new:
            found = self._changed.get(publication.topic)
            # One of a topic that was dropped since, or made anew, or that the history has dropped already, is not kept.
            if (
                found is not None
                and found.epoch == publication.position.epoch
                and publication.position.offset >= found.first
            ):
                changes.messages.append(publication)
        self._changed, self._gone, self._new, self._newOnce = {}, {}, [], []
        return changes

    def restore(self, kept: Kept) -> None:
        """Begin with what was kept."""
        super().restore(kept)
        self._newOnce = []

    # -- what MemoryBackend tells ---------------------------------------------------------------------------------

    def _deliver(self, publication: Publication) -> None:
        self._publications.append(publication)
        self._new.append(publication)

    def _touched(self, topic: Topic) -> None:
        self._changed[topic.name] = topic

    def _dropped(self, topic: Topic) -> None:
        self._changed.pop(topic.name, None)
        self._gone[topic.name] = None

    def _remember(self, topic: str, once: str, now: float, position: Position) -> None:
        super()._remember(topic, once, now, position)
        self._newOnce.append((topic, once, position, now))
