"""What holds for every test."""

from __future__ import annotations

import compileall
import gc
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

TESTS = Path(__file__).parent

_LONG = ("browser", "process", "test_docs.py", "test_packaging.py")
"""Folders and files with the tests that take longest."""

_criticalAlone = LogLevelFilterPredicate(LogLevel.critical)
# Before logging begins, Twisted keeps all events for those who come later, and with them whatever has logged them:
# servers with open stores, by the hundred.
globalLogBeginner.beginLoggingTo(
    [FilteringLogObserver(textFileLogObserver(sys.stderr), [_criticalAlone])],
    discardBuffer=True,
    redirectStandardIO=False,
)

# How long an example takes depends on what else the machine does. Examples are the same in each run, so that
# `make test` fails for a reason in the tree alone.
settings.register_profile("wsd", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
# For `make soak`, which draws them anew: see tests/property/sequences.py.
settings.register_profile("soak", deadline=None, print_blob=True)
settings.load_profile("wsd")


def pytest_configure(config: pytest.Config) -> None:
    """
    Compiles the tree once: with PYTHONDONTWRITEBYTECODE, each daemon that a test starts would do so again.

    A shell lets what it runs in the background ignore SIGINT, and so would all daemons and commands.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(TESTS.parent / "wsd", quiet=1)
        if config.getoption("numprocesses"):
            _compileTests(config.args)


def _compileTests(places: list[str]) -> None:
    """In a fresh clone, compiles the tests once, as pytest does it: each process of `-n` would do so by itself."""
    modules, compiled = (len([*TESTS.glob(f"*/{each}")]) for each in ("test_*.py", "__pycache__/test_*-pytest-*.pyc"))
    if not sys.dont_write_bytecode and compiled < modules / 2:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", *places]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Begins with the files that take longest, those with browsers and those with processes in turn.

    So at the end no process of `-n` works alone, and one that waits for a browser's turn (`tests.browser.conftest`)
    keeps no other file waiting.
    """
    counts: Counter[str] = Counter()
    ranks: dict[Path, tuple[int, str]] = {}
    for item in items:
        if item.path not in ranks:
            folder = item.path.relative_to(TESTS).parts[0]
            counts[folder] += 1
            ranks[item.path] = (counts[folder], folder) if folder in _LONG else (len(items), "")
    items.sort(key=lambda item: ranks[item.path])


def pytest_collection_finish() -> None:
    """Makes each of the thousands of tests cheaper."""
    # The modules of Twisted for tests import it, and for each test pytest would read which version of Twisted this is.
    sys.modules.pop("twisted.trial.unittest", None)
    # The tests themselves stay: garbage collection, which some of them wait for, need not look at them.
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers() -> int:
    """Returns the processes of `-n auto`: two for each processor, as tests with daemons and browsers mostly wait."""
    return min(8, 2 * len(os.sched_getaffinity(0)))


@pytest.fixture(autouse=True)
def _forgetsCode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Code that a test wrote and had loaded is unknown to the next test, which may have a module of the same name."""
    before = len(sys.path), len(sys.modules)
    yield
    if before == (len(sys.path), len(sys.modules)):
        return
    written = f"{tmp_path_factory.getbasetemp()}/"
    sys.path[:] = [path for path in sys.path if not f"{path}/".startswith(written)]
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(written):
            del sys.modules[name]
