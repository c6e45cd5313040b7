"""Clients of topics.wsd.v1 that go on after every loss, and a ledger of what must be true in the end."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.typing import Subprotocol

from tests.process.kills import LOST

IN_FLIGHT = 20
EVERYTHING = 10_000_000
"""More messages than any history has here."""

Connect = Callable[[], Coroutine[Any, Any, connect]]
"""Gives a connection to open, when there is somebody to connect to."""


def at(port: int) -> connect:
    """A connection to the daemon on this port."""
    url = f"ws://127.0.0.1:{port}/topics/any"
    return connect(url, subprotocols=[Subprotocol("topics.wsd.v1")], compression=None, max_size=None)


def atSocket(path: str) -> connect:
    """A connection to the daemon at this unix socket."""
    url, spoken = "ws://localhost/topics/any", [Subprotocol("topics.wsd.v1")]
    return unix_connect(path, url, subprotocols=spoken, compression=None, max_size=None, open_timeout=60)


async def heard(socket: ClientConnection, seconds: float = 60) -> Any:
    """
    The next message. Raises TimeoutError.

    `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes together with the message, so that a TaskGroup
    would wait for ever for a task that it has cancelled.
    """
    async with asyncio.timeout(seconds):
        return await socket.recv()


def offsetOf(position: str) -> int:
    return int(position.rpartition("-")[2])


@dataclass
class Ledger:
    """What was acknowledged."""

    topics: Sequence[str]
    acknowledged: dict[str, dict[str, str]] = field(default_factory=dict)
    """By topic: each message, and its position."""
    duplicates: int = 0
    over: bool = False

    def __post_init__(self) -> None:
        self.acknowledged = {topic: {} for topic in self.topics}

    def acknowledge(self, topic: str, message: str, answer: Any) -> None:
        """A message was acknowledged, perhaps again."""
        known = self.acknowledged[topic].setdefault(message, answer["position"])
        assert known == answer["position"], f"{message} was at {known}, and is at {answer['position']}"
        self.duplicates += answer.get("duplicate", False)

    @property
    def count(self) -> int:
        """The messages that were acknowledged."""
        return sum(map(len, self.acknowledged.values()))

    def check(self, topic: str, kept: dict[str, str], lives: int = 1) -> None:
        """
        Whether this (each position and its message) is all that was acknowledged, and nothing is there twice.

        `lives` are those of what keeps the topic: an epoch is of one of them.
        """
        messages = list(kept.values())
        assert len(messages) == len(set(messages)), "a message was published twice"
        assert [offsetOf(position) for position in kept] == list(range(1, len(kept) + 1))
        epochs = [epoch for epoch, _ in itertools.groupby(position.partition("-")[0] for position in kept)]
        assert len(epochs) == len(set(epochs)) <= lives, f"the epochs are {epochs}"
        for message, position in self.acknowledged[topic].items():
            assert kept.get(position) == message, f"{message} was acknowledged at {position}: {kept.get(position)}"


class Publisher:
    """Publishes with so many messages in flight, and sends again, with the same `once`, what was not acknowledged."""

    def __init__(self, ledger: Ledger, name: str, connect: Connect, most: int = EVERYTHING) -> None:
        self._ledger = ledger
        self._name = name
        self._connect = connect
        self._most = most
        self._numbers = itertools.count()
        self._open: dict[str, str] = {}
        """Messages that are not acknowledged yet, in their order, and their topics."""
        self._isDone = False

    async def go(self) -> None:
        """Until it is over."""
        while not self._isFinished:
            try:
                async with await self._connect() as socket:
                    for message, topic in self._open.items():
                        await self._send(socket, topic, message)
                    await self._publish(socket)
            except LOST:
                await asyncio.sleep(0.01)

    @property
    def _isFinished(self) -> bool:
        return (self._ledger.over or self._isDone) and not self._open

    async def _publish(self, socket: ClientConnection) -> None:
        while not self._isFinished:
            while len(self._open) < IN_FLIGHT and not self._ledger.over and not self._isDone:
                number = next(self._numbers)
                self._isDone = number + 1 >= self._most
                topic, message = self._ledger.topics[number % len(self._ledger.topics)], f"{self._name}-{number}"
                self._open[message] = topic
                await self._send(socket, topic, message)
            ((name, fields),) = json.loads(await heard(socket)).items()
            message = fields["id"]
            if name == "error":
                assert fields["code"] in ("unavailable", "busy"), fields
                await asyncio.sleep(0.1)
                await self._send(socket, self._open[message], message)
            else:
                assert name == "published"
                self._ledger.acknowledge(self._open.pop(message), message, fields)

    async def _send(self, socket: ClientConnection, topic: str, message: str) -> None:
        await socket.send(json.dumps({"publish": {"id": message, "topic": topic, "data": message, "once": message}}))


class Subscriber:
    """Subscribes to topics, and goes on from where it was after each loss: every position comes once and in order."""

    def __init__(self, ledger: Ledger, connect: Connect) -> None:
        self._ledger = ledger
        self._connect = connect
        self._at: dict[str, str] = {}
        self.seen: dict[str, dict[str, str]] = {topic: {} for topic in ledger.topics}
        """By topic: each position, and its message."""
        self.resumed = 0

    async def go(self) -> None:
        """Until it is over."""
        while not self._ledger.over:
            try:
                async with await self._connect() as socket:
                    for topic in self._ledger.topics:
                        await self._subscribe(socket, topic)
                    while not self._ledger.over:
                        self._heard(json.loads(await heard(socket)))
            except LOST:
                await asyncio.sleep(0.01)

    async def _subscribe(self, socket: ClientConnection, topic: str) -> None:
        since = {"since": self._at[topic]} if topic in self._at else {"history": EVERYTHING}
        self.resumed += topic in self._at
        await socket.send(json.dumps({"subscribe": {"id": topic, "topic": topic, **since}}))

    def _heard(self, answer: Any) -> None:
        ((name, fields),) = answer.items()
        if name == "error" and fields["code"] == "unavailable":
            raise ConnectionError("Redis is away")
        topic = fields["topic"]
        if name == "subscribed":
            assert not fields.get("gap"), answer
            self._at.setdefault(topic, fields["position"].partition("-")[0] + "-0")
            return
        assert name == "message", answer
        # `Ledger.check` sees to the epochs.
        assert offsetOf(fields["position"]) == offsetOf(self._at[topic]) + 1, f"{answer} is behind {self._at[topic]}"
        self._at[topic] = fields["position"]
        self.seen[topic][fields["position"]] = fields["data"]
