"""Fan-out of 1 KiB to 1,000 subscribers: the server's CPU a delivery, beside all others that can do it."""

from __future__ import annotations

from dataclasses import replace

from tests.bench import table
from tests.bench.cells import Cell, Load, Target
from tests.bench.measure import FULL, measured
from tests.bench.servers import SERVERS, House, Kind

CELL = Cell(
    "fan-out of 1 KiB to 1,000",
    Load("fanout", size=1024, connections=1000),
    (
        Target("autobahn", 2.0),
        Target("websockets", 1.4),
        Target("node", 1.2),
        Target("picows", 1.0),
        Target("topics", 1.15, atMost=True, subject="topics-enveloped"),
    ),
    kind=Kind(fanout=True),
    subject="topics",
    servers=(
        "topics-enveloped",
        "wsd",
        "nchan",
        "autobahn",
        "websockets",
        "websockets-uvloop",
        "node",
        "picows",
    ),
)


def measure(house: House, rounds: int) -> list[str]:
    """All of them in one run."""
    samples = measured(CELL, [CELL.subject, *CELL.servers], house, replace(FULL, rounds=rounds))
    titles = {name: server.title for name, server in SERVERS.items()} | {"wsd": "wsd, a loop over connections"}
    print(*table.HEADING, *table.lines(CELL, samples, titles), sep="\n", flush=True)
    return [f"{CELL.name}, {table.missedOf(each)}" for each in table.verdicts(CELL, samples) if not each.isReached]
