"""The daemon's end, for those who are connected: what is being answered is finished, the rest is closed by and by."""

from __future__ import annotations

import time
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from tests.web.test_channel import Later
from tests.web.test_door import daemon as daemonOf
from tests.web.test_door import get
from tests.wire import Client, Daemon
from wsd.protocols.echo import EchoFactory
from wsd.web.draining import RESTART, Drain


class Ending:
    """A daemon that has been told to stop."""

    def __init__(self, daemon: Daemon, patience: float = 20) -> None:
        self.daemon = daemon
        daemon.site.stopping = True
        self.drain = Drain(daemon.site, lambda: daemon.connections, daemon.reactor)
        self._finished = Deferred.fromCoroutine(self.drain.finish(patience))

    def isOver(self) -> bool:
        return self._finished.called

    def pass_(self, seconds: float, *clients: Client) -> None:
        """Time passes, in which the daemon and these clients do what they can."""
        for _ in range(round(seconds / 0.05)):
            self.daemon.reactor.advance(0.05)
            for client in clients:
                client.exchange()

    def settle(self) -> None:
        """What was sent is acknowledged, for which the kernel may take its own time."""
        end = time.monotonic() + 2
        while not self.isOver() and time.monotonic() < end:
            self.pass_(0.05)


class TestAWebSocket:
    def test_that_is_idle_is_closed_at_once(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        client = daemon.open("/echo")
        ending = Ending(daemon)
        ending.pass_(0.1, client)
        assert client.closeCode == 1001
        assert ending.isOver()

    def test_is_closed_with_the_farewell(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        client = daemon.open("/echo")
        ending = Ending(daemon)
        ending.drain.farewell = RESTART
        ending.pass_(0.1, client)
        assert client.closeCode == 1012

    def test_is_closed_when_every_message_is_answered(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        client = daemon.open("/echo?delay=300")
        for number in range(10):
            client.say(str(number))
        ending = Ending(daemon)
        ending.pass_(2.5, client)
        assert not ending.isOver()
        ending.pass_(1, client)
        assert client.messages() == [str(number) for number in range(10)]
        assert client.closeCode == 1001
        assert ending.isOver()

    def test_that_does_not_take_its_answer_is_waited_for(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        client = daemon.open("/echo?size=8000000&nodeflate")
        client.protocol.send_text(b"more than the kernel holds")
        client.wire.send(b"".join(client.protocol.data_to_send()))
        ending = Ending(daemon)
        ending.pass_(1)
        assert not ending.isOver()
        ending.pass_(1, client)
        assert len(client.messages()[0]) == 8_000_000
        assert client.closeCode == 1001

    def test_is_not_waited_for_longer_than_that(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        client = daemon.open("/echo?delay=30000")
        client.say("hello")
        ending = Ending(daemon, patience=5)
        ending.pass_(4, client)
        assert not ending.isOver()
        ending.pass_(1.1, client)
        assert ending.isOver()
        Deferred.fromCoroutine(ending.drain.close(5))
        client.exchange()
        assert client.closeCode == 1001

    def test_that_is_being_opened_is_told_to_come_again(self) -> None:
        daemon = daemonOf()
        client = daemon.open("/every?wish=wait")
        Ending(daemon)
        client.exchange()
        assert client.response is not None
        assert client.response.status_code == 503


class TestHttp:
    def test_an_answer_that_is_not_there_yet_is_waited_for(self) -> None:
        daemon = daemonOf()
        later = Later()
        daemon.site.pages["/later"] = later
        wire = daemon.connect()
        assert wire.exchange(get(b"/later")) == b""
        ending = Ending(daemon)
        ending.pass_(3)
        assert not ending.isOver()
        later.requests[0].write(b"late")
        later.requests[0].finish()
        assert wire.exchange(b"").endswith(b"late\r\n0\r\n\r\n")
        ending.settle()
        assert ending.isOver()

    def test_a_body_that_has_begun_is_read(self) -> None:
        daemon = daemonOf()
        wire = daemon.connect()
        wire.exchange(b"POST /every HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nbody")
        ending = Ending(daemon)
        ending.pass_(3)
        assert not ending.isOver()
        assert wire.exchange(b" ends").endswith(b"9 bytes")
        ending.settle()
        assert ending.isOver()

    def test_an_idle_connection_is_ended_at_once(self) -> None:
        daemon = daemonOf()
        wire = daemon.connect()
        wire.exchange(get(b"/every"))
        assert Ending(daemon).isOver()
        wire.exchange(b"")
        assert wire.ended

    def test_one_that_was_made_for_a_request_may_bring_it(self) -> None:
        daemon = daemonOf()
        busy, wire = daemon.open("/every"), daemon.connect()
        busy.say("wait")
        Ending(daemon).pass_(1, busy)
        assert wire.exchange(get(b"/every")).startswith(b"HTTP/1.1 503 ")

    def test_what_is_asked_for_anew_is_answered_with_503(self) -> None:
        daemon = daemonOf()
        daemon.site.stopping = True
        assert daemon.connect().exchange(get(b"/every")).startswith(b"HTTP/1.1 503 ")
        assert daemon.connect().exchange(get(b"/nowhere")).startswith(b"HTTP/1.1 503 ")


class Fake:
    """A connection that is open until it is closed."""

    isOpen = True
    isBusy = False

    def close(self, *_: Any) -> None:
        self.isOpen = False


@pytest.mark.parametrize(
    ("number", "patience", "seconds"), [(10_000, 20, 18), (10_000, 4, 3.6), (200, 20, 2), (1, 20, 0)]
)
def test_the_closes_are_spread_over_the_time_at_random(number: int, patience: float, seconds: float) -> None:
    clock: Any = MemoryReactorClock()
    connections: list[Any] = [Fake() for _ in range(number)]
    drain = Drain(Daemon().site, lambda: connections, clock, Random(1).random)
    finished = Deferred.fromCoroutine(drain.finish(patience))
    closed = [0]
    while not finished.called:
        clock.advance(0.05)
        closed.append(sum(not each.isOpen for each in connections))
    assert closed[-1] == number
    assert seconds * 0.9 <= clock.seconds() <= seconds + 0.2
    steps = [after - before for before, after in pairwise(closed)]
    expected = number * 0.05 / max(seconds, 0.05)
    assert max(steps) <= expected + 5 * expected**0.5 + 1, "no two clients are told to come back at the same moment"


def test_those_that_are_busy_until_the_end_are_closed_then() -> None:
    clock: Any = MemoryReactorClock()
    busy: Any = Fake()
    busy.isBusy = True
    drain = Drain(Daemon().site, lambda: [busy], clock)
    ends: list[float] = []
    Deferred.fromCoroutine(drain.finish(20)).addCallback(lambda _: ends.append(clock.seconds()))
    clock.pump([0.05] * 410)
    assert ends == [pytest.approx(20, abs=0.1)]
    assert busy.isOpen
    Deferred.fromCoroutine(drain.close(5))
    assert not busy.isOpen


def test_one_that_arrives_while_the_rest_is_closed_is_closed_too() -> None:
    """An upgrade that is under way may bring it, or give it back."""
    daemon = Daemon({"/echo": EchoFactory})
    daemon.open("/echo")
    late: Any = Fake()
    late.isOpen = False
    drain = Drain(daemon.site, lambda: [late], daemon.reactor)
    Deferred.fromCoroutine(drain.close(5))
    late.isOpen = True
    daemon.reactor.advance(0.05)
    assert not late.isOpen


def test_what_is_spread_without_waiting_is_closed_at_its_time_although_it_is_busy() -> None:
    clock: Any = MemoryReactorClock()
    connections: list[Any] = [Fake() for _ in range(200)]
    for each in connections:
        each.isBusy = True
    drain = Drain(Daemon().site, lambda: connections, clock, Random(1).random)
    spread = Deferred.fromCoroutine(drain.spread(20, waits=False))
    clock.pump([0.05] * 20)
    assert 60 < sum(each.isOpen for each in connections) < 140, "half of them after half of two seconds"
    clock.pump([0.05] * 22)
    assert spread.called
    assert not any(each.isOpen for each in connections)


def test_after_a_second_signal_all_are_dropped_at_once() -> None:
    daemon = Daemon({"/echo": EchoFactory})
    client = daemon.open("/echo?delay=60000")
    client.say("never answered")
    ending = Ending(daemon)
    ending.pass_(1, client)
    assert not ending.isOver()
    ending.drain.hurry()
    ending.pass_(0.05, client)
    assert ending.isOver()
    dropped = Deferred.fromCoroutine(ending.drain.close(20))
    ending.pass_(0.1)
    assert dropped.called
    assert not daemon.site.doors
    assert client.closeCode == 1006, "it was told nothing"
