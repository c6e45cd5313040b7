"""Access: who a request comes from, by origin, user and token, and what the rules let that subject do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from wsd.head import Head, Refused
from wsd.policies.origin import checkOrigin
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.options import TopicsOptions
from wsd.protocols.topics.query import Query
from wsd.protocols.topics.rules import Action, Levels, Rules, Subject
from wsd.protocols.topics.tokens import BEARER


class Access:
    """The access of one route."""

    def __init__(self, options: TopicsOptions, clock: IReactorTime) -> None:
        """Raises ValueError or OSError if the key or a decision cannot be loaded."""
        self._rules = Rules(options.rules(), clock, options.decision_timeout)
        self._verifier = options.verifier()

    def subjectOf(self, request: Any, queries: dict[str, str], user: str | None = None) -> Subject:
        """
        The subject of a request. Raises TopicError when it brings a token that is not valid.

        `request` has a `head` and `tls`; `user` is who has logged in by other means.
        """
        head: Head = request.head
        token = _tokenOf(head, queries)
        claims = None
        if user is None and request.tls is not None:
            user = request.tls.client
        login = user
        if token is not None:
            if self._verifier is None:
                raise TopicError("bad_token", "this route accepts no tokens, because token_key is not set")
            claims = self._verifier.verify(token)
            user = claims.user or user
        return Subject(_isSameOrigin(head), user, claims, request, login)

    def renewed(self, subject: Subject, token: str) -> Subject:
        """The subject with a new token. Raises TopicError."""
        if self._verifier is None:
            raise TopicError("bad_token", "this route accepts no tokens, because token_key is not set")
        claims = self._verifier.verify(token)
        user = subject.login if claims.user is None else claims.user
        return replace(subject, user=user, claims=claims)

    def may(self, action: Action, topic: str, levels: Levels, subject: Subject) -> Deferred[None] | None:
        """As `Rules.may`."""
        return self._rules.may(action, topic, levels, subject)

    async def check(self, action: Action, topic: str, levels: Levels, subject: Subject) -> None:
        """Raises TopicError if the subject may not do this."""
        decided = self.may(action, topic, levels, subject)
        if decided is not None:
            await decided


async def permitted(query: Query, topic: str, levels: Levels, subject: Subject, access: Access) -> Query:
    """
    A query of the plain form as far as it is permitted. Raises TopicError if nothing of it is.

    A client that did not ask for a role gets the one that it may have.
    """
    refused: dict[Action, TopicError] = {}
    for action, isWanted in ((Action.subscribe, query.subscribes), (Action.publish, query.publishes)):
        if isWanted:
            try:
                await access.check(action, topic, levels, subject)
            except TopicError as error:
                refused[action] = error
    if refused and (query.isRoleGiven or query.role != "both" or len(refused) == 2):
        raise next(iter(refused.values()))
    if Action.subscribe in refused:
        query = replace(query, role="publisher")
    elif Action.publish in refused:
        query = replace(query, role="subscriber")
    if query.replays:
        if not query.subscribes:
            raise refused[Action.subscribe]
        await access.check(Action.history, topic, levels, subject)
    return query


def _isSameOrigin(head: Head) -> bool:
    try:
        checkOrigin(head.headers.get("Origin"), ("same-host",), head.host, ())
    except Refused:
        return False
    return True


def _tokenOf(head: Head, queries: dict[str, str]) -> str | None:
    """The token of a request: in Authorization (RFC 6750 2.1), in a subprotocol entry, or in the query."""
    scheme, _, token = (head.headers.get("Authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    for entry in head.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if entry.strip().startswith(BEARER):
            return entry.strip().removeprefix(BEARER)
    return queries.get("token")
