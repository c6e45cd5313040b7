"""The counters of messages, on every plane."""

from __future__ import annotations

from typing import Any

import pytest

from tests.connection.test_bad_frames import frame
from tests.connection.test_limits import deflated, fragments, opened
from tests.every import EveryFactory, StreamingFactory
from tests.wire import Daemon
from wsd.connection import Connection, Factory
from wsd.metrics import SIZES

MESSAGES = {
    "a short one": (frame(0x82, b"abc"), 3),
    "an empty one": (frame(0x82, b""), 0),
    "one of 126 bytes": (frame(0x82, bytes(126)), 126),
    "a large one": (frame(0x82, bytes(70000)), 70000),
    "one in frames": (fragments((2, 0, 3)), 5),
    "one that is deflated": (frame(0xC2, deflated(bytes(1000))), 1000),
    "three at once": (frame(0x82, b"abc") * 3, 9),
}


def bucketsOf(*sizes: int) -> list[int]:
    """The number of these sizes in each bucket."""
    counts = [0] * (len(SIZES) + 1)
    for size in sizes:
        counts[next((number for number, bound in enumerate(SIZES) if size <= bound), len(SIZES))] += 1
    return counts


@pytest.mark.parametrize("kind", [EveryFactory, StreamingFactory], ids=["whole", "in pieces"])
@pytest.mark.parametrize(("said", "size"), MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("isCut", [False, True], ids=["at once", "cut"])
def test_each_message_that_comes_counts_once_and_each_byte(
    kind: type[EveryFactory], said: bytes, size: int, isCut: bool
) -> None:
    daemon = Daemon({"/": kind})
    wire = opened(daemon, deflates=True, chunk=max(1, len(said) // 5) if isCut else None)
    wire.exchange(said)
    traffic = daemon.factories["/"].counters.traffic
    (connection,) = daemon.connections
    counted = (3 if size == 9 else 1, size)
    assert (traffic.messagesIn, traffic.bytesIn) == counted
    assert (connection.messagesReceived, connection.bytesReceived) == counted
    assert traffic.sizesIn() == bucketsOf(*([3] * 3 if size == 9 else [size]))


@pytest.mark.parametrize("size", [0, 3, 126, 1000, 70000, 300_000])
@pytest.mark.parametrize("deflates", [False, True])
def test_each_message_that_is_sent_counts_once_and_each_byte(size: int, deflates: bool) -> None:
    daemon = Daemon({"/": EveryFactory})
    wire = opened(daemon, deflates=deflates)
    (connection,) = daemon.connections
    connection.send(bytes(size))
    connection.send("x" * size)
    connection.send(daemon.factories["/"].prepare(b"x" * size))
    wire.serve()
    traffic = daemon.factories["/"].counters.traffic
    assert (traffic.messagesOut, traffic.bytesOut) == (3, 3 * size)
    assert (connection.messagesSent, connection.bytesSent) == (3, 3 * size)
    assert traffic.sizesOut() == bucketsOf(size, size, size)


@pytest.mark.parametrize("bound", SIZES)
def test_a_bucket_ends_at_its_bound(bound: int) -> None:
    daemon = Daemon({"/": EveryFactory})
    wire = opened(daemon)
    (connection,) = daemon.connections
    for size in (bound - 1, bound, bound + 1):
        connection.send(bytes(size))
    wire.serve()
    assert daemon.factories["/"].counters.traffic.sizesOut() == bucketsOf(bound - 1, bound, bound + 1)


def test_messages_to_many_that_leave_together_are_in_their_buckets() -> None:
    daemon = Daemon({"/": GatheringFactory})
    wires = [opened(daemon), opened(daemon)]
    wires[0].exchange(frame(0x82, bytes(5)) + frame(0x82, bytes(70)) + frame(0x82, bytes(100)))
    for wire in wires:
        wire.serve()
    assert daemon.factories["/"].counters.traffic.sizesOut() == bucketsOf(5, 5, 70, 70, 100, 100)


class Gathering(Connection):
    """Sends what it receives to all."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        factory: Any = self.factory
        factory.plane.sendAll([one.frames for one in factory.connections], factory.prepare(payload), None)


class GatheringFactory(Factory):
    connection = Gathering


def test_each_connection_counts_its_own_and_the_route_counts_all() -> None:
    daemon = Daemon({"/": EveryFactory})
    wires = [opened(daemon), opened(daemon)]
    for wire, size in zip(wires, (3, 5), strict=True):
        wire.exchange(frame(0x82, bytes(size)))
    assert sorted((one.messagesReceived, one.bytesReceived) for one in daemon.connections) == [(1, 3), (1, 5)]
    traffic = daemon.factories["/"].counters.traffic
    assert (traffic.messagesIn, traffic.bytesIn) == (2, 8)


def test_what_is_sent_to_many_at_once_counts_for_each() -> None:
    daemon = Daemon({"/": EveryFactory})
    wires = [opened(daemon), opened(daemon)]
    factory = daemon.factories["/"]
    factory.plane.sendAll([one.frames for one in daemon.connections], factory.prepare(b"abc"), None)
    for wire in wires:
        wire.serve()
    assert [(one.messagesSent, one.bytesSent) for one in daemon.connections] == [(1, 3), (1, 3)]


def test_a_connection_that_is_gone_counts_nothing_more() -> None:
    daemon = Daemon({"/": EveryFactory})
    wire = opened(daemon)
    (connection,) = daemon.connections
    wire.exchange(frame(0x82, b"abc"))
    wire.close()
    daemon.pass_(1)
    connection.send(b"late")
    assert (connection.messagesReceived, connection.messagesSent) == (0, 0)
