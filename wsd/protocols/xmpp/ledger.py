"""Ledger: how much memory the server holds for clients that may be gone, in all and for each of them."""

from __future__ import annotations

from sys import getsizeof

from wsd.protocols.xmpp.stanza import Element

_ELEMENT = 320
"""Bytes of an element without attributes, children and text."""
_ATTRIBUTE = 100
_TAG = 160
"""Bytes that are charged for the work of reading a tag."""

_SHARE = 4
"""One holder has at the most this part of the whole: a quarter."""


def weight(element: Element) -> int:
    """About how many bytes of memory an element takes: for `<a/>` it is seventy times what its XML does."""
    total = _ELEMENT + getsizeof(element.name)
    for key, value in element.attrs.items():
        total += _ATTRIBUTE + getsizeof(key) + getsizeof(value)
    for child in element.children:
        total += getsizeof(child) if isinstance(child, str) else weight(child)
    return total


def cost(xml: str) -> int:
    """
    What a stanza that is kept as text costs, in bytes: its memory, and something for each tag.

    When a session ends, its stanzas are read again, and some megabytes of `<a/>` would hold up everybody for seconds.
    """
    return getsizeof(xml) + _TAG * xml.count("<")


class Ledger:
    """Bytes by holder, with a limit for all holders and one for each."""

    def __init__(self, most: int) -> None:
        self.total = 0
        self.most = most
        self._held: dict[str, int] = {}

    def admits(self, holder: str, size: int) -> bool:
        """Whether a holder may have so much more."""
        return self.total + size <= self.most and self.held(holder) + size <= self.most // _SHARE

    def held(self, holder: str) -> int:
        """What a holder has."""
        return self._held.get(holder, 0)

    def take(self, holder: str, size: int) -> None:
        """A holder has so much more; less when `size` is negative."""
        self.total += size
        held = self.held(holder) + size
        if held:
            self._held[holder] = held
        else:
            self._held.pop(holder, None)
