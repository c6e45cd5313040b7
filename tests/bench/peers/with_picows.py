"""picows on uvloop."""

from __future__ import annotations

import asyncio

from asked import BACKLOG, LARGEST, asked, context, listening, run
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


class Echo(WSListener):
    """A frame comes back."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in DATA:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())
        elif frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


everyone: set[WSTransport] = set()


class Everyone(Echo):
    """A frame goes to all."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        everyone.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        everyone.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type not in DATA:
            super().on_ws_frame(transport, frame)
            return
        kind, payload = frame.msg_type, frame.get_payload_as_bytes()
        for each in everyone:
            each.send(kind, payload)


async def main() -> None:
    listener = Everyone if asked.fanout else Echo
    server = await ws_create_server(
        lambda request: listener(), "127.0.0.1", 0, max_frame_size=LARGEST, ssl=context(), backlog=BACKLOG
    )
    listening(server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


run(main())
