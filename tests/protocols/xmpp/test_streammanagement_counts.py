"""The counts of stream management (XEP-0198 4): exact limits, and counters that wrap at 2 ** 32."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.ledger import cost
from wsd.protocols.xmpp.stanza import Element
from wsd.protocols.xmpp.streammanagement import SM, Entry, Inbound, Outbound, numberOf

LAST = (1 << 32) - 1
"""The greatest number of a stanza; the next is 0."""


class Writes:
    """A store whose progress the test sets."""

    def __init__(self) -> None:
        self.written = 0

    def whenWritten(self, number: int, call: Callable[[], None]) -> None:
        if number <= self.written:
            call()


class Nobody:
    def spool(self, entry: Entry) -> None:
        pass


def entry(xml: str = "<a/>") -> Entry:
    return Entry(xml, Nobody(), None, 0)


def sent(number: int, acknowledged: int = 0) -> Outbound:
    """An Outbound with this number of unacknowledged stanzas."""
    outbound = Outbound()
    outbound.acknowledged = acknowledged
    for _ in range(number):
        outbound.add(entry())
    return outbound


class TestWhatWasSent:
    def test_is_acknowledged_in_its_order(self) -> None:
        outbound = sent(3)
        first, second, third = outbound.queue
        assert outbound.acknowledge(2) == [first, second]
        assert outbound.acknowledge(2) == []
        assert outbound.acknowledge(3) == [third]
        assert (outbound.acknowledged, outbound.sent, outbound.size) == (3, 3, 0)

    def test_has_the_size_of_its_entries(self) -> None:
        outbound = sent(3)
        assert outbound.size == 3 * (cost("<a/>") + 100)
        outbound.acknowledge(1)
        assert outbound.size == 2 * (cost("<a/>") + 100)
        assert len(outbound.clear()) == 2
        assert (outbound.size, outbound.clear()) == (0, [])

    def test_is_never_acknowledged_further_than_it_is(self) -> None:
        outbound = sent(2, 5)
        for number in (8, 5 + (1 << 31) - 1):
            with pytest.raises(StreamError) as raised:
                outbound.acknowledge(number)
            assert raised.value.condition == "undefined-condition"
            too = raised.value.element().child(SM, "handled-count-too-high")
            assert too is not None
            assert too.attrs == {"h": str(number), "send-count": "7"}
        assert len(outbound.queue) == 2

    @pytest.mark.parametrize("number", [4, 0, LAST, 5 + (1 << 31)])
    def test_may_be_acknowledged_less_than_before(self, number: int) -> None:
        outbound = sent(2, 5)
        assert outbound.acknowledge(number) == []
        assert (outbound.acknowledged, len(outbound.queue)) == (5, 2)

    def test_is_counted_beyond_2_to_the_32(self) -> None:
        outbound = sent(3, LAST - 1)
        assert outbound.sent == 1
        assert len(outbound.acknowledge(LAST)) == 1
        assert len(outbound.acknowledge(1)) == 2
        assert outbound.acknowledged == 1


class TestWhatHasCome:
    @pytest.fixture
    def writes(self) -> Writes:
        return Writes()

    @pytest.fixture
    def inbound(self, writes: Writes) -> Inbound:
        return Inbound(Clock(), writes, lambda handled: 0, lambda xml: None)

    def test_is_counted_when_it_is_processed_and_written(self, inbound: Inbound, writes: Writes) -> None:
        receipt = inbound.begin()
        receipt.number = 7
        writes.written = 7
        assert inbound.count() == 0
        writes.written = 6
        receipt.close()
        assert inbound.count() == 0
        writes.written = 7
        assert inbound.count() == 1

    def test_is_counted_when_its_receivers_have_it(self, inbound: Inbound) -> None:
        receipt = inbound.begin()
        waiting = Entry("<a/>", Nobody(), receipt, 0)
        receipt.entries.append(waiting)
        receipt.close()
        assert inbound.count() == 0
        waiting.settle()
        waiting.settle()
        assert inbound.handled == 1

    def test_is_counted_in_its_order(self, inbound: Inbound) -> None:
        first, second = inbound.begin(), inbound.begin()
        second.close()
        assert inbound.count() == 0
        first.close()
        assert inbound.count() == 2

    def test_is_counted_beyond_2_to_the_32(self, inbound: Inbound) -> None:
        inbound.handled = LAST
        inbound.begin().close()
        assert inbound.count() == 0


class TestANumber:
    @pytest.mark.parametrize("text", ["0", "1", "0000000001", str(LAST)])
    def test_is_below_2_to_the_32(self, text: str) -> None:
        assert numberOf(Element(SM, "a", {"h": text})) == int(text)

    @pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1.0", "x", "٣", "²", str(LAST + 1), "00000000001"])
    def test_is_refused_if_it_is_anything_else(self, text: str) -> None:
        with pytest.raises(StreamError, match="h is a whole number below 2"):
            numberOf(Element(SM, "a", {"h": text}))
