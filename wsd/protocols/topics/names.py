"""Names of topics, and filters that match them: levels separated by "/", with MQTT's wildcards (MQTT 5.0, 4.7)."""

from __future__ import annotations

import unicodedata

from wsd.protocols.topics.errors import TopicError

MAX_LEVELS = 8
MAX_BYTES = 200
"""In UTF-8."""

ONE = "+"
"""The wildcard for exactly one level."""

REST = "#"
"""The wildcard for a level and all below it, and for the level above (MQTT 5.0, 4.7.1.2)."""

RESERVED = "$"
"""Names that begin with this are the daemon's own; a wildcard in the first level never matches them (4.7.2)."""

_FORBIDDEN = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories that no name may contain: control characters, surrogates, line and paragraph separators."""


def checkName(name: str) -> tuple[str, ...]:
    """The levels of a topic's name. Raises TopicError("bad_topic")."""
    levels = _levels(name, "bad_topic", "topic")
    for level in levels:
        if ONE in level or REST in level:
            raise TopicError("bad_topic", f"{_shown(name)} has a wildcard; only a subscription may have + and #")
    return levels


def checkFilter(pattern: str) -> tuple[str, ...]:
    """The levels of a filter; a name is a filter that matches itself. Raises TopicError("bad_filter")."""
    levels = _levels(pattern, "bad_filter", "filter")
    for number, level in enumerate(levels, 1):
        if (ONE in level or REST in level) and len(level) > 1:
            raise TopicError("bad_filter", f"{_shown(pattern)} has a wildcard beside other characters in one level")
        if level == REST and number < len(levels):
            raise TopicError("bad_filter", f"{_shown(pattern)} has # before its last level")
    return levels


def isFilter(pattern: str) -> bool:
    """Whether this has wildcards: it may be subscribed to, and not published to."""
    return ONE in pattern or REST in pattern


def matches(pattern: tuple[str, ...], name: tuple[str, ...]) -> bool:
    """Whether a filter matches a name, both as levels."""
    if _isHidden(name[0], pattern[0]):
        return False
    for number, level in enumerate(pattern):
        if level == REST:
            return True
        if number >= len(name) or level not in (ONE, name[number]):
            return False
    return len(pattern) == len(name)


def covers(pattern: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether a filter matches every name that another filter matches."""
    if _isHidden(other[0], pattern[0]):
        return False
    for number, level in enumerate(pattern):
        if level == REST:
            return True
        if number >= len(other) or other[number] == REST or level not in (ONE, other[number]):
            return False
    return len(pattern) == len(other)


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether there is a name that both filters match."""
    if _isHidden(one[0], other[0]) or _isHidden(other[0], one[0]):
        return False
    for mine, its in zip(one, other, strict=False):
        if REST in (mine, its):
            return True
        if ONE not in (mine, its) and mine != its:
            return False
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) == len(longer) or longer[len(shorter) :] == (REST,)


def _isHidden(level: str, wildcard: str) -> bool:
    """Whether a first level is one of the daemon's own, which a wildcard there does not match."""
    return level.startswith(RESERVED) and wildcard in (ONE, REST)


def _levels(name: str, code: str, word: str) -> tuple[str, ...]:
    if not name:
        raise TopicError(code, f"the {word} is missing; write it after the path of the route, such as quotes/ACME")
    if len(name) > MAX_BYTES or len(name.encode("utf-8", "replace")) > MAX_BYTES:
        raise TopicError(code, f"{_shown(name)} is too long; a {word} has at most {MAX_BYTES} bytes")
    if any(unicodedata.category(character) in _FORBIDDEN for character in name):
        raise TopicError(code, f"{_shown(name)} has a control character; a {word} may not")
    levels = tuple(name.split("/"))
    if "" in levels:
        raise TopicError(code, f"{_shown(name)} has an empty level; write a single / between two levels")
    if len(levels) > MAX_LEVELS:
        raise TopicError(code, f"{_shown(name)} has {len(levels)} levels; a {word} has at most {MAX_LEVELS}")
    return levels


def _shown(name: str) -> str:
    return repr(name) if len(name) <= 60 else f"{name[:60]!r}..."
