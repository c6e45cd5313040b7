"""
What chat costs: messages a second beside Prosody's own WebSockets, thousands of sessions, and logins under attack.

    python -m tests.bench.xmpp

Messages go one to one between pairs of clients, a few in flight, by wsd and by Prosody in turns, on one core: what
counts is how many a second of the server's CPU. Then so many sessions are logged in to one daemon, and its memory is
looked at. At last one address fails to log in a thousand times a second, while another one logs in well.

`make bench-xmpp` runs this; its status is 1 when messages are less than half as many as Prosody's, a session is lost,
or a good login takes more than 200 ms longer than without the attack.
"""

from __future__ import annotations

import argparse
import os
import resource
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon import RunningDaemon, runningDaemon
from tests.process.xmpp import OPEN, SASL, Client, message, prosody
from wsd.protocols.xmpp import credentials
from wsd.protocols.xmpp.sqlite import SqliteStore

PAIRS, IN_FLIGHT = 20, 16
LEAST_SHARE = 0.5
"""Of Prosody's messages a second."""
SESSIONS_OF_ONE = 20
RATE = 1000
"""Failed logins a second."""
MOST_DELAY = 0.2
"""Seconds that a good login may take longer for it."""
CONFIG = '[route."/xmpp"]\nanonymous = "never"\nstore = "{store}"\n'


def main() -> int:
    """Measure, and say whether all is as it should be."""
    parser = argparse.ArgumentParser(description="What chat costs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=5000)
    given = parser.parse_args()
    least = given.sessions + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(least, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),) * 2)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return not all([_messages(given.rounds), _sessions(given.sessions), _attack()])


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- messages ---------------------------------------------------------------------------------------------------------


class Pair:
    """Two who talk, and how many of the messages have arrived."""

    def __init__(self, url: str, number: int, register: bool) -> None:
        self.sender = Client(url).login(f"from{number}", register=register).come()
        self.receiver = Client(url).login(f"to{number}", register=register).come()
        text = message(self.receiver.jid, "x" * 64).encode()
        # A mask of zeros costs the server what any does.
        self.frame = bytes((0x81, 0xFE)) + len(text).to_bytes(2, "big") + bytes(4) + text
        self.arrived = 0
        self._rest = b""

    def read(self) -> int:
        """Read what is there, answer pings: how many messages it was."""
        data = self._rest + self.receiver.line.socket.recv(1 << 16)
        number, at = 0, 0
        while len(data) - at >= 2:
            size, start = data[at + 1] & 127, at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            if start + size > len(data):
                break
            if data[at] & 15 == 9:
                self.receiver.line.socket.sendall(bytes((0x8A, 0x80 | size)) + bytes(4) + data[start : start + size])
            else:
                number += data.startswith(b"<message", start)
            at = start + size
        self._rest = data[at:]
        self.arrived += number
        return number


def _talk(pairs: list[Pair], pid: int, seconds: float) -> float:
    """Messages a second of the server's CPU."""
    selector = selectors.DefaultSelector()
    for pair in pairs:
        selector.register(pair.receiver.line.socket, selectors.EVENT_READ, pair)
        pair.sender.line.socket.sendall(pair.frame * IN_FLIGHT)
    arrived, cpu, end = 0, _cpu(pid), time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in selector.select(1):
            number = key.data.read()
            arrived += number
            key.data.sender.line.socket.sendall(key.data.frame * number)
    cpu = _cpu(pid) - cpu
    due = IN_FLIGHT * len(pairs)
    while due:
        ready = selector.select(5)
        assert ready, "messages were lost"
        due -= sum(key.data.read() for key, _ in ready)
    return arrived / cpu


def _messages(rounds: int) -> bool:
    """Whether wsd carries at least half as many as Prosody."""
    users = [f"{side}{number}" for number in range(PAIRS) for side in ("from", "to")]
    with tempfile.TemporaryDirectory() as folder, prosody(Path(folder)) as other, _daemon(*users) as daemon:
        os.sched_setaffinity(other.pid, {0})
        servers = {
            "wsd": (f"ws://127.0.0.1:{daemon.port()}/xmpp", daemon.process.pid),
            "Prosody": (f"ws://127.0.0.1:{other.second}/xmpp-websocket", other.pid),
        }
        pairs = {
            name: [Pair(url, number, name != "wsd") for number in range(PAIRS)] for name, (url, _) in servers.items()
        }
        rates: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, (_, pid) in servers.items():
                rates[name].append(_talk(pairs[name], pid, 2))
    ours, theirs = (statistics.median(rates[name]) for name in ("wsd", "Prosody"))
    print(f"messages a second of a core's time: wsd {ours:.0f}, Prosody {theirs:.0f} (x{ours / theirs:.2f})")
    return ours >= LEAST_SHARE * theirs


@contextmanager
def _daemon(*users: str) -> Iterator[RunningDaemon]:
    """A daemon that knows these users."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "xmpp.sqlite"
        store, keys = SqliteStore(path), credentials.derive("secret")
        with store.transaction():
            for user in users:
                credentials.add(store, f"{user}@localhost", keys)
        store.close()
        with runningDaemon(config=CONFIG.format(store=path), prefix=("taskset", "-c", "0")) as daemon:
            yield daemon


# -- sessions ---------------------------------------------------------------------------------------------------------


def _sessions(number: int) -> bool:
    """Whether so many are logged in on one process, each of which is still answered."""
    users = number // SESSIONS_OF_ONE
    with _daemon(*(f"u{user}" for user in range(users))) as daemon:
        url = f"ws://127.0.0.1:{daemon.port()}/xmpp"
        before, cpu = daemon.memory, _cpu(daemon.process.pid)
        clients = [Client(url).login(f"u{each % users}", resource=f"r{each}") for each in range(number)]
        cpu = (_cpu(daemon.process.pid) - cpu) / number
        ping = "<ping xmlns='urn:xmpp:ping'/>"
        answered = sum(client.ask("get", ping, "localhost").get("type") == "result" for client in clients)
        grown = (daemon.memory - before) / number / 1024
        print(
            f"{answered} of {number} sessions answer; {grown:.1f} KiB of memory a session, "
            f"{cpu * 1000:.2f} ms of CPU a login"
        )
        for client in clients:
            client.cut()
    return answered == number


# -- logins under attack ----------------------------------------------------------------------------------------------


def _attack() -> bool:
    """Whether a good login is not delayed by a thousand bad ones a second."""
    with _daemon("good") as daemon:
        url = f"ws://127.0.0.1:{daemon.port()}/xmpp"
        calm = _logins(url)
        stop = threading.Event()
        tried: list[int] = [0]
        attacker = threading.Thread(target=_fail, args=(daemon.port(), stop, tried))
        attacker.start()
        time.sleep(2)
        attacked, began = tried[0], time.monotonic()
        under = _logins(url)
        rate = (tried[0] - attacked) / (time.monotonic() - began)
        stop.set()
        attacker.join()
    print(
        f"a good login: {1000 * statistics.median(calm):.0f} ms, at most {1000 * max(calm):.0f}; "
        f"under {rate:.0f} bad ones a second of another address {1000 * statistics.median(under):.0f} ms, "
        f"at most {1000 * max(under):.0f}"
    )
    return max(under) - statistics.median(calm) <= MOST_DELAY and rate >= RATE * 0.8


def _logins(url: str) -> list[float]:
    took = []
    for _ in range(30):
        began = time.monotonic()
        Client(url, "127.0.0.1").login("good").cut()
        took.append(time.monotonic() - began)
        time.sleep(0.1)
    return took


def _fail(port: int, stop: threading.Event, tried: list[int]) -> None:
    """Try so many wrong passwords a second, five on a connection, without waiting for what is said to them."""
    plain = b64encode(b"\0good\0wrong").decode()
    said = [OPEN, *[f"<auth xmlns='{SASL}' mechanism='PLAIN'>{plain}</auth>"] * 5]
    frames = b"".join(bytes((0x81, 0xFE)) + len(each).to_bytes(2, "big") + bytes(4) + each.encode() for each in said)
    head = (
        f"GET /xmpp HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()
    began, number = time.monotonic(), 0
    opened: list[socket.socket] = []
    while not stop.is_set():
        while number < (time.monotonic() - began) * RATE / 5:
            connection = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0))
            connection.sendall(head + frames)
            opened.append(connection)
            number += 1
            tried[0] += 5
            if len(opened) > 800:
                opened.pop(0).close()
        time.sleep(0.005)
    for connection in opened:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
