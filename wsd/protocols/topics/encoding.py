"""Items as WebSocket messages, in the plain and the enveloped form."""

from __future__ import annotations

import json
from base64 import b64encode

from wsd.connection import Prepared
from wsd.protocols.topics.members import PresenceEvent
from wsd.protocols.topics.messages import JSON, line, memberFields
from wsd.protocols.topics.publication import DirectMessage, Loss, Publication, TopicMessage


def encodePlain(publication: Publication) -> tuple[Prepared, ...]:
    """The plain form: the payload alone."""
    return (Prepared(publication.message.payload, publication.message.isBinary),)


def encodeEnveloped(item: Publication | Loss | PresenceEvent | DirectMessage) -> tuple[Prepared, ...]:
    """The enveloped form: `message`, `gap`, `presence` or `direct`; a binary payload comes behind it."""
    if isinstance(item, Loss):
        return (Prepared(line("gap", topic=item.topic, position=str(item.position)).encode(), False),)
    if isinstance(item, PresenceEvent):
        fields = memberFields(item.member)
        return (Prepared(line("presence", topic=item.topic, change=item.change.value, **fields).encode(), False),)
    head = f'"topic":{_json(item.topic)}'
    if isinstance(item, DirectMessage):
        return _envelope("direct", f'{head},"from":{_json(item.message.sender or "")}', item.message)
    head += f',"position":"{item.position}"'
    if item.message.key is not None:
        head += f',"key":{_json(item.message.key)}'
    return _envelope("message", head, item.message)


def _envelope(name: str, head: str, message: TopicMessage) -> tuple[Prepared, ...]:
    """An envelope with the fields of `head`, and a payload."""
    start = f'{{"{name}":{{{head}'
    if message.isBinary:
        media = "" if message.mediaType is None else f',"type":{_json(message.mediaType)}'
        text = f'{start}{media},"binary":{len(message.payload)}}}}}'
        return Prepared(text.encode(), False), Prepared(message.payload, True)
    if message.mediaType == JSON:
        return (Prepared(b'%b,"data":%b}}' % (start.encode(), message.payload), False),)
    media = "" if message.mediaType is None else f',"type":{_json(message.mediaType)}'
    text = f'{start}{media},"text":{_json(message.payload.decode())}}}}}'
    return (Prepared(text.encode(), False),)


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def jsonOf(publication: Publication) -> str:
    """
    A publication as an object of JSON; a binary payload is in base64.

    A payload that is JSON stays as it came: it may have more levels, and larger numbers, than Python reads and writes.
    """
    message = publication.message
    fields = [f'"topic":{_json(publication.topic)}', f'"position":"{publication.position}"']
    if message.key is not None:
        fields.append(f'"key":{_json(message.key)}')
    if message.mediaType == JSON and not message.isBinary:
        fields.append(f'"data":{message.payload.decode()}')
        return f"{{{','.join(fields)}}}"
    if message.mediaType is not None:
        fields.append(f'"type":{_json(message.mediaType)}')
    if message.isBinary:
        fields.append(f'"base64":"{b64encode(message.payload).decode()}"')
    else:
        fields.append(f'"text":{_json(message.payload.decode())}')
    return f"{{{','.join(fields)}}}"
