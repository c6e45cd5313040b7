"""JSON of strangers is parsed if it has no more than 100,000 values and keys."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from wsd.policies import jsontexts
from wsd.policies.jsontexts import MOST_VALUES, TooManyValues, checkValues, readJson


@pytest.mark.parametrize(
    "text",
    [
        f"[{'1,' * MOST_VALUES}1]",
        f"[{'[],' * MOST_VALUES}[]]",
        "[" * (MOST_VALUES + 1),
        "{" + ",".join(f'"{number}":0' for number in range(MOST_VALUES // 2 + 1)) + "}",
        f"[{','.join(['{}'] * (MOST_VALUES // 2 + 1))}]",
        # An escape does not end a string, and a string does not begin with one that was escaped itself.
        f"""["{chr(92) * 4}",{"1," * MOST_VALUES}1]""",
    ],
    ids=["numbers", "lists", "levels", "keys", "objects", "after a string"],
)
def test_more_are_refused(text: str) -> None:
    with pytest.raises(TooManyValues, match="this JSON has more than 100,000 values and keys"):
        readJson(text)


def test_as_many_are_read() -> None:
    numbers = list(range(MOST_VALUES - 1))
    assert readJson(json.dumps(numbers)) == numbers


@pytest.mark.parametrize("table", ["1,2\n" * 200_000, '"a","b"\n' * 60_000, "\\" * 50_001 + "[" * 150_000])
def test_what_is_in_strings_does_not_count(table: str) -> None:
    assert readJson(json.dumps({"text": table})) == {"text": table}


@pytest.mark.parametrize("text", ["", "[", "NaN", "[Infinity]", "[" * 50_000, "1" * 10_000])
def test_what_is_no_json_or_nested_too_deeply_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        readJson(text)
    assert not isinstance(raised.value, TooManyValues)


_VALUES = some.recursive(
    some.none() | some.integers() | some.text(some.sampled_from('",:[{\\a'), max_size=6),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text('",[\\', max_size=3), inner, max_size=4),
)


def _count(value: object) -> int:
    """The commas, colons and brackets of a value."""
    if isinstance(value, dict):
        return 1 + max(0, len(value) - 1) + len(value) + sum(map(_count, value.values()))
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(_count, value))
    return 0


@given(_VALUES)
def test_exactly_what_is_outside_strings_counts(value: object) -> None:
    count = _count(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsontexts, "MOST_VALUES", count)
        checkValues(json.dumps(value))
        if count:
            patch.setattr(jsontexts, "MOST_VALUES", count - 1)
            with pytest.raises(TooManyValues):
                checkValues(json.dumps(value))
