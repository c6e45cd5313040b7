"""The protocol of `wsd listen --log`: prints connections and messages to standard output, and answers nothing."""

from __future__ import annotations

import os
import signal
import sys
from typing import ClassVar

from wsd.config.values import printable
from wsd.connection import Accept, Connection, Factory, Request

_BYTES = 256
"""Bytes of a binary message that are printed."""


def say(text: str) -> None:
    """Print a line. If nobody reads standard output any more, the daemon ends."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would write what it has buffered once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


class Printing(Connection):
    """Prints what it receives, with the number of the connection before it."""

    count: ClassVar[int] = 0
    number = 0

    async def opening(self, request: Request) -> Accept:
        """Take the first subprotocol that is offered, whatever it is."""
        return Accept(request.subprotocols[0] if request.subprotocols else None)

    def opened(self) -> None:
        """Print the path, and what was agreed on."""
        Printing.count += 1
        self.number = Printing.count
        agreed = f", subprotocol {self.subprotocol}" if self.subprotocol else ""
        self._say(f"opened {printable(self.request.head.target)} from {self.peer.address}{agreed}")

    def received(self, payload: bytes, isBinary: bool) -> None:
        """Print a message: text whole, binary in hexadecimal digits."""
        if isBinary:
            more = "..." if len(payload) > _BYTES else ""
            self._say(f"< binary, {len(payload)} bytes: {payload[:_BYTES].hex(' ')}{more}")
        else:
            self._say(f"< {printable(payload.decode())}")

    def closed(self, code: int, reason: str) -> None:
        """Print the close code and the reason."""
        self._say(f"closed {code}" + (f": {printable(reason)}" if reason else ""))

    def _say(self, text: str) -> None:
        say(f"{self.number} {text}")


class PrintFactory(Factory):
    """The route of `wsd listen --log`."""

    connection = Printing
