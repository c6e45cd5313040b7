"""Bytes come back, on uvloop: no WebSocket. What a server in Python can hardly be below."""

from __future__ import annotations

import asyncio

from asked import BACKLOG, listening, run


class Raw(asyncio.Protocol):
    """What is read is written."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Raw, "127.0.0.1", 0, backlog=BACKLOG)
    listening(server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


run(main())
