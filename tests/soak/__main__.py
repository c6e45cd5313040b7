"""`make soak`: every attack in full size, and one table of what was measured, the bounds, and whether they held."""

from __future__ import annotations

import argparse
import resource
import sys

from tests.soak.attacks import ATTACKS, MIB
from tests.soak.rig import Row, attackedDaemon

_HEADING = "| attack | connections | p99 calm / attacked | bound | memory | bound | longest call | held |"


def line(row: Row) -> str:
    """A row of the table."""
    broken = row.broken(timed=True)
    cells = (
        row.about,
        str(row.connections),
        f"{row.calm * 1000:.1f} / {row.attacked * 1000:.1f} ms",
        f"{row.delayBound * 1000:.0f} ms",
        f"{max(row.memory, 0) / MIB:.0f} MiB",
        f"{row.memoryBound / MIB:.0f} MiB",
        f"{row.held * 1000:.0f} ms" if row.held else "below 100 ms",
        f"no: {'; '.join(broken)}" if broken else "yes",
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Returns 1 if a bound did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[each.__name__ for each in ATTACKS], help="these attacks")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each attack (10)")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of each attack's connections (1)")
    parser.add_argument("--calm", type=int, default=100, help="calm clients (100)")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(_HEADING, "|---" * 8 + "|", sep="\n", flush=True)
    hasFailed = False
    for attack in ATTACKS:
        if options.only and attack.__name__ not in options.only:
            continue
        # Each has a daemon of its own, so that none is blamed for what another has left.
        with attackedDaemon(options.calm) as rig:
            row = rig.run(attack, options.seconds, options.scale)
        print(line(row), flush=True)
        hasFailed = hasFailed or bool(row.broken(timed=True))
    return int(hasFailed)


if __name__ == "__main__":
    sys.exit(main())
