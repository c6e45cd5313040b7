"""An Offer with every kind of type, a fault, a one-way operation and a pushed message."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated

from wsd.protocols.soap.offer import Offer
from wsd.protocols.soap.service import Call, blocking

quotes = Offer("Quotes", "urn:quotes", "What shares cost.")
noted: list[str] = []


class Market(Enum):
    HOME = "home"
    ABROAD = "far away"


@dataclass
class Place:
    city: str
    market: Market = Market.HOME


@dataclass
class Trade:
    symbol: str
    amount: Annotated[int, "xs:int"]
    price: Decimal
    at: datetime | None
    places: list[Place]
    parent: Trade | None = None
    labels: list[str] = field(default_factory=list)


@quotes.pushed
@dataclass
class Tick:
    """A new price."""

    symbol: str
    price: Decimal


class UnknownSymbol(Exception):
    symbol: str

    def __init__(self, symbol: str) -> None:
        super().__init__(f"nobody deals in {symbol}")
        self.symbol = symbol


@quotes.operation(UnknownSymbol)
async def price(symbol: str, day: date | None = None, from_: str = "here") -> Decimal:
    """
    What a share costs.

    On a day, or now.
    """
    if symbol == "NONE":
        raise UnknownSymbol(symbol)
    return Decimal("1.50") if day is None else Decimal(day.year)


@quotes.operation(UnknownSymbol)
@blocking
def mirror_trades(trades: list[Trade], seal: bytes | None) -> list[Trade]:
    assert all(isinstance(each, Trade) and isinstance(each.places, list) for each in trades)
    if not trades:
        raise UnknownSymbol("nothing")
    return trades


@quotes.operation()
def follow(symbol: str, call: Call) -> None:
    call.push("Tick", symbol=symbol, price=Decimal(2))


@quotes.oneWay
def note(text: str) -> None:
    noted.append(text)
