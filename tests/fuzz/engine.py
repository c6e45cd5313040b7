"""
Runs one target under atheris, in its own process: python -m tests.fuzz.engine TARGET ARGUMENTS...

The arguments are those of libFuzzer. Only the modules of wsd are instrumented. The coverage of the compiled ones leads
the fuzzer if `tools/asan fuzz` has built them; otherwise only that of the modules in Python beside them does.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from inspect import isfunction
from typing import Any

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
    _countCompiled()
    atheris.Fuzz()


def _countCompiled() -> None:
    """Give libFuzzer the counters of the compiled modules that have some (coverage.c)."""
    fuzzer = ctypes.CDLL(None)
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        if not module.__name__.startswith("wsd.") or not path.endswith(EXTENSION_SUFFIXES[0]):
            continue
        library = ctypes.CDLL(path)
        try:
            count = ctypes.c_size_t.in_dll(library, "wsd_count").value
        except ValueError:
            continue
        _register(fuzzer.__sanitizer_cov_8bit_counters_init, (ctypes.c_uint8 * count).in_dll(library, "wsd_counters"))
        _register(fuzzer.__sanitizer_cov_pcs_init, (ctypes.c_size_t * 2 * count).in_dll(library, "wsd_pcs"))


def _register(register: Any, array: Any) -> None:
    start = ctypes.addressof(array)
    register(ctypes.c_void_p(start), ctypes.c_void_p(start + ctypes.sizeof(array)))


if __name__ == "__main__":
    main()
