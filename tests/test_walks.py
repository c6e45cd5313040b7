"""The walks that docs/architecture.md shows are those that are taken, and they are short and straight."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.walks import ROOT, WALKS, Step, callersOf, crossings, isStraight, summary, traced

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
AGAIN = "`python -m tests.walks` prints the lists of today"

stepsOf = cache(traced)


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def listed(title: str) -> list[str]:
    """The lines of a list, without their numbers."""
    return re.findall(r"^[0-9]+\. `([^`]+)`", section(title), re.MULTILINE)


@pytest.mark.parametrize("title", WALKS)
class TestEachWalk:
    def test_its_functions_are_entered_in_the_order_that_is_shown(self, title: str) -> None:
        assert listed(title), f"docs/architecture.md has no list of {title!r}"
        entered = iter(map(str, stepsOf(title)))
        missed = next((line for line in listed(title) if line not in entered), None)
        assert missed is None, f"{missed} is not entered, or not there; {AGAIN}"

    def test_every_crossing_is_shown(self, title: str) -> None:
        shown = listed(title)
        hidden = [str(step) for step in summary(stepsOf(title)) if step.isCrossing and str(step) not in shown]
        assert not hidden, f"missing in docs/architecture.md; {AGAIN}"
        assert f"Rooms: {' > '.join(crossings(stepsOf(title)))}\n" in section(title), AGAIN

    def test_it_goes_through_few_rooms_and_each_but_once_each_way(self, title: str) -> None:
        steps = stepsOf(title)
        assert len(crossings(steps)) <= 7
        assert not {" > ".join(step.way) for step in steps if not isStraight(step.way)}
        assert not {room: rooms for (_, room), rooms in callersOf(steps).items() if len(rooms) > 1}


def test_the_page_shows_these_walks_alone() -> None:
    assert re.findall("^## (.+)", PAGE, re.MULTILINE) == list(WALKS)


class TestStraight:
    @pytest.mark.parametrize("way", ["a", "a b c", "a b a", "a b c b a", "a b c a", "a b c b"])
    def test_in_and_out_again(self, way: str) -> None:
        assert isStraight(way.split())

    @pytest.mark.parametrize("way", ["a b a b", "a b a c", "a b c a b", "a b c b c"])
    def test_not_in_twice(self, way: str) -> None:
        assert not isStraight(way.split())


def test_of_questions_on_the_way_only_the_answer_is_told() -> None:
    def step(function: str, *way: str) -> Step:
        return Step(f"{way[-1]}.py", function, way, True)

    read, handle = step("read", "a"), step("handle", "a", "b")
    ask, answer = step("ask", "a", "b", "a"), step("answer", "a", "b", "a")
    assert summary([read, handle, ask, answer]) == [read, handle, answer]
    assert crossings([read, handle, ask, answer]) == ["a", "b", "a"]
