"""The open answers of a route over HTTP: event streams and long polls, which end with their tokens and the daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from wsd.protocols.topics.events import EventStream
from wsd.protocols.topics.polling import Poll
from wsd.protocols.topics.replay import Replay
from wsd.protocols.topics.rules import Claims, Subject


class _Endless(Protocol):
    """An answer that does not end by itself."""

    def end(self) -> None:
        """End it."""


class Streams:
    """All of them."""

    def __init__(self, clock: IReactorTime, now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._open: set[_Endless] = set()
        self._isEnded = False

    def __len__(self) -> int:
        return len(self._open)

    async def run(self, stream: EventStream, subject: Subject) -> None:
        """Answer with events until the client goes, or its token expires."""
        self._add(stream)
        expiry = None
        if subject.claims is not None:
            expiry = self._clock.callLater(self._validity(subject.claims), stream.end)
        try:
            await stream.run()
            await stream.over
        finally:
            self._open.discard(stream)
            if expiry is not None and expiry.active():
                expiry.cancel()

    async def poll(self, poll: Poll, subject: Subject, seconds: float) -> Replay:
        """Answer when there is news, after `seconds`, or when the client's token expires."""
        if subject.claims is not None:
            seconds = min(seconds, self._validity(subject.claims))
        self._add(poll)
        try:
            return await poll.answer(seconds)
        finally:
            self._open.discard(poll)

    def _validity(self, claims: Claims) -> float:
        """The seconds until a token expires."""
        return max(0.0, claims.expires - self._now())

    def _add(self, endless: _Endless) -> None:
        self._open.add(endless)
        if self._isEnded:
            endless.end()

    def end(self) -> None:
        """End all, and those that come later at once."""
        self._isEnded = True
        for each in list(self._open):
            each.end()
