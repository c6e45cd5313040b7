"""The process of a worker before it is one: how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.commands import until
from tests.daemon import PATIENCE, ROOT

CHANNEL = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execv(sys.executable, [sys.executable, "-P", "-m", "wsd.tap.worker", "twisted.internet.epollreactor"])
"""


def hasSetSignals(pid: int) -> bool:
    """Whether it handles USR2, which Twisted does not."""
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert caught is not None
    return bool(int(caught[1], 16) >> (signal.SIGUSR2 - 1) & 1)


def test_a_prepared_worker_that_gets_TERM_as_its_parent_dies_ends_without_an_error() -> None:
    near, far = socket.socketpair()
    command = [sys.executable, "-c", CHANNEL, str(far.fileno())]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, pass_fds=[far.fileno()], stderr=subprocess.PIPE, env=environ) as worker:
        until(lambda: hasSetSignals(worker.pid), "handlers of signals")
        worker.send_signal(signal.SIGSTOP)
        worker.send_signal(signal.SIGTERM)
        near.close()
        far.close()
        worker.send_signal(signal.SIGCONT)
        _, errors = worker.communicate(timeout=PATIENCE)
    assert errors == b""
    assert worker.returncode == 1
