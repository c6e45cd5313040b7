"""
`make fuzz`: runs every target, or those named, for a time each, and prints one line for each.

    python -m tests.fuzz head frames --seconds 3600 --seed 1
    tools/asan fuzz head frames --seconds 3600

The second builds the compiled modules with AddressSanitizer first.

Inputs that reach new code are kept in .cache/fuzz/corpus, where the next run begins. Inputs that fail are kept in
.cache/fuzz/found; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz import CACHE, CORPUS, TARGETS
from tests.fuzz.install import environment, python

_LIMITS = ("-timeout=10", "-max_len=4096", "-print_final_stats=1")
"""Seconds that an input may take, and its largest size."""
_MEMORY, _SANITIZED_MEMORY = "-rss_limit_mb=1024", "-rss_limit_mb=3072"
"""The process may have so much memory. AddressSanitizer keeps what is freed for a while."""


def fuzz(name: str, seconds: int, seed: int, isSanitized: bool) -> bool:
    """Fuzz one target, and print the outcome. Returns whether nothing was found."""
    kept, found, log = CACHE / "corpus" / name, CACHE / "found" / name, CACHE / f"{name}.log"
    for folder in (kept, found):
        folder.mkdir(parents=True, exist_ok=True)
    memory = _SANITIZED_MEMORY if isSanitized else _MEMORY
    options = (*_LIMITS, memory, f"-max_total_time={seconds}", f"-seed={seed}", f"-artifact_prefix={found}/")
    command = [python(), "-m", "tests.fuzz.engine", name, *options, str(kept), str(CORPUS / name)]
    with log.open("wb") as output:
        status = subprocess.run(
            command, env=environment(isSanitized), stdout=output, stderr=subprocess.STDOUT
        ).returncode
    text = log.read_text("utf-8", "replace")
    print(f"{name:<10} {_runs(text):>10} {len(list(kept.iterdir())):>7}  {_outcome(text, status, log)}", flush=True)
    return status == 0


def _runs(text: str) -> str:
    found = re.findall(r"number_of_executed_units: (\d+)", text) or re.findall(r"^#(\d+)", text, re.MULTILINE)
    return f"{int(found[-1]):,}" if found else "0"


def _outcome(text: str, status: int, log: Path) -> str:
    if status == 0:
        return "nothing found"
    written = re.search(r"Test unit written to (\S+)", text)
    return f"failed: {written[1]}; {log} says why" if written else f"ended with status {status}: see {log}"


def main() -> int:
    """Fuzzes. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what reads bytes from strangers.")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 31))
    parser.add_argument("--asan", action="store_true", help="the compiled modules have the sanitizers (tools/asan)")
    given = parser.parse_args()
    print(f"{given.seconds} s each with --seed {given.seed}\n{'target':<10} {'executions':>10} {'kept':>7}", flush=True)
    failed = [name for name in given.targets or TARGETS if not fuzz(name, given.seconds, given.seed, given.asan)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
