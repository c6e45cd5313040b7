"""
What a call of WCF's own client costs, beside WCF's encoders on Kestrel and SoapCore: part of `make bench-soap`.

The client asks for Add, with 32 calls at a time: over a WebSocket in text and in binary, and over HTTP in SOAP 1.1. The
servers are asked in turns, each on one core, and the client on the other. The .NET servers are warmed up first: they
compile what they run while they run it.
"""

from __future__ import annotations

import re
import socket
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from tests.bench.cost import spent
from tests.commands import until
from tests.daemon import runningDaemon
from tests.protocols.soap.encodings.corpus import PEER

CALLS = 32
"""At a time."""
WARM = 5
"""Seconds for which a server is asked before it is measured."""
SERVER, CLIENT = ["taskset", "-c", "0"], ["taskset", "-c", "1"]

GOALS = (
    ("wsd text", "reference text", 0.9),
    ("wsd binary", "wsd text", 1.1),
    ("wsd HTTP", "SoapCore HTTP", 1.2),
)
"""A cell, another one, and how much of its time the first one may take."""


class Cell(NamedTuple):
    """A server and a mode of the client."""

    pid: int
    url: str
    mode: str

    def measure(self, seconds: float) -> float:
        """Returns the microseconds of a core that a call takes."""
        before = spent(self.pid)
        command = [*CLIENT, str(PEER), "wcfload", self.url, self.mode, f"{seconds:g}", str(CALLS)]
        said = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True).stdout
        found = re.match(r"([1-9]\d*) calls", said)
        if found is None:
            raise SystemExit(f"bench: no call of {self.mode} at {self.url} is answered: {said!r}")
        return (spent(self.pid) - before) / int(found[1]) * 1e6


@contextmanager
def dotnet(kind: str) -> Iterator[tuple[int, int]]:
    """The process and the port of a .NET server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [*SERVER, str(PEER), kind, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: _listens(port), f"{kind} listens")
            yield process.pid, port
        finally:
            process.kill()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def measured(rounds: int, seconds: float) -> dict[str, list[float]]:
    """Returns the costs of each cell, in microseconds."""
    costs: dict[str, list[float]] = {}
    with ExitStack() as stack:
        daemon = stack.enter_context(runningDaemon(prefix=SERVER))
        reference, port = stack.enter_context(dotnet("reference"))
        core, corePort = stack.enter_context(dotnet("soapcore"))
        wsd, url = daemon.process.pid, f"ws://localhost:{daemon.port()}/soap"
        cells = {
            "wsd text": Cell(wsd, url, "text"),
            "wsd binary": Cell(wsd, url, "defaults"),
            "reference text": Cell(reference, f"ws://localhost:{port}/soap", "text"),
            "reference binary": Cell(reference, f"ws://localhost:{port}/soap", "defaults"),
            "wsd HTTP": Cell(wsd, f"http://localhost:{daemon.port()}/soap", "basic"),
            "SoapCore HTTP": Cell(core, f"http://localhost:{corePort}/soap11", "basic"),
        }
        for cell in cells.values():
            cell.measure(WARM)
        for _ in range(rounds):
            for name, cell in cells.items():
                costs.setdefault(name, []).append(cell.measure(seconds))
    return costs


def told(costs: dict[str, list[float]]) -> list[str]:
    """Prints a table. Returns a sentence for each goal that is missed."""
    medians = {name: statistics.median(found) for name, found in costs.items()}
    for name, found in costs.items():
        print(f"Add    {name:16} {medians[name]:7.0f} us a call   {' '.join(f'{each:.0f}' for each in found)}")
    wrong = []
    for name, other, most in GOALS:
        share = medians[name] / medians[other]
        print(f"Add    {name} takes {share:.2f} of {other} (goal {most})")
        if share > most:
            wrong.append(f"Add: {name} takes more than {most} of {other}")
    return wrong


def main(rounds: int, seconds: float) -> list[str]:
    """Measures, and prints a table. Returns what is not as it should be."""
    if not PEER.exists():
        print(f"There is no .NET peer at {PEER}; name the program netpeer in NETPEER to measure beside it.")
        return []
    return told(measured(rounds, seconds))
