"""`python -m tests.bench.topics`: every figure of docs/topics.md and docs/scaling.md; `make bench-topics` runs it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.__main__ import prepare
from tests.bench.servers import House
from tests.bench.topics import crowd, fanout, filters, publishing, slow

MEASUREMENTS: Mapping[str, Callable[[House, int], list[str]]] = {
    "fan-out": fanout.measure,
    "crowd": crowd.measure,
    "filters": filters.measure,
    "publishing": publishing.measure,
    "slow": slow.measure,
}
"""By name: each prints what it finds, and returns a sentence for each target that it misses."""


def main(words: Sequence[str]) -> int:
    """Measure what is asked for. The status is 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.topics", description="What topics cost.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(words)
    if unknown := set(asked.names) - set(MEASUREMENTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    prepare()
    missed = []
    with TemporaryDirectory(prefix="wsd-bench-") as folder:
        house = House(Path(folder), Path(folder) / "no TLS here")
        for name in asked.names or MEASUREMENTS:
            print(f"\n{name}; load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n", flush=True)
            missed += MEASUREMENTS[name](house, asked.rounds)
    print("", *missed or ["every target is reached"], sep="\n")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
