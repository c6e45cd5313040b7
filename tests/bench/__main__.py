"""`python -m tests.bench`: what wsd costs beside its peers; `make bench` runs it, docs/performance.md explains it."""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import build, report, table
from tests.bench.cells import ALONE, CELLS, NATIVE, ZLIB, Cell
from tests.bench.measure import FULL, QUICK, Effort, measured
from tests.bench.servers import SERVERS, House, Native
from tests.certificates import Authority

TITLES = {name: server.title for name, server in SERVERS.items()} | {ALONE: "wsd, these alone", ZLIB: "zlib level 6"}
FILES = 12_000
"""Descriptors that a server of ten thousand connections needs."""


def main(words: Sequence[str]) -> int:
    """Measure what is asked for, print the table; the status is 0 whatever the figures are."""
    asked = _options(words)
    servers = dict(SERVERS)
    if asked.native:
        servers[NATIVE] = Native(NATIVE, asked.native.name, program=asked.native.resolve())
    names = asked.servers.split(",") if asked.servers else None
    cells = [cell for cell in CELLS if not asked.only or any(_isMeant(only, cell) for only in asked.only)]
    if not cells or (names and not set(names) <= set(servers)):
        print(f"the cells are: {'; '.join(cell.name for cell in CELLS)}\nthe servers are: {', '.join(servers)}")
        return 2
    prepare()
    effort = Effort(asked.rounds or (QUICK if asked.quick else FULL).rounds, *_times(asked.quick))
    results = []
    print(*table.HEADING, sep="\n", flush=True)
    with TemporaryDirectory(prefix="wsd-bench-") as folder:
        house = House(Path(folder), _pem(Path(folder)), servers)
        for cell in cells:
            samples = measured(cell, _entrants(cell, names or list(servers)), house, effort)
            print(*table.lines(cell, samples, TITLES), sep="\n", flush=True)
            results.append((cell, samples))
            if asked.write:
                report.write([(cell, samples)], datetime.now(UTC).date().isoformat())
    print("", table.summary(results), sep="\n")
    return 0


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What wsd costs beside its peers.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, help="how many")
    parser.add_argument(
        "--only", action="append", metavar="CELL", help="the cells whose name holds this; may be repeated"
    )
    parser.add_argument("--servers", metavar="NAME,...", help="these servers only")
    parser.add_argument(
        "--native",
        type=Path,
        metavar="PROGRAM",
        help="one more server: a program that takes a port (and --deflate), and echoes there",
    )
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.*")
    return parser.parse_args(words)


def _isMeant(only: str, cell: Cell) -> bool:
    """A whole name means that cell alone, a part of one every cell that has it."""
    return only == cell.name or (only in cell.name and only not in {each.name for each in CELLS})


def _times(quick: bool) -> tuple[float, float]:
    effort = QUICK if quick else FULL
    return effort.seconds, effort.warmUp


def prepare() -> None:
    """The programs are there, and there are descriptors enough."""
    if shutil.which("taskset") is None:
        raise SystemExit("bench: taskset is missing; it comes with: apt-get install util-linux")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FILES:
        raise SystemExit(f"bench: a process may open {hard} files; {FILES} are needed: ulimit -Hn {FILES}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    build.generator()
    build.python()
    build.modules()


def _pem(folder: Path) -> Path:
    """One file with certificate and key, as every server here takes it."""
    pair = Authority(folder).server("server", "localhost", "127.0.0.1")
    pem = folder / "server.pem"
    pem.write_bytes(Path(pair.cert).read_bytes() + Path(pair.key).read_bytes())
    return pem


def _entrants(cell: Cell, names: list[str]) -> list[str]:
    """The subject, and who of the others is asked for."""
    others = [name for name in cell.servers if name == ALONE or name in names]
    return [cell.subject, *others]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
