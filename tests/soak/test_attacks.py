"""Each attack in small size: nothing crashes, memory stays within its bound, and clients that behave are served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.soak.attacks import ATTACKS, MIB, Attack
from tests.soak.rig import Rig, Row, attackedDaemon


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with attackedDaemon(calmClients=5) as rig:
        yield rig


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_held(rig: Rig, attack: type[Attack]) -> None:
    row = rig.run(attack, seconds=1.0, scale=0.05)
    assert row.attacked > 0
    assert row.connections > 0
    # Delays are compared by `make soak` alone: here other tests run beside this one.
    assert row.broken(timed=False) == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (Row("A", "", 1, 0.01, 0.03, MIB, MIB, 0.1, ()), []),
        (Row("A", "", 1, 0.01, 0.031, MIB, MIB, 0.1, ()), ["p99 31.0 ms, more than 30.0"]),
        (Row("A", "", 1, 0.001, 0.02, MIB, MIB, 0.1, ()), []),
        (Row("A", "", 1, 0.01, 0.03, 2 * MIB, MIB, 0.1, ()), ["2 MiB of memory, more than 1"]),
        (Row("A", "", 1, 0.01, 0.03, MIB, MIB, 0.5, ()), ["one call took 0.500 s, more than 0.15"]),
        (Row("A", "", 1, 0.01, 0.03, MIB, MIB, 0.1, ("it ended",)), ["it ended"]),
    ],
)
def test_a_bound_that_does_not_hold_is_told(row: Row, told: list[str]) -> None:
    assert row.broken(timed=True) == told
