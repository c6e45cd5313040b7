"""All rows of the table, in its order, and how each is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from tests.daemon import LONGEST_HOLD
from tests.soak import crowd, day
from tests.soak.attacks import ATTACKS, MIB, Attack
from tests.soak.faults import FAULTS, LONG
from tests.soak.others import COMPARED, SERVED, otherAttacked
from tests.soak.rig import Row, attackedDaemon
from tests.soak.table import Line


@dataclass(frozen=True, slots=True)
class Options:
    """How an attack is run."""

    seconds: float = 10.0
    scale: float = 1.0
    """The part of its connections."""
    calm: int = 100
    """Clients that behave."""


@dataclass(frozen=True, slots=True)
class Made:
    """How a row is made, and the group that it belongs to."""

    group: str
    make: Callable[[Options], Line]


def attackLine(row: Row, server: str = "") -> Line:
    """The row of an attack; on a server beside the daemon it is called SERVER/ATTACK."""
    measured = f"{row.connections} connections; {told(row)}"
    bound = f"p99 {row.delayBound * 1000:.0f} ms, {row.memoryBound / MIB:.0f} MiB"
    if row.held:
        measured += f"; a call that took {row.held * 1000:.0f} ms of CPU"
        bound += f", {LONGEST_HOLD * 1000:.0f} ms"
    name = f"{server}/{row.name}" if server else row.name
    return Line(name, row.about, measured, bound, tuple(row.broken(timed=True)))


def told(row: Row) -> str:
    """What was measured of delays and memory."""
    calm, attacked = row.calm * 1000, row.attacked * 1000
    return f"p99 {calm:.1f} → {attacked:.1f} ms, {max(row.memory, 0) / MIB:.0f} MiB more"


def _attacked(attack: type[Attack], options: Options) -> Line:
    # Each has a daemon of its own, so that none is blamed for what another has left.
    with attackedDaemon(options.calm) as rig:
        return attackLine(rig.run(attack, options.seconds, options.scale))


def _beside(server: str, attack: type[Attack], options: Options) -> Line:
    with otherAttacked(server, attack, options.calm) as rig:
        return attackLine(rig.run(attack, options.seconds, options.scale), server)


def _alone(make: Callable[[], Line], _: Options) -> Line:
    return make()


ROWS: Mapping[str, Made] = {
    **{each.__name__: Made("attacks", partial(_attacked, each)) for each in ATTACKS},
    "crowd": Made("crowd", partial(_alone, crowd.run)),
    "day": Made("day", partial(_alone, day.run)),
    **{each.name: Made("faults", partial(_alone, each.run)) for each in FAULTS},
    **{each.name: Made("long", partial(_alone, each.run)) for each in LONG},
    **{
        f"{server}/{attack.__name__}": Made("peers", partial(_beside, server, attack))
        for attack in COMPARED
        for server in SERVED
    },
}
GROUPS = tuple(dict.fromkeys(each.group for each in ROWS.values()))


def chosen(only: Iterable[str]) -> list[str]:
    """The names of rows that these name: rows, groups, or with a slash at the end all of a server's."""
    wanted = set(only)
    return [
        name
        for name, made in ROWS.items()
        if not wanted or {name, made.group, f"{name.partition('/')[0]}/" if "/" in name else name} & wanted
    ]
