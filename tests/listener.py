"""A protocol that keeps what it receives, for tests of what reads frames."""

from __future__ import annotations

from wsd.connection import Connection, Factory


class Listener(Connection):
    """Keeps the messages that it receives."""

    def opened(self) -> None:
        self.got: list[bytes] = []

    def received(self, payload: bytes, isBinary: bool) -> None:
        self.got.append(payload)


class ListenerFactory(Factory):
    connection = Listener
