"""The connection that speaks the enveloped form, as its parts see it."""

from __future__ import annotations

from typing import Any, Protocol

from wsd.auth.outcome import AuthenticatedUser
from wsd.logs import ConnectionLog
from wsd.metrics import Cause
from wsd.protocols.topics.rules import Subject


class EnvelopedSocket(Protocol):
    """The connection that speaks the enveloped form."""

    id: str
    frames: Any
    subject: Subject
    log: ConnectionLog

    @property
    def isFull(self) -> bool:
        """Whether there is no room to send."""

    def send(self, payload: Any) -> None:
        """Send a message."""

    def close(self, code: int, sentence: str, cause: Cause = Cause.closed) -> None:
        """Begin the closing handshake."""

    def hold(self) -> None:
        """Read nothing."""

    def release(self) -> None:
        """Read on."""

    def identityOf(self, token: str) -> AuthenticatedUser | None:
        """The user whom a new token authenticates; None if the route has not asked for one. Raises TopicError."""

    def renew(self, subject: Subject, identity: AuthenticatedUser | None) -> None:
        """There is a new token."""

    def closeForMemory(self) -> None:
        """Begin the closing handshake, since the daemon has no memory left."""
