"""The arithmetic of the table: medians, ratios inside a run, and whether a target is reached; and the table itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.cells import GROUPS, ZLIB, Cell, Quantity, Target
from tests.bench.measure import Sample

Samples = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True)
class Verdict:
    """A target, and what it came to; the ratio is None where one of the two was not measured."""

    target: Target
    against: str
    """Who it was measured against: the best of the group."""
    ratio: float | None

    @property
    def isReached(self) -> bool | None:
        """None where it was not measured."""
        if self.ratio is None:
            return None
        return self.ratio <= self.target.limit if self.target.atMost else self.ratio >= self.target.limit


def figure(samples: Sequence[Sample], quantity: Quantity) -> float:
    """The median of the rounds."""
    return median(sample.of(quantity) for sample in samples)


def best(samples: Samples, group: str, quantity: Quantity) -> str | None:
    """Who of a group has the best figure; None when none of it was measured."""
    measured = [name for name in GROUPS.get(group, (group,)) if samples.get(name)]
    if not measured:
        return None
    choose = max if quantity is Quantity.rate else min
    return choose(measured, key=lambda name: figure(samples[name], quantity))


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], quantity: Quantity, atMost: bool) -> float:
    """
    The median of the rounds' own ratios, so that what disturbs a round disturbs both sides.

    Of a target to be reached it is how many times ours is as good, of one to be kept under how much of theirs is ours.
    Where one side has a single figure it holds for every round.
    """
    rounds = max(len(ours), len(theirs))
    pairs = [
        (ours[number % len(ours)].of(quantity), theirs[number % len(theirs)].of(quantity)) for number in range(rounds)
    ]
    oursFirst = atMost or quantity is Quantity.rate
    return median(our / their if oursFirst else their / our for our, their in pairs)


def verdict(cell: Cell, target: Target, samples: Samples) -> Verdict:
    """What a target of this cell came to."""
    quantity = target.quantity or cell.quantity
    against = best(samples, target.against, quantity)
    ours = samples.get(target.subject or cell.subject)
    if against is None or not ours:
        return Verdict(target, target.against, None)
    return Verdict(target, against, ratio(ours, samples[against], quantity, target.atMost))


def verdicts(cell: Cell, samples: Samples) -> list[Verdict]:
    """All of a cell's."""
    return [verdict(cell, target, samples) for target in cell.targets]


def lines(cell: Cell, samples: Samples, titles: Mapping[str, str]) -> list[str]:
    """
    The rows of a cell in a Markdown table, ours first.

    They tell who, the figure, its p50 and p99, our ratio, the target and whether it is reached.
    """
    byServer = {found.against: found for found in verdicts(cell, samples)}
    entrants = [cell.subject, *(name for name in samples if name != cell.subject)]
    rows = []
    for name in entrants:
        if not samples.get(name):
            continue
        quantity = Quantity.wire if name == ZLIB else cell.quantity
        rows.append(_row(cell, name, samples, quantity, titles.get(name, name), _verdictOf(cell, name, byServer)))
    return rows


def _verdictOf(cell: Cell, name: str, byServer: Mapping[str, Verdict]) -> Verdict | None:
    """A target of another subject than the cell's own is told at that subject's row."""
    for found in byServer.values():
        if (found.target.subject or found.against) == name:
            return found
    return None


def _row(cell: Cell, name: str, samples: Samples, quantity: Quantity, title: str, found: Verdict | None) -> str:
    rounds = samples[name]
    isOurs = name == cell.subject
    timed = cell.quantity in (Quantity.cpu, Quantity.p999) and name != ZLIB
    p50, p99 = (f"{median(getattr(sample, at) for sample in rounds):,.0f}" if timed else "" for at in ("p50", "p99"))
    part = found.ratio if found is not None else None
    if part is None and not isOurs and name != ZLIB and samples.get(cell.subject):
        part = ratio(samples[cell.subject], rounds, quantity, quantity.isShare)
    sign = "" if found is None else ("<= " if found.target.atMost else ">= ") + f"{found.target.limit:g}"
    reached = {None: "", True: "yes", False: "**no**"}[found.isReached if found is not None else None]
    cells = [
        cell.name if isOurs else "",
        title,
        f"{shown(figure(rounds, quantity))} {quantity.value}",
        p50,
        p99,
        "" if isOurs or part is None else f"{part:.2f}",
        sign,
        reached,
    ]
    return "| " + " | ".join(cells) + " |"


def shown(value: float) -> str:
    """Three digits of a figure, or all before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


HEADING = (
    "| cell | server | figure | p50 us | p99 us | ratio | target | reached |",
    "|---|---|--:|--:|--:|--:|--:|---|",
)


def summary(results: Sequence[tuple[Cell, Samples]]) -> str:
    """How many targets were reached, and a line for each that was not."""
    missed = [f"- {cell.name}, {missedOf(each)}" for cell, each in _told(results) if not each.isReached]
    return "\n".join([f"{count(results)}{'; not:' if missed else '.'}", *([""] if missed else []), *missed])


def count(results: Sequence[tuple[Cell, Samples]]) -> str:
    """How many targets were reached."""
    told = _told(results)
    return f"{sum(bool(each.isReached) for _, each in told)} of {len(told)} targets are reached"


def _told(results: Sequence[tuple[Cell, Samples]]) -> list[tuple[Cell, Verdict]]:
    found = [(cell, each) for cell, samples in results for each in verdicts(cell, samples)]
    return [(cell, each) for cell, each in found if each.isReached is not None]


def missedOf(found: Verdict) -> str:
    """One that is not reached, in words."""
    sign = "at most" if found.target.atMost else "at least"
    who = f"{found.target.subject} " if found.target.subject else ""
    return f"{who}against {found.against}: {found.ratio:.2f}, where {sign} {found.target.limit:g} is asked"
