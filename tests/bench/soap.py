"""
What a validated call of 1 KiB costs, in text and in binary, beside what it costs Spyne and npm's soap over HTTP.

    python -m tests.bench.soap

In one run, in turns, from one client that costs little: a text, and a list of typed values, each given back. wsd has 64
calls at a time, over one WebSocket and over 64, in SOAP 1.2 with addressing, and validates answers too. The others are
asked over connections of HTTP that are kept, in SOAP 1.1: npm's soap, which validates nothing, over 64; Spyne, which
validates what it is asked, over 4, since with more it takes a multiple. Then WCF's own client asks (`dotnet`).

`make bench-soap` runs this; its status is 1 when wsd, over one, answers fewer than 1,500 calls in a second of a core's
time, or takes more than a third of the time of either, or in binary more than 1.3 of what it takes in text.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

from tests.bench import build, dotnet
from tests.bench.cost import spent
from tests.daemon import runningDaemon
from wsd.protocols.soap.encodings.nbfse import BinarySession

CALLS = 64
"""Of wsd and of npm's soap, at a time."""
LEAST_RATE = 1500
"""Calls in a second of a core's time."""
MOST_SHARE = 1 / 3
"""Of the time that a call takes the others."""
MOST_BINARY = 1.3
"""In binary, of the time that a call takes in text."""
SIZE = 1024
CONFIG = '[route."/bench"]\nprotocol = "soap"\nservice = "wsd_bench_soap:bench"\n'
S11 = "http://schemas.xmlsoap.org/soap/envelope/"
S12 = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"

_LINE = "<lines><item>item {0:03}</item><amount>{0}</amount><price>{0}.25</price><day>2026-01-31</day></lines>"


def body(operation: str, size: int) -> str:
    """A request, so that its envelope is about this large."""
    room = size - 220
    lines = "".join(_LINE.format(number) for number in range(room // len(_LINE)))
    content = f"<text>{'x' * room}</text>" if operation == "Echo" else lines
    return f'<{operation} xmlns="urn:bench">{content}</{operation}>'


def envelope(operation: str) -> str:
    """A request with addressing."""
    header = f"<a:Action>urn:bench:Bench:{operation}Request</a:Action><a:MessageID>urn:n:1</a:MessageID>"
    return (
        f'<s:Envelope xmlns:s="{S12}" xmlns:a="{WSA}"><s:Header>{header}</s:Header>'
        f"<s:Body>{body(operation, SIZE - 150)}</s:Body></s:Envelope>"
    )


def frame(first: int, message: bytes) -> bytes:
    """A message as a frame, masked with zeros, which costs the server what any mask does."""
    return bytes((first, 0xFE)) + len(message).to_bytes(2, "big") + bytes(4) + message


def byWebSocket(operation: str) -> tuple[bytes, bytes]:
    """The first request of a connection as a frame, and all others."""
    request = frame(0x81, envelope(operation).encode())
    return request, request


def byBinary(operation: str) -> tuple[bytes, bytes]:
    """The same in a binary session: the first one has the names."""
    session = BinarySession(0)
    return frame(0x82, session.write(envelope(operation))), frame(0x82, session.write(envelope(operation)))


def byHttp(operation: str) -> tuple[bytes, bytes]:
    """The same by POST."""
    content = f'<s:Envelope xmlns:s="{S11}"><s:Body>{body(operation, SIZE)}</s:Body></s:Envelope>'
    request = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml; charset=utf-8\r\n"
        f'SOAPAction: "urn:bench:Bench:{operation}Request"\r\nContent-Length: {len(content)}\r\n\r\n{content}'
    ).encode()
    return request, request


def frameEnd(data: bytes) -> int:
    """Where an answer ends, 0 for one that is not whole."""
    if len(data) < 4:
        return 0
    end = 4 + int.from_bytes(data[2:4], "big") if data[1] == 126 else 2 + data[1]
    return end if len(data) >= end else 0


def responseEnd(data: bytes) -> int:
    """The same of HTTP."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return 0
    if b"chunked" in head.lower():
        return len(data) if data.endswith(b"0\r\n\r\n") else 0
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return len(head) + 4 + length if len(rest) >= length else 0


class Server(NamedTuple):
    """One that is measured: over how many connections, with how many calls of each at a time."""

    pid: int
    port: int
    connections: int
    calls: int = 1
    isHttp: bool = True
    isBinary: bool = False


class Load:
    """Connections that ask again as soon as they are answered, each with a few calls at a time."""

    def __init__(self, server: Server, operation: str) -> None:
        requests = byHttp if server.isHttp else byBinary if server.isBinary else byWebSocket
        first, self._request = requests(operation)
        hello = HELLO.replace(b"\r\n\r\n", BINARY) if server.isBinary else HELLO
        self._end = responseEnd if server.isHttp else frameEnd
        self._selector = selectors.DefaultSelector()
        self._data: dict[socket.socket, bytes] = {}
        for _ in range(server.connections):
            each = socket.create_connection(("127.0.0.1", server.port))
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not server.isHttp:
                each.sendall(hello)
                assert each.recv(4096).startswith(b"HTTP/1.1 101")
            self._data[each] = b""
            self._selector.register(each, selectors.EVENT_READ)
            each.sendall(first + self._request * (server.calls - 1))

    def run(self, seconds: float) -> int:
        """How many answers came."""
        answered, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            for key, _ in self._selector.select(1):
                each: socket.socket = key.fileobj  # type: ignore[assignment]
                data = self._data[each] + each.recv(1 << 20)
                if b"Fault" in data or b"violates" in data:
                    raise SystemExit(f"bench: this is no answer: {data[:2000]!r}")
                came = 0
                while end := self._end(data):
                    data = data[end:]
                    came += 1
                self._data[each] = data
                answered += came
                if came:
                    each.sendall(self._request * came)
        return answered

    def close(self) -> None:
        """Leave."""
        self._selector.close()
        for each in self._data:
            each.close()


HELLO = (
    b"GET /bench HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: soap\r\n\r\n"
)
BINARY = b"\r\nsoap-content-type: application/soap+msbinsession1\r\nmicrosoft-binary-transfer-mode: Buffered\r\n\r\n"


def measured(server: Server, operation: str, seconds: float) -> float:
    """Microseconds of a core that a call takes."""
    load = Load(server, operation)
    load.run(seconds / 2)
    before = spent(server.pid)
    answered = load.run(seconds)
    cost = (spent(server.pid) - before) / answered * 1e6
    load.close()
    return cost


@contextmanager
def peer(*command: str | Path) -> Iterator[tuple[int, int]]:
    """The process and the port of one that it is measured against."""
    environ = {**os.environ, "NODE_PATH": str(build.modules())}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline().split()[1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> int:
    """Measure, and say whether all is as it should be."""
    parser = argparse.ArgumentParser(description="Ask wsd, Spyne and npm's soap for the same.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    costs: dict[tuple[str, str], list[float]] = {}
    environ = {"PYTHONPATH": f"{build.ROOT}:{build.HERE / 'entry'}"}
    with ExitStack() as stack:
        daemon = stack.enter_context(runningDaemon(config=CONFIG, environ=environ))
        contract = daemon.folder / "bench.wsdl"
        with urlopen(f"http://127.0.0.1:{daemon.port()}/bench?wsdl&transport=http") as answer:
            contract.write_bytes(answer.read())
        servers = {
            "wsd": Server(daemon.process.pid, daemon.port(), 1, CALLS, isHttp=False),
            "wsd binary": Server(daemon.process.pid, daemon.port(), 1, CALLS, isHttp=False, isBinary=True),
            f"wsd x{CALLS}": Server(daemon.process.pid, daemon.port(), CALLS, isHttp=False),
            "Spyne": Server(*stack.enter_context(peer(build.spyne(), build.PEERS / "with_spyne.py")), 4),
            "npm's soap": Server(*stack.enter_context(peer("node", build.PEERS / "with_soap.cjs", contract)), CALLS),
        }
        for _ in range(given.rounds):
            for operation in ("Echo", "Order"):
                for name, server in servers.items():
                    cost = measured(server, operation, given.seconds)
                    costs.setdefault((operation, name), []).append(cost)
    wrong = told(costs) + dotnet.main(given.rounds, given.seconds)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(*wrong or ["all is as it should be"], sep="\n")
    return bool(wrong)


def told(costs: dict[tuple[str, str], list[float]]) -> list[str]:
    """Print a table. Returns what is not as it should be."""
    wrong: list[str] = []
    for (operation, name), found in costs.items():
        cost = statistics.median(found)
        share = statistics.median(costs[operation, "wsd"]) / cost
        print(
            f"{operation:6} {name:11} {cost:7.0f} us a call, {1e6 / cost:6.0f} calls/s a core, wsd takes {share:.2f}"
            f"   {' '.join(f'{each:.0f}' for each in found)}"
        )
        if name == "wsd" and 1e6 / cost < LEAST_RATE:
            wrong.append(f"{operation}: wsd answers fewer than {LEAST_RATE} calls a second")
        if not name.startswith("wsd") and share > MOST_SHARE:
            wrong.append(f"{operation}: wsd takes more than a third of what {name} takes")
        if name == "wsd binary" and 1 / share > MOST_BINARY:
            wrong.append(f"{operation}: binary takes {1 / share:.2f} of what text takes")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
