"""A daemon that does not serve now refuses an upgrade by signal with a line, with one process and with workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from websockets.exceptions import ConnectionClosed

from tests.commands import until
from tests.daemon import PATIENCE, ROOT, RunningDaemon
from tests.process.test_upgrade import opened, says
from tests.upgrades import Upgradable, isListening, upgradable

CONFIG = 'workers = {}\nbuilt_in = false\ndrain = 30\n[route."/echo"]\nprotocol = "echo"\n'
ASKING = '[route."/asks"]\nprotocol = "tests.process.asking:AskingFactory"\n'

pytestmark = pytest.mark.parametrize("workers", [1, 2])


def begins(daemon: Upgradable) -> bool:
    return any("the upgrade begins" in line for line in daemon.lines)


def ctl(daemon: RunningDaemon, worker: int | None, *words: str) -> subprocess.CompletedProcess[str]:
    path = daemon.waitFor(r"control socket (\S+)")[1]
    if worker is not None:
        path = re.sub(r"control(-\d)?\.sock$", f"control-{worker}.sock", path)
    command = [sys.executable, "-m", "wsd", "ctl", *words, "--socket", path]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_while_it_starts(workers: int) -> None:
    with upgradable(config=CONFIG.format(workers) + ASKING) as daemon, opened(daemon) as client:
        assert daemon.refusal(0) == "the daemon is starting"
        assert says(client, "hello")
        assert not begins(daemon)


def test_while_it_drains(workers: int) -> None:
    with upgradable(config=CONFIG.format(workers)) as daemon:
        number = None if workers == 1 else 1
        assert ctl(daemon.daemon, number, "drain").returncode == 0
        assert daemon.refused() == ("the daemon is draining" if number is None else "worker 1: the daemon is draining")
        assert ctl(daemon.daemon, number, "resume").returncode == 0
        daemon.upgrade()
        with opened(daemon) as client:
            assert says(client, "hello")


def test_while_it_stops(workers: int) -> None:
    with upgradable(config=CONFIG.format(workers)) as daemon, opened(daemon, "/echo?delay=4000") as client:
        client.send("late")
        client.ping().wait(PATIENCE)
        os.kill(daemon.pid, signal.SIGTERM)
        until(lambda: not isListening(daemon.port), "it stops")
        os.kill(daemon.pid, signal.SIGUSR2)
        daemon.daemon.waitFor("not upgraded: the daemon is stopping")
        assert client.recv(PATIENCE) == "late"
        with pytest.raises(ConnectionClosed, match="1001"):
            client.recv(PATIENCE)
        assert not begins(daemon)
