"""What the instances of a class share: the table of their attributes' names."""

from __future__ import annotations

import sys
from typing import Any

from tests.wire import Client, Daemon
from wsd.policies.instances import shareNames
from wsd.protocols.echo import EchoFactory


class Late:
    """Gets its attributes when there are many of it."""

    def fill(self) -> None:
        self.one = self.two = self.three = self.four = self.five = self.six = self.seven = 0


class Shared(Late):
    pass


class Guarded:
    @property
    def one(self) -> int:
        return 1

    @one.setter
    def one(self, value: int) -> None:
        raise AssertionError("it is never set here")


def isShared(instance: Any) -> bool:
    """Whether the names of its attributes are not its own: a copy of the dictionary has a table of its own."""
    return sys.getsizeof(vars(instance)) < sys.getsizeof(dict(vars(instance)))


def fifty(kind: type[Late]) -> list[Late]:
    made = [kind() for _ in range(50)]
    for each in made:
        each.fill()
    return made


def test_many_that_are_filled_late_share_no_names() -> None:
    assert not any(map(isShared, fifty(Late)))


def test_unless_the_names_are_told_before() -> None:
    shareNames(Shared, ("one", "two", "three", "four", "five", "six", "seven"))
    assert all(map(isShared, fifty(Shared)))


def test_a_property_is_left_alone() -> None:
    shareNames(Guarded, ("one", "two"))
    assert Guarded().one == 1


def test_connections_that_are_accepted_at_once_share_theirs() -> None:
    daemon = Daemon({"/": EchoFactory})
    for client in [Client(daemon.connect()) for _ in range(50)]:
        client.handshake()
    doors: list[Any] = list(daemon.site.doors)
    assert len(doors) == 50
    for door in doors:
        assert [isShared(each) for each in (door, door.connection, door.transport)] == [True, True, True]
