"""The plot: a row for each cell, and in it a dot for each peer, as many times to the right as wsd is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log10
from xml.sax.saxutils import escape

from tests.bench import table
from tests.bench.cells import Cell
from tests.bench.table import Samples

COLOURS = ("#c2410c", "#1d4ed8", "#0f766e", "#15803d", "#7e22ce", "#6b7280", "#be185d")
LEFT, RIGHT, TOP, ROW = 290, 930, 64, 26
LEAST, MOST = 0.1, 100.0


def across(ratio: float) -> float:
    """Where a ratio lies on the logarithmic axis, in pixels; beyond its ends at them."""
    part = log10(min(max(ratio, LEAST), MOST) / LEAST) / log10(MOST / LEAST)
    return round(LEFT + part * (RIGHT - LEFT), 1)


def drawn(results: Sequence[tuple[Cell, Samples]], columns: Mapping[str, str]) -> str:
    """The plot as SVG; a cell in which no peer was measured has no row."""
    results = [(cell, samples) for cell, samples in results if _peers(cell, samples, columns)]
    height = TOP + ROW * len(results) + 16
    box, font = f"0 0 960 {height}", 'font-family="sans-serif" font-size="13"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {font}>',
            "<title>How many times as good wsd is as each peer</title>",
            f'<rect width="960" height="{height}" fill="#ffffff"/>',
            *_legend(columns),
            *_axis(height),
            *(line for number, each in enumerate(results) for line in _row(number, *each, columns)),
            "</svg>",
            "",
        ]
    )


def _peers(cell: Cell, samples: Samples, columns: Mapping[str, str]) -> dict[str, str]:
    """Of each column that was measured, the best."""
    found = {group: table.best(samples, group, cell.quantity) for group in columns}
    return {group: name for group, name in found.items() if name is not None}


def _legend(columns: Mapping[str, str]) -> Iterator[str]:
    for number, (colour, title) in enumerate(zip(COLOURS, columns.values(), strict=True)):
        x = 20 + number * 116
        yield f'<circle cx="{x}" cy="20" r="5" fill="{colour}"/><text x="{x + 10}" y="24">{escape(title)}</text>'
    yield '<text x="832" y="24" fill="#6b7280">| is the target</text>'


def _axis(height: int) -> Iterator[str]:
    for ratio in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        x, colour = across(ratio), "#111827" if ratio == 1 else "#e5e7eb"
        yield f'<line x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{height - 12}" stroke="{colour}"/>'
        yield f'<text x="{x}" y="{TOP - 14}" text-anchor="middle" fill="#6b7280">{ratio:g}</text>'


def _row(number: int, cell: Cell, samples: Samples, columns: Mapping[str, str]) -> Iterator[str]:
    y = TOP + ROW * number + ROW // 2
    yield f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end">{escape(cell.name)}</text>'
    targets = {target.against: target for target in cell.targets}
    colours = dict(zip(columns, COLOURS, strict=True))
    for group, name in _peers(cell, samples, columns).items():
        colour = colours[group]
        better = table.ratio(samples[cell.subject], samples[name], cell.quantity, cell.quantity.isShare)
        target = targets.get(group)
        inverse = cell.quantity.isShare
        if target is not None:
            x = across(1 / target.limit if inverse else target.limit)
            yield f'<line x1="{x}" y1="{y - 8}" x2="{x}" y2="{y + 8}" stroke="{colour}" stroke-width="2"/>'
        x = across(1 / better if inverse else better)
        yield f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}" fill-opacity="0.85"/>'
