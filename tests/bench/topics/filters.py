"""100,000 filters held by 1,000 connections: what a publish costs, by its matches and by the filters there are."""

from __future__ import annotations

import time
from statistics import median

from tests.bench.cells import PLAIN
from tests.bench.servers import House
from tests.bench.topics.client import Client, frame
from tests.bench.topics.load import cpuOf
from wsd.frames import PLANES
from wsd.protocols.topics.choice import limitsOf
from wsd.protocols.topics.hub import Hub
from wsd.protocols.topics.local import LocalBackend
from wsd.protocols.topics.names import checkFilter
from wsd.protocols.topics.options import TopicsOptions
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Loss, Publication, TopicMessage

SUBSCRIBERS = 1000
FILTERS = (1_000, 10_000, 100_000)
MATCHES = (0, 1, 10, 100, 1000)
PUBLISHES = 2000
MOST_RATIO = 1.5
"""How much a publish may cost with the most filters, of what it costs with the fewest."""


class _Ear:
    """A subscriber that does nothing with what it takes."""

    direct = None

    def take(self, publication: Publication) -> None:
        """Nothing."""

    def miss(self, loss: Loss) -> None:
        """Nothing."""


def patterns(count: int) -> list[str]:
    """So many filters in a tree of three levels, with wildcards, each different."""
    kinds = ("site/{0}/{1}", "site/{0}/{1}/+", "site/{0}/{1}/#", "+/{0}/{1}/x")
    return [kinds[number % 4].format(number // 1000, number % 1000) for number in range(count)]


def measure(house: House, rounds: int) -> list[str]:
    """In this process by matches, then over sockets with one match."""
    print("| filters | " + " | ".join(f"{count} matches" for count in MATCHES) + " |")
    print("|--:" * (1 + len(MATCHES)) + "|")
    costs = {}
    for count in FILTERS:
        hub = _hubOf(count)
        costs[count] = [_cost(hub, matches, rounds) for matches in MATCHES]
        print(f"| {count:,} | " + " | ".join(f"{cost:.2f} us" for cost in costs[count]) + " |", flush=True)
    over = {count: _overSockets(house, count, rounds) for count in (FILTERS[0], FILTERS[-1])}
    for count, cost in over.items():
        print(f"over sockets, {SUBSCRIBERS:,} connections with {count:,} filters, 1 match: {cost:.1f} us a publish")
    few, many = FILTERS[0], FILTERS[-1]
    ratios = {f"{matches} matches": costs[many][at] / costs[few][at] for at, matches in enumerate(MATCHES)}
    ratios["one match over sockets"] = over[many] / over[few]
    print(f"of {few:,} filters: " + ", ".join(f"{name} x{ratio:.2f}" for name, ratio in ratios.items()))
    return [
        f"filters: with {many:,} a publish with {name} costs {ratio:.2f} of what it costs with {few:,}"
        for name, ratio in ratios.items()
        if ratio > MOST_RATIO
    ]


def _hubOf(count: int) -> Hub:
    """A hub with so many filters, and with topics that have as many subscribers as MATCHES says."""
    hub = Hub(LocalBackend(*limitsOf(TopicsOptions())), PLANES["fast"])  # type: ignore[arg-type]
    ears = [_Ear() for _ in range(SUBSCRIBERS)]
    for number, pattern in enumerate(patterns(count)):
        hub.subscribe(ears[number % SUBSCRIBERS], checkFilter(pattern))
    for matches in MATCHES:
        for ear in ears[:matches]:
            hub.subscribe(ear, ("matched", str(matches)))
    return hub


def _cost(hub: Hub, matches: int, rounds: int) -> float:
    """Microseconds that a publish takes, from the backend's call to the last subscriber's."""
    publication = Publication(f"matched/{matches}", Position("bench", 1), TopicMessage(b""), 0.0)
    times = max(20, 20_000 // max(matches, 10))
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            hub.published(publication)
        found.append((time.process_time() - began) / times)
    return median(found) * 1e6


def _overSockets(house: House, count: int, rounds: int) -> float:
    """Microseconds of the daemon's CPU that an acknowledged publish takes."""
    each = count // SUBSCRIBERS
    wanted = patterns(count)
    with house.running(["topics"], PLAIN) as running:
        server = running["topics"]
        clients = []
        for number in range(SUBSCRIBERS):
            client = Client(server.port)
            own = wanted[number * each : (number + 1) * each]
            client.socket.sendall(b"".join(frame("subscribe", topic=topic) for topic in own))
            client.answers("subscribed", each)
            clients.append(client)
        found = []
        message = frame("publish", id=1, topic=wanted[0], text="x" * 100)
        with Client(server.port) as publisher:
            for _ in range(rounds):
                before = cpuOf(server.pids)
                publisher.publish(message, PUBLISHES, 64)
                found.append((cpuOf(server.pids) - before) / PUBLISHES)
        for client in clients:
            client.socket.close()
    return median(found) * 1e6
