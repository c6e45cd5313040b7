"""Ledger: counts the memory held for clients that may be gone, for each of them and for all together."""

from __future__ import annotations

from sys import getsizeof

from wsd.policies.meter import Meter
from wsd.protocols.xmpp.stanza import Element

_ELEMENT = 320
"""Bytes of an element without attributes and children."""
_ATTRIBUTE = 100
_TAG = 160
"""Bytes charged for the work of parsing a tag."""

_SHARE = 4
"""One holder may have a quarter of the limit for all."""


def weight(element: Element) -> int:
    """Roughly the bytes of memory that an element takes: for `<a/>` seventy times the length of its XML."""
    total = _ELEMENT + getsizeof(element.name)
    for key, value in element.attrs.items():
        total += _ATTRIBUTE + getsizeof(key) + getsizeof(value)
    for child in element.children:
        total += getsizeof(child) if isinstance(child, str) else weight(child)
    return total


def cost(xml: str) -> int:
    """
    The cost in bytes of a stanza that is kept as text: its memory, and a charge for each tag.

    The charge is for parsing: when a session ends, its stanzas are parsed again, and some megabytes of `<a/>` would
    block everybody for seconds.
    """
    return getsizeof(xml) + _TAG * xml.count("<")


class Ledger:
    """Bytes by holder, with a limit for all holders and a limit for each."""

    def __init__(self, most: int, meter: Meter | None = None) -> None:
        self._meter = meter
        self.total = 0
        self.connected = 0
        """Bytes held for clients with a connection, which the limits here are not for: a connection has its own."""
        self.most = most
        self._held: dict[str, int] = {}

    def admits(self, holder: str, size: int) -> bool:
        """Whether a holder may have `size` bytes more."""
        return self.total + size <= self.most and self.held(holder) + size <= self.most // _SHARE

    def held(self, holder: str) -> int:
        """The bytes that a holder has."""
        return self._held.get(holder, 0)

    def take(self, holder: str, size: int) -> None:
        """Charge a holder with `size` bytes; a negative size gives them back."""
        self.total += size
        self._tell()
        held = self.held(holder) + size
        if held:
            self._held[holder] = held
        else:
            self._held.pop(holder, None)

    def takeConnected(self, size: int) -> None:
        """Count `size` bytes more for clients with a connection; a negative size gives them back."""
        self.connected += size
        self._tell()

    def _tell(self) -> None:
        if self._meter is not None:
            self._meter.put(self.total + self.connected)
