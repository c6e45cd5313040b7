"""The available planes, and the choice among them."""

from __future__ import annotations

import pytest

from wsd.frames import PLANES, choose


def test_the_compiled_plane_was_built() -> None:
    # A wheel may lack it. The tests need it; gcc and Python's headers build it.
    assert list(PLANES) == ["_fast", "fast", "plain"]


def test_auto_takes_the_fastest() -> None:
    assert choose("auto").name == "_fast"


@pytest.mark.parametrize("name", PLANES)
def test_each_is_chosen_by_its_name(name: str) -> None:
    assert choose(name) is PLANES[name]


def test_another_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match='"quick" is not a plane; use one of auto, _fast, fast, plain'):
        choose("quick")
