"""The listeners of a new configuration beside those that listen now."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from wsd.config import Config
from wsd.listen.bind import bind
from wsd.listen.endpoints import CannotListen
from wsd.listen.handed import HandedSockets
from wsd.listen.listener import Listener
from wsd.listen.rebinding import rebind

NONE = HandedSockets([], [])


def config(*listen: str, port: int | None = None) -> Config:
    return Config(port=port, host=("127.0.0.1",), listen=listen)


@pytest.fixture
def passed() -> Iterator[list[Listener]]:
    """A listener at a socket of systemd's."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        handed = HandedSockets.from_([("web", os.dup(held.fileno()))], [])
        listeners, _ = bind(config("systemd:name=web"), {}, handed)
        yield listeners
        for listener in listeners:
            listener.close()


def test_a_socket_of_systemd_is_kept_whatever_else_changes_about_it(passed: list[Listener]) -> None:
    for listen in (("systemd:name=web:proxy=true",), ("systemd:index=0",), ()):
        rebound = rebind(config(*listen, port=None if listen else 1), passed)
        assert rebound.listeners == passed
        assert (rebound.added, rebound.removed) == ([], [])
    assert passed[0].descriptor is not None
    assert not os.get_blocking(passed[0].descriptor)


def test_one_that_systemd_does_not_have_refuses_and_closes_nothing(passed: list[Listener]) -> None:
    with pytest.raises(CannotListen, match=r"systemd passed no such socket.*it passed 0 \(web\)"):
        rebind(config("systemd:name=other"), passed)
    assert passed[0].socket is not None
    assert passed[0].socket.getsockname()[1] > 0


def test_a_free_port_stays_the_one_that_was_found() -> None:
    listeners, _ = bind(config(port=0), {}, NONE)
    with closing(listeners[0]):
        assert rebind(config(port=0), listeners).listeners == listeners


def test_none_is_left_of_what_was_bound_if_another_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "wsd.sock"
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port} on 127.0.0.1 is in use by another program"):
            rebind(config(f"unix:{path}", f"tcp:{port}:interface=127.0.0.1"), [])
    assert not path.exists()


def test_the_path_of_one_that_listens_stays_if_another_cannot_be_bound(tmp_path: Path) -> None:
    path = tmp_path / "wsd.sock"
    listeners, _ = bind(config(f"unix:{path}"), {}, NONE)
    with closing(listeners[0]), closing(socket.create_server(("127.0.0.1", 0))) as taken:
        with pytest.raises(CannotListen):
            rebind(config(f"unix:{path}", f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"), listeners)
        assert path.exists()


def test_what_was_bound_is_gone_if_the_reload_is_refused_for_another_reason(tmp_path: Path) -> None:
    path = tmp_path / "wsd.sock"
    rebound = rebind(config(f"unix:{path}"), [])
    assert path.exists()
    rebound.close()
    assert not path.exists()


def test_two_of_the_new_ones_at_one_place_are_refused_although_the_port_is_ours() -> None:
    listeners, _ = bind(config(port=0), {}, NONE)
    with closing(listeners[0]):
        assert listeners[0].socket is not None
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(CannotListen, match="would both listen at"):
            rebind(config(f"tcp:{port}:interface=127.0.0.1", f"tcp:{port}"), listeners)
