"""Claims: what a verified token says about topics, in its claim `topics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.names import checkFilter
from wsd.protocols.topics.rules import IMPLIED, Action, Claims

CLAIM = "topics"
"""The claim with a list of topics and filters for each action."""


def readClaims(user: str | None, expires: float | None, claims: Mapping[str, Any]) -> Claims:
    """What a verified token allows its bearer. Raises TopicError("bad_token")."""
    given = claims.get(CLAIM, {})
    if not isinstance(given, dict) or not given.keys() <= set(Action):
        raise TopicError("bad_token", f"the claim {CLAIM} is not an object with lists for {', '.join(Action)}")
    allowed = {Action(name): _patternsOf(name, patterns) for name, patterns in given.items()}
    for action, other in IMPLIED.items():
        allowed.setdefault(action, allowed.get(other, ()))
    return Claims(allowed, user, float("inf") if expires is None else expires)


def _patternsOf(action: str, patterns: object) -> tuple[tuple[str, ...], ...]:
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise TopicError("bad_token", f"the claim {CLAIM}.{action} is not a list of topics and filters")
    try:
        return tuple(checkFilter(pattern) for pattern in patterns)
    except TopicError as error:
        raise TopicError("bad_token", f"the claim {CLAIM}.{action} has an invalid filter: {error.sentence}") from None
