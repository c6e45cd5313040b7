"""
Kills a daemon with topics in a file at random points: nothing acknowledged is lost. `make soak` runs it whole.

Clients publish by topics.wsd.v1 with `once`, and over HTTP with Idempotency-Key, while the daemon is killed (-9) and
started again. What was not acknowledged is sent again. A subscriber resumes from where it was. In the end the history
has every acknowledged message at its position, none twice, and the subscriber has seen nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import random
import signal
import tempfile
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from tests.process.kills import LOST, Daemon
from tests.process.topicclients import Ledger, Publisher, Subscriber, at

TOPICS = ("a", "b/c")
PUBLISHERS = 3
POSTERS = 2

CONFIG = """
port = 0
host = "127.0.0.1"
built_in = false
[route."/topics/*"]
protocol = "topics"
backend = "file"
store = "{store}"
history_count = 10_000_000
history_size = "1 GiB"
history_age = 86400
max_kept = "1 GiB"
once_age = 86400
"""


@dataclass
class Run:
    """What has happened."""

    random: random.Random
    port: asyncio.Future[int]
    ledger: Ledger = field(default_factory=lambda: Ledger(TOPICS))
    seen: int = 0
    kills: int = 0

    async def connect(self) -> connect:
        """A connection to the daemon, when there is one."""
        return at(await asyncio.shield(self.port))


class Poster:
    """Publishes over HTTP, one message after the other."""

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._name = name

    async def go(self) -> None:
        """Until it is over."""
        for number in itertools.count():
            if self._run.ledger.over:
                return
            await self._post(self._run.random.choice(TOPICS), f"{self._name}-{number}")

    async def _post(self, topic: str, message: str) -> None:
        while True:
            try:
                answer = await asyncio.to_thread(post, await asyncio.shield(self._run.port), topic, message)
            except (*LOST, HTTPException):
                await asyncio.sleep(0.01)
            else:
                self._run.ledger.acknowledge(topic, message, answer)
                return


def post(port: int, topic: str, message: str) -> Any:
    """POST one message: the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        fields = {"Content-Type": "application/json", "Idempotency-Key": message}
        connection.request("POST", f"/topics/{topic}", json.dumps(message), fields)
        response = connection.getresponse()
        content = response.read()
        assert response.status == 202, content
        return json.loads(content)
    finally:
        connection.close()


async def killer(run: Run, daemon: Daemon, kills: int) -> None:
    """Kills it at random points, and starts it again."""
    loop = asyncio.get_running_loop()
    for _ in range(kills):
        await asyncio.sleep(run.random.uniform(0.0, 0.5))
        run.port = loop.create_future()
        await daemon.kill()
        run.kills += 1
        run.port.set_result(await daemon.start())
    await asyncio.sleep(0.3)
    run.ledger.over = True


async def main(kills: int, seed: int, folder: Path) -> Run:
    """All of it."""
    daemon = Daemon(folder, [CONFIG.format(store=folder / "topics.sqlite")])
    run = Run(random.Random(seed), asyncio.get_running_loop().create_future())
    run.port.set_result(await daemon.start())
    subscriber = Subscriber(run.ledger, run.connect)
    publishers = [Publisher(run.ledger, f"ws{number}", run.connect).go() for number in range(PUBLISHERS)]
    posters = [Poster(run, f"post{number}").go() for number in range(POSTERS)]
    try:
        async with asyncio.TaskGroup() as tasks:
            for each in (killer(run, daemon, kills), subscriber.go(), *publishers, *posters):
                tasks.create_task(each)
        port = await run.port
        for topic in TOPICS:
            kept = await asyncio.to_thread(history, port, topic)
            run.ledger.check(topic, kept)
            assert subscriber.seen[topic].items() <= kept.items(), "a subscriber was sent what is not kept"
            run.seen += len(subscriber.seen[topic])
    finally:
        await daemon.kill(signal.SIGTERM)
    return run


def history(port: int, topic: str) -> dict[str, str]:
    """The whole history of a topic: each position, and its message."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/topics/{topic}?history=10000000") as answer:
        found = json.loads(answer.read())["history"]
    return {each["position"]: each["data"] for each in found}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill a daemon with topics in a file at random points.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="wsd-topickills-") as name:
        done = asyncio.run(main(given.kills, given.seed, Path(name)))
    print(
        f"{done.kills} kills, {done.ledger.count} messages acknowledged, {done.ledger.duplicates} of them again after "
        f"a loss, {done.seen} seen by a subscriber, none lost, none twice"
    )
