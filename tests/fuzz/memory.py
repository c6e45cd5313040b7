"""Connections to a daemon's site in memory, without sockets: bytes go in at the door, and out to a list."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from tests.property.test_frames import Stream
from tests.wire import Daemon
from wsd.web.door import Doors


class MemoryTransport(Stream):
    """Takes a producer away as TCP's transport does: also if there is none."""

    def unregisterProducer(self) -> None:
        self.producer = None


class Caller:
    """
    A client of a daemon. As a context, it leaves when the block ends.

    It fails if an exception was logged, or if the daemon still counts the connection then.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.transport = MemoryTransport(IPv4Address("TCP", "127.0.0.1", 9998), IPv4Address("TCP", "127.0.0.1", 50000))
        self._logs = capturedLogs()

    def __enter__(self) -> Caller:
        self._events = self._logs.__enter__()
        self._door = Doors(self.daemon.site).buildProtocol(None)
        self._door.makeConnection(self.transport)
        return self

    def __exit__(self, *raised: Any) -> None:
        self._door.connectionLost(Failure(ConnectionDone()))
        self.settle()
        self._logs.__exit__(*raised)
        failures = [event["log_failure"].getTraceback() for event in self._events if "log_failure" in event]
        assert not failures, failures[0]
        assert not self.daemon.site.doors
        assert not self.daemon.connections

    @property
    def isOpen(self) -> bool:
        return not self.transport.disconnecting and not self.transport.aborted

    def send(self, data: bytes) -> None:
        """Let bytes arrive, unless the daemon has closed the connection."""
        if self.isOpen:
            self._door.dataReceived(data)
            self.settle()

    def settle(self) -> None:
        """Let the daemon do what is due."""
        reactor = self.daemon.reactor
        for _ in range(1000):
            reactor.advance(0)
            if not any(call.getTime() <= reactor.seconds() for call in reactor.getDelayedCalls()):
                return
        raise AssertionError("the daemon is never done")

    def take(self) -> bytes:
        """What has come since this was asked before."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data
