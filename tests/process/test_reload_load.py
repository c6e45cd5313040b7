"""Reloads under load, every third of them refused: no connection is dropped, and no message is lost."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.daemon import RunningDaemon, runningDaemon
from tests.ports import freePort
from tests.process.upgradeload import POLICIES, Report, measureLoad

_OK, _REFUSED = "reloaded, changed", "not reloaded, the old configuration stays in use"


class ReloadedAgain:
    """A daemon whose configuration is another one at each reload. `taken` is a port that it cannot have."""

    def __init__(self, daemon: RunningDaemon, top: str, taken: int) -> None:
        self.port = daemon.port()
        self.refused = 0
        self._daemon = daemon
        self._top = top
        self._taken = taken
        self._number = 0

    def upgrade(self) -> str:
        """Reload, and wait for the outcome, which must be the right one."""
        self._number += 1
        isBroken = self._number % 3 == 0
        (self._daemon.folder / "wsd.toml").write_text(self._broken() if isBroken else self._good(), encoding="utf-8")
        since = len(self._daemon.lines)
        self._daemon.process.send_signal(signal.SIGHUP)
        said = self._daemon.waitFor(f"{_OK}|{_REFUSED}", since)[0]
        assert said == (_REFUSED if isBroken else _OK), (self._number, said)
        self.refused += isBroken
        return said

    def _good(self) -> str:
        """Another listener, another access file, other limits, and other routes, that of the connections included."""
        number = self._number
        access = self._daemon.folder / f"access{number % 2}.log"
        return (
            f'{self._top}listen = "unix:{self._daemon.folder}/{number}.sock"\n'
            f'trusted_proxies = "10.0.0.{number % 250}"\n'
            f'[access]\nfile = "{access}"\n{POLICIES}max_message = {100_000 + number}\n'
            f'[route."/echo"]\nprotocol = "echo"\nmax_repeat = {1 + number % 9}\n'
            f'[route."/number{number}"]\nprotocol = "echo"\n'
        )

    def _broken(self) -> str:
        return (
            "this is no TOML",
            f'{self._good()}[route."/broken"]\nprotocol = "none"\n',
            self._good().replace(
                "listen = ", f'host = "127.0.0.1"\nlisten = ["tcp:{self._taken}:interface=127.0.0.1"]#'
            ),
            self._good().replace(f"{self._daemon.folder}/access", f"{self._daemon.folder}/none/access"),
            f'[tls]\nport = 0\n[[tls.certificate]]\ncert = "{self._daemon.folder}/none.pem"\n',
        )[self._number // 3 % 5]


@contextmanager
def loaded(workers: int) -> Iterator[ReloadedAgain]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        top = f'port = {freePort()}\nhost = "127.0.0.1"\nworkers = {workers}\n'
        with runningDaemon(config=top + POLICIES) as daemon:
            yield ReloadedAgain(daemon, top, taken.getsockname()[1])


def reloadUnderLoad(connections: int, times: int, workers: int = 1) -> Report:
    """Reload once a second so many times."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with loaded(workers) as daemon:
        report = asyncio.run(measureLoad(daemon, 0, connections, times, 1))
        print(report)
        report.check()
        assert daemon.refused == times // 3
    return report


@pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])
def test_no_connection_is_dropped_and_no_message_lost(workers: int) -> None:
    report = reloadUnderLoad(60, 6, workers)
    assert report.load.answered > 300


@pytest.mark.soak
def test_no_connection_of_1000_is_dropped_and_no_message_lost_in_a_minute() -> None:
    reloadUnderLoad(1000, 60)
