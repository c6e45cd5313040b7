"""10,000 subscribers of one topic, 100 messages of 100 B a second: does everyone have each, and how soon?"""

from __future__ import annotations

from statistics import median

from tests.bench.cells import PLAIN
from tests.bench.servers import House
from tests.bench.topics.load import FanOut, fanOut

SUBSCRIBERS, RATE, SIZE, SECONDS = 10_000, 100, 100, 10.0
MOST_P99 = 250.0
"""Milliseconds."""


def measure(house: House, rounds: int) -> list[str]:
    """Rounds of ten seconds; all that is published there must have come to all."""
    with house.running(["topics"], PLAIN) as running:
        options = [f"--connections={SUBSCRIBERS}", f"--rate={RATE}", f"--size={SIZE}", "--warm-up=2"]
        found = []
        for _ in range(rounds):
            found.append(fanOut(running["topics"], SECONDS, *options))
            _tell(found[-1])
    missing, p99 = sum(each.missed for each in found), median(each.p99 for each in found)
    print(f"median p99 {p99:.0f} ms of {' '.join(f'{each.p99:.0f}' for each in found)}, at most {MOST_P99:.0f} asked")
    missed = [f"crowd: {missing} deliveries did not come"] if missing else []
    return missed + ([f"crowd: p99 {p99:.0f} ms, where {MOST_P99:.0f} is asked"] if p99 > MOST_P99 else [])


def _tell(found: FanOut) -> None:
    print(
        f"{found.deliveries:,} deliveries, {found.missed} missed; delay in ms: p50 {found.p50:.0f}, "
        f"p99 {found.p99:.0f}; the daemon {found.cpu:.2f} of a core, the generator {found.ownCpu:.2f}",
        flush=True,
    )
