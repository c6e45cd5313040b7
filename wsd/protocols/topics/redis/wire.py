"""Messages as Redis keeps and passes them on: a position, a head in JSON, and the payload, each behind the other."""

from __future__ import annotations

import json

from wsd.protocols.topics.members import Member
from wsd.protocols.topics.position import Position, readPosition
from wsd.protocols.topics.publication import Publication, TopicMessage

PRESENCE = b"="
"""How a note about a member begins; a position never does."""


def bodyOf(message: TopicMessage, at: float, uid: str) -> bytes:
    """Everything but the position: a line of JSON, and the payload."""
    head = {
        "u": uid,
        "a": at,
        "b": 1 if message.isBinary else None,
        "k": message.key,
        "r": 1 if message.isRemoval else None,
        "t": message.ttl,
        "y": message.mediaType,
        "x": message.sender,
    }
    given = {name: value for name, value in head.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" + message.payload


def marker(uid: str) -> str:
    """What a body with this uid has in it, and no other."""
    return f'{{"u":"{uid}",'


def readBody(topic: str, position: Position, body: bytes) -> Publication:
    """The publication with this body."""
    line, _, payload = body.partition(b"\n")
    head = json.loads(line)
    message = TopicMessage(
        payload,
        isBinary="b" in head,
        key=head.get("k"),
        isRemoval="r" in head,
        ttl=head.get("t"),
        mediaType=head.get("y"),
        sender=head.get("x"),
    )
    return Publication(topic, position, message, head["a"])


def readStamped(topic: str, data: bytes) -> Publication:
    """A publication from its position, a line, and its body."""
    position, _, body = data.partition(b"\n")
    return readBody(topic, readPosition(position.decode()), body)


def memberValue(member: Member, process: str) -> str:
    """A member as it is stored. `process` is the daemon that it is connected to."""
    return json.dumps({"p": process, "u": member.user, "s": member.state}, separators=(",", ":"))


def readMember(memberId: bytes, value: bytes) -> tuple[Member, str]:
    """A member, and the daemon that it is connected to."""
    found = json.loads(value)
    return Member(memberId.decode(), found["u"], found["s"]), found["p"]
