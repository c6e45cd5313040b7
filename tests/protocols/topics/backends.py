"""Backends of topics on a test's clock, and what they deliver."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock, deferLater

from tests.protocols.topics.redisserver import RedisServer, theServer
from wsd.connection import newId
from wsd.protocols.topics.backend import Acknowledgement, Backend, Bounds
from wsd.protocols.topics.file import FileBackend
from wsd.protocols.topics.journal import Journal
from wsd.protocols.topics.members import Member, PresenceEvent
from wsd.protocols.topics.memory import MemoryBackend
from wsd.protocols.topics.names import checkFilter
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.redis.address import readAddress
from wsd.protocols.topics.redis.backend import RedisBackend
from wsd.protocols.topics.topic import Recovered, Retention


@dataclass(frozen=True)
class Limits:
    """Small ones, so that a test reaches them."""

    count: int = 5
    size: int = 100_000
    age: float = 60
    keys: int = 3
    topics: int = 4
    total: int = 1_000_000
    onceAge: float = 30
    onceCount: int = 3
    members: int = 2

    @property
    def keep(self) -> Retention:
        return Retention(self.count, self.size, self.age, self.keys)

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.topics, self.total, self.onceAge, self.onceCount, self.members)


async def nothing() -> None:
    """There is nothing to wait for."""


class Topics:
    """A backend, and what it has delivered."""

    def __init__(self, backend: Any, clock: Clock) -> None:
        self.backend: Backend = backend
        self.clock = clock
        self.delivered: list[Publication] = []
        self.gathered: list[list[Publication]] = []
        """What was delivered in each context for several messages."""
        self.gaps: list[tuple[str, Position]] = []
        self.events: list[tuple[str, str, str]] = []
        self.messages: list[tuple[str, str, bytes]] = []
        self.settle: Callable[[], Awaitable[None]] = nothing
        """Waits until everything is delivered that was published before."""
        self.folder: Any = None
        """Where it keeps its files; they go with this object."""

    # -- the backend delivers -------------------------------------------------------------------------------------

    @contextmanager
    def gathering(self) -> Iterator[None]:
        before = len(self.delivered)
        yield
        self.gathered.append(self.delivered[before:])

    def published(self, publication: Publication) -> None:
        self.delivered.append(publication)

    def lost(self, topic: str, position: Position) -> None:
        self.gaps.append((topic, position))

    def presenceChanged(self, event: PresenceEvent) -> None:
        self.events.append((event.topic, event.change.value, event.member.id))

    def directed(self, topic: str, memberId: str, message: TopicMessage) -> bool:
        if memberId == "here":
            self.messages.append((topic, memberId, message.payload))
        return memberId == "here"

    # -- a test asks ----------------------------------------------------------------------------------------------

    async def publish(self, text: str, topic: str = "a", **named: Any) -> Acknowledgement:
        acknowledged = await self.backend.publish(topic, TopicMessage(text.encode(), False, **named))
        await self.settle()
        return acknowledged

    async def newest(self, count: int = 100, topic: str = "a") -> list[str]:
        return texts((await self.backend.newest(topic, count)).publications)

    async def since(self, position: Position, topic: str = "a") -> Recovered:
        return await self.backend.since(topic, position)

    async def last(self, pattern: str = "#") -> list[str]:
        return texts(await self.backend.last(checkFilter(pattern)))

    async def members(self, topic: str = "a") -> list[Member]:
        return await self.backend.members(topic)


class MakeTopics(Protocol):
    """Makes a backend that has started, with limits of `Limits`."""

    def __call__(self, **limits: Any) -> Awaitable[Topics]: ...


def texts(publications: list[Publication]) -> list[str]:
    return [publication.message.payload.decode() for publication in publications]


async def started(backend: Any, clock: Clock) -> Topics:
    """A backend that delivers to the test, with everything listened to."""
    topics = Topics(backend, clock)
    await topics.backend.start(topics)
    await topics.backend.listen(("#",))
    return topics


async def inMemory(limits: Limits) -> Topics:
    """The memory backend."""
    clock = Clock()
    return await started(MemoryBackend(limits.keep, limits.bounds, clock.seconds), clock)


class Inline:
    """A thread that does each job at once."""

    def __init__(self) -> None:
        self.before: Callable[[], None] = lambda: None
        """Called before each job; an exception is the job's."""

    def run(self, work: Callable[..., Any], /, *arguments: Any) -> Deferred[Any]:
        def do() -> Any:
            self.before()
            return work(*arguments)

        return maybeDeferred(do)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def reopen(self) -> None:
        """It takes jobs anyway."""


class InFile:
    """The file backend, in a folder of its own."""

    def __init__(self, path: Path, limits: Limits | None = None, clock: Clock | None = None) -> None:
        limits = limits or Limits()
        self.thread = Inline()
        self.clock = clock or Clock()
        self.backend = FileBackend(
            limits.keep,
            limits.bounds,
            self.thread,
            lambda: Journal(path),
            self.clock,
            self.clock.seconds,
            path.name,
        )


async def inFile(limits: Limits) -> Topics:
    """The file backend."""
    folder = TemporaryDirectory()
    made = InFile(Path(folder.name) / "topics.sqlite", limits)
    topics = await started(made.backend, made.clock)
    topics.folder = folder
    return topics


async def inRedis(limits: Limits) -> Topics:
    """The Redis backend, on a server that all tests share."""
    return await onServer(theServer(), limits)


async def onServer(server: RedisServer, limits: Limits | None = None, prefix: str | None = None) -> Topics:
    """The Redis backend, on a server of the test's. A prefix that is not given is the test's own."""
    limits, clock = limits or Limits(), Clock()
    backend = RedisBackend(
        limits.keep, limits.bounds, readAddress(server.url), prefix or f"{newId()}:", reactor, clock.seconds
    )
    topics = Topics(backend, clock)
    await topics.backend.start(topics)
    while backend.ready() is not None:
        await deferLater(reactor, 0.01)
    await topics.backend.listen(("#",))
    # What Redis has published before comes before its answer on the same connection.
    topics.settle = backend._link.ping
    return topics


BACKENDS: dict[str, Callable[[Limits], Awaitable[Topics]]] = {"memory": inMemory, "file": inFile, "redis": inRedis}
"""Every backend by its name."""
