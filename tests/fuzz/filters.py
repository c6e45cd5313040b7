"""Filters of topics: the trie finds those that match a name, and `covers` and `overlap` agree with what they match."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.names import checkFilter, checkName, covers, isFilter, matches, overlap
from wsd.protocols.topics.trie import Trie

_MOST = 12
_Levels = tuple[str, ...]


def check(data: bytes) -> None:
    """Takes filters and names of topics, one on each line."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")[:_MOST]
    filters = _checked(checkFilter, lines)
    names = _checked(checkName, lines)
    assert names == [each for each in filters if not isFilter("/".join(each))]
    trie: Trie[_Levels] = Trie()
    for each in filters:
        assert trie.add(each, each) == (filters.index(each) == len(trie) - 1)
    _checkPairs(filters, names)
    for name in names:
        expected = {each for each in filters if matches(each, name)}
        found = trie.match(name)
        assert len(found) == len(expected)
        assert set(found) == expected
    for each in dict.fromkeys(filters):
        assert trie.remove(each, each)
    assert trie.isEmpty


def _checked(levelsOf: Callable[[str], _Levels], lines: list[str]) -> list[_Levels]:
    """The levels of the valid lines, each once."""
    found: dict[_Levels, None] = {}
    for line in lines:
        with suppress(TopicError):
            found[levelsOf(line)] = None
    return list(found)


def _checkPairs(filters: list[_Levels], names: list[_Levels]) -> None:
    for one in filters:
        assert covers(one, one)
        for other in filters:
            assert overlap(one, other) == overlap(other, one)
            for name in names:
                if covers(one, other) and matches(other, name):
                    assert matches(one, name), (one, other, name)
                if matches(one, name) and matches(other, name):
                    assert overlap(one, other), (one, other, name)
