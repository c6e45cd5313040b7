"""The rate of an address with two real workers: connections to both together get what one may have."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.commands import until
from tests.daemon import RunningDaemon, runningDaemon

RATE, SECONDS = 50, 4.0
CONFIG = f"""\
workers = 2
trusted_proxies = "127.0.0.1"

[policies]
messages_per_second_per_address = {RATE}
"""


def openBoth(daemon: RunningDaemon, stack: ExitStack) -> list[ClientConnection]:
    """Connections of one address, of which each worker has some."""
    url, fields = f"ws://127.0.0.1:{daemon.port()}/echo", {"X-Forwarded-For": "203.0.113.7"}
    clients: list[ClientConnection] = []

    def areBoth() -> bool:
        clients.append(stack.enter_context(connect(url, additional_headers=fields, proxy=None, close_timeout=1)))
        return all(any(f"w{number} [" in line for line in daemon.lines if "opened" in line) for number in (0, 1))

    until(areBoth, "connections to both workers")
    return clients


def test_the_rate_holds_for_both_together() -> None:
    with runningDaemon(config=CONFIG) as daemon, ExitStack() as stack:
        clients = openBoth(daemon, stack)
        echoed = [0] * len(clients)

        def talk(number: int, end: float) -> None:
            client = clients[number]
            try:
                while time.monotonic() < end:
                    client.send("x")
                    client.recv(timeout=max(0.01, end - time.monotonic()))
                    echoed[number] += 1
            except (TimeoutError, ConnectionClosed):
                pass

        end = time.monotonic() + SECONDS
        threads = [threading.Thread(target=talk, args=(number, end)) for number in range(len(clients))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    # What one second's worth of each worker, and those 4 seconds, come to; two separate rates would be 500.
    assert sum(echoed) <= RATE * (SECONDS + 2) + RATE
