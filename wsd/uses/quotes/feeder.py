"""A synthetic market: 500 symbols whose prices change 5,000 times a second in all, while somebody watches."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

TOPIC = "market"
SYMBOLS = ["".join(letters) for letters in product("ABCDEFGHIJ", "KLMNO", "PQRSTUVWXY")]
TICKS = 5000
"""Changes of a price a second, of all symbols together."""
BATCHES = 50
"""How often a second ticks are published."""
_MOST_TURNS = BATCHES // 5
"""Missed turns that are made up for at once. More in one turn of the reactor would hold up other connections."""


class TopicsRoute(Protocol):
    """What the feeder needs of the route of its topic."""

    def subscribers(self, topic: str) -> int:
        """How many subscribe to a topic."""

    def publishJson(self, topic: str, values: list[tuple[str | None, Any]]) -> Any:
        """Publish values, each with the key whose last value it becomes."""


class Market:
    """Prices that wander at random."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._prices = {symbol: chance.uniform(5, 500) for symbol in SYMBOLS}

    def tick(self, symbol: str) -> float:
        """The next price of a symbol."""
        price = self._prices[symbol] * (1 + self._chance.gauss(0, 0.0008))
        self._prices[symbol] = price = min(max(price, 1.0), 5000.0)
        return round(price, 2)

    def ticks(self, count: int) -> Iterator[tuple[str, float]]:
        """Further prices of symbols chosen at random."""
        for symbol in self._chance.choices(SYMBOLS, k=count):
            yield symbol, self.tick(symbol)


class Feeder:
    """Publishes the ticks of a market to a topic that has subscribers."""

    def __init__(self, route: TopicsRoute, clock: IReactorTime, now: Callable[[], float] = time.time) -> None:
        self._route = route
        self._now = now
        self._market = Market(random.Random(1))
        self._isWatched = False
        self._loop = LoopingCall.withCount(self._feed)
        self._loop.clock = clock

    def start(self) -> None:
        """Begin."""
        self._loop.start(1 / BATCHES, now=False)

    def stop(self) -> None:
        """End."""
        if self._loop.running:
            self._loop.stop()

    def _feed(self, turns: int) -> None:
        """Publish what has happened since the last turn; `turns` is more than 1 if the daemon was busy."""
        # lesson: feed
        wasWatched, self._isWatched = self._isWatched, self._route.subscribers(TOPIC) > 0
        if not self._isWatched:
            return
        if wasWatched:
            ticks = self._market.ticks(min(turns, _MOST_TURNS) * TICKS // BATCHES)
        else:
            ticks = ((symbol, self._market.tick(symbol)) for symbol in SYMBOLS)
        at = round(self._now() * 1000)
        self._route.publishJson(TOPIC, [(symbol, {"price": price, "at": at}) for symbol, price in ticks])
        # end of lesson
