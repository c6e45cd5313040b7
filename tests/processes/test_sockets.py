"""The sockets of workers: one for each at the same address, or one for all."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock

from wsd.config import parse
from wsd.listen.bind import bind
from wsd.listen.checking import check
from wsd.listen.endpoints import CannotListen
from wsd.listen.handed import HandedSockets
from wsd.processes.channel import ChannelMessage
from wsd.processes.sockets import SharedListener, bindShared, listenersFor, receiveListeners
from wsd.protocols import optionsOf
from wsd.service.checking import check as checkAll

TOP = 'workers = 3\nport = 0\nhost = "127.0.0.1"\nbuilt_in = false\n'


def shared(text: str = TOP) -> list[SharedListener]:
    return bindShared(parse(text, optionsOf), {}, HandedSockets([], []))


def accepted(sockets: tuple[socket.socket, ...]) -> list[int]:
    """How many connections wait in each."""
    counts: list[int] = []
    for each in sockets:
        counts.append(0)
        while True:
            try:
                each.accept()[0].close()
            except BlockingIOError:
                break
            counts[-1] += 1
    return counts


def test_tcp_has_one_for_each_worker_and_the_kernel_shares_connections_evenly() -> None:
    (listener,) = shared()
    place = listener.sockets[0].getsockname()
    assert [each.getsockname() for each in listener.sockets] == [place] * 3
    clients = [socket.create_connection(place) for _ in range(900)]
    counts = accepted(listener.sockets)
    assert sum(counts) == 900
    assert min(counts) > 200, counts
    for client in clients:
        client.close()
    listener.close()


def test_another_program_cannot_take_the_port_even_if_it_shares_too() -> None:
    (listener,) = shared()
    port = listener.sockets[0].getsockname()[1]
    for text in (TOP, TOP.replace("workers = 3", "workers = 1")):
        with pytest.raises(CannotListen, match="in use"):
            bindShared(parse(text.replace("port = 0", f"port = {port}"), optionsOf), {}, HandedSockets([], []))
    listener.close()
    (again,), _ = bind(parse(TOP.replace("port = 0", f"port = {port}"), optionsOf), {})
    again.close()


def test_a_unix_socket_is_the_same_for_all_and_its_path_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "wsd.sock"
    (listener,) = shared(f'workers = 3\nlisten = "unix:{path}"\n')
    assert len({listener.socketFor(number) for number in range(3)}) == 1
    listener.close()
    assert not path.exists()


def test_a_worker_gets_what_the_parent_has_bound(tmp_path: Path) -> None:
    both = shared(f'{TOP}listen = ["unix:{tmp_path}/wsd.sock", "tcp:0:interface=127.0.0.1:proxy=true"]\n')
    fields, descriptors = listenersFor(both, 1)
    duplicates = tuple(socket.dup(each) for each in descriptors)
    received = receiveListeners(ChannelMessage("start", {"listeners": fields}, b"", duplicates))
    assert [each.url for each in received] == [each.listener.url for each in both]
    assert [each.proxied for each in received] == [each.listener.proxied for each in both]
    assert {each.url.partition(":")[0]: each.shared for each in received} == {"ws": False, "ws+unix": True}
    assert all(each.inherited for each in received), "no worker removes the path"
    for each in received:
        each.close()
    for listener in both:
        listener.close()


def test_an_endpoint_of_another_kind_cannot_be_shared() -> None:
    config = parse('workers = 2\nlisten = "haproxy:tcp:0"\nbuilt_in = false\n', optionsOf)
    sentence = "cannot be shared by several workers; use tcp, unix or systemd, or workers = 1"
    with pytest.raises(CannotListen, match=sentence):
        bindShared(config, {}, HandedSockets([], []))
    with pytest.raises(CannotListen, match=sentence):
        check(config)
    assert any(sentence in fault for fault in checkAll(config, MemoryReactorClock(), {}).faults)
