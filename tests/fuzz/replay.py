"""
Runs targets over their seeds and the inputs that earlier runs have kept, without atheris.

    python -m tests.fuzz.replay head frames
    python -m tests.fuzz.replay head --input .cache/fuzz/found/head/crash-...
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz import TARGETS, inputsOf, targetOf

PATIENCE = 5.0
"""Seconds of CPU time that one input may take."""


def replay(name: str, inputs: list[Path]) -> None:
    """Run a target over files. Raises what the target raises, with the name of the file."""
    check = targetOf(name)
    for path in inputs:
        began = time.process_time()
        try:
            check(path.read_bytes())
        except Exception as error:
            error.add_note(f"the input is {path}")
            raise
        took = time.process_time() - began
        assert took < PATIENCE, f"{path} took {took:.1f} s"


def main() -> int:
    """Replays. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.replay", description="Run targets over kept inputs.")
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--input", type=Path, action="append", help="only this file")
    given = parser.parse_args()
    for name in given.targets or TARGETS:
        inputs = given.input or list(inputsOf(name))
        replay(name, inputs)
        print(f"{name}: {len(inputs)} inputs", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
