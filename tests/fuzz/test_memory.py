"""A client in memory notices what goes wrong in the daemon."""

from __future__ import annotations

import pytest

from tests.every import EveryFactory
from tests.fuzz.memory import Caller
from tests.web.test_door import upgrade
from tests.wire import Daemon


def test_it_gets_answers() -> None:
    with Caller(Daemon({"/": EveryFactory})) as caller:
        caller.send(upgrade(b"/"))
        assert caller.take().startswith(b"HTTP/1.1 101 ")


def test_it_fails_if_an_exception_is_logged() -> None:
    with pytest.raises(AssertionError, match="opening fails"), Caller(Daemon({"/": EveryFactory})) as caller:
        caller.send(upgrade(b"/?wish=fail"))
