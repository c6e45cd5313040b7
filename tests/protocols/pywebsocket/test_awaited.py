"""A handler that is a coroutine runs on the reactor, and so lets the others have their turn however much it sends."""

from __future__ import annotations

from pathlib import Path

from tests.connection.test_large import turn
from tests.wire import Daemon
from wsd.config import Policies
from wsd.protocols.pywebsocket.options import HandlerOptions
from wsd.protocols.pywebsocket.protocol import HandlerFactory

FLOOD = """
async def web_socket_do_extra_handshake(request):
    pass

async def web_socket_transfer_data(request):
    for number in range(100_000):
        await request.ws_stream.send_message(b"", binary=True)
"""


def test_a_handler_that_sends_without_end_is_not_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "flood_wsh.py").write_text(FLOOD)
    policies = Policies(ping_interval=0, high_water=1 << 24, max_unsent=1 << 26)
    daemon = Daemon({"/*": HandlerFactory}, policies, options=HandlerOptions(handlers=str(tmp_path)))
    client = daemon.connect()
    client.socket.send(
        b"GET /flood HTTP/1.1\r\nHost: localhost:9998\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
    )
    client.transport.doRead()
    traffic = daemon.factories["/*"].counters.traffic
    sent = [traffic.messagesOut]
    for _ in range(3):
        turn(daemon)
        sent.append(traffic.messagesOut)
    assert sent[0] < sent[1] < sent[2] < sent[3] < 100_000
