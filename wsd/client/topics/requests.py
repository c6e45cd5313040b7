"""Requests of a client of topics.wsd.v1, errors that answer them, and when a token must be renewed."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred


class TopicsError(Exception):
    """What the server refused, or what became of a request: a code of docs/topics.md's, and a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence


@dataclass(slots=True, eq=False)
class PendingRequest:
    """A request that waits for its answer."""

    id: int
    text: bytes
    payload: bytes | None
    survives: bool
    sentAt: float | None = None
    done: Deferred[Any] = field(default_factory=Deferred)

    @property
    def size(self) -> int:
        """Bytes of its larger message."""
        return max(len(self.text), len(self.payload or b""))


def expiryOf(token: str) -> float | None:
    """When a JWT expires, in seconds since 1970; None if it cannot be read."""
    try:
        part = token.split(".")[1]
        return float(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"])
    except (binascii.Error, ValueError, LookupError, TypeError):
        return None
