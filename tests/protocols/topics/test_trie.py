"""The trie of filters: it finds what a loop over all filters finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.topics.test_names import MATCHES
from wsd.protocols.topics.names import checkFilter, checkName, matches
from wsd.protocols.topics.trie import Trie

# Names and filters of few levels, from few words, so that many of them match.
LEVELS = st.sampled_from(["a", "b", "$c"])
NAMES = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
FILTERS = st.tuples(st.lists(st.one_of(LEVELS, st.just("+")), max_size=3), st.sampled_from(["a", "+", "#"])).map(
    lambda parts: "/".join([*parts[0], parts[1]])
)


def trieOf(*filters: str) -> Trie[str]:
    """A trie in which each filter's subscriber is the filter itself."""
    trie: Trie[str] = Trie()
    for pattern in filters:
        trie.add(checkFilter(pattern), pattern)
    return trie


class TestMatching:
    @pytest.mark.parametrize(("pattern", "name", "expected"), MATCHES)
    def test_is_that_of_mqtt(self, pattern: str, name: str, expected: bool) -> None:
        assert trieOf(pattern).match(checkName(name)) == [pattern] * expected

    @given(st.lists(FILTERS, max_size=12), NAMES)
    def test_finds_exactly_the_filters_that_match(self, filters: list[str], name: str) -> None:
        expected = {pattern for pattern in filters if matches(checkFilter(pattern), checkName(name))}
        found = trieOf(*filters).match(checkName(name))
        assert set(found) == expected
        assert len(found) == len(expected)

    def test_finds_a_subscriber_of_several_filters_once(self) -> None:
        trie: Trie[str] = Trie()
        for pattern in ("a/b", "a/+", "a/#", "#"):
            trie.add(checkFilter(pattern), "me")
        trie.add(checkFilter("a/b"), "you")
        assert sorted(trie.match(("a", "b"))) == ["me", "you"]

    def test_finds_subscribers_in_the_order_in_which_they_came(self) -> None:
        trie: Trie[int] = Trie()
        for number in range(5):
            trie.add(("a",), number)
        assert trie.match(("a",)) == [0, 1, 2, 3, 4]


class TestSubscriptions:
    def test_are_counted_once_each(self) -> None:
        trie = trieOf("a", "a/#")
        assert trie.add(("a",), "a") is False
        assert len(trie) == 2
        assert trie.remove(("a",), "a") is True
        assert trie.remove(("a",), "a") is False
        assert trie.remove(("b", "c"), "a") is False
        assert trie.remove(("a", "b"), "a") is False
        assert len(trie) == 1

    @given(st.lists(FILTERS, max_size=12, unique=True), st.data())
    def test_leave_nothing_behind(self, filters: list[str], data: st.DataObject) -> None:
        trie = trieOf(*filters)
        left = list(filters)
        for pattern in data.draw(st.permutations(filters)):
            assert trie.remove(checkFilter(pattern), pattern)
            left.remove(pattern)
            assert len(trie) == len(left)
            for name in ("a", "a/b", "a/a", "$c", "b/b/b/b"):
                assert set(trie.match(checkName(name))) == {
                    each for each in left if matches(checkFilter(each), checkName(name))
                }
        assert trie.isEmpty
