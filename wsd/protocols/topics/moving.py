"""What topics take along to a new process in an upgrade, as values of JSON and bytes, and back again."""

from __future__ import annotations

from typing import Any

from wsd.protocols.topics.journal import Kept, TopicState
from wsd.protocols.topics.members import Member
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication, TopicMessage
from wsd.protocols.topics.rules import Action, Claims, Subject

VERSION = 1
"""The version of all of this."""


def saveTopics(kept: Kept) -> dict[str, Any]:
    """All topics with what is kept of them."""
    return {
        "topics": [[each.name, each.epoch, each.offset, each.used, each.first] for each in kept.topics],
        "messages": [_save(each) for each in kept.messages],
        "last": [[key, _save(each)] for key, each in kept.last],
        "once": [[topic, once, list(position), at] for topic, once, position, at in kept.once],
    }


def restoreTopics(saved: dict[str, Any]) -> Kept:
    """The reverse of `saveTopics`."""
    return Kept(
        [TopicState(*each) for each in saved["topics"]],
        [_restore(each) for each in saved["messages"]],
        [(key, _restore(each)) for key, each in saved["last"]],
        [(topic, once, Position(*position), at) for topic, once, position, at in saved["once"]],
    )


def _save(publication: Publication) -> list[Any]:
    it = publication.message
    message = [it.payload, it.isBinary, it.key, it.isRemoval, it.ttl, it.once, it.mediaType, it.sender]
    return [publication.topic, *publication.position, message, publication.at]


def _restore(saved: list[Any]) -> Publication:
    topic, epoch, offset, message, at = saved
    return Publication(topic, Position(epoch, offset), TopicMessage(*message), at)


def saveMembers(members: dict[str, list[Member]]) -> dict[str, list[list[str | None]]]:
    """Who is present, by topic."""
    return {topic: [[each.id, each.user, each.state] for each in found] for topic, found in members.items()}


def restoreMembers(saved: dict[str, list[list[Any]]]) -> dict[str, list[Member]]:
    """The reverse of `saveMembers`."""
    return {topic: [Member(*each) for each in found] for topic, found in saved.items()}


def saveSubject(subject: Subject) -> list[Any]:
    """Who a client is, without its request. What a token says is not verified again."""
    claims = subject.claims
    if claims is None:
        return [subject.isSameOrigin, subject.user, None]
    allowed = {str(action): [list(levels) for levels in found] for action, found in claims.allowed.items()}
    return [subject.isSameOrigin, subject.user, [allowed, claims.user, claims.expires]]


def restoreSubject(saved: list[Any], request: Any) -> Subject:
    """The reverse of `saveSubject`."""
    isSameOrigin, user, claims = saved
    if claims is None:
        return Subject(isSameOrigin, user, None, request)
    allowed, name, expires = claims
    actions = {Action(action): tuple(tuple(levels) for levels in found) for action, found in allowed.items()}
    return Subject(isSameOrigin, user, Claims(actions, name, expires), request)
