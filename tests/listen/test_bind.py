"""Listeners: bound before anything starts, each named in words a person can use when it cannot be."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import freePort
from wsd.config import Config, Tls
from wsd.listen.bind import bind
from wsd.listen.endpoints import CannotListen
from wsd.listen.listener import Listener


@pytest.fixture
def bound() -> Iterator[list[Listener]]:
    listeners: list[Listener] = []
    yield listeners
    for listener in listeners:
        listener.close()


def listen(bound: list[Listener], config: Config, environ: dict[str, str] | None = None) -> list[Listener]:
    listeners, _ = bind(config, environ or {})
    bound += listeners
    return listeners


def port(listener: Listener) -> int:
    assert listener.socket is not None
    return int(listener.socket.getsockname()[1])


class TestHostsAndPorts:
    """-p and -H."""

    def test_both_loopback_addresses_have_the_same_free_port(self, bound: list[Listener]) -> None:
        four, six = listen(bound, Config(port=0))
        assert port(four) == port(six)
        assert four.url == f"ws://127.0.0.1:{port(four)}/"
        assert six.url == f"ws://[::1]:{port(six)}/"
        assert not four.wide

    def test_a_host_for_everybody_is_wide(self, bound: list[Listener]) -> None:
        (listener,) = listen(bound, Config(port=0, host=("0.0.0.0",)))
        assert listener.wide

    def test_a_port_of_its_own_for_tls(self, bound: list[Listener]) -> None:
        plain, secure = listen(bound, Config(port=0, host=("127.0.0.1",), tls=Tls(port=0)))
        assert (plain.secure, secure.secure) == (False, True)
        assert secure.url.startswith("wss://127.0.0.1:")

    def test_a_taken_port_is_named(self, bound: list[Listener]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            with pytest.raises(CannotListen, match=f"port {number} on 127.0.0.1 is in use") as caught:
                listen(bound, Config(port=number))
        assert "\n" not in str(caught.value)

    def test_an_address_of_another_machine_is_named(self, bound: list[Listener]) -> None:
        with pytest.raises(CannotListen, match=r"203\.0\.113\.7.* not an address of this machine"):
            listen(bound, Config(port=0, host=("203.0.113.7",)))

    @pytest.mark.parametrize("host", ["a..b", "a" * 64])
    def test_a_name_that_cannot_be_looked_up_is_no_address_of_this_machine(
        self, bound: list[Listener], host: str
    ) -> None:
        with pytest.raises(CannotListen, match=f"host '{host}' is not an address of this machine"):
            listen(bound, Config(port=0, host=(host,)))

    def test_a_failure_closes_what_was_bound_before(self) -> None:
        number = freePort()
        with pytest.raises(CannotListen):
            bind(Config(port=number, host=("127.0.0.1", "203.0.113.7")), {})
        with socket.create_server(("127.0.0.1", number)):
            pass


class TestEndpointStrings:
    """--listen."""

    def test_tcp_with_an_interface(self, bound: list[Listener]) -> None:
        (listener,) = listen(bound, Config(port=None, listen=("tcp:0:interface=127.0.0.1",)))
        assert listener.url == f"ws://127.0.0.1:{port(listener)}/"

    def test_tcp_over_ipv6_with_escaped_colons(self, bound: list[Listener]) -> None:
        (listener,) = listen(bound, Config(port=None, listen=(r"tcp:0:interface=\:\:1",)))
        assert listener.url.startswith("ws://[::1]:")

    def test_unix_with_a_mode(self, bound: list[Listener], tmp_path: Path) -> None:
        path = tmp_path / "wsd.sock"
        (listener,) = listen(bound, Config(port=None, listen=(f"unix:{path}:mode=600",)))
        assert listener.url == f"ws+unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_socket_that_was_left_behind_is_replaced(self, bound: list[Listener], tmp_path: Path) -> None:
        path = tmp_path / "wsd.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        (listener,) = listen(bound, Config(port=None, listen=(f"unix:{path}",)))
        assert listener.socket is not None

    def test_one_at_which_somebody_answers_is_not(self, bound: list[Listener], tmp_path: Path) -> None:
        path = tmp_path / "wsd.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            with pytest.raises(CannotListen, match="another program is listening"):
                listen(bound, Config(port=None, listen=(f"unix:{path}",)))
        assert path.exists()

    def test_a_file_that_is_no_socket_stays(self, bound: list[Listener], tmp_path: Path) -> None:
        path = tmp_path / "precious"
        path.write_text("data")
        with pytest.raises(CannotListen, match="precious"):
            listen(bound, Config(port=None, listen=(f"unix:{path}",)))
        assert path.read_text() == "data"

    @pytest.mark.parametrize("place", ["tcp:0:interface=127.0.0.1", r"tcp6:0:interface=\:\:1", "unix:{}/wsd.sock"])
    @pytest.mark.parametrize(("part", "proxied"), [("", None), (":proxy=true", True), (":proxy=false", False)])
    def test_each_may_say_whether_connections_begin_with_a_proxy_header(
        self, bound: list[Listener], tmp_path: Path, place: str, part: str, proxied: bool | None
    ) -> None:
        string = place.format(tmp_path) + part
        plain, secure = listen(bound, Config(port=None, listen=(string,))), []
        if place.startswith("tcp"):
            secure = listen(bound, Config(port=None, tls=Tls(listen=(string,))))
        assert {listener.proxied for listener in [*plain, *secure]} == {proxied}

    @pytest.mark.parametrize(
        "string",
        [
            "tcp:0:proxy=on",
            "unix:/x:proxy=",
            "tcp:",
            "tcp:http",
            "tcp:0:colour=red",
            "tcp:1:2",
            "unix:",
            "unix:/x:mode=9",
            "bogus:1",
            "systemd:x",
        ],
    )
    def test_a_string_that_is_wrong_is_named(self, bound: list[Listener], string: str) -> None:
        with pytest.raises(CannotListen) as caught:
            listen(bound, Config(port=None, listen=(string,)))
        assert repr(string) in str(caught.value)


class TestInheritedSockets:
    """systemd's, in the order in which they were passed."""

    def test_without_any_the_sentence_says_so(self, bound: list[Listener]) -> None:
        with pytest.raises(CannotListen, match="passed none"):
            listen(bound, Config(port=None, listen=("systemd:index=0",)))

    def test_those_of_another_process_are_not_ours(self, bound: list[Listener]) -> None:
        environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}
        with pytest.raises(CannotListen, match="passed none"):
            listen(bound, Config(port=None, listen=("systemd:index=0",)), environ)
