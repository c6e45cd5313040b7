"""Standard output that is written by a thread."""

from __future__ import annotations

import os

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from tests.reactor import onReactor
from wsd.client.connect.streams import InputReader, OutputWriter


def broke(error: OSError) -> object:
    """Nothing is broken here."""
    raise AssertionError(error)


class TestOutput:
    @onReactor
    async def test_is_written_in_order(self) -> None:
        reading, writing = os.pipe()
        output = OutputWriter(reactor, writing, lambda: None, broke)
        for number in range(100):
            output.write(b"%d," % number)
        await output.flush()
        assert os.read(reading, 65536) == b"".join(b"%d," % number for number in range(100))
        os.close(reading)

    @onReactor
    async def test_is_full_until_it_is_read(self) -> None:
        reading, writing = os.pipe()
        drained: Deferred[None] = Deferred()
        output = OutputWriter(reactor, writing, lambda: drained.callback(None), broke)
        output.write(bytes(1 << 20))
        full = output.isFull
        assert full
        left = 1 << 20
        while left:
            left -= len(os.read(reading, left))
        await drained
        full = output.isFull
        assert not full
        os.close(reading)

    @onReactor
    async def test_has_nothing_to_flush_when_its_reader_has_gone(self) -> None:
        reading, writing = os.pipe()
        broken: Deferred[OSError] = Deferred()
        output = OutputWriter(reactor, writing, lambda: None, broken.callback)
        output.write(b"a")
        assert os.read(reading, 1) == b"a"
        os.close(reading)
        assert isinstance(await broken, BrokenPipeError)
        output.write(b"b")
        await output.flush()


class TestInput:
    @onReactor
    async def test_is_read_piece_by_piece_when_more_is_wanted(self) -> None:
        reading, writing = os.pipe()
        got: list[bytes] = []
        waiting: list[Deferred[None]] = []

        def deliver(data: bytes) -> None:
            got.append(data)
            waiting.pop().callback(None)

        reader = InputReader(reactor, reading, deliver)
        os.write(writing, b"a")
        for expected in ([b"a"], [b"a", b"b"], [b"a", b"b", b""]):
            waiting.append(Deferred())
            here = waiting[-1]
            reader.more()
            await here
            assert got == expected
            if len(got) == 1:
                os.write(writing, b"b")
            else:
                os.close(writing) if len(got) == 2 else None
        os.close(reading)
