"""Which channels are listened to. A filter becomes patterns of Redis, which may match more than the filter does."""

from __future__ import annotations

from collections.abc import Iterator

from wsd.protocols.topics.names import ONE, REST, isFilter, matches
from wsd.protocols.topics.redis.names import RedisNames

Levels = tuple[str, ...]

_SPECIAL = str.maketrans({character: f"\\{character}" for character in "*?[]^\\"})


class RedisListening:
    """The topics and filters that this daemon listens to, in the order in which they came."""

    def __init__(self, names: RedisNames) -> None:
        self._channels = names
        self._names: dict[str, bool] = {}
        """Topics, and whether Redis has confirmed each."""
        self._filters: dict[Levels, tuple[bytes, ...]] = {}

    def add(self, levels: Levels) -> tuple[str, tuple[bytes, ...]]:
        """Listen to a topic or filter: Redis's command and its channels or patterns."""
        name = "/".join(levels)
        if not isFilter(name):
            self._names[name] = False
            return "SUBSCRIBE", (self._channels.channel(name),)
        self._filters[levels] = tuple(self._patterns(levels))
        return "PSUBSCRIBE", self._filters[levels]

    def confirm(self, *names: str) -> None:
        """Redis has confirmed these topics or filters; those that are not listened to any more are ignored."""
        for name in names:
            if name in self._names:
                self._names[name] = True

    def remove(self, levels: Levels) -> tuple[str, tuple[bytes, ...]] | None:
        """Listen no more: Redis's command; None when another filter still needs all of its patterns."""
        name = "/".join(levels)
        if not isFilter(name):
            del self._names[name]
            return "UNSUBSCRIBE", (self._channels.channel(name),)
        patterns = self._filters.pop(levels)
        needed = {pattern for each in self._filters.values() for pattern in each}
        rest = tuple(pattern for pattern in patterns if pattern not in needed)
        return ("PUNSUBSCRIBE", rest) if rest else None

    @property
    def names(self) -> tuple[str, ...]:
        """The topics that are listened to by name."""
        return tuple(self._names)

    def commands(self) -> list[tuple[str, tuple[bytes, ...]]]:
        """What listens to everything again."""
        patterns = tuple(dict.fromkeys(pattern for each in self._filters.values() for pattern in each))
        found = [("SUBSCRIBE", tuple(map(self._channels.channel, self._names))), ("PSUBSCRIBE", patterns)]
        return [(command, channels) for command, channels in found if channels]

    def has(self, levels: Levels) -> bool:
        """Whether exactly this topic or filter is listened to."""
        return "/".join(levels) in self._names or levels in self._filters

    @property
    def hasFilters(self) -> bool:
        """Whether a filter is listened to."""
        return bool(self._filters)

    def hears(self, name: str) -> bool:
        """Whether a topic is listened to, by its name or by a filter."""
        return name in self._names or self.hearsByFilter(name)

    def hearsByFilter(self, name: str) -> bool:
        """Whether a topic is listened to by a filter."""
        levels = tuple(name.split("/"))
        return any(matches(each, levels) for each in self._filters)

    def topicOf(self, pattern: bytes | None, channel: bytes) -> str | None:
        """
        The topic of a message; None if the message is not to be heard.

        Redis sends a message once for each channel and pattern that match. One of them counts: the name, as soon as it
        is confirmed, or else the first pattern of the first filter that matches.
        """
        name = channel.decode().removeprefix(f"{self._channels.prefix}c:")
        if pattern is None:
            return name if name in self._names else None
        if self._names.get(name):
            return None
        levels = tuple(name.split("/"))
        for each, patterns in self._filters.items():
            if matches(each, levels):
                return name if pattern == self._first(patterns, each, levels) else None
        return None

    @staticmethod
    def _first(patterns: tuple[bytes, ...], levels: Levels, name: Levels) -> bytes:
        """Which of a filter's patterns matches a name: that for the level above `#` is the second."""
        return patterns[1] if len(patterns) > 1 and len(name) < len(levels) else patterns[0]

    def _patterns(self, levels: Levels) -> Iterator[bytes]:
        parts = ["*" if level in (ONE, REST) else level.translate(_SPECIAL) for level in levels]
        yield f"{self._channels.prefix.translate(_SPECIAL)}c:{'/'.join(parts)}".encode()
        if levels[-1] == REST and len(levels) > 1:
            yield f"{self._channels.prefix.translate(_SPECIAL)}c:{'/'.join(parts[:-1])}".encode()
