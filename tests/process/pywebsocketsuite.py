"""
pywebsocket's own tests, run from the package's sources, unchanged, against wsd.

`python -m tests.process.pywebsocketsuite endtoend FOLDER` runs those of the unpacked package in FOLDER that start a
server, `dispatch` those of handlers without one, and prints a line of JSON: for each test what it came to. Two things
are told to the first: the command to start, and when the server listens; theirs is to wait for a fifth of a second. The
server cannot import the real package. For the second, `pywebsocket3` is what handlers get under that name.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import unittest
from importlib import import_module
from pathlib import Path
from typing import Any

from wsd.protocols.pywebsocket.loading import API

_SERVE = """
import os, sys
folder = os.environ["PYWEBSOCKET"]
sys.path[:] = [path for path in sys.path if not os.path.abspath(path or ".").startswith(folder)]
os.environ["PYTHONPATH"] = os.environ["WSD"]
from wsd.__main__ import main
main(["standalone", *sys.argv[1:]])
"""
"""What is started: the process that it replaces has the package on its path, and this one has not."""

_PATIENCE = 30.0
"""Seconds in which a server listens."""


class _Results(unittest.TestResult):
    """What each test came to."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.outcomes[test.id().rpartition(".")[2]] = "ok"

    def addError(self, test: unittest.TestCase, error: Any) -> None:
        super().addError(test, error)
        self.outcomes[test.id().rpartition(".")[2]] = self.errors[-1][1]

    def addFailure(self, test: unittest.TestCase, error: Any) -> None:
        super().addFailure(test, error)
        self.outcomes[test.id().rpartition(".")[2]] = self.failures[-1][1]


def endtoend(folder: Path) -> Any:
    """The tests that start a server."""
    os.environ["PYWEBSOCKET"], os.environ["WSD"] = str(folder), str(Path(__file__).parents[2])
    command = folder / "served.py"
    command.write_text(_SERVE)
    sys.path[:0] = [str(folder), str(folder / "test")]
    suite: Any = import_module("test_endtoend")
    suite._SERVER_WARMUP_IN_SEC = 0
    base = suite.EndToEndTestBase
    setUp, runServer = base.setUp, base._run_server

    def setUpOurs(self: Any) -> None:
        setUp(self)
        self.standalone_command = str(command)

    def runAndWait(self: Any, *arguments: Any, **named: Any) -> Any:
        server = runServer(self, *arguments, **named)
        _wait(self.test_port)
        return server

    base.setUp, base._run_server = setUpOurs, runAndWait
    return suite


def dispatch(folder: Path) -> Any:
    """The tests of handlers, which import ours where they name the package."""
    sys.path[:0] = [str(folder), str(folder / "test")]
    for module in ("", ".common", ".util", ".stream", ".msgutil", ".handshake", ".dispatch"):
        sys.modules[f"pywebsocket3{module}"] = import_module(f"{API}{module}")
    return import_module("test_dispatch")


def _wait(port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("localhost", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return


if __name__ == "__main__":
    suite = {"endtoend": endtoend, "dispatch": dispatch}[sys.argv[1]](Path(sys.argv[2]).resolve())
    results = _Results()
    unittest.defaultTestLoader.loadTestsFromModule(suite).run(results)
    print(json.dumps(results.outcomes))
