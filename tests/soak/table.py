"""
One row for each thing that was tried, and the table of them: printed, and kept in docs/soak.json for docs/soak.md.

A row that was not run again keeps its figures and its day.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench.report import host
from tests.daemon import ROOT

PAGE, STORE = ROOT / "docs" / "soak.md", ROOT / "docs" / "soak.json"
BEGIN, END = "<!-- made by make soak: -->\n", "<!-- so far -->\n"
HEAD = "| what was done | measured | bound | held |\n|---|---|---|---|"
_DATED = "| what was done | measured | bound | held | on |\n|---|---|---|---|---|"

SERVERS = {"wsd": "wsd", "autobahn": "stock Autobahn", "websockets": "websockets", "node": "node ws"}
"""The columns of the table of peers."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table."""

    name: str
    about: str
    """What was done."""
    measured: str
    bound: str
    broken: tuple[str, ...] = ()
    """What did not hold, in words."""

    @property
    def cells(self) -> list[str]:
        """What stands in its columns."""
        held = f"**no**: {'; '.join(self.broken)}" if self.broken else "yes"
        return [_inACell(each) for each in (self.about, self.measured, self.bound, held)]

    def __str__(self) -> str:
        return row(self.cells)


def row(cells: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def _inACell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def read() -> dict[str, Any]:
    """What is kept: by the name of a row its fields, `day` and `machine`."""
    kept: dict[str, Any] = json.loads(STORE.read_text("utf-8")) if STORE.exists() else {}
    return kept


def machine() -> str:
    """What it is measured on."""
    about = host()
    return f"{about['processor']}, {about['cores']} cores; {about['system']}; Python {about['python']}"


def write(lines: Iterable[Line], day: str, order: Iterable[str]) -> None:
    """Put these beside the kept ones, in this order, and make the page's part anew; what is not in it is removed."""
    kept = read() | {line.name: stored(line, day, machine()) for line in lines}
    kept = {name: kept[name] for name in order if name in kept}
    STORE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(inserted(PAGE.read_text("utf-8"), part(kept)), "utf-8")


def stored(line: Line, day: str, where: str) -> dict[str, Any]:
    """A row as it is kept."""
    fields = {"about": line.about, "measured": line.measured, "bound": line.bound, "broken": list(line.broken)}
    return {**fields, "day": day, "machine": where}


def inserted(page: str, made: str) -> str:
    """The page with this between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError("the page lacks the marks between which the table stands")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def part(kept: Mapping[str, Any]) -> str:
    """What is made of the page: the machine, the table, and the one of the peers."""
    ours = {name: each for name, each in kept.items() if "/" not in name}
    machines = sorted({each["machine"] for each in kept.values()})
    held = sum(not each["broken"] for each in ours.values())
    lines = [f"Measured on {' and on '.join(machines)}. {held} of {len(ours)} rows hold.", "", _DATED]
    lines += [row([*_restored(name, each).cells, each["day"]]) for name, each in ours.items()]
    return "\n".join([*lines, *_beside(kept), ""])


def _restored(name: str, kept: Mapping[str, Any]) -> Line:
    return Line(name, kept["about"], kept["measured"], kept["bound"], tuple(kept["broken"]))


def _beside(kept: Mapping[str, Any]) -> list[str]:
    """The attacks on other servers, whose rows are called SERVER/ATTACK."""
    attacks = list(dict.fromkeys(name.partition("/")[2] for name in kept if "/" in name))
    if not attacks:
        return []
    lines = ["", "### Beside other servers", "", row(["attack", *SERVERS.values()]), "|---" * (1 + len(SERVERS)) + "|"]
    for attack in attacks:
        columns = [_outcome(kept.get(f"{server}/{attack}")) for server in SERVERS]
        about = next(kept[f"{server}/{attack}"]["about"] for server in SERVERS if f"{server}/{attack}" in kept)
        lines.append(row([_inACell(about), *columns]))
    counts = []
    for server in SERVERS:
        theirs = [each for name, each in kept.items() if name.startswith(f"{server}/")]
        counts.append(f"{sum(not each['broken'] for each in theirs)} of {len(theirs)}" if theirs else "")
    return [*lines, row(["**held**", *counts])]


def _outcome(kept: Mapping[str, Any] | None) -> str:
    if kept is None:
        return ""
    return _inACell(f"{kept['measured']}: {'**no**, ' + '; '.join(kept['broken']) if kept['broken'] else 'held'}")
