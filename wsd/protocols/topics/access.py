"""Access: who a request comes from, by origin, user and token, and what the rules let that subject do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from wsd.auth.bearer import BearerMethod, tokenOf
from wsd.auth.outcome import AuthenticatedUser, TokenError
from wsd.head import Head, Refused
from wsd.policies.origin import checkOrigin
from wsd.protocols.topics.claims import readClaims
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.options import TopicsOptions
from wsd.protocols.topics.query import Query
from wsd.protocols.topics.rules import Action, Claims, Levels, Rules, Subject


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
        if user is None and request.tls is not None:
            user = request.tls.client
        login = user
        claims = self._claimsOf(request, tokenOf(head) or queries.get("token"))
        if claims is not None:
            user = claims.user or user
        return Subject(_isSameOrigin(head), user, claims, request, login)

    def _claimsOf(self, request: Any, token: str | None) -> Claims | None:
        """What the request's token says. Without a `token_key`, that is the one which has authenticated the client."""
        if self._verifier is None and request.identity is not None and request.identity.method == BearerMethod.name:
            return _claimsOfUser(request.identity)
        return None if token is None else self._verified(token)

    def _verified(self, token: str) -> Claims:
        if self._verifier is None:
            raise TopicError("bad_token", "this route accepts no tokens, because token_key is not set")
        try:
            verified = self._verifier.verify(token)
        except TokenError as error:
            raise TopicError(error.code, error.sentence) from None
        return readClaims(verified.user, verified.expires, verified.claims)

    def renewed(self, subject: Subject, token: str, identity: AuthenticatedUser | None) -> Subject:
        """The subject with a new token, which has authenticated the client again as `identity`. Raises TopicError."""
        claims = self._verified(token) if identity is None or self._verifier is not None else _claimsOfUser(identity)
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


def _claimsOfUser(identity: AuthenticatedUser) -> Claims:
    return readClaims(identity.name, identity.expires, identity.claims)


def _isSameOrigin(head: Head) -> bool:
    try:
        checkOrigin(head.headers.get("Origin"), ("same-host",), head.host, ())
    except Refused:
        return False
    return True
