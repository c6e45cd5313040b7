"""
The ring: an epoll set of all connections, registered with the reactor as a single reader.

Twisted's reactors take 4 us for each event, for logging and several calls. Here a turn of the reactor is one such
event, and handles the connections' events in batches, for some milliseconds. The set is level-triggered: events that
are left come again in the next turn, after the reactor's other readers.

While events follow one another closely, and the reactor has nothing else to do, one turn serves several batches.

Connections in their opening, which have not sent a whole request head yet, are in a set of their own. A TLS handshake
takes much longer than a message, so they get a stated time of each turn: open connections never wait for a flood of
handshakes, however many of them there are.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from twisted.internet import error, main
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableDescriptor, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_BATCH = 32
"""Events handled before the time is looked at. A small message takes some microseconds, an echo of 256 KiB 0.3 ms."""

_TURN = 0.004
"""Seconds after which a turn ends, even if the reactor has nothing else to do."""

_OPENING = 0.002
"""Seconds of a turn for the connections in their opening."""

_FEW = 2
"""Connections in their opening that are served before the time is looked at. A TLS handshake takes about 0.5 ms."""

_PAUSE = 0.001
"""Seconds that a turn waits for the next event, if the turn before ended no longer ago."""

_REASONS: dict[type[BaseException], Failure] = {
    kind: Failure(kind()) for kind in (error.ConnectionDone, error.ConnectionLost)
}
"""The reasons with which nearly all connections end, made once, as in Twisted's reactors."""

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT

OnOtherEvent = Callable[["Source", int, BaseException | None], None]
"""Called with a source and its event, unless it can just be read; and with the reason why a read failed."""


Read = Callable[[], Any]
"""Reads from a socket that can be read. Returns why the connection is lost, None if it is not."""


class Source(Protocol):
    """A connection on the ring: one of `wsd.listen.transport`."""

    isOpening: bool
    """Whether it has not sent a whole request head yet."""

    @property
    def read(self) -> Read:
        """Called when it can be read: a method of the transport, or of a receiver that was given the socket."""

    def fileno(self) -> int:
        """Its descriptor, -1 when it is closed."""

    def doWrite(self) -> Any:
        """Called when it can be written. Returns why it is lost, None if it is not."""

    def connectionLost(self, reason: Failure) -> None:
        """Called when it is lost."""


def pythonTurn(
    epoll: select.epoll, sources: dict[int, Source], reads: dict[int, Read], onOtherEvent: OnOtherEvent, most: int
) -> int:
    """
    Read from at most so many of the sources that are ready. Returns how many events there were.

    `wsd.listen._turn` does the same in C, where it is built.
    """
    events = epoll.poll(0, most)
    for descriptor, event in events:
        source = sources.get(descriptor)
        if source is None:
            continue
        if event != _IN:
            onOtherEvent(source, event, None)
            continue
        try:
            why = reads[descriptor]()
        except Exception as raised:
            why = raised
        if why is not None:
            onOtherEvent(source, _IN, why)
    return len(events)


def pythonIsNext(poller: select.epoll, descriptor: int, seconds: float) -> bool:
    """Wait for an event of the reactor. Returns whether it is alone, and that of this descriptor, which can be read."""
    return poller.poll(seconds, 2) == [(descriptor, _IN)]


try:
    from wsd.listen._turn import isNext, turn
except ImportError:
    isNext, turn = pythonIsNext, pythonTurn


def ringOf(reactor: Any) -> Any:
    """Returns a ring on this reactor, or the reactor itself on a system without epoll."""
    return Ring(reactor) if hasattr(select, "epoll") else reactor


@implementer(IReadDescriptor)
class Ring:
    """The reactor that connections are given. Call `stop` when all of them are gone."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._openings = _Openings(self)
        self._sources: dict[int, Source] = {}
        self._reads: dict[int, Read] = {}
        self._events: dict[int, int] = {}
        poller = getattr(reactor, "_poller", None)
        self._poller: select.epoll | None = poller if isinstance(poller, select.epoll) else None
        """The epoll set of the reactor, which tells whether it has anything else to do; None if it has another."""
        self._servedAt = 0.0
        reactor.addReader(self)
        reactor.addReader(self._openings)

    # -- called by the reactor ---------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Returns the descriptor of the epoll set, which is readable while one of its connections is ready."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """The name in Twisted's log."""
        return "ring"

    def doRead(self) -> None:
        """Serve the connections that are ready, and further ones while nothing else is to be done."""
        self._serveReady()
        if self._poller is None:
            return
        now, before = monotonic(), self._servedAt
        if now - before < _PAUSE:
            end = now + _TURN
            while now < end and self._isNext(self._poller):
                self._serveReady()
                now = monotonic()
        self._servedAt = now

    def _serveReady(self) -> None:
        """Serve the connections that are ready, in turn, for some milliseconds."""
        end = monotonic() + _TURN
        while self._turn(self._epoll, _BATCH) == _BATCH and monotonic() < end and not self._epoll.closed:
            pass

    def serveOpenings(self) -> None:
        """Serve connections in their opening, in turn, for some milliseconds."""
        epoll, end = self._openings.epoll, monotonic() + _OPENING
        while self._turn(epoll, _FEW) == _FEW and monotonic() < end and not epoll.closed:
            pass

    def _turn(self, epoll: select.epoll, most: int) -> int:
        return turn(epoll, self._sources, self._reads, self._onOtherEvent, most)

    def _isNext(self, poller: select.epoll) -> bool:
        """Wait for an event. Returns False if none comes soon, or the reactor has anything else to do."""
        if self._epoll.closed:
            return False
        left: float | None = self._reactor.timeout()
        if left is not None and left < _PAUSE:
            return False
        return isNext(poller, self._epoll.fileno(), _PAUSE)

    def _onOtherEvent(self, source: Source, event: int, why: BaseException | None) -> None:
        """
        Called for a source that can be written, or is lost.

        Raises nothing: the reactor would drop the ring, and all connections with it.
        """
        if why is None:
            try:
                why = self._serve(source, event)
            except Exception as raised:
                why = raised
        if why is None:
            return
        if type(why) not in _REASONS:
            self._logFailure(Failure(why))
        try:
            self._lose(source, why, bool(event & _IN))
        except Exception:
            self._logFailure(Failure())

    def _logFailure(self, failure: Failure) -> None:
        self.log.failure("a connection failed", failure, event="connection.error")

    def connectionLost(self, reason: Failure) -> None:
        """Called when the reactor stops. `stop` does the work."""

    def stop(self) -> None:
        """Close the ring."""
        for reader, epoll in ((self, self._epoll), (self._openings, self._openings.epoll)):
            self._reactor.removeReader(reader)
            epoll.close()

    @staticmethod
    def _serve(source: Source, event: int) -> Any:
        """Handle an event: the source can be read or written, or its peer is gone. Returns why it is lost, or None."""
        why = source.read() if event & _IN else None
        if why is None and event & _OUT and source.fileno() >= 0:
            why = source.doWrite()
        if why is None and not event & (_IN | _OUT):
            why = main.CONNECTION_LOST
        return why

    def _lose(self, source: Source, why: BaseException, reading: bool) -> None:
        """Remove a source that is lost, or stop reading one whose peer has closed only its own half."""
        reason = _REASONS.get(type(why)) or Failure(why)
        if reading and isinstance(why, error.ConnectionDone) and IHalfCloseableDescriptor.providedBy(source):
            self.removeReader(source)
            source.readConnectionLost(reason)
        else:
            self.remove(source)
            source.connectionLost(reason)

    # -- called by connections ------------------------------------------------------------------------------------

    def addReader(self, reader: Source) -> None:
        """Call its `read` when there is something to read."""
        self._watch(reader, _IN)

    def addWriter(self, writer: Source) -> None:
        """Call its `doWrite` when there is room to write."""
        self._watch(writer, _OUT)

    def removeReader(self, reader: Source) -> None:
        """Stop calling its `read`."""
        self._unwatch(reader, _IN)

    def removeWriter(self, writer: Source) -> None:
        """Stop calling its `doWrite`."""
        self._unwatch(writer, _OUT)

    def remove(self, source: Source) -> None:
        """Stop calling it."""
        self._unwatch(source, _IN | _OUT)

    def readChanged(self, source: Source) -> None:
        """Called when a source has another `read`."""
        descriptor = source.fileno()
        if self._sources.get(descriptor) is source:
            self._reads[descriptor] = source.read

    def opened(self, source: Source) -> None:
        """Called when a source is not in its opening any more."""
        descriptor = source.fileno()
        if self._sources.get(descriptor) is source:
            self._openings.epoll.unregister(descriptor)
            self._epoll.register(descriptor, self._events[descriptor])

    def removeAll(self) -> list[Source]:
        """Remove and return all connections."""
        sources = list(self._sources.values())
        for source in sources:
            self.remove(source)
        return sources

    def getReaders(self) -> list[Source]:
        """Returns the connections that are watched for reading."""
        return [source for descriptor, source in self._sources.items() if self._events[descriptor] & _IN]

    def getWriters(self) -> list[Source]:
        """Returns the connections that are watched for writing."""
        return [source for descriptor, source in self._sources.items() if self._events[descriptor] & _OUT]

    def callLater(self, delay: float, call: Callable[..., Any], *arguments: Any, **named: Any) -> IDelayedCall:
        """Schedule a call on the reactor."""
        delayed: IDelayedCall = self._reactor.callLater(delay, call, *arguments, **named)
        return delayed

    def _watch(self, source: Source, more: int) -> None:
        descriptor = source.fileno()
        before = self._events.get(descriptor, 0)
        events = before | more
        if before == events:
            return
        epoll = self._openings.epoll if source.isOpening else self._epoll
        if before:
            epoll.modify(descriptor, events)
        else:
            epoll.register(descriptor, events)
            self._sources[descriptor] = source
            self._reads[descriptor] = source.read
        self._events[descriptor] = events

    def _unwatch(self, source: Source, events: int) -> None:
        descriptor = source.fileno()
        if self._sources.get(descriptor) is not source:
            return
        left = self._events[descriptor] & ~events
        if left == self._events[descriptor]:
            return
        epoll = self._openings.epoll if source.isOpening else self._epoll
        if left:
            epoll.modify(descriptor, left)
            self._events[descriptor] = left
        else:
            epoll.unregister(descriptor)
            del self._events[descriptor], self._sources[descriptor], self._reads[descriptor]


@implementer(IReadDescriptor)
class _Openings:
    """The ring's connections in their opening: a reader of its own, so that the reactor serves both in each turn."""

    def __init__(self, ring: Ring) -> None:
        self.epoll = select.epoll()
        self.doRead = ring.serveOpenings
        self.connectionLost = ring.connectionLost

    def fileno(self) -> int:
        """Returns the descriptor of the epoll set, which is readable while one of its connections is ready."""
        return self.epoll.fileno()

    def logPrefix(self) -> str:
        """The name in Twisted's log."""
        return "openings"
