"""The frames that are sent, to the byte (RFC 6455 5.2 and 5.4), on every plane."""

from __future__ import annotations

import struct
import sys
from types import FrameType
from typing import Any

import pytest
from autobahn.websocket.protocol import WebSocketProtocol

from tests.connection.test_bad_frames import frame
from tests.connection.test_limits import opened
from tests.every import EveryFactory
from tests.wire import Daemon, Wire


@pytest.fixture
def daemon() -> Daemon:
    return Daemon({"/": EveryFactory})


@pytest.fixture
def wire(daemon: Daemon) -> Wire:
    return opened(daemon)


def sent(wire: Wire, *message: Any, **how: Any) -> bytes:
    """The bytes that `send` sends."""
    wire.received = b""
    (connection,) = wire.daemon.connections
    connection.send(*message, **how)
    wire.serve()
    return wire.read()


def head(first: int, size: int) -> bytes:
    """The head of a frame, with its length in the shortest form (RFC 6455 5.2)."""
    if size < 126:
        return struct.pack("!BB", first, size)
    return struct.pack("!BBH", first, 126, size) if size < 65536 else struct.pack("!BBQ", first, 127, size)


class TestLengths:
    SIZES = (0, 1, 125, 126, 127, 16384, 16385, 65535, 65536)

    @pytest.mark.parametrize("size", SIZES)
    def test_of_bytes(self, wire: Wire, size: int) -> None:
        assert sent(wire, bytes(size)) == head(0x82, size) + bytes(size)

    @pytest.mark.parametrize("size", SIZES)
    def test_of_bytes_that_are_text(self, wire: Wire, size: int) -> None:
        assert sent(wire, b"x" * size, False) == head(0x81, size) + b"x" * size

    @pytest.mark.parametrize("size", SIZES)
    def test_of_a_string(self, wire: Wire, size: int) -> None:
        assert sent(wire, "x" * size) == head(0x81, size) + b"x" * size

    @pytest.mark.parametrize("size", SIZES)
    def test_of_an_answer(self, wire: Wire, size: int) -> None:
        assert wire.exchange(frame(0x82, bytes(size))) == head(0x82, size) + bytes(size)


@pytest.mark.parametrize(("size", "first"), [(127, 0x82), (128, 0xC2)])
def test_a_message_is_deflated_from_128_bytes_on(daemon: Daemon, size: int, first: int) -> None:
    assert sent(opened(daemon, deflates=True), bytes(size))[0] == first


class TestFragments:
    @pytest.mark.parametrize(
        ("payload", "fragment", "frames"),
        [
            (b"abc", 1, b"\x02\x01a\x00\x01b\x80\x01c"),
            (b"abc", 2, b"\x02\x02ab\x80\x01c"),
            (b"abcd", 2, b"\x02\x02ab\x80\x02cd"),
            (b"abc", 3, b"\x82\x03abc"),
            (b"abc", 0, b"\x82\x03abc"),
            (b"", 1, b"\x82\x00"),
        ],
    )
    def test_have_the_size_that_was_asked_for(self, wire: Wire, payload: bytes, fragment: int, frames: bytes) -> None:
        assert sent(wire, payload, fragment=fragment) == frames


def writes(wire: Wire, data: bytes) -> int:
    """The number of system calls that send the answer to this. Those of compiled code are not seen."""
    seen: list[str] = []

    def profile(code: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and getattr(called, "__self__", None) is wire.transport.socket:
            seen.append(called.__name__)

    sys.setprofile(profile)
    try:
        wire.exchange(data)
    finally:
        sys.setprofile(None)
    return sum(name in ("send", "sendmsg") for name in seen)


def test_what_one_read_is_answered_with_leaves_as_one(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("wsd.frames.fast", "wsd.connection.engine"):
        # However slow the machine is, the connection's turn is not over.
        monkeypatch.setattr(f"{module}.perf_counter", lambda: 0.0)
    assert writes(wire, frame(0x82, b"one") * 40) <= 1
    assert wire.read() == b"\x82\x03one" * 40


class TestReading:
    """Autobahn reads from a fault or a close frame on. A plane that reads by itself leaves it nothing before that."""

    @pytest.fixture
    def steps(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The steps of Autobahn's reading."""
        taken: list[str] = []
        own = WebSocketProtocol.processData

        def processData(self: WebSocketProtocol) -> bool:
            taken.append("step")
            return own(self)

        monkeypatch.setattr(WebSocketProtocol, "processData", processData)
        return taken

    @pytest.mark.parametrize(
        "said",
        [
            frame(0x82, b"one"),
            frame(0x02, b"on") + frame(0x00, b"e") + frame(0x80, b"!"),
            frame(0x01, "ü".encode()[:1]) + frame(0x80, "ü".encode()[1:]),
            frame(0x82, bytes(126)),
            frame(0x82, bytes(70000)),
            frame(0x89, b"ping") + frame(0x8A, b"pong"),
        ],
        ids=["a message", "fragments", "a character in two", "126 bytes", "70000 bytes", "ping and pong"],
    )
    @pytest.mark.parametrize("isCut", [False, True], ids=["at once", "in pieces"])
    def test_is_left_to_autobahn_on_the_plain_plane_alone(
        self, daemon: Daemon, plane: str, steps: list[str], said: bytes, isCut: bool
    ) -> None:
        wire = opened(daemon, chunk=max(3, len(said) // 20) if isCut else None)
        assert wire.exchange(said)
        assert bool(steps) is (plane == "plain")
