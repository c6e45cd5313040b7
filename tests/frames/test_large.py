"""The bytes of a large message and of everything queued behind it."""

from __future__ import annotations

from wsd.frames.deflate import Deflater
from wsd.frames.large import LargeMessage
from wsd.policies.negotiation import Deflate


def large(size: int) -> LargeMessage:
    return LargeMessage(Deflater(Deflate(False, False, 15, 15, ""), 6, 8), bytes(size), 2, 0)


def test_what_waits_behind_it_counts_until_it_is_sent() -> None:
    message = large(1000)
    for number in (5, 7):
        message.add(number, print, (number,))
    assert message.size == 1012
    assert message.next() == (print, (5,))
    assert message.size == 1007
    assert message.next() == (print, (7,))
    assert message.size == 1000


def test_what_waited_behind_another_counts_with_it() -> None:
    before, message = large(1000), large(2000)
    before.add(5, print, ())
    message.add(7, print, ())
    message.follow(before)
    assert message.size == 2012
    assert len(message.behind) == 2
