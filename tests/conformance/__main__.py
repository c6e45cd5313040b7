"""
`python -m tests.conformance [--short] [--plane NAME] [--workers N] [--upgrade] [--write]`: the suite against a daemon.
"""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import ExitStack

from tests.conformance.cases import SHORT, everyCase, uncompressed
from tests.conformance.report import Results, faults, table
from tests.conformance.suite import ROOT, Run, perform
from tests.upgrades import upgradable, upgrading
from wsd.frames import PLANES

PAGE = ROOT / "docs" / "conformance.md"
REPORTS = ROOT / ".cache" / "conformance"


def main() -> None:
    """Run it all, say what came out, and end with 1 when anything but a whole and clean report did."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the smaller sizes of the compression groups only")
    parser.add_argument("--plane", choices=PLANES, help="this one only")
    parser.add_argument("--workers", type=int, default=1, help="so many processes as one daemon")
    parser.add_argument("--upgrade", action="store_true", help="upgrade the daemon again and again meanwhile")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/conformance.md")
    given = parser.parse_args()
    passed = failed = 0
    for plane in [given.plane] if given.plane else PLANES:
        cases, faulty = runPlane(plane, given.short, given.write, given.workers, given.upgrade)
        passed += cases - faulty
        failed += faulty
    print(f"the whole reports: {REPORTS}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


def runPlane(plane: str, short: bool, writes: bool, workers: int = 1, upgrades: bool = False) -> tuple[int, int]:
    """The cases that a daemon with this plane was put to, and how many it failed; wss is for the first of them."""
    cases = faulty = 0
    isFirst = plane == next(iter(PLANES))
    options = ("--tls-port", "0", "--tls-self-signed")
    # Runs of different kinds may take place at the same time.
    reports = REPORTS / f"workers-{workers}{'-upgrades' if upgrades else ''}"
    with ExitStack() as stack:
        upgraded = stack.enter_context(upgradable(*options, config=f'frames = "{plane}"\nworkers = {workers}\n'))
        daemon = upgraded.daemon
        every = everyCase(SHORT if short else None) if isFirst or not short else uncompressed()
        runs = {plane: Run(f"ws://localhost:{daemon.port('ws')}/echo", every)}
        if upgrades:
            # Connections over TLS do not move.
            stack.enter_context(upgrading(upgraded))
        elif isFirst:
            authority = daemon.folder / "wsd/tls/authority.crt"
            runs["wss"] = Run(f"wss://localhost:{daemon.port('wss')}/echo", uncompressed(), authority)
        for name, run in runs.items():
            print(f"== {name}: {len(run.cases)} cases", flush=True)
            results = perform(run, reports / name)
            wrong = faults(results, run.cases)
            print(table(results), *wrong, sep="\n", flush=True)
            faulty += len({fault.partition(":")[0] for fault in wrong})
            cases += len(run.cases)
            if writes and not wrong:
                write(name, results)
    return cases, faulty


def write(name: str, results: Results) -> None:
    """Replace what stands between the marks of this name in docs/conformance.md."""
    marks = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    text, count = re.subn(
        f"({marks[0]}).*({marks[1]})",
        lambda found: f"{found[1]}{table(results)}\n{found[2]}",
        PAGE.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit(f"conformance: {PAGE.name} has no marks for {name}")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
