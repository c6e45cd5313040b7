"""The queues between a connection and a handler on a thread."""

from __future__ import annotations

from threading import Thread

from twisted.internet.task import Clock

from wsd.protocols.pywebsocket.exchange import FAULT, LOST
from wsd.protocols.pywebsocket.threads import HandlerThreads, ThreadBridge


class Endpoint:
    """A connection that is neither held nor released."""

    def hold(self) -> None:
        raise AssertionError

    def release(self) -> None:
        raise AssertionError

    def noteQueued(self, size: int) -> None:
        raise AssertionError


def test_a_handler_that_goes_on_after_a_fault_is_told_of_the_end() -> None:
    bridge = ThreadBridge(HandlerThreads(Clock(), 1), Endpoint())
    bridge.end(FAULT, ValueError())
    bridge.end(LOST, None)
    taken: list[int] = []
    handler = Thread(target=lambda: taken.extend(bridge.take()[0] for _ in range(3)), daemon=True)
    handler.start()
    handler.join(5)
    assert taken == [FAULT, LOST, LOST]
