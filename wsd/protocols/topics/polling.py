"""Long polls: an answer that waits for the next message of a topic."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from wsd.protocols.topics.hub import Hub
from wsd.protocols.topics.publication import Loss, Publication
from wsd.protocols.topics.replay import Beginning, Replay


class Poll:
    """One request that waits."""

    direct = None

    def __init__(self, hub: Hub, beginning: Beginning, clock: IReactorTime) -> None:
        self._hub = hub
        self._beginning = beginning
        self._clock = clock
        self._news: Deferred[None] = Deferred()

    async def answer(self, seconds: float) -> Replay:
        """What there is behind the position asked for; if that is nothing, what comes first within `seconds`."""
        levels = self._beginning.levels
        await self._hub.subscribe(self, levels)
        try:
            replay = await self._beginning.recover(self._hub.backend)
            if replay.publications or not replay.isComplete:
                return replay
            late = self._clock.callLater(seconds, self.end)
            await self._news
            if late.active():
                late.cancel()
            assert replay.position is not None
            return await Beginning(self._beginning.topic, levels, since=replay.position).recover(self._hub.backend)
        finally:
            self._hub.unsubscribe(self, levels)

    def take(self, publication: Publication) -> None:
        """There is news."""
        self.end()

    def miss(self, loss: Loss) -> None:
        """That messages are lost is news as well: the answer has `gap`."""
        self.end()

    def end(self) -> None:
        """Wait no more."""
        if not self._news.called:
            self._news.callback(None)
