"""The control socket: where it is, who may open it, and what it replaces."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from tests.commands import PATIENCE
from tests.control.controlled import logged, stateOf
from wsd.config import Control
from wsd.control.socket import ControlSocket


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlSocket]:
    daemon: Any = None
    ours = ControlSocket(MemoryReactorClock(), stateOf(tmp_path / "state"), daemon)
    yield ours
    ours.close()


def answers(path: Path) -> bool:
    """Whether somebody listens there."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(os.fspath(path)) == 0


class TestItsPlace:
    def test_is_the_state_folder_for_its_user_alone(self, control: ControlSocket, tmp_path: Path) -> None:
        control.configure(Control())
        path = tmp_path / "state" / "control.sock"
        assert (control.path, answers(path)) == (path, True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_is_the_runtime_folder_if_there_is_one(self, tmp_path: Path) -> None:
        daemon: Any = None
        environ = {**stateOf(tmp_path / "state"), "RUNTIME_DIRECTORY": f"{tmp_path}/run:{tmp_path}/other"}
        control = ControlSocket(MemoryReactorClock(), environ, daemon)
        control.configure(Control())
        assert control.path == tmp_path / "run" / "control.sock"
        control.close()

    def test_is_what_the_configuration_says_and_follows_it(self, control: ControlSocket, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        control.configure(Control(path=str(first)))
        identity = first.stat().st_ino
        control.configure(Control(path=str(first)))
        assert first.stat().st_ino == identity
        control.configure(Control(path=str(second)))
        assert (first.exists(), answers(second)) == (False, True)
        control.configure(Control(enabled=False, path=str(second)))
        assert (second.exists(), control.path) == (False, None)

    def test_is_free_again_at_the_end(self, control: ControlSocket, tmp_path: Path) -> None:
        control.configure(Control())
        control.close()
        control.close()
        assert list((tmp_path / "state").iterdir()) == []

    def test_sends_what_was_answered_before_the_process_ends(self, control: ControlSocket, tmp_path: Path) -> None:
        control.configure(Control())
        reactor: Any = control._reactor
        (port,) = reactor.getReaders()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(os.fspath(tmp_path / "state" / "control.sock"))
            port.doRead()
            (accepted,) = set(reactor.getReaders()) - {port}
            client.sendall(b'{"command": "nothing"}\n')
            accepted.doRead()
            assert accepted in reactor.getWriters(), "it is not sent before the next turn"
            control.finish()
            assert b"there is no command" in client.recv(1000)
            accepted.loseConnection()


class TestAnotherSocketThere:
    def test_of_a_dead_daemon_is_replaced(self, control: ControlSocket, tmp_path: Path) -> None:
        path = tmp_path / "dead"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.fspath(path))
        control.configure(Control(path=str(path)))
        assert answers(path)

    def test_of_a_living_daemon_is_not(self, control: ControlSocket, tmp_path: Path) -> None:
        path = tmp_path / "living"
        with socket.socket(socket.AF_UNIX) as living, logged() as lines:
            living.bind(os.fspath(path))
            living.listen()
            identity = path.stat().st_ino
            control.configure(Control(path=str(path)))
            control.close()
            assert (path.stat().st_ino, control.path) == (identity, None)
        assert lines == [
            f"there is no control socket at {path}: another daemon uses it; name another path in [control]; "
            "wsd ctl cannot reach this daemon"
        ]

    def test_of_a_daemon_that_has_taken_over_is_not_removed(self, control: ControlSocket, tmp_path: Path) -> None:
        path = tmp_path / "ours"
        control.configure(Control(path=str(path)))
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(os.fspath(path))
            successor.listen()
            control.close()
            assert answers(path)

    def test_that_is_tried_again_works_after_it_is_gone(self, control: ControlSocket, tmp_path: Path) -> None:
        path = tmp_path / "living"
        with socket.socket(socket.AF_UNIX) as living:
            living.bind(os.fspath(path))
            living.listen()
            control.configure(Control(path=str(path)))
        control.configure(Control(path=str(path)))
        assert answers(path)


class TestAPlaceThatCannotBe:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("file", "there is a file that is not a socket"),
            ("file/x", "Not a directory"),
            ("x" * 108, "a path of at most 107 bytes is needed"),
        ],
    )
    def test_is_logged_and_the_daemon_serves_without(
        self, control: ControlSocket, tmp_path: Path, name: str, reason: str
    ) -> None:
        (tmp_path / "file").write_text("kept")
        with logged() as lines:
            control.configure(Control(path=str(tmp_path / name)))
        assert control.path is None
        assert (tmp_path / "file").read_text() == "kept"
        assert lines == [f"there is no control socket at {tmp_path / name}: {reason}; wsd ctl cannot reach this daemon"]
