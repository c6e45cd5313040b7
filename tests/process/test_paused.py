"""The daemon stands still for a while, as under SIGSTOP, in a paused machine, or behind a stalled disk."""

from __future__ import annotations

import asyncio
import signal

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.daemon import RunningDaemon, runningDaemon

CONFIG = """
[policies]
ping_interval = 0.3
ping_timeout = 1.5
"""
CLIENTS = 50


async def opened(daemon: RunningDaemon) -> list[ClientConnection]:
    url = f"ws://localhost:{daemon.port()}/echo"
    return [await connect(url, proxy=None, ping_interval=None) for _ in range(CLIENTS)]


async def pause(daemon: RunningDaemon, seconds: float) -> None:
    clients = await opened(daemon)
    # Pings are on their way all the time: some are answered while the daemon stands still.
    await asyncio.sleep(0.5)
    daemon.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    daemon.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(1)
    for client in clients:
        await client.send("here")
    for client in clients:
        assert await asyncio.wait_for(client.recv(), 30) == "here"
        await client.close()


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.soak)])
def test_no_client_is_closed_for_what_it_answered_meanwhile(seconds: int) -> None:
    with runningDaemon(config=CONFIG, mayHold=True) as daemon:
        asyncio.run(pause(daemon, seconds))
