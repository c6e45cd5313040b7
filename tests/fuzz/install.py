"""Installs atheris into a virtual environment of its own, which also sees the libraries of wsd's."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

from tests.fuzz import CACHE, HERE

_REQUIREMENTS = HERE / "requirements.txt"
_VENV = CACHE / f"venv-{sys.version_info.major}.{sys.version_info.minor}"
_PYTHON = _VENV / "bin" / "python"
_ASAN = "detect_leaks=0:detect_odr_violation=0:quarantine_size_mb=64"
"""Cython's modules have static variables of the same names, which clang's library takes for one variable."""


def python() -> str:
    """The Python that has atheris. Ends the program with a sentence if there is no wheel for this Python."""
    mark = _VENV / "installed"
    if not mark.exists() or mark.read_text() != _REQUIREMENTS.read_text():
        subprocess.run([sys.executable, "-m", "venv", _VENV], check=True)
        options = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
        if subprocess.run([_PYTHON, "-m", "pip", "install", *options, "-r", _REQUIREMENTS]).returncode != 0:
            raise SystemExit(
                f"fuzz: pip cannot install atheris; it has wheels for CPython 3.11 and newer on Linux x86_64, and "
                f"this is {sys.implementation.name} {sys.version.split()[0]} on {sysconfig.get_platform()}"
            )
        mark.write_text(_REQUIREMENTS.read_text())
    return str(_PYTHON)


def environment(isSanitized: bool) -> dict[str, str]:
    """
    The variables with which it finds the tree and wsd's libraries.

    If the compiled modules are built with the sanitizers, atheris' own library with these is loaded first. With malloc
    instead of Python's own allocator, they see the memory of every object.
    """
    paths = (str(HERE.parents[1]), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
    if isSanitized:
        [library] = _VENV.glob("lib/python*/site-packages/asan_with_fuzzer.so")
        found |= {"LD_PRELOAD": str(library), "PYTHONMALLOC": "malloc", "ASAN_OPTIONS": _ASAN}
    return found
