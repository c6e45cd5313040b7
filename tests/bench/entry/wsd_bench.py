"""Protocols that come from another package, as the entry points beside this module say: they are measured too."""

from __future__ import annotations

from wsd.connection import Connection, Factory


class Back(Connection):
    """A message comes back, while the peer reads."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        self.send(payload, isBinary)

    def full(self) -> None:
        self.hold()

    def drained(self) -> None:
        self.release()


class BackFactory(Factory):
    """An echo that is not wsd's own."""

    connection = Back


class Everyone(Connection):
    """A message goes to all connections of the route."""

    factory: EveryoneFactory

    def opened(self) -> None:
        self.factory.open.add(self)

    def received(self, payload: bytes, isBinary: bool) -> None:
        prepared = self.factory.prepare(payload, isBinary)
        for each in self.factory.open:
            each.send(prepared)

    def closed(self, code: int, reason: str) -> None:
        self.factory.open.discard(self)


class EveryoneFactory(Factory):
    """Who is there."""

    connection = Everyone

    def started(self) -> None:
        self.open: set[Everyone] = set()
