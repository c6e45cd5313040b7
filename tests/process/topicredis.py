"""
Two daemons on one Redis, which is killed and restarted, as is one daemon: `make soak` runs it whole.

Messages are published at both, and each subscriber, at either, by name or by a filter, is sent every position once and
in order. With `--hosts` each daemon, with Redis beside the first, is in a network namespace of its own, joined by a
virtual cable; that needs root.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from tests.process.kills import ROOT
from tests.process.topicclients import Ledger, Publisher, Subscriber, atSocket, heard, offsetOf
from tests.protocols.topics.redisserver import RedisServer

TOPICS = ("a", "b/c")
PUBLISHERS = 2
"""At each daemon."""
LIVES = 3
"""Redis is killed twice."""
STALLED = 120.0
"""Seconds without a message after which a run has failed. A run may take as long as it likes while messages come."""

CONFIG = """
listen = "unix:{socket}"
built_in = false
[policies]
max_unsent = "256 MiB"
[route."/topics/*"]
protocol = "topics"
backend = "{redis}"
history_count = 10_000_000
history_size = "1 GiB"
slow_count = 1_000_000
slow_size = "256 MiB"
"""


@dataclass(frozen=True)
class Place:
    """Where a daemon runs."""

    prefix: tuple[str, ...] = ()
    """The command that runs another there."""
    address: str = "127.0.0.1"


@contextmanager
def twoHosts() -> Iterator[list[Place]]:
    """Two network namespaces, and a virtual cable between them."""
    names = [f"wsd-{os.getpid()}-{number}" for number in (1, 2)]
    places = [Place(("ip", "netns", "exec", name), f"10.77.0.{number}") for number, name in enumerate(names, 1)]
    try:
        for name in names:
            run("ip", "netns", "add", name)
        run("ip", "-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", names[1])
        for name, place in zip(names, places, strict=True):
            run("ip", "-n", name, "address", "add", f"{place.address}/24", "dev", "cable")
            run("ip", "-n", name, "link", "set", "cable", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        yield places
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def mayHaveHosts() -> str | None:
    """Why there can be no network namespaces; None if there can."""
    try:
        with twoHosts():
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespaces here: {getattr(error, 'stderr', None) or error}"


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in itertools.count():
        if holds():
            return
        await asyncio.sleep(0.005)


class SocketDaemon:
    """A daemon on a unix socket, which is reached from outside its namespace as well."""

    def __init__(self, folder: Path, place: Place, redis: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._place = place
        self._process: asyncio.subprocess.Process | None = None
        self.socket = str(folder / "wsd.sock")
        (folder / "wsd.toml").write_text(CONFIG.format(socket=self.socket, redis=redis))

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            *self._place.prefix,
            *(sys.executable, "-m", "twisted", "wsd", "-c", str(self._folder / "wsd.toml")),
            cwd=ROOT,
            env={**os.environ, "STATE_DIRECTORY": str(self._folder / "state")},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = b""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said += line
            if b"listening" in line:
                self._reader = asyncio.create_task(self._process.stdout.read())
                return
        raise AssertionError(f"it did not start:\n{said.decode()}")

    async def kill(self, number: int = signal.SIGKILL) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()

    async def connect(self) -> connect:
        """A connection to it."""
        return atSocket(self.socket)


class FilterSubscriber:
    """Subscribes to everything by a filter, on one connection."""

    def __init__(self, ledger: Ledger, daemon: SocketDaemon) -> None:
        self._ledger = ledger
        self._daemon = daemon
        self.seen: dict[str, dict[str, str]] = {topic: {} for topic in ledger.topics}
        self.ready = asyncio.Event()

    async def go(self) -> None:
        """Until it is over."""
        async with await self._daemon.connect() as socket:
            await socket.send(json.dumps({"subscribe": {"topic": "#"}}))
            assert "subscribed" in json.loads(await socket.recv())
            self.ready.set()
            while not self._ledger.over:
                self._heard(json.loads(await heard(socket, STALLED))["message"])

    def _heard(self, message: Any) -> None:
        seen, position = self.seen[message["topic"]], message["position"]
        assert offsetOf(position) == len(seen) + 1, f"{position} is behind {len(seen)} others"
        seen[position] = message["data"]


class Run:
    """All of it."""

    def __init__(self, messages: int, folder: Path, places: Sequence[Place]) -> None:
        self.messages = messages
        self.ledger = Ledger(TOPICS)
        self.redis = RedisServer(prefix=places[0].prefix, host=places[0].address)
        self.daemons = [
            SocketDaemon(folder / str(number), place, self.redis.url) for number, place in enumerate(places)
        ]
        self.subscribers = [Subscriber(self.ledger, daemon.connect) for daemon in self.daemons]
        self.filters = FilterSubscriber(self.ledger, self.daemons[1])
        self.seconds = 0.0

    @property
    def _everyone(self) -> list[Subscriber | FilterSubscriber]:
        return [*self.subscribers, self.filters]

    async def go(self) -> None:
        """Publish, kill and restart, and check."""
        try:
            for daemon in self.daemons:
                await daemon.start()
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(self._watch())
                for subscriber in self._everyone:
                    tasks.create_task(subscriber.go())
                await self.filters.ready.wait()
                await self._talk()
                await self._arrived()
                watch.cancel()
                self.ledger.over = True
                # A last message of each topic, so that whoever waits for one sees that it is over.
                last = Publisher(Ledger(TOPICS), "last", self.daemons[1].connect, len(TOPICS))
                tasks.create_task(last.go())
        finally:
            for daemon in self.daemons:
                await daemon.kill(signal.SIGTERM)
            self.redis.stop()

    async def _watch(self) -> None:
        """Raises AssertionError when nothing has come for so long."""
        moved, since = -1, 0.0
        while True:
            seen = [len(each.seen[topic]) for each in self._everyone for topic in TOPICS]
            if sum(seen) + self.ledger.count != moved:
                moved, since = sum(seen) + self.ledger.count, time.monotonic()
            assert time.monotonic() - since < STALLED, f"{self.ledger.count} are acknowledged, {seen} have come"
            await asyncio.sleep(0.5)

    async def _talk(self) -> None:
        share = self.messages // (PUBLISHERS * len(self.daemons))
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number, daemon in enumerate(self.daemons):
                for publisher in range(PUBLISHERS):
                    name = f"daemon{number}-{publisher}"
                    tasks.create_task(Publisher(self.ledger, name, daemon.connect, share).go())
            tasks.create_task(self._killRedis(0.2))
            tasks.create_task(self._killDaemon(0.4))
            tasks.create_task(self._killRedis(0.6))
        self.seconds = time.monotonic() - begun

    async def _until(self, share: float) -> None:
        await until(lambda: self.ledger.count >= share * self.messages)

    async def _killRedis(self, share: float) -> None:
        await self._until(share)
        self.redis.kill()
        await asyncio.to_thread(self.redis.start)

    async def _killDaemon(self, share: float) -> None:
        await self._until(share)
        await self.daemons[0].kill()
        os.unlink(self.daemons[0].socket)
        await self.daemons[0].start()

    async def _arrived(self) -> None:
        """Wait until every subscriber has everything."""
        for each in self._everyone:
            for topic in TOPICS:
                await until(partial(self._has, each, topic))

    def _has(self, subscriber: Subscriber | FilterSubscriber, topic: str) -> bool:
        return len(subscriber.seen[topic]) >= len(self.ledger.acknowledged[topic])

    def check(self) -> None:
        """Everything was published, and has come to everyone once and in order."""
        assert self.ledger.count == self.messages
        for each in self._everyone:
            for topic in TOPICS:
                positions = set(self.ledger.acknowledged[topic].values())
                kept = {position: message for position, message in each.seen[topic].items() if position in positions}
                self.ledger.check(topic, kept, lives=LIVES)
                assert len(kept) == len(positions)


def main(messages: int, hosts: bool) -> Run:
    """Publish so many messages, on one host or on two."""

    def talk(places: Sequence[Place]) -> Run:
        with tempfile.TemporaryDirectory(prefix="wsd-topics-") as folder:
            run = Run(messages, Path(folder), places)
            asyncio.run(run.go())
            run.check()
            return run

    if not hosts:
        return talk([Place(), Place()])
    with twoHosts() as places:
        return talk(places)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill and restart a Redis under two daemons, and one of them.")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--hosts", action="store_true", help="two network namespaces; needs root")
    given = parser.parse_args()
    done = main(given.messages, given.hosts)
    print(
        f"{done.ledger.count} messages over {'two hosts' if given.hosts else 'one host'} in {done.seconds:.0f} s, "
        f"{done.ledger.duplicates} acknowledged again after a loss, "
        f"{sum(each.resumed for each in done.subscribers)} subscriptions resumed: each position once and in order"
    )
