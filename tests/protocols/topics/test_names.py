"""Names and filters of topics."""

from __future__ import annotations

from itertools import product

import pytest

from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.names import checkFilter, checkName, covers, isFilter, matches, overlap


def sentence(call: object, text: str, code: str) -> str:
    with pytest.raises(TopicError) as caught:
        call(text)  # type: ignore[operator]
    assert caught.value.code == code
    return caught.value.sentence


class TestAName:
    @pytest.mark.parametrize(
        "name",
        ["a", "quotes/ACME", "a/b/c/d/e/f/g/h", "größe/你好", "a b", "-._~!", "x" * 200, "ü" * 100, "$sys"],
    )
    def test_is_a_path_of_levels(self, name: str) -> None:
        assert "/".join(checkName(name)) == name

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("", "the topic is missing"),
            ("x" * 201, "is too long; a topic has at most 200 bytes"),
            ("ü" * 101, "is too long; a topic has at most 200 bytes"),
            ("a/b/c/d/e/f/g/h/i", "has 9 levels; a topic has at most 8"),
            ("/a", "an empty level"),
            ("a/", "an empty level"),
            ("a//b", "an empty level"),
            ("a\nb", "a control character"),
            ("a\x7fb", "a control character"),
            ("a\u2028b", "a control character"),
            ("a\ud800", "a control character"),
            ("a/+/b", "has a wildcard"),
            ("a/#", "has a wildcard"),
            ("c#", "has a wildcard"),
        ],
    )
    def test_is_refused_with_what_is_wrong(self, name: str, said: str) -> None:
        assert said in sentence(checkName, name, "bad_topic")


class TestAFilter:
    @pytest.mark.parametrize("pattern", ["#", "+", "a/+", "a/#", "+/b/#", "+/+", "a/b"])
    def test_has_wildcards_for_whole_levels(self, pattern: str) -> None:
        assert "/".join(checkFilter(pattern)) == pattern
        assert isFilter(pattern) == (pattern != "a/b")

    @pytest.mark.parametrize(
        ("pattern", "said"),
        [
            ("a+", "beside other characters"),
            ("a/b#", "beside other characters"),
            ("#/a", "before its last level"),
            ("a/#/b", "before its last level"),
            ("", "the filter is missing"),
            ("+//a", "an empty level"),
        ],
    )
    def test_is_refused_with_what_is_wrong(self, pattern: str, said: str) -> None:
        assert said in sentence(checkFilter, pattern, "bad_filter")


MATCHES = [
    # MQTT 5.0, 4.7.1 and 4.7.2: the specification's own examples, but for those with empty levels.
    ("sport/tennis/player1/#", "sport/tennis/player1", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("sport/#", "sport", True),
    ("#", "sport/tennis", True),
    ("sport/tennis/+", "sport/tennis/player1", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("+", "sport", True),
    ("+", "sport/tennis", False),
    ("+/tennis/#", "sport/tennis", True),
    ("#", "$sys/a", False),
    ("+/monitor/Clients", "$sys/monitor/Clients", False),
    ("$sys/#", "$sys/monitor/Clients", True),
    ("$sys/monitor/+", "$sys/monitor/Clients", True),
    ("a/b", "a/b", True),
    ("a/b", "a/B", False),
    ("a/b", "a", False),
    ("a", "a/b", False),
]


@pytest.mark.parametrize(("pattern", "name", "expected"), MATCHES)
def test_a_filter_matches_as_in_mqtt(pattern: str, name: str, expected: bool) -> None:
    assert matches(checkFilter(pattern), checkName(name)) is expected


WORDS = ("a", "b", "$c")
NAMES = [name for size in (1, 2, 3, 4) for name in product(WORDS, repeat=size)]
"""Every name of up to four levels of these words: filters of up to three levels differ on some of them."""
FILTERS = [
    tuple(levels) for size in (1, 2, 3) for levels in product((*WORDS, "+", "#"), repeat=size) if "#" not in levels[:-1]
]


class TestTwoFilters:
    def matched(self, pattern: tuple[str, ...]) -> set[tuple[str, ...]]:
        return {name for name in NAMES if matches(pattern, name)}

    def test_overlap_exactly_where_a_name_matches_both(self) -> None:
        matched = {pattern: self.matched(pattern) for pattern in FILTERS}
        for one, other in product(FILTERS, repeat=2):
            assert overlap(one, other) is bool(matched[one] & matched[other]), (one, other)

    def test_cover_one_another_only_where_every_name_matches(self) -> None:
        matched = {pattern: self.matched(pattern) for pattern in FILTERS}
        for one, other in product(FILTERS, repeat=2):
            if covers(one, other):
                assert matched[other] <= matched[one], (one, other)
            elif matched[other] <= matched[one]:
                # Said the careful way: `+/#` matches what `#` does, and `+/+/#` what `+/#` does beside `+`.
                assert "#" in other, (one, other)
