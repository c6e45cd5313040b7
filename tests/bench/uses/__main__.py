"""
`python -m tests.bench.uses`: the table of docs/uses.md, in five minutes; `make bench-uses` runs it.

The CPU is that of the daemon's process, the memory what it has grown by since it started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from tempfile import TemporaryDirectory

from tests.bench.uses.client import Client
from tests.bench.uses.pages import PAGES, TABLE
from tests.daemon import RunningDaemon, runningDaemon

CONFIG = "[policies]\nping_interval = 0\n"
"""The clients look at nothing, and so answer no pings."""
SETTLING = 3.0
"""Seconds before anything is measured."""


def _cpu(daemon: RunningDaemon) -> float:
    """Seconds of CPU that the daemon has used."""
    with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure(daemon: RunningDaemon, page: str, users: int, seconds: float) -> str:
    port, memory = daemon.port(), daemon.memory
    clients: list[Client] = []
    tasks = []
    for number in range(users):
        opened, acts = await PAGES[page](port, number)
        clients += opened
        tasks += [asyncio.ensure_future(act) for act in acts]
    await asyncio.sleep(SETTLING)
    began, cpu, received = time.monotonic(), _cpu(daemon), sum(each.received for each in clients)
    await asyncio.sleep(seconds)
    passed = time.monotonic() - began
    share = (_cpu(daemon) - cpu) / passed
    rate = (sum(each.received for each in clients) - received) / passed / 1e6
    grown = (daemon.memory - memory) / 2**20
    for task in tasks:
        task.cancel()
    return f"| {page} | {users} | {share:.0%} | {grown:.0f} MiB | {rate:.2f} MB |"


def measure(page: str, users: int, seconds: float) -> str:
    """A row of the table."""
    with TemporaryDirectory() as folder, runningDaemon(config=CONFIG, environ={"STATE_DIRECTORY": folder}) as daemon:
        return asyncio.run(_measure(daemon, page, users, seconds))


def main(words: Sequence[str]) -> None:
    """Measure the rows of the pages that are named, or all, and say how loaded the machine was."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.uses", description="What the pages of uses cost.")
    parser.add_argument("page", nargs="*", choices=[*PAGES, []], help="the pages; all by default")
    parser.add_argument("--users", type=int, nargs="+", help="the number of users, instead of those of the table")
    parser.add_argument("--seconds", type=float, default=18.0)
    given = parser.parse_args(words)
    rows = [row for row in TABLE if row[0] in (given.page or PAGES)]
    if given.users:
        rows = [(page, users, "") for page in given.page or PAGES for users in given.users]
    loads = [os.getloadavg()[0]]
    print("| page | users | CPU of one core | memory | sent a second | |")
    print("|---|--:|--:|--:|--:|---|", flush=True)
    for page, users, about in rows:
        print(measure(page, users, given.seconds), f"{about} |" if about else "|", flush=True)
        loads.append(os.getloadavg()[0])
    print(f"The load of the machine was {min(loads):.1f} to {max(loads):.1f}.", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
