"""
Draws a flame graph of the reactor's thread: docs/opening.svg is that of opening handshakes.

    py-spy record --pid PID --duration 50 --rate 150 --function --format raw -o opening.txt
    python -m tests.bench.flame opening.txt > docs/opening.svg

Each line that py-spy writes has a stack, from the outermost call to the innermost one, and how often it was seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

ROOT = "EPollReactor.doPoll (twisted/internet/epollreactor.py)"
"""The call below which the graph begins."""
WIDTH, ROW, LETTER = 1200, 18, 6.6
"""In pixels: of the graph, of a row, of a letter."""
LEAST = 0.002
"""The share of a call that is drawn."""


@dataclass
class Call:
    """A function in a stack, how often it was seen there, and what it called."""

    name: str
    count: int = 0
    calls: dict[str, Call] = field(default_factory=dict)

    def add(self, stack: list[str], count: int) -> None:
        """Count a stack below this call."""
        self.count += count
        if stack:
            self.calls.setdefault(stack[0], Call(stack[0])).add(stack[1:], count)

    @property
    def depth(self) -> int:
        """How many rows it takes."""
        return 1 + max((each.depth for each in self.calls.values()), default=0)


def read(lines: Iterable[str]) -> Call:
    """The calls of the reactor's turns."""
    root = Call(ROOT)
    for line in lines:
        stack, _, count = line.rpartition(" ")
        names = [frame.rpartition(":")[0] + ")" for frame in stack.split(";")]
        if ROOT in names:
            root.add(names[names.index(ROOT) + 1 :], int(count))
    return root


def drawn(root: Call) -> str:
    """The graph as SVG: a call stands on the one that made it, as wide as its share of the time."""
    height = root.depth * ROW
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-size="11" '
            'font-family="ui-monospace, monospace">',
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            *_boxes(root, 0, height - ROW, root.count),
            "</svg>\n",
        ]
    )


def _boxes(call: Call, left: float, top: float, whole: int) -> Iterator[str]:
    width = call.count / whole * WIDTH
    if call.count < LEAST * whole:
        return
    name, _, place = call.name.partition(" (")
    share = f"{call.count / whole:.1%}"
    color = "#f5c26b" if place.startswith("wsd/") else "#d5dce4"
    yield f'<g><title>{escape(call.name)}: {share}</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" '
    yield f'height="{ROW - 1}" fill="{color}" stroke="#fff" stroke-width="0.5"/>'
    room = int((width - 6) / LETTER)
    text = f"{name} {share}" if len(name) + len(share) < room else name
    if room >= 4:
        yield f'<text x="{left + 3:.1f}" y="{top + 13}">{escape(text[:room])}</text>'
    yield "</g>"
    for each in sorted(call.calls.values(), key=lambda inner: inner.name):
        yield from _boxes(each, left, top - ROW, whole)
        left += each.count / whole * WIDTH


if __name__ == "__main__":
    sys.stdout.write(drawn(read(Path(sys.argv[1]).read_text("utf-8").splitlines())))
