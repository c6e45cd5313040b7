"""Demonstration: the service of a route that configures none. It shows what SOAP can do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from time import time
from typing import Any

from twisted.internet.task import LoopingCall

from wsd.protocols.soap.service import Call, Fault

_FILES = {"hello.txt": (b"Hello!\n", date(2026, 1, 31))}
_SECRET = ("secret.txt",)
_MOST_WATCHES = 100
"""Limit of the watches of all clients together."""


class FileFault(Exception):
    """Raised for a file that cannot be read."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the file {name[:100]} is {why}; there is hello.txt")
        self.name = name
        self.why = why


class PushFault(Exception):
    """Raised for a client that cannot be pushed to."""

    def __init__(self) -> None:
        super().__init__("quotes can be pushed only over a WebSocket")
        self.transport = "http"


class Demonstration:
    """The functions for the operations in demonstration.wsdl."""

    def __init__(self) -> None:
        self.notes = 0
        """The number of notes so far."""
        self._names = count(1)
        self._watches: set[LoopingCall] = set()

    def echo(self, text: str) -> str:
        """Returns the text."""
        return text

    def add(self, a: int, b: int) -> int:
        """Returns the sum. If it is too large for an xs:int, the client gets the fault Receiver."""
        return a + b

    def readFile(self, name: str) -> dict[str, Any]:
        """Returns a file. Raises FileFault."""
        if name in _SECRET:
            raise FileFault(name, "forbidden")
        if name not in _FILES:
            raise FileFault(name, "missing")
        content, modified = _FILES[name]
        return {"name": name, "content": content, "modified": modified}

    def order(
        self, customer: str, line: list[Any], speed: str, call: Call, wanted: date | None = None, tags: Any = None
    ) -> dict[str, Any]:
        """Returns what an order costs. Express arrives the next day and costs a tenth more."""
        total = sum((each.amount * each.price for each in line), Decimal())
        isExpress = speed == "express"
        total = (total * Decimal("1.1") if isExpress else total).quantize(Decimal("0.01"))
        today = datetime.fromtimestamp(time(), UTC).date()
        delivery = max(wanted or date.min, today + timedelta(days=1 if isExpress else 3))
        return {"total": total, "delivery": delivery, "speed": speed, "line": line, "tags": tags}

    def note(self, text: str) -> None:
        """Counts a note. The operation is one-way."""
        self.notes += 1

    def watch(self, symbol: str, quotes: int, call: Call, milliseconds: int | None = None) -> str:
        """Pushes quotes for a while. Raises PushFault."""
        if not call.canPush:
            raise PushFault
        name = f"watch-{next(self._names)}"
        if len(self._watches) >= _MOST_WATCHES:
            raise Fault(f"{_MOST_WATCHES} watches are open; try again when one has ended", "Receiver")
        ticker = _Ticker(name, symbol, quotes, call)
        loop = LoopingCall(ticker.tick)
        loop.clock = call.clock
        ticker.end = lambda: loop.stop() if loop.running else None
        self._watches.add(loop)
        forget = call.whenClosed(ticker.end)
        done = loop.start((milliseconds or 1000) / 1000, now=False)
        done.addBoth(lambda _: self._watches.discard(loop)).addBoth(lambda _: forget())
        return name


class _Ticker:
    """Pushes the quotes of one symbol. The price changes in a fixed way, so that two runs are alike."""

    def __init__(self, watch: str, symbol: str, quotes: int, call: Call) -> None:
        self._watch = watch
        self._symbol = symbol
        self._left = quotes
        self._call = call
        self._cents = 10_000 + sum(symbol.encode()) % 5_000
        self.end: Any = None

    def tick(self) -> None:
        """Pushes one quote, unless the client does not read."""
        self._left -= 1
        self._cents += (self._left * 37) % 201 - 100
        if not self._call.isFull:
            self._call.push(
                "Quote",
                watch=self._watch,
                symbol=self._symbol,
                price=Decimal(self._cents) / 100,
                at=datetime.fromtimestamp(time(), UTC),
            )
        if self._left <= 0:
            self.end()
