"""Every target holds for its seeds; `make fuzz` looks for inputs for which it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fuzz import CORPUS, TARGETS, blob, topics
from tests.fuzz.replay import replay


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds(name: str) -> None:
    seeds = sorted((CORPUS / name).iterdir())
    assert len(seeds) >= 3
    replay(name, seeds)


@pytest.mark.parametrize(
    ("name", "answersTo", "expected"),
    [
        ("topics", topics.answersTo, {"subscribed", "published", "message", "entered", "members", "error"}),
        ("blob", blob.answersTo, {"ready", "ack", "done", "error"}),
    ],
)
def test_the_seeds_reach_what_a_protocol_does(
    name: str, answersTo: Callable[[bytes], set[str]], expected: set[str]
) -> None:
    answers = set().union(*(answersTo(seed.read_bytes()) for seed in (CORPUS / name).iterdir()))
    assert expected <= answers


def test_there_are_seeds_for_targets_only() -> None:
    assert sorted(folder.name for folder in CORPUS.iterdir()) == sorted(TARGETS)


def test_a_target_fails_if_what_must_agree_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.head.pythonSplit", lambda data: None)
    with pytest.raises(AssertionError) as failed:
        replay("head", [CORPUS / "head" / "upgrade"])
    assert "the input is" in failed.value.__notes__[0]
