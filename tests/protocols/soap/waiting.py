"""The functions for waiting.xsd: a slow one, one that blocks, one that fails, and one with every kind of value."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet.task import deferLater

from wsd.protocols.soap.service import Call, Fault, blocking


class SmallFault(Exception):
    pass


async def wait(number: int, of: int, call: Call) -> int:
    """Returns after a time that is shorter for later calls."""
    await deferLater(call.clock, (of - number) / 200)
    return number


@blocking
def block(text: str) -> str:
    return f"{text} in {'the main thread' if threading.current_thread() is threading.main_thread() else 'a thread'}"


def fail(value: str) -> str:
    if value == "typed":
        raise SmallFault("too small")
    if value == "plain":
        raise Fault("not now", "Receiver")
    if value == "bug":
        raise KeyError("a secret")
    return "\x00" if value == "NUL" else value


seen: list[Any] = []


def kinds(**values: Any) -> Any:
    seen[:] = [values]
    return values
