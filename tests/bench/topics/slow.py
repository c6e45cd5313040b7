"""1,000 subscribers of whom 100 never read: what the others notice, and what the daemon keeps."""

from __future__ import annotations

import re
from statistics import median
from urllib.request import urlopen

from tests.bench.cells import PLAIN
from tests.bench.servers import House, Started
from tests.bench.topics.load import FanOut, fanOut

READING, DEAF, RATE, SIZE, SECONDS = 900, 100, 40, 8192, 10.0
WARM_UP = 16.0
"""Seconds, in which the kernel takes what it can take for those who never read: three megabytes for each."""
MOST_RATIO = 1.5
MOST_GROWTH = 64 << 20
"""
Bytes by which the daemon may grow: for each of the 100 what waits to be sent, 256 KiB, and once for all of them the
messages that wait, 8 MiB; and what 1,000 connections take.
"""


def measure(house: House, rounds: int) -> list[str]:
    """The 900 alone and with the 100, in turns. The slow ones lose the oldest, so that they stay."""
    alone, beside, growth, skipped = [], [], [], []
    for _ in range(rounds):
        with house.running(["topics-dropping"], PLAIN) as running:
            server = running["topics-dropping"]
            alone.append(_fanOut(server))
            before = server.memory
            beside.append(_fanOut(server, f"--deaf={DEAF}"))
            growth.append(server.memory - before)
            skipped.append(_skipped(server))
        print(_told(alone[-1], beside[-1], growth[-1], skipped[-1]), flush=True)
    ratio = median(with_.p99 / without.p99 for with_, without in zip(beside, alone, strict=True))
    print(f"median ratio of the p99 {ratio:.2f}, at most {MOST_RATIO} asked; most growth {max(growth) >> 20} MiB")
    wrong = {
        f"slow: the p99 of who reads is {ratio:.2f} of theirs alone, where {MOST_RATIO} is asked": ratio > MOST_RATIO,
        f"slow: the daemon grew by {max(growth) >> 20} MiB": max(growth) > MOST_GROWTH,
        "slow: nobody was slow": not all(skipped),
        "slow: who reads did not have everything": any(each.missed for each in alone + beside),
    }
    return [sentence for sentence, isWrong in wrong.items() if isWrong]


def _fanOut(server: Started, *options: str) -> FanOut:
    sizes = [f"--size={SIZE}", f"--warm-up={WARM_UP}"]
    return fanOut(server, SECONDS, f"--connections={READING}", f"--rate={RATE}", *sizes, *options)


def _skipped(server: Started) -> int:
    """Messages that were not sent, since somebody was too slow."""
    with urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        found = re.search(r'wsd_messages_skipped_total{route="/topics"} (\S+)', answer.read().decode())
    return int(float(found[1])) if found else 0


def _told(alone: FanOut, beside: FanOut, growth: int, skipped: int) -> str:
    return (
        f"p99 of {READING}: alone {alone.p99:.1f} ms, beside {DEAF} that never read {beside.p99:.1f} ms; "
        f"{skipped} messages were skipped, and the daemon grew by {growth / 1e6:.1f} MB"
    )
