"""How `wsd topics` shows messages, gaps and members: words for a person, or lines of JSON for a program."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from wsd.client.show import WIDTH
from wsd.client.topics.subscription import Gap, ReceivedMessage, given
from wsd.config.values import printable


class Words:
    """A line for a person."""

    def message(self, message: ReceivedMessage) -> None:
        """`TOPIC POSITION [key=KEY] PAYLOAD`."""
        key = "" if message.key is None else f" key={printable(message.key)}"
        print(f"{printable(message.topic)} {message.position}{key} {_shown(message)}", flush=True)

    def gap(self, gap: Gap) -> None:
        """Messages are lost."""
        count = "messages" if gap.skipped is None else f"{gap.skipped} messages"
        print(f"{printable(gap.topic)} gap: {count} messages missed", flush=True)

    def presence(self, fields: dict[str, Any]) -> None:
        """Somebody comes, changes or goes."""
        print(f"{printable(fields['topic'])} {fields['change']}: {memberLine(fields)}", flush=True)

    def members(self, topic: str, members: list[dict[str, Any]]) -> None:
        """Who is there."""
        for member in members:
            print(f"{printable(topic)} present: {memberLine(member)}", flush=True)


class Lines:
    """A line of JSON for a program: envelopes of topics.wsd.v1, with binary payloads in base64."""

    def message(self, message: ReceivedMessage) -> None:
        """A message."""
        binary = message.form == "binary"
        payload = {"base64": b64encode(message.payload).decode()} if binary else {message.form: message.payload}
        fields = given(topic=message.topic, position=message.position, key=message.key, type=message.mediaType)
        self._say("message", {**fields, **payload})

    def gap(self, gap: Gap) -> None:
        """Messages are lost."""
        self._say("gap", given(topic=gap.topic, position=gap.position, skipped=gap.skipped))

    def presence(self, fields: dict[str, Any]) -> None:
        """Somebody comes, changes or goes."""
        self._say("presence", fields)

    def members(self, topic: str, members: list[dict[str, Any]]) -> None:
        """Who is there."""
        self._say("members", {"topic": topic, "members": members})

    def _say(self, name: str, fields: dict[str, Any]) -> None:
        print(json.dumps({name: fields}, ensure_ascii=False), flush=True)


def _shown(message: ReceivedMessage) -> str:
    payload = message.payload
    if isinstance(payload, bytes):
        text = f"{len(payload)} byte{'s' * (len(payload) != 1)}: {payload[:WIDTH].hex(' ')}"
    else:
        text = payload if message.form == "text" else json.dumps(payload, ensure_ascii=False)
    return printable(text[:WIDTH]) + ("..." if len(text) > WIDTH else "")


def memberLine(member: dict[str, Any]) -> str:
    """A member, its user where it is known, and its state."""
    user = "" if "user" not in member else f" user={member['user']}"
    return printable(f"{member['member']}{user} {json.dumps(member['state'], ensure_ascii=False)}")
