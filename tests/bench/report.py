"""docs/performance.*: what was measured, kept cell by cell, and the table and the plot made from it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench import build, plot, table
from tests.bench.cells import CELLS, GROUPS, Cell
from tests.bench.measure import Sample
from tests.bench.table import Samples, Verdict
from wsd.frames import choose

DOCS = build.ROOT / "docs"
PAGE, STORE, PLOT = DOCS / "performance.md", DOCS / "performance.json", DOCS / "performance.svg"
BEGIN, END = "<!-- made by make bench: -->\n", "<!-- so far -->\n"

PEERS = ("autobahn", "Twisted", "websockets", "aiohttp", "picows", "uvloop")
"""Packages whose versions are told."""

Results = Sequence[tuple[Cell, Samples]]

COLUMNS = {
    "autobahn": "stock Autobahn",
    "websockets": "websockets",
    "aiohttp": "aiohttp",
    "node": "node ws",
    "picows": "picows",
    "uvloop": "raw uvloop",
    "native": "native",
}


def write(results: Results, begun: str) -> None:
    """Put what was measured beside what is kept of other cells, and make the page's part and the plot anew."""
    kept = read() if STORE.exists() else {"cells": {}}
    kept["machine"] = machine(begun)
    kept["cells"] |= {cell.name: stored(samples) for cell, samples in results}
    kept["cells"] = {cell.name: kept["cells"][cell.name] for cell in CELLS if cell.name in kept["cells"]}
    STORE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(inserted(PAGE.read_text("utf-8"), part(kept)), "utf-8")
    PLOT.write_text(plot.drawn(restored(kept), COLUMNS), "utf-8")


def read() -> dict[str, Any]:
    """What is kept."""
    kept: dict[str, Any] = json.loads(STORE.read_text("utf-8"))
    return kept


def stored(samples: Samples) -> dict[str, list[dict[str, float]]]:
    """Four digits of what was measured; what is 0 is left out."""
    return {
        name: [{key: float(f"{value:.4g}") for key, value in asdict(sample).items() if value} for sample in rounds]
        for name, rounds in samples.items()
    }


def restored(kept: Mapping[str, Any]) -> Results:
    """The cells of what is kept, in the table's order."""
    return [
        (
            cell,
            {name: [Sample(**sample) for sample in rounds] for name, rounds in kept["cells"][cell.name].items()},
        )
        for cell in CELLS
        if cell.name in kept["cells"]
    ]


def inserted(page: str, made: str) -> str:
    """The page with this between its two marks."""
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: f"{BEGIN}\n{made}\n{END}", page, flags=re.DOTALL)


def part(kept: Mapping[str, Any]) -> str:
    """What is made of the page: the machine, the compact table, and how many targets are reached."""
    results = restored(kept)
    about = kept["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return "\n".join(
        [
            f"{about['processor']}, {about['cores']} cores; {about['system']}; Python {about['python']}; {versions}. "
            f"`frames` was `{about['plane']}` where a cell says nothing else. Measured on {about['day']}.",
            "",
            *rows(results),
            "",
            f"{table.count(results)}. The others are bold; [Missed targets](#missed-targets) explains them.",
            "",
        ]
    )


def rows(results: Results) -> list[str]:
    """A row for each cell: our figure, and of each column the best one's, our ratio to it and the target."""
    lines = [
        f"| cell | wsd | {' | '.join(COLUMNS.values())} | beside |",
        "|---|--:|" + "--:|" * len(COLUMNS) + "---|",
    ]
    for cell, samples in results:
        ours = table.shown(table.figure(samples[cell.subject], cell.quantity))
        found = {each.target.against: each for each in table.verdicts(cell, samples)}
        columns = [_column(cell, samples, group, found.get(group)) for group in COLUMNS]
        beside = [_beside(each) for group, each in found.items() if group not in GROUPS and each.ratio is not None]
        lines.append(f"| {cell.name} | {ours} {cell.quantity.value} | {' | '.join(columns)} | {'; '.join(beside)} |")
    return lines


def _column(cell: Cell, samples: Samples, group: str, found: Verdict | None) -> str:
    name = table.best(samples, group, cell.quantity)
    if name is None:
        return ""
    kept = cell.quantity.isShare
    ratio = table.ratio(samples[cell.subject], samples[name], cell.quantity, atMost=kept)
    return f"{table.shown(table.figure(samples[name], cell.quantity))} ({_judged(ratio, found)})"


def _beside(found: Verdict) -> str:
    names = {
        "wsd-entry": "by an entry point",
        "wsd-workers": "with two workers",
        "topics-enveloped": "enveloped",
        "wsd-alone": "of these alone",
        "zlib": "of zlib's bytes",
    }
    assert found.ratio is not None
    return f"{names[found.target.subject or found.target.against]} ({_judged(found.ratio, found)})"


def _judged(ratio: float, found: Verdict | None) -> str:
    if found is None:
        return f"x{ratio:.2f}"
    asked = f"{'<=' if found.target.atMost else '>='} {found.target.limit:g}"
    return f"x{ratio:.2f} {asked}" if found.isReached else f"**x{ratio:.2f}** {asked}"


def host() -> dict[str, Any]:
    """The machine and its Python."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"Linux {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def machine(begun: str) -> dict[str, Any]:
    """What it was measured on, and with what."""
    return {
        **host(),
        "plane": choose("auto").name,
        "day": begun,
        "versions": {**_fromPython(PEERS), **_node()},
    }


def _fromPython(names: Iterable[str]) -> dict[str, str]:
    command: list[str | Path] = [build.python(), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    found = {each["name"].lower(): each["version"] for each in json.loads(subprocess.check_output(command))}
    return {name: found[name.lower()] for name in names}


def _node() -> dict[str, str]:
    version = subprocess.check_output(["node", "--version"], text=True).strip().removeprefix("v")
    return {"node": version, "ws": json.loads((build.modules() / "ws" / "package.json").read_text("utf-8"))["version"]}
