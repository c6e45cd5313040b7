"""The coarse timer: each item is visited once, at about its time, and costs nothing in between."""

from __future__ import annotations

from time import monotonic

import pytest
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from wsd.policies.timer import GRAIN, Timer, keepTime


class Thing:
    """Notes when it was visited."""

    def __init__(self, timer: Timer) -> None:
        self.timer = timer
        self.due = -1
        self.visits: list[float] = []

    def visit(self, now: float) -> None:
        self.visits.append(now)


class Often(Thing):
    """Schedules the next visit at each visit."""

    def visit(self, now: float) -> None:
        super().visit(now)
        self.timer.schedule(self, now + 10)


class Broken(Thing):
    def visit(self, now: float) -> None:
        raise RuntimeError("a visit fails")


def running() -> tuple[Clock, Timer]:
    clock = Clock()
    timer = Timer(clock)
    timer.start()
    return clock, timer


def pass_(clock: Clock, seconds: float) -> None:
    clock.pump([GRAIN] * int(seconds / GRAIN))


class TurnByTurn(Clock):
    """A call that is made for now comes in the next turn, as a reactor does it."""

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for call in [call for call in self.calls if call.getTime() <= self.rightNow]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class Slow(Thing):
    """A visit takes 4 ms."""

    def __init__(self, timer: Timer, clock: Clock) -> None:
        super().__init__(timer)
        self.clock = clock

    def visit(self, now: float) -> None:
        super().visit(now)
        self.clock.rightNow += 0.004


class TestManyAtATime:
    """Other events of the reactor have their turn after some milliseconds of visits."""

    @pytest.fixture
    def clock(self) -> TurnByTurn:
        return TurnByTurn()

    @pytest.fixture
    def timer(self, clock: Clock) -> Timer:
        timer = Timer(clock)
        timer.start()
        return timer

    @pytest.fixture
    def things(self, clock: Clock, timer: Timer) -> list[Slow]:
        """Ten that were due just now, of which three have been visited."""
        things = [Slow(timer, clock) for _ in range(10)]
        for thing in things:
            timer.schedule(thing, timer.now + 1)
        pass_(clock, 1.25)
        assert visited(things) == 3
        return things

    def test_are_visited_in_several_turns_of_the_reactor(self, clock: Clock, things: list[Slow]) -> None:
        seen = []
        for _ in range(4):
            clock.advance(0)
            seen.append(visited(things))
        assert seen == [6, 9, 10, 10]

    def test_those_that_wait_can_be_cancelled_and_scheduled_anew(
        self, clock: Clock, timer: Timer, things: list[Slow]
    ) -> None:
        cancelled, postponed, *waiting = [thing for thing in things if not thing.visits]
        timer.cancel(cancelled)
        timer.schedule(postponed, timer.now + 10)
        pass_(clock, 5)
        assert (visited(waiting), cancelled.visits, postponed.visits) == (5, [], [])
        pass_(clock, 10)
        assert (visited(waiting), cancelled.visits, len(postponed.visits)) == (5, [], 1)

    def test_the_next_grain_adds_to_them(self, clock: Clock, timer: Timer, things: list[Slow]) -> None:
        more = Slow(timer, clock)
        timer.schedule(more, timer.now)
        clock.advance(GRAIN)
        clock.advance(0)
        assert (visited(things), more.visits) == (9, [])
        clock.advance(0)
        assert (visited(things), len(more.visits)) == (10, 1)

    def test_none_is_visited_after_the_timer_has_stopped(self, clock: Clock, timer: Timer, things: list[Slow]) -> None:
        timer.stop()
        pass_(clock, 1)
        assert visited(things) == 3


def visited(things: list[Slow]) -> int:
    """How many visits there were."""
    return sum(len(thing.visits) for thing in things)


class TestVisits:
    """The time of a visit."""

    def test_come_at_the_time_asked_for_or_up_to_a_grain_later(self) -> None:
        clock, timer = running()
        thing = Thing(timer)
        begun = timer.now
        timer.schedule(thing, begun + 10)
        pass_(clock, 9.75)
        assert thing.visits == []
        pass_(clock, 0.75)
        assert len(thing.visits) == 1
        assert 0 <= thing.visits[0] - (begun + 10) <= 2 * GRAIN

    @pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
    def test_come_no_later_than_that(self, part: float) -> None:
        clock, timer = running()
        thing = Thing(timer)
        when = timer.now + (4 + part) * GRAIN
        timer.schedule(thing, when)
        pass_(clock, 20 * GRAIN)
        assert len(thing.visits) == 1
        assert when <= thing.visits[0] <= when + GRAIN

    def test_come_once(self) -> None:
        clock, timer = running()
        thing = Thing(timer)
        timer.schedule(thing, timer.now + 1)
        timer.schedule(thing, timer.now + 2)
        timer.schedule(thing, timer.now + 1)
        pass_(clock, 60)
        assert len(thing.visits) == 1

    def test_may_be_asked_for_again_in_a_visit(self) -> None:
        clock, timer = running()
        thing = Often(timer)
        timer.schedule(thing, timer.now)
        pass_(clock, 60)
        assert len(thing.visits) == 6

    def test_a_later_time_replaces_the_one_asked_for_before(self) -> None:
        clock, timer = running()
        thing = Thing(timer)
        timer.schedule(thing, timer.now + 1)
        timer.schedule(thing, timer.now + 20)
        pass_(clock, 19)
        assert thing.visits == []

    def test_sooner_never_makes_it_later(self) -> None:
        clock, timer = running()
        thing = Thing(timer)
        timer.scheduleBy(thing, timer.now + 5)
        timer.scheduleBy(thing, timer.now + 50)
        pass_(clock, 6)
        assert len(thing.visits) == 1

    def test_a_cancelled_one_does_not_come_and_is_forgotten(self) -> None:
        clock, timer = running()
        thing = Thing(timer)
        timer.schedule(thing, timer.now + 1)
        timer.cancel(thing)
        timer.cancel(thing)
        pass_(clock, 5)
        assert thing.visits == []
        assert timer._buckets == {}

    def test_one_that_fails_is_logged_and_the_others_come(self) -> None:
        clock, timer = running()
        broken, thing = Broken(timer), Thing(timer)
        timer.schedule(broken, timer.now + 1)
        timer.schedule(thing, timer.now + 1)
        with capturedLogs() as events:
            pass_(clock, 2)
        assert len(thing.visits) == 1
        assert len([event for event in events if "log_failure" in event]) == 1


class TestTime:
    """The clock of the timer."""

    def test_a_stopped_process_and_a_set_clock_count_for_little(self) -> None:
        clock, timer = running()
        thing = Thing(timer)
        timer.schedule(thing, timer.now + 60)
        clock.advance(3600)
        assert thing.visits == []

    def test_a_clock_set_back_does_not_stop_it(self) -> None:
        clock, timer = running()
        thing = Thing(timer)
        timer.schedule(thing, timer.now + 5)
        before = timer.now
        clock.rightNow -= 2
        pass_(clock, 10)
        assert timer.now > before + 5
        assert len(thing.visits) == 1

    def test_lag_is_how_late_a_turn_came(self) -> None:
        clock, timer = running()
        clock.advance(GRAIN)
        assert timer.lag == 0
        clock.advance(GRAIN + 0.5)
        assert round(timer.lag, 6) == 0.5

    def test_it_stops(self) -> None:
        clock, timer = running()
        timer.stop()
        timer.stop()
        assert clock.getDelayedCalls() == []


class TestAReactorsClock:
    """The monotonic clock."""

    def test_is_the_monotonic_one(self) -> None:
        reactor = SelectReactor()
        keepTime(reactor)
        assert monotonic() <= reactor.seconds() <= monotonic()
        call = reactor.callLater(100, list)
        assert 99 < call.getTime() - monotonic() <= 100

    def test_leaves_what_waits_the_time_that_it_has_left(self) -> None:
        reactor = SelectReactor()
        calls = [reactor.callLater(seconds, list) for seconds in (100, 0)]
        keepTime(reactor)
        assert 99 < calls[0].getTime() - monotonic() <= 100
        reactor.runUntilCurrent()
        assert [call.active() for call in calls] == [1, 0]
