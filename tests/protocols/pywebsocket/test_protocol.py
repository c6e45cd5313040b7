"""The connection of a handler: what it is told of frames that break the rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.logger import capturedLogs

from tests.wire import Daemon
from wsd.protocols.pywebsocket.options import HandlerOptions
from wsd.protocols.pywebsocket.protocol import HandlerFactory

ECHO = """
async def web_socket_do_extra_handshake(request):
    pass

async def web_socket_transfer_data(request):
    try:
        async for message in request.ws_stream:
            await request.ws_stream.send_message(message)
    except BaseException as error:
        open({file!r}, "w").write(type(error).__name__)
        raise
"""

FAULTS = {
    "an unknown data frame": ("83 80 00000000", 1003, "UnsupportedFrameException"),
    "the last unknown data frame": ("87 80 00000000", 1003, "UnsupportedFrameException"),
    "an unknown control frame": ("8b 80 00000000", 1003, "UnsupportedFrameException"),
    "the last unknown control frame": ("8f fd 00000000", 1003, "UnsupportedFrameException"),
    "a reserved bit": ("a1 80 00000000", 1003, "UnsupportedFrameException"),
    "a reserved bit and no mask": ("a1 00", 1003, "UnsupportedFrameException"),
    "the bit of deflate, which was not agreed on": ("c1 80 00000000", 1003, "UnsupportedFrameException"),
    "no mask": ("81 00", 1002, "InvalidFrameException"),
    "an unknown frame without a mask": ("83 00", 1002, "InvalidFrameException"),
    "an unknown control frame that is too long": ("8b fe 007e 00000000", 1002, "InvalidFrameException"),
    "an unknown control frame in fragments": ("0b 80 00000000", 1002, "InvalidFrameException"),
    "a ping in fragments": ("09 80 00000000", 1002, "InvalidFrameException"),
    "a continuation of nothing": ("80 80 00000000", 1002, "InvalidFrameException"),
    "a text that is not UTF-8": ("81 81 00000000 ff", 1007, "InvalidUTF8Exception"),
}


@pytest.mark.parametrize(("frame", "code", "error"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_an_exception_of_the_handler_and_a_close_code(
    tmp_path: Path, frame: str, code: int, error: str
) -> None:
    told = tmp_path / "told"
    (tmp_path / "echo_wsh.py").write_text(ECHO.format(file=str(told)))
    daemon = Daemon({"/*": HandlerFactory}, options=HandlerOptions(handlers=str(tmp_path)))
    client = daemon.open("/echo")
    answer = client.wire.exchange(bytes.fromhex(frame))
    assert answer[:1] == b"\x88"
    assert int.from_bytes(answer[2:4], "big") == code
    assert told.read_text() == error


STUBBORN = """
async def web_socket_do_extra_handshake(request):
    pass

async def web_socket_transfer_data(request):
    for _ in range(3):
        try:
            await request.ws_stream.receive_message()
        except Exception as error:
            print(type(error).__name__, file=open({file!r}, "a"))
"""


def test_a_handler_that_goes_on_after_a_fault_is_told_of_the_end(tmp_path: Path) -> None:
    told = tmp_path / "told"
    (tmp_path / "stubborn_wsh.py").write_text(STUBBORN.format(file=str(told)))
    daemon = Daemon({"/*": HandlerFactory}, options=HandlerOptions(handlers=str(tmp_path)))
    client = daemon.open("/stubborn")
    client.wire.exchange(bytes.fromhex("8180 00000000 83 80 00000000"))
    client.wire.close()
    assert told.read_text().split() == ["UnsupportedFrameException", "ConnectionTerminatedException"]


BROKEN = """
async def web_socket_do_extra_handshake(request):
    pass

def broken():
    raise ValueError

async def web_socket_transfer_data(request):
    broken()
"""


def test_an_exception_is_logged_with_the_line_that_raised_it(tmp_path: Path) -> None:
    (tmp_path / "broken_wsh.py").write_text(BROKEN)
    daemon = Daemon({"/*": HandlerFactory}, options=HandlerOptions(handlers=str(tmp_path)))
    with capturedLogs() as events:
        daemon.open("/broken")
    assert [event["line"] for event in events if event.get("event") == "handler.error"] == [6]
