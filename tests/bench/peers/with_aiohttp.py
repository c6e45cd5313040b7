"""aiohttp, on asyncio's own loop or on uvloop."""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web
from asked import BACKLOG, LARGEST, asked, context, listening, run


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=asked.deflate, max_msg_size=LARGEST)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def main() -> None:
    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context(), backlog=BACKLOG)
    await site.start()
    listening(runner.addresses[0][1])
    await asyncio.Event().wait()


run(main())
