"""The door: requests and WebSockets on one connection get the same statuses, however the bytes arrive."""

from __future__ import annotations

import re

from tests.fuzz.memory import Caller
from tests.fuzz.pieces import piecesOf
from tests.wire import Daemon
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.echo import EchoFactory

_DAEMON = Daemon({"/echo": EchoFactory, "/describe": DescribeFactory, "/deep/*": EchoFactory})
_STATUS = re.compile(rb"^HTTP/1\.1 ([0-9]{3}) ", re.MULTILINE)


def check(data: bytes) -> None:
    """Takes the size of the pieces, and what a client sends from the beginning."""
    statuses = _statuses([data[1:]])
    assert b"500" not in statuses
    assert _statuses(piecesOf(data)) == statuses


def _statuses(pieces: list[bytes]) -> list[bytes]:
    """The statuses of the answers."""
    with Caller(_DAEMON) as caller:
        for piece in pieces:
            caller.send(piece)
        return _STATUS.findall(caller.take())
