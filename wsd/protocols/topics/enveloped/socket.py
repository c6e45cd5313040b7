"""The connection that speaks the enveloped form, as its parts see it."""

from __future__ import annotations

from typing import Any, Protocol

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

    def renew(self, subject: Subject) -> None:
        """There is a new token."""

    def closeForMemory(self) -> None:
        """Begin the closing handshake, since the daemon has no memory left."""
