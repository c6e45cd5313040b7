"""
The text messages of topics.wsd.v1: each an object with one key, its name, and an object of fields behind it.

A payload is one of three fields: `data` is any JSON, `text` a string, and `binary` says that the next message is it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from wsd.policies.jsontexts import TooManyValues, readJson
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.members import Member
from wsd.protocols.topics.position import Position, readPosition
from wsd.protocols.topics.query import MAX_TTL, checkKey

JSON = "application/json"
"""The media type of a payload that is delivered as `data`."""

_MOST = 2**53 - 1
"""The largest number that every JSON reader takes for what it is."""
_MAX_ID = 64
_MAX_WORD = 200
_MAX_TOKEN = 8192
_MAX_STATE = 1024
"""Bytes of a member's state, as compact JSON in UTF-8."""


def _bad(sentence: str) -> TopicError:
    return TopicError("bad_message", sentence)


def _id(value: object) -> str | int:
    if isinstance(value, str) and 0 < len(value) <= _MAX_ID:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST:
        return value
    raise _bad(f"id is neither an integer nor a string of 1 to {_MAX_ID} characters")


def _isUnicode(text: str) -> bool:
    """Whether this has no half of a surrogate pair, which UTF-8 cannot hold."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _string(name: str, most: int = _MAX_WORD) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not value or len(value) > most or not _isUnicode(value):
            raise _bad(f"{name} must be a string of 1 to {most} characters")
        return value

    return read


def _flag(name: str) -> Callable[[object], bool]:
    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise _bad(f"{name} must be true or false")
        return value

    return read


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise _bad("history is not a number of messages; write one such as 10")
    return value


def _ttl(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_TTL:
        raise _bad("ttl is not a number of seconds above 0")
    return float(value)


def _since(value: object) -> Position:
    return readPosition(value if isinstance(value, str) else json.dumps(value))


def _key(value: object) -> str:
    return checkKey(value if isinstance(value, str) else "")


def compact(value: object) -> bytes:
    """JSON in UTF-8 without blanks. Raises TopicError for what JSON or UTF-8 cannot hold."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise _bad("this JSON has half a surrogate pair, too many levels, or a number beyond a double's") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not _isUnicode(value):
        raise _bad("text is not a Unicode string; use data for other JSON")
    return value


def _true(value: object) -> bool:
    if value is not True:
        raise _bad("binary must be true, and the payload is the next message; leave it out otherwise")
    return True


def _state(value: object) -> str:
    state = compact(value)
    if len(state) > _MAX_STATE:
        raise TopicError("too_large", f"the state has {len(state)} bytes of JSON; the limit is {_MAX_STATE}")
    return state.decode()


_PAYLOAD: Mapping[str, Callable[[object], Any]] = {
    "data": compact,
    "text": _text,
    "binary": _true,
    "type": _string("type"),
}
_TOPIC: Mapping[str, Callable[[object], Any]] = {"id": _id, "topic": _string("topic")}

REQUESTS: Mapping[str, Mapping[str, Callable[[object], Any]]] = {
    "subscribe": {
        **_TOPIC,
        "since": _since,
        "history": _count,
        "last": _flag("last"),
        "presence": _flag("presence"),
    },
    "unsubscribe": _TOPIC,
    "publish": {
        **_TOPIC,
        **_PAYLOAD,
        "key": _key,
        "ttl": _ttl,
        "once": _string("once"),
        "echo": _flag("echo"),
    },
    "enter": {**_TOPIC, "state": _state},
    "leave": _TOPIC,
    "members": _TOPIC,
    "direct": {**_TOPIC, **_PAYLOAD, "to": _string("to")},
    "token": {"id": _id, "token": _string("token", _MAX_TOKEN)},
}
"""What a client may say, and how each field is read."""
_NEEDED = {"direct": ("topic", "to"), "token": ("token",)}

_EXAMPLE = 'write {"subscribe": {"id": 1, "topic": "quotes/ACME"}}'


class TopicRequest:
    """One message of a client, read."""

    __slots__ = ("fields", "id", "name", "topic")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        self.id: str | int | None = fields.pop("id", None)
        self.topic: str = fields.pop("topic", "")
        self.fields = fields

    @property
    def awaitsBinary(self) -> bool:
        """Whether the next message is its payload."""
        return bool(self.fields.get("binary"))


def readRequest(text: str) -> TopicRequest:
    """A client's message. Raises TopicError, whose `id` is that of the message where it could be read."""
    try:
        found = readJson(text)
    except TooManyValues as error:
        raise TopicError("too_large", str(error)) from None
    except ValueError:
        raise _bad(f"this is not JSON; {_EXAMPLE}") from None
    if not isinstance(found, dict) or len(found) != 1:
        raise _bad(f"a message is an object with one key, its name; {_EXAMPLE}")
    ((name, content),) = found.items()
    readers = REQUESTS.get(name)
    if readers is None or not isinstance(content, dict):
        raise _bad(f"{name[:40]!r} is not one of {', '.join(REQUESTS)} with an object")
    try:
        return TopicRequest(name, _read(name, content, readers))
    except TopicError as error:
        given = content.get("id")
        error.requestId = given if isinstance(given, str | int) and not isinstance(given, bool) else None
        raise


def _read(name: str, content: dict[str, Any], readers: Mapping[str, Callable[[object], Any]]) -> dict[str, Any]:
    for field in content:
        if field not in readers:
            raise _bad(f"{name} has no field {field[:40]!r}; it has {', '.join(readers)}")
    for field in _NEEDED.get(name, ("topic",)):
        if field not in content:
            raise _bad(f"the field {field} is missing in {name}")
    if readers.keys() >= _PAYLOAD.keys() and len(content.keys() & {"data", "text", "binary"}) != 1:
        raise _bad(f"{name} needs exactly one payload: data (any JSON), text (a string), or binary: true")
    if "text" in content and content.get("type") == JSON:
        # A payload of this type is JSON that was checked, and is put into envelopes as it is.
        raise _bad(f"a text cannot have the type {JSON}; use data for JSON")
    if "since" in content and "history" in content:
        raise _bad("use either since or history, not both")
    return {field: readers[field](value) for field, value in content.items()}


def line(name: str, **fields: object) -> str:
    """A message of the server's; fields that are None are left out."""
    given = {field: value for field, value in fields.items() if value is not None}
    return json.dumps({name: given}, ensure_ascii=False, separators=(",", ":"))


def memberFields(member: Member) -> dict[str, object]:
    """A member as the others are told of it."""
    fields: dict[str, object] = {"member": member.id}
    if member.user is not None:
        fields["user"] = member.user
    fields["state"] = json.loads(member.state)
    return fields
