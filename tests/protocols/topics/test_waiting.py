"""What waits for slow subscribers is a part of `memory_max`, each message counted once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.protocols.topics.routes import Events, at, closing, daemonOf, heard
from tests.protocols.topics.test_enveloped import subscribed
from tests.wire import Daemon
from wsd.config import Policies
from wsd.metrics import Cause

LARGE = 262144
POLICIES = Policies(memory_max=1 << 30, high_water=4096, low_water=1024, stall_timeout=3600)
ROOM: Any = {"history_count": 0, "slow_count": 1000, "slow_size": 1000 * LARGE}
COUNT = 40


def fill(daemon: Daemon, count: int = COUNT) -> None:
    """Publish so many messages, which a slow subscriber does not take."""
    sender = at(daemon, "a", "?role=publisher")
    for number in range(count):
        sender.say(f"{number:0{LARGE}}")


def waiting(daemon: Daemon) -> int:
    """Bytes that wait."""
    size: int = daemon.factories["/topics/*"].parts.outboxes.items.size
    return size


def slow(daemon: Daemon, form: str) -> Any:
    """A subscriber that reads nothing until it is asked what it has heard."""
    if form == "events":
        return Events(daemon, "/topics/a")
    return at(daemon, "a") if form == "plain" else subscribed(daemon, "a")


class TestWhatWaits:
    @pytest.mark.parametrize("form", ["plain", "enveloped", "events"])
    def test_counts_as_memory_until_it_is_sent(self, form: str) -> None:
        daemon = daemonOf(POLICIES, **ROOM)
        client = slow(daemon, form)
        fill(daemon)
        assert daemon.budget.used >= waiting(daemon) > COUNT // 2 * LARGE
        if form == "events":
            assert client.read().count("data: ") == COUNT
        else:
            assert len(heard(client)) == COUNT
        assert daemon.budget.used == waiting(daemon) == 0

    def test_counts_once_for_all_who_wait_for_it(self) -> None:
        daemon = daemonOf(POLICIES, **ROOM)
        clients = [at(daemon, "a") for _ in range(10)]
        fill(daemon)
        ten = waiting(daemon)
        for client in clients[1:]:
            client.close()
        one = waiting(daemon)
        assert one < ten < 1.05 * one
        assert len(heard(clients[0])) == COUNT
        assert daemon.budget.used == waiting(daemon) == 0

    @pytest.mark.parametrize(("mode", "most"), [("drop-oldest", 3), ("latest", 1), ("close", 0)])
    def test_counts_no_more_when_it_is_dropped(self, mode: str, most: int) -> None:
        daemon = daemonOf(POLICIES, slow=mode, slow_count=3, slow_size=1000 * LARGE)
        at(daemon, "a")
        fill(daemon)
        assert most * LARGE <= waiting(daemon) <= most * (LARGE + 1000)


class TestTooMuchInAll:
    def test_closes_those_for_whom_most_waits(self) -> None:
        daemon = daemonOf(dataclasses.replace(POLICIES, memory_max=COUNT * LARGE), **ROOM)
        slowest = [at(daemon, "a"), subscribed(daemon, "a")]
        calm = at(daemon, "b")
        fill(daemon, 2 * COUNT)
        daemon.reactor.advance(0)
        for client in (*slowest, calm):
            client.exchange()
        assert [client.closeCode for client in (*slowest, calm)] == [1013, 1013, None]
        sentence = "the server has no memory left for a client that reads so slowly; try again later"
        assert closing(slowest[0]) == (1013, sentence)
        assert daemon.factories["/topics/*"].counters.closed[Cause.memory] == 2
        assert daemon.budget.used == waiting(daemon) == 0

    def test_leaves_those_for_whom_little_waits(self) -> None:
        daemon = daemonOf(dataclasses.replace(POLICIES, memory_max=2 * COUNT * LARGE), **ROOM)
        slowest = at(daemon, "a")
        fill(daemon)
        late = at(daemon, "b")
        sender = at(daemon, "b", "?role=publisher")
        for number in range(COUNT // 2):
            sender.say(f"{number:0{LARGE}}")
        fill(daemon, 2 * COUNT)
        daemon.reactor.advance(0)
        slowest.exchange()
        assert slowest.closeCode == 1013
        assert len(heard(late)) == COUNT // 2
        assert late.closeCode is None

    def test_ends_streams_as_well(self) -> None:
        daemon = daemonOf(dataclasses.replace(POLICIES, memory_max=COUNT * LARGE), **ROOM)
        stream = Events(daemon, "/topics/a")
        fill(daemon, 2 * COUNT)
        daemon.reactor.advance(0)
        assert waiting(daemon) == 0
        assert stream.wire.exchange(b"").endswith(b"0\r\n\r\n")
