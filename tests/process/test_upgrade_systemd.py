"""
Upgrades and crashes under systemd: MAINPID=, FDSTORE=1, and the sockets that come back.

No systemd runs here: the tests speak its protocols.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.commands import PATIENCE, running, until
from tests.process.test_systemd import activated, echoes, urlOf
from tests.upgrades import isAlive


class Said(NamedTuple):
    """A message on the notify socket: its text, who has sent it, and the descriptors with it."""

    text: str
    pid: int
    descriptors: list[int]


class Keeper:
    """systemd, as far as it hears messages and keeps descriptors."""

    def __init__(self, reader: socket.socket) -> None:
        self._reader = reader
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.kept: dict[str, list[int]] = {}
        self.told: list[Said] = []

    @property
    def address(self) -> str:
        name: bytes = self._reader.getsockname()
        return f"@{name[1:].decode()}"

    def _next(self) -> Said:
        data, control, _, _ = self._reader.recvmsg(4096, 4096)
        pid, descriptors = 0, array("i")
        for _, kind, packed in control:
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(packed)
            else:
                pid = array("i", packed)[0]
        said = Said(data.decode(), pid, list(descriptors))
        lines = dict(line.split("=", 1) for line in said.text.split("\n"))
        if "FDSTOREREMOVE" in lines:
            for descriptor in self.kept.pop(lines["FDNAME"], []):
                os.close(descriptor)
        elif "FDSTORE" in lines:
            self.kept.setdefault(lines["FDNAME"], []).extend(descriptors)
        self.told.append(said)
        return said

    def hear(self, state: str) -> Said:
        """The next message that begins with this state, waited for."""
        end = time.monotonic() + PATIENCE
        while True:
            self._reader.settimeout(max(end - time.monotonic(), 0.001))
            said = self._next()
            if said.text.startswith(state):
                return said

    def close(self) -> None:
        for descriptors in self.kept.values():
            for descriptor in descriptors:
                os.close(descriptor)


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind("")
        found = Keeper(reader)
        yield found
        found.close()


@pytest.fixture
def ends() -> Iterator[list[int]]:
    """Processes that are ended with the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if isAlive(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("mode", ["twistd -n", "wsd serve"])
def test_the_old_process_names_the_new_one_which_is_ready_then(
    mode: str, keeper: Keeper, ends: list[int], tmp_path: Path
) -> None:
    environ = {"NOTIFY_SOCKET": keeper.address, "WATCHDOG_USEC": "2000000"}
    with running(tmp_path, mode, "-p", "0", **environ) as daemon:
        first = keeper.hear("READY=1")
        url = daemon.url()
        daemon.send(signal.SIGUSR2)
        main = keeper.hear("MAINPID=")
        ends.append(int(main.text.removeprefix("MAINPID=")))
        assert main.pid == first.pid != ends[0]
        ready = keeper.hear("READY=1")
        assert ready.pid == ends[0]
        assert ready.text == first.text
        alive = keeper.hear("WATCHDOG=1")
        while alive.pid != ends[0]:
            alive = keeper.hear("WATCHDOG=1")
        until(lambda: not isAlive(first.pid), "the end of the old process")
        assert echoes(url)
        # Whatever came before READY=1 of the new process was said by the old one: systemd hears the main process only.
        number = keeper.told.index(ready)
        assert {said.pid for said in keeper.told[:number]} == {first.pid}
        assert not any(said.text.startswith("STOPPING=1") for said in keeper.told)
        os.kill(ends[0], signal.SIGTERM)
        assert keeper.hear("STOPPING=1").pid == ends[0]


def test_sockets_of_a_socket_unit_go_along_by_their_names(keeper: Keeper, ends: list[int], tmp_path: Path) -> None:
    with ExitStack() as stack:
        two = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        options = ["--listen", "systemd:name=b", "--listen", "systemd:index=0"]
        with activated(tmp_path, two, "a:b", *options, NOTIFY_SOCKET=keeper.address) as process:
            first = keeper.hear("READY=1")
            os.kill(process.pid, signal.SIGUSR2)
            ends.append(int(keeper.hear("MAINPID=").text.removeprefix("MAINPID=")))
            assert keeper.hear("READY=1").text == first.text
            process.wait(PATIENCE)
            assert all(echoes(urlOf(each)) for each in two)
            assert not keeper.kept, "systemd keeps these anyway"


def test_after_a_crash_the_sockets_that_were_kept_are_used_again(keeper: Keeper, tmp_path: Path) -> None:
    with running(tmp_path, "wsd serve", "-p", "0", NOTIFY_SOCKET=keeper.address) as daemon:
        url = daemon.url()
        keeper.hear("FDSTORE=1")
        daemon.stop(signal.SIGKILL)
    kept = [socket.socket(fileno=os.dup(each)) for each in keeper.kept["wsd-kept"]]
    # Meanwhile clients wait instead of being refused.
    waiting = socket.create_connection(kept[0].getsockname()[:2])
    waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    port = url.rpartition(":")[2]
    with activated(tmp_path, kept, "wsd-kept:wsd-kept", "-p", port, mode="wsd serve", NOTIFY_SOCKET=keeper.address):
        assert url in keeper.hear("READY=1").text
        assert waiting.recv(100).startswith(b"HTTP/1.1 200")
        assert echoes(url)
    waiting.close()
    for each in kept:
        each.close()


def test_a_kept_socket_whose_address_is_not_configured_any_more_is_closed(keeper: Keeper, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.2", 0)) as old,
        activated(tmp_path, [old], "wsd-kept", "-p", "0", mode="wsd serve", NOTIFY_SOCKET=keeper.address),
    ):
        assert urlOf(old) not in keeper.hear("READY=1").text
        keeper.hear("FDSTORE=1")
        kept = [socket.socket(fileno=os.dup(each)) for each in keeper.kept["wsd-kept"]]
        assert old.getsockname() not in [each.getsockname() for each in kept]
        for each in kept:
            each.close()


def test_twistd_in_the_background_is_upgraded_and_its_process_id_is_written(ends: list[int], tmp_path: Path) -> None:
    with running(tmp_path, "twistd", "-p", "0") as daemon:
        url = daemon.url()
        ends.append(daemon.pid)
        for number in range(1, 3):
            daemon.send(signal.SIGUSR2)
            until(lambda: daemon.log.count("upgraded: ") == number, "the upgrade")  # noqa: B023
            ends.append(daemon.pid)
            until(lambda: not isAlive(ends[-2]), "the end of the old process")
            assert len(set(ends)) == number + 1
            assert echoes(url)
        os.kill(ends[-1], signal.SIGTERM)
        until(lambda: not isAlive(ends[-1]), "the end")
        (tmp_path / "wsd.pid").unlink()
