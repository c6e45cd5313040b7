"""A client of topics.wsd.v1 as a stranger writes it from docs/topics.md: it publishes once, and resumes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class PageClient:
    """One client over one connection after the other. `send` sends a message; each that comes goes to `received`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.send: Callable[[str | bytes], object] = lambda _: None
        self.positions: dict[str, str | None] = {}
        self.payloads: list[Any] = []
        self.gaps: list[str] = []
        self.members: dict[str, Any] = {}
        self.errors: dict[int, str] = {}
        self._unacknowledged: dict[int, tuple[dict[str, Any], bytes | None]] = {}
        self._own: set[str] = set()
        self._id = 0
        self._envelope: dict[str, Any] = {}

    def connected(self) -> None:
        """First the unacknowledged messages, then the subscriptions: a replay brings our own messages as well."""
        for identity in list(self._unacknowledged):
            self._sendPublish(identity)
        for topic in self.positions:
            self._subscribe(topic)

    def subscribe(self, topic: str) -> None:
        self.positions[topic] = None
        self._subscribe(topic)

    def _subscribe(self, topic: str) -> None:
        since = {"since": position} if (position := self.positions[topic]) else {}
        self._ask("subscribe", topic=topic, presence=True, **since)

    def publish(self, topic: str, payload: Any) -> int:
        self._id += 1
        isBinary = isinstance(payload, bytes)
        content = {"binary": True} if isBinary else {"data": payload}
        fields = {"id": self._id, "topic": topic, "once": f"{self.name}-{self._id}", **content}
        self._unacknowledged[self._id] = fields, payload if isBinary else None
        self._sendPublish(self._id)
        return self._id

    def _sendPublish(self, identity: int) -> None:
        fields, payload = self._unacknowledged[identity]
        self.send(json.dumps({"publish": fields}))
        if payload is not None:
            self.send(payload)

    def enter(self, topic: str, state: Any) -> None:
        self._ask("enter", topic=topic, state=state)

    def _ask(self, name: str, **fields: Any) -> None:
        self._id += 1
        self.send(json.dumps({name: {"id": self._id, **fields}}))

    def received(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._take(self._envelope, message)
            return
        ((name, fields),) = json.loads(message).items()
        if name == "message" and "binary" in fields:
            self._envelope = fields
        elif name == "message":
            self._take(fields, fields.get("data", fields.get("text")))
        elif name == "published":
            del self._unacknowledged[fields["id"]]
            self._own.add(fields["position"])
        elif name == "subscribed":
            self.gaps += [fields["topic"]] * fields.get("gap", False)
            self.members = {each["member"]: each["state"] for each in fields["members"]}
            if not fields.get("replayed"):
                self.positions[fields["topic"]] = fields["position"]
        elif name == "gap":
            self.gaps.append(fields["topic"])
        elif name == "presence":
            self.members[fields["member"]] = fields["state"]
            if fields["change"] == "leave":
                del self.members[fields["member"]]
        elif name == "error":
            self.errors[fields["id"]] = fields["code"]
            self._unacknowledged.pop(fields["id"], None)

    def _take(self, fields: dict[str, Any], payload: Any) -> None:
        self.positions[fields["topic"]] = fields["position"]
        if fields["position"] not in self._own:
            self.payloads.append(payload)
