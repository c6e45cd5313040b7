"""The machine's clock is set while the daemon runs: no time-out comes late, and none early."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.commands import ROOT, Running, running, until

HOUR = 3600

_STEPPED = """
import time

real, offset = time.time, {offset!r}


def stepped():
    with open(offset) as file:
        return real() + float(file.read())


time.time = stepped
"""
"""Python reads it before anything else: the time of day is what a file says it is."""

CONFIG = """
[policies]
opening_timeout = 2.0
ping_interval = 1.0
ping_timeout = 20.0
"""


class Stepped:
    """A daemon, and the hands of its clock."""

    def __init__(self, daemon: Running, offset: Path) -> None:
        self.daemon = daemon
        self._offset = offset

    def set(self, seconds: int) -> None:
        new = self._offset.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._offset)

    @property
    def pings(self) -> int:
        """How many the daemon has sent at /echo."""
        with urlopen(f"{self.daemon.url().replace('ws:', 'http:')}/metrics", timeout=20) as answer:
            found = re.search(rb'^wsd_pings_sent_total\{route="/echo"\} (\d+)', answer.read(), re.MULTILINE)
        return int(found[1]) if found else 0

    def open(self, path: str) -> ClientConnection:
        return connect(f"{self.daemon.url()}{path}", proxy=None, ping_interval=None)


@pytest.fixture(params=["twist --reactor=epoll", "twist --reactor=asyncio"], ids=["epoll", "asyncio"])
def stepped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stepped]:
    offset = tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(_STEPPED.format(offset=str(offset)))
    (tmp_path / "wsd.toml").write_text(CONFIG)
    path = f"{tmp_path}:{ROOT}"
    with running(tmp_path, request.param, "-p", "0", "-c", "wsd.toml", PYTHONPATH=path) as daemon:
        daemon.url()
        yield Stepped(daemon, offset)


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_a_silent_connection_has_its_time_and_no_more(stepped: Stepped, step: int) -> None:
    _, _, port = stepped.daemon.url().rpartition(":")
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as client:
        stepped.set(step)
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began > 1.7


def test_pings_go_on(stepped: Stepped) -> None:
    with stepped.open("/echo"):
        stepped.set(-HOUR)
        until(lambda: stepped.pings >= 2, "two pings")


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_what_was_to_come_later_comes_then(stepped: Stepped, step: int) -> None:
    with stepped.open("/echo?delay=1000") as client:
        began = time.monotonic()
        client.send("hello")
        client.ping().wait(20)
        stepped.set(step)
        assert client.recv(20) == "hello"
        assert time.monotonic() - began > 0.9


def test_the_time_of_day_is_still_told(stepped: Stepped) -> None:
    with stepped.open("/echo?push=50") as client:
        told = datetime.fromisoformat(str(client.recv(20)))
    assert abs(datetime.now(UTC) - told) < timedelta(minutes=1)
