"""
Rules: who may do what at which topics.

A rule is written `WHO` or `WHO FILTER`, such as `token chat/#` or, with a function, `rules.py:mayTalk chat/#`. For each
action the route has a list. A topic is judged by the first rule whose filter matches it; where no rule matches, nobody
may.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from inspect import isawaitable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import TimeoutError as TookTooLong
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config import ConfigError
from wsd.config.code import load
from wsd.config.values import reference
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.names import checkFilter, covers, overlap

Levels = tuple[str, ...]


class Action(StrEnum):
    """What a client may want to do."""

    publish = "publish"
    subscribe = "subscribe"
    history = "history"
    """To read earlier messages: history, last values, and everything since a position."""
    presence = "presence"
    """To be present, to see who is, and to be told who comes and goes."""
    direct = "direct"
    """To send messages to one member."""
    clear = "clear"
    """To drop history and last values."""


IMPLIED = {
    Action.history: Action.subscribe,
    Action.presence: Action.subscribe,
    Action.direct: Action.publish,
}
"""Actions that are decided as others where nothing is said about them, in a route or in a token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says."""

    allowed: Mapping[Action, tuple[Levels, ...]]
    """The topics and filters at which its bearer may do something."""
    user: str | None
    expires: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who wants to do something."""

    isSameOrigin: bool
    """Whether it is a page of this host, or no page."""
    user: str | None = None
    claims: Claims | None = None
    request: Any = None
    """The request that it came with: a `wsd.connection.Request`, or one of twisted.web's with `head` and `peer`."""
    login: str | None = None
    """The user by other means than a token."""


Decision = Callable[[Action, str, Subject], Any]
"""An own decision: called with action, topic or filter, and subject. True, or an awaitable of it, allows."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may, at the topics that a filter matches."""

    who: str
    levels: Levels

    @property
    def isDecision(self) -> bool:
        """Whether `who` is a reference to a function."""
        return ":" in self.who


WHO = ("anyone", "same-origin", "token", "user")

_RULE = re.compile(rf"\s*({'|'.join(WHO)}|.+?\.py:\w+|[\w.]+:\w+)(?:\s+(\S.*?))?\s*")
"""WHO and a filter. The path of a file may have blanks."""


def readRule(text: str, folder: str) -> str:
    """A rule as it is configured, checked; the path of a function's file becomes absolute. Raises ValueError."""
    rule = parseRule(text)
    return f"{reference(rule.who, folder)} {'/'.join(rule.levels)}" if rule.isDecision else text


def parseRule(text: str) -> Rule:
    """A rule from its text. Raises ValueError."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError(
            f'"{text}" is not a rule; write one of {", ".join(WHO)} or a function such as "rules.py:mayTalk", and then '
            'the filter that it is for, as in "token chat/#"'
        )
    try:
        return Rule(found[1], checkFilter(found[2] or "#"))
    except TopicError as error:
        raise ValueError(f'"{text}" is not a rule: {error.sentence}') from None


def decisionsOf(texts: Iterable[str] | None) -> Iterator[str]:
    """The references to functions in rules."""
    return (rule.who for rule in map(parseRule, texts or ()) if rule.isDecision)


class Rules:
    """The rules of a route."""

    log = Logger(namespace="wsd")

    def __init__(self, rules: Mapping[Action, tuple[Rule, ...]], clock: IReactorTime, patience: float) -> None:
        """`patience` is the number of seconds that an own decision may take. Raises ValueError: one is not there."""
        self._rules = rules
        self._clock = clock
        self._patience = patience
        self._decisions = {
            rule.who: loadDecision(rule.who) for each in rules.values() for rule in each if rule.isDecision
        }

    def may(self, action: Action, topic: str, levels: Levels, subject: Subject) -> Deferred[None] | None:
        """
        None if the subject may do this at a topic or a filter. Raises TopicError if it may not.

        Where the decision takes time, a Deferred fires with None, or fails with TopicError.

        A filter is allowed if all rules that it touches allow it, up to the first whose own filter covers it, so that
        no message passes a rule that separates it from others.
        """
        decisions = []
        for rule in self._rules[action]:
            if not overlap(rule.levels, levels):
                continue
            if rule.isDecision:
                decisions.append(rule.who)
            else:
                _check(rule.who, action, levels, subject)
            if covers(rule.levels, levels):
                return self._decide(decisions, action, topic, subject) if decisions else None
        raise TopicError("forbidden", f"no rule of this route allows anyone to {_WORDS[action]} {topic[:80]!r}")

    async def _decideAll(self, decisions: list[str], action: Action, topic: str, subject: Subject) -> None:
        for who in decisions:
            if not await self._call(who, action, topic, subject):
                raise TopicError("forbidden", f"you may not {_WORDS[action]} {topic[:80]!r}")

    def _decide(self, decisions: list[str], action: Action, topic: str, subject: Subject) -> Deferred[None]:
        return Deferred.fromCoroutine(self._decideAll(decisions, action, topic, subject))

    def _call(self, who: str, action: Action, topic: str, subject: Subject) -> Deferred[bool]:
        """The answer of an own decision. One that raises, or takes too long, allows nothing, and is logged."""
        try:
            answer = self._decisions[who](action, topic, subject)
        except Exception:
            self._failed(Failure(), who)
            return succeed(False)
        if not isawaitable(answer):
            return succeed(answer is True)
        decided = answer if isinstance(answer, Deferred) else Deferred.fromCoroutine(_await(answer))
        decided.addTimeout(self._patience, self._clock)
        decided.addCallbacks(lambda value: value is True, self._failed, errbackArgs=(who,))
        return decided

    def _failed(self, failure: Failure, who: str) -> bool:
        if failure.check(TookTooLong):
            self.log.warn(
                "{who} took longer than {seconds:g} seconds to decide",
                event="topics.decision",
                who=who,
                seconds=self._patience,
            )
        else:
            self.log.failure("{who} raised an exception", failure, event="topics.decision", who=who)
        return False


_WORDS = {
    Action.publish: "publish to",
    Action.subscribe: "subscribe to",
    Action.history: "read the history of",
    Action.presence: "take part in the presence at",
    Action.direct: "send direct messages at",
    Action.clear: "clear",
}


def _check(who: str, action: Action, levels: Levels, subject: Subject) -> None:
    """Whether one rule lets the subject. Raises TopicError."""
    if who == "anyone":
        return
    if who == "same-origin":
        if not subject.isSameOrigin:
            raise TopicError("forbidden", f"only pages of this host may {_WORDS[action]} this topic")
        return
    if who == "user":
        if subject.user is None:
            raise TopicError("unauthorized", f"only users may {_WORDS[action]} this topic; log in, or send a token")
        return
    if subject.claims is None:
        raise TopicError("unauthorized", f"a token is needed to {_WORDS[action]} this topic")
    if not any(covers(allowed, levels) for allowed in subject.claims.allowed.get(action, ())):
        raise TopicError("forbidden", f"the token does not allow its bearer to {_WORDS[action]} this topic")


def loadDecision(who: str) -> Decision:
    """The function that a rule refers to. Raises ValueError."""
    try:
        found: Any = load(who)
    except ConfigError as error:
        raise ValueError(error.sentence) from None
    if not callable(found):
        raise ValueError(f'"{who}" is not callable; name a function')
    decision: Decision = found
    return decision


async def _await(answer: Awaitable[Any]) -> Any:
    return await answer
