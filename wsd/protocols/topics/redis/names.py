"""What keys and channels are called in Redis. `scripts` says what each holds."""

from __future__ import annotations


class RedisNames:
    """The names of a route."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.topics = f"{prefix}topics"
        self.lasts = f"{prefix}lasts"
        self.daemons = f"{prefix}daemons"
        self.generation = f"{prefix}generation"

    def key(self, kind: str, name: str) -> str:
        """A key of a topic or a daemon."""
        return f"{self.prefix}{kind}:{name}"

    def ofTopic(self, topic: str, kinds: str) -> list[str]:
        """Several keys of a topic."""
        return [self.key(kind, topic) for kind in kinds]

    def channel(self, topic: str) -> bytes:
        """The channel of a topic."""
        return f"{self.prefix}c:{topic}".encode()

    def channelOf(self, daemon: str) -> bytes:
        """The channel of a daemon, for messages to its members."""
        return f"{self.prefix}d:{daemon}".encode()
