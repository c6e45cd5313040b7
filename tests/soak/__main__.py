"""`make soak`: everything in full size, and one table of what was measured, the bounds, and whether they held."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from datetime import UTC, datetime

from tests.soak import rows, table
from tests.soak.table import Line


def tried(name: str, options: rows.Options) -> Line:
    """A row; if it could not be made, that is what it says."""
    try:
        return rows.ROWS[name].make(options)
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        return Line(name, name, "nothing", "", (f"{type(error).__name__}: {said}",))


def main() -> int:
    """Returns 1 if a row does not hold; what other servers do is not judged."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    known = ", ".join(rows.GROUPS)
    parser.add_argument("--only", nargs="+", default=(), help=f"these rows or groups: {known}, or SERVER/ for a peer's")
    parser.add_argument("--list", action="store_true", help="only print the names of the rows")
    parser.add_argument("--write", action="store_true", help="put each row that was run into docs/soak.md")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each attack (10)")
    parser.add_argument("--scale", type=float, default=1.0, help="a part of each attack's connections (1)")
    parser.add_argument("--calm", type=int, default=100, help="calm clients of each attack (100)")
    asked = parser.parse_args()
    names = rows.chosen(asked.only)
    if not names:
        parser.error("there is no such row; --list names them")
    if asked.list:
        print(*names, sep="\n")
        return 0
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"on {table.machine()}\n\n{table.HEAD}", flush=True)
    hasFailed = False
    for name in names:
        line = tried(name, rows.Options(asked.seconds, asked.scale, asked.calm))
        print(line, flush=True)
        if asked.write:
            table.write([line], datetime.now(UTC).date().isoformat(), rows.ROWS)
        hasFailed = hasFailed or (bool(line.broken) and rows.ROWS[name].group != "peers")
    return int(hasFailed)


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    print(f"\n{(time.monotonic() - began) / 60:.1f} min", flush=True)
    sys.exit(status)
