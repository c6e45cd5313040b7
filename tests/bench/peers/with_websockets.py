"""websockets, on asyncio's own loop or on uvloop."""

from __future__ import annotations

import asyncio

from asked import BACKLOG, LARGEST, asked, context, listening, run
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

connected: set[ServerConnection] = set()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def everyone(connection: ServerConnection) -> None:
    connected.add(connection)
    try:
        async for message in connection:
            broadcast(connected, message)
    except ConnectionClosed:
        pass
    finally:
        connected.discard(connection)


async def main() -> None:
    answer, compression = everyone if asked.fanout else echo, "deflate" if asked.deflate else None
    async with serve(
        answer, "127.0.0.1", 0, compression=compression, max_size=LARGEST, ssl=context(), backlog=BACKLOG
    ) as server:
        listening(next(iter(server.sockets)).getsockname()[1])
        await asyncio.Event().wait()


run(main())
