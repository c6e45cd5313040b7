"""The service that SOAP is measured with: it gives back what it is asked with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated

from wsd.protocols.soap.offer import Offer

bench = Offer("Bench", "urn:bench")


@dataclass
class Line:
    item: str
    amount: Annotated[int, "xs:int"]
    price: Decimal
    day: date


@bench.operation()
def echo(text: str) -> str:
    return text


@bench.operation()
def order(lines: list[Line]) -> list[Line]:
    return lines
