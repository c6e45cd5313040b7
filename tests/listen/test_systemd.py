"""What systemd gives and is told: sd_listen_fds(3) and sd_notify(3)."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from wsd.listen.systemd import NotListening, Systemd, adopt, inherited

OWN = str(os.getpid())


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """The end of the notify socket that systemd reads."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
        reader.bind(str(tmp_path / "notify"))
        reader.settimeout(5)
        yield reader


def toldBy(reader: socket.socket, clock: Clock | None = None) -> Systemd:
    return Systemd({"NOTIFY_SOCKET": reader.getsockname()}, clock or Clock())


def filled(reader: socket.socket) -> int:
    """Send messages to a socket until no more fit. Returns how many these are."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as writer:
        writer.setblocking(False)
        for count in itertools.count():
            try:
                writer.sendto(b"other", reader.getsockname())
            except BlockingIOError:
                return count
    raise AssertionError


class TestDescriptors:
    """What was passed, read from LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES."""

    def test_begin_at_3_and_have_their_names(self) -> None:
        environ = {"LISTEN_PID": OWN, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "four:six"}
        assert inherited(environ) == [("four", 3), ("six", 4)]

    def test_of_one_name_are_kept_apart(self) -> None:
        environ = {"LISTEN_PID": OWN, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "wsd:wsd"}
        assert inherited(environ) == [("wsd", 3), ("wsd", 4)]

    @pytest.mark.parametrize(
        ("names", "read"), [(None, ["unknown", "unknown"]), ("a", ["a", "unknown"]), ("a:b:c", ["a", "b"])]
    )
    def test_are_as_many_as_was_said_whatever_the_names(self, names: str | None, read: list[str]) -> None:
        environ = {"LISTEN_PID": OWN, "LISTEN_FDS": "2", **({} if names is None else {"LISTEN_FDNAMES": names})}
        assert [name for name, _ in inherited(environ)] == read

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"LISTEN_FDS": "2"},
            {"LISTEN_PID": "1", "LISTEN_FDS": "2"},
            {"LISTEN_PID": OWN},
            {"LISTEN_PID": OWN, "LISTEN_FDS": "0"},
            {"LISTEN_PID": OWN, "LISTEN_FDS": "-1"},
            {"LISTEN_PID": OWN, "LISTEN_FDS": "two"},
        ],
    )
    def test_of_others_are_not_ours(self, environ: dict[str, str]) -> None:
        assert inherited(environ) == []

    @pytest.mark.parametrize("process", [OWN, "1"], ids=["ours", "not ours"])
    def test_are_not_told_to_children(self, process: str) -> None:
        environ = {"LISTEN_PID": process, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a", "HOME": "/"}
        inherited(environ)
        assert environ == {"HOME": "/"}


class TestAdopting:
    """A descriptor becomes a socket when it is one to accept connections from."""

    @pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
    def test_a_listening_stream_socket_of_each_family(self, family: socket.AddressFamily, tmp_path: Path) -> None:
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.bind(str(tmp_path / "s") if family == socket.AF_UNIX else ("", 0))
            listening.listen()
            with adopt(os.dup(listening.fileno())) as adopted:
                assert adopted.getsockname() == listening.getsockname()
                assert os.get_blocking(adopted.fileno()) is False

    def test_a_socket_that_does_not_listen_is_told(self) -> None:
        with socket.socket() as connected, pytest.raises(NotListening, match="Accept=no"):
            adopt(connected.fileno())

    def test_a_datagram_socket_is_told(self) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as datagram, pytest.raises(NotListening, match="ListenStream="):
            adopt(datagram.fileno())

    def test_what_is_no_socket_is_told(self) -> None:
        with open("/dev/null") as file, pytest.raises(NotListening, match="is not a socket"):
            adopt(file.fileno())

    def test_what_is_not_open_is_told(self) -> None:
        with pytest.raises(NotListening, match="descriptor 1023 is not a socket"):
            adopt(1023)

    def test_what_is_refused_stays_open(self) -> None:
        with socket.socket() as connected:
            with pytest.raises(NotListening):
                adopt(connected.fileno())
            assert fcntl.fcntl(connected.fileno(), fcntl.F_GETFD) >= 0


class TestTelling:
    """The notify socket."""

    def test_a_state(self, told: socket.socket) -> None:
        assert toldBy(told).notify("READY=1") is True
        assert told.recv(4096) == b"READY=1"

    def test_a_state_with_a_sentence_on_one_line(self, told: socket.socket) -> None:
        toldBy(told).notify("READY=1", "not reloaded: x\nREADY=0")
        assert told.recv(4096) == b"READY=1\nSTATUS=not reloaded: x READY=0"

    def test_when_a_reload_began(self, told: socket.socket) -> None:
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        toldBy(told).notify("RELOADING=1")
        state, _, began = told.recv(4096).decode().partition("\nMONOTONIC_USEC=")
        assert state == "RELOADING=1"
        assert before <= int(began) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    def test_by_an_abstract_socket(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
            reader.bind("")
            reader.settimeout(5)
            name = reader.getsockname()
            assert name.startswith(b"\0")
            Systemd({"NOTIFY_SOCKET": f"@{name[1:].decode()}"}, Clock()).notify("STOPPING=1")
            assert reader.recv(4096) == b"STOPPING=1"

    @pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/nowhere/at/all"])
    def test_nobody_is_no_error(self, address: str) -> None:
        assert Systemd({"NOTIFY_SOCKET": address}, Clock()).notify("READY=1") is False
        assert Systemd({}, Clock()).notify("READY=1") is False

    def test_a_full_socket_does_not_hold_the_reactor(self, told: socket.socket) -> None:
        clock = Clock()
        systemd = toldBy(told, clock)
        waiting = filled(told)
        for state in ("RELOADING=1", "WATCHDOG=1", "READY=1", "WATCHDOG=1"):
            assert systemd.notify(state) is True
        clock.advance(1)
        assert [told.recv(4096) for _ in range(waiting)] == [b"other"] * waiting
        clock.advance(1)
        assert [told.recv(4096).partition(b"\n")[0] for _ in range(3)] == [b"RELOADING=1", b"READY=1", b"WATCHDOG=1"]
        assert not clock.getDelayedCalls()

    def test_a_message_waits_until_there_is_a_descriptor(
        self, told: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        systemd = toldBy(told, clock)

        def fail(*_: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patched:
            patched.setattr("wsd.listen.systemd.socket.socket", fail)
            assert systemd.notify("WATCHDOG=1") is True
        clock.advance(1)
        assert told.recv(4096) == b"WATCHDOG=1"

    def test_no_message_waits_for_a_systemd_that_is_gone(self, told: socket.socket) -> None:
        clock = Clock()
        systemd = toldBy(told, clock)
        filled(told)
        systemd.notify("READY=1")
        told.close()
        clock.advance(1)
        assert not clock.getDelayedCalls()
        assert systemd.notify("READY=1") is False

    def test_is_not_left_to_children(self, told: socket.socket) -> None:
        environ = {"NOTIFY_SOCKET": told.getsockname(), "WATCHDOG_USEC": "1", "WATCHDOG_PID": OWN, "HOME": "/"}
        systemd = Systemd(environ, Clock())
        assert environ == {"HOME": "/"}
        assert systemd.notify("READY=1") is True


class TestTheWatchdog:
    """WATCHDOG_USEC and WATCHDOG_PID."""

    @pytest.mark.parametrize(
        ("environ", "seconds"),
        [
            ({}, None),
            ({"WATCHDOG_USEC": "30000000"}, 30.0),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": OWN}, 0.5),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
            ({"WATCHDOG_USEC": "0"}, None),
            ({"WATCHDOG_USEC": "soon"}, None),
        ],
    )
    def test_is_ours_when_it_names_us_or_nobody(self, environ: dict[str, str], seconds: float | None) -> None:
        assert Systemd(environ, Clock()).watchdog == seconds
