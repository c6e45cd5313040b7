"""
Runs one target under atheris, in its own process: python -m tests.fuzz.engine TARGET ARGUMENTS...

The arguments are those of libFuzzer. Only the modules of wsd are instrumented. The compiled ones are not: they run
beside those in Python, whose coverage leads the fuzzer, and `make asan` replays what it has kept.
"""

from __future__ import annotations

import logging
import sys
from inspect import isfunction

import atheris

from tests.fuzz import moduleOf


def main() -> None:
    """Fuzzes until libFuzzer ends the process."""
    _, name, *arguments = sys.argv
    logging.disable()
    with atheris.instrument_imports(include=["wsd"]):
        module = moduleOf(name)
    for each in getattr(module, "INSTRUMENTED", ()):
        for function in filter(isfunction, vars(each).values()):
            atheris.instrument_func(function)
    atheris.Setup([name, *arguments], module.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
