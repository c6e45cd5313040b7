"""Every target holds for its seeds; `make fuzz` looks for inputs for which it does not."""

from __future__ import annotations

import pytest

from tests.fuzz import CORPUS, TARGETS
from tests.fuzz.replay import replay


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds(name: str) -> None:
    seeds = sorted((CORPUS / name).iterdir())
    assert len(seeds) >= 3
    replay(name, seeds)


def test_there_are_seeds_for_targets_only() -> None:
    assert sorted(folder.name for folder in CORPUS.iterdir()) == sorted(TARGETS)
