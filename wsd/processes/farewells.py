"""Closes connections that cannot move with 1012, spread over a window, so that not all clients reconnect at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import ceil
from typing import Any

from twisted.internet.task import deferLater

from wsd.connection import Connection
from wsd.metrics import Cause
from wsd.web.draining import RESTART

_LOOK = 0.05
"""Seconds between two closes of some of the connections."""

_FEWEST = 50
"""Connections that may be closed at a time, even if there are few."""


async def closeSpread(connections: Sequence[Connection], window: float, clock: Any) -> None:
    """
    Close connections in a random order within `window` seconds, and wait for the ends of their closing handshakes.

    With a window of 0, they are closed at once, and nothing is waited for.
    """
    left = random.sample(connections, len(connections))
    share = max(_FEWEST, ceil(len(left) * _LOOK / window)) if window else len(left)
    while left:
        for connection in left[:share]:
            connection.close(*RESTART, Cause.shutdown)
        left = left[share:]
        if left:
            await deferLater(clock, _LOOK)
    end = clock.seconds() + max((each.factory.policies.closing_timeout for each in connections), default=0.0)
    while window and clock.seconds() < end and any(each.state != each.STATE_CLOSED for each in connections):
        await deferLater(clock, _LOOK)
