"""Acknowledged publishes a second, by backend, each beside what its store does alone."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench.measure import GENERATOR_CORE
from tests.bench.servers import CORE, House
from tests.bench.topics.client import Client, frame
from tests.bench.topics.load import cpuOf
from tests.daemon import runningDaemon
from tests.protocols.topics.redisserver import RedisServer

IN_FLIGHT = (1, 16, 256)
"""Publishes of one connection that are not acknowledged yet; what stands beside it does as many at a time."""
SECONDS = 1.0
PAYLOAD = "x" * 100

Work = Callable[[int], int]
"""Does at least so many, at most that many at a time, and returns how many they were."""


def measure(house: House, rounds: int) -> list[str]:
    """
    Each backend, and what it stands on, in turns; nothing is aimed at.

    The daemon has one core, the client and Redis the other. Redis writes no file here.
    """
    with ExitStack() as stack:
        os.sched_setaffinity(0, {GENERATOR_CORE})
        stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(os.getppid()))
        redis = RedisServer("--appendonly", "no")
        stack.callback(redis.stop)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="wsd-bench-")))
        works: dict[str, Work] = {
            "topics, memory": _topics(stack, "memory"),
            "topics, file": _topics(stack, "file"),
            "SQLite alone, INSERT and COMMIT": _sqlite(folder / "plain.sqlite"),
            "topics, Redis": _topics(stack, redis.url),
            "Redis alone, XADD": _xadd(redis.port),
        }
        rates: dict[str, list[list[float]]] = {name: [[] for _ in IN_FLIGHT] for name in works}
        for _ in range(rounds):
            for at, most in enumerate(IN_FLIGHT):
                for name, work in works.items():
                    rates[name][at].append(_rate(work, most))
        before = cpuOf([redis.process.pid])
        published = sum(works["topics, Redis"](IN_FLIGHT[-1]) for _ in range(5))
        busy = (cpuOf([redis.process.pid]) - before) / published
    print("| acknowledged a second, of 100 B | " + " | ".join(f"{most} in flight" for most in IN_FLIGHT) + " |")
    print("|---" + "|--:" * len(IN_FLIGHT) + "|")
    for name, found in rates.items():
        print(f"| {name} | " + " | ".join(f"{median(each):,.0f}" for each in found) + " |", flush=True)
    print(f"of Redis' CPU a publish takes {busy * 1e6:.1f} us", flush=True)
    return []


def _rate(work: Work, most: int) -> float:
    work(most)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        done += work(most)
    return done / (time.perf_counter() - began)


def _topics(stack: ExitStack, backend: str) -> Work:
    """A daemon with this backend."""
    config = f'[route."/topics/*"]\nprotocol = "topics"\nbackend = "{backend}"\n'
    daemon = stack.enter_context(runningDaemon(config=config, prefix=("taskset", "-c", str(CORE))))
    client = stack.enter_context(Client(daemon.port()))
    message = frame("publish", id=1, topic="bench", text=PAYLOAD)

    def work(most: int) -> int:
        count = 20 * most
        client.publish(message, count, most)
        return count

    return work


def _sqlite(path: Path) -> Work:
    """The same commits without a daemon: WAL, and a sync for each."""
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("PRAGMA synchronous = FULL")
    store.execute("CREATE TABLE message (number INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
    payload = PAYLOAD.encode()

    def work(most: int) -> int:
        store.execute("BEGIN")
        store.executemany("INSERT INTO message (payload) VALUES (?)", [(payload,)] * most)
        store.execute("COMMIT")
        return most

    return work


def _xadd(port: int) -> Work:
    """The same appends without a daemon, by a client on the daemon's core."""
    client = socket.create_connection(("127.0.0.1", port))
    words = ("XADD", "bench", "MAXLEN", "~", "100", "*", "b", PAYLOAD)
    command = f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words)

    def work(most: int) -> int:
        os.sched_setaffinity(0, {CORE})
        for _ in range(20):
            client.sendall(command * most)
            answered = 0
            while answered < most:
                answered += client.recv(1 << 18).count(b"$")
        os.sched_setaffinity(0, {GENERATOR_CORE})
        return 20 * most

    return work
