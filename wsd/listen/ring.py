"""
The ring: an epoll set of all connections that is itself one reader of the reactor, whichever reactor runs.

Twisted's reactors call each descriptor through its logger and on to its own methods, 4 us an event; here a turn of the
reactor is one such call, and a batch of events within it. Level-triggered: what a batch leaves is there at the next
turn, after everybody else of the reactor's.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import error, main
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableDescriptor, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_BATCH = 256
"""Events handled a turn: at some microseconds each, the rest of the daemon waits no longer than a few milliseconds."""

_REASONS: dict[type[BaseException], Failure] = {
    kind: Failure(kind()) for kind in (error.ConnectionDone, error.ConnectionLost)
}
"""How nearly every connection ends, made once as Twisted's reactors do."""

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT

OnOtherEvent = Callable[["Source", int, BaseException | None], None]
"""Told of an event that is more than that a source can be read, or of why reading found that it is lost."""


class Source(Protocol):
    """What lives on the ring: a transport of Twisted's."""

    def fileno(self) -> int:
        """Its descriptor, -1 when it has none any more."""

    def doRead(self) -> Any:
        """It can be read; what is returned is why it is lost."""

    def doWrite(self) -> Any:
        """It can be written; what is returned is why it is lost."""

    def connectionLost(self, reason: Failure) -> None:
        """It is lost."""


def pythonTurn(epoll: select.epoll, sources: dict[int, Source], onOtherEvent: OnOtherEvent) -> None:
    """Read from the sources that are ready, a batch of them: what `wsd.listen._turn` does, where that is not built."""
    for descriptor, event in epoll.poll(0, _BATCH):
        source = sources.get(descriptor)
        if source is None:
            continue
        if event != _IN:
            onOtherEvent(source, event, None)
            continue
        try:
            why = source.doRead()
        except Exception as raised:
            why = raised
        if why is not None:
            onOtherEvent(source, _IN, why)


def _found() -> Callable[[select.epoll, dict[int, Source], OnOtherEvent], None]:
    try:
        from wsd.listen._turn import turn
    except ImportError:
        return pythonTurn
    return turn


turn = _found()


def ringOf(reactor: Any) -> Any:
    """A ring on this reactor; where there is no epoll, the reactor itself."""
    return Ring(reactor) if hasattr(select, "epoll") else reactor


@implementer(IReadDescriptor)
class Ring:
    """What its connections take for their reactor; `stop` ends it when all are gone."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._sources: dict[int, Source] = {}
        self._events: dict[int, int] = {}
        reactor.addReader(self)

    # -- the reactor calls ----------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The epoll set's own descriptor: readable while one of its connections is ready."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return "ring"

    def doRead(self) -> None:
        """Serve a batch of the connections that are ready."""
        turn(self._epoll, self._sources, self._onOtherEvent)

    def _onOtherEvent(self, source: Source, event: int, why: BaseException | None) -> None:
        """It can be written, or is lost."""
        if why is None:
            try:
                why = self._serve(source, event)
            except Exception as raised:
                why = raised
        if why is None:
            return
        if type(why) not in _REASONS:
            self.log.failure("a connection failed", Failure(why), event="connection.error")
        self._lose(source, why, bool(event & _IN))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops."""

    def stop(self) -> None:
        """No more."""
        self._reactor.removeReader(self)
        self._epoll.close()

    @staticmethod
    def _serve(source: Source, event: int) -> Any:
        """Whatever else has happened to it: it can be written, or the peer is gone."""
        why = source.doRead() if event & _IN else None
        if why is None and event & _OUT and source.fileno() >= 0:
            why = source.doWrite()
        if why is None and not event & (_IN | _OUT):
            why = main.CONNECTION_LOST
        return why

    def _lose(self, source: Source, why: BaseException, reading: bool) -> None:
        """It is lost, or its peer has ended only the half that we read."""
        self.removeReader(source)
        if reading and isinstance(why, error.ConnectionDone) and IHalfCloseableDescriptor.providedBy(source):
            source.readConnectionLost(Failure(why))
            return
        self.removeWriter(source)
        source.connectionLost(_REASONS.get(type(why)) or Failure(why))

    # -- the connections call -------------------------------------------------------------------------------------

    def addReader(self, reader: Source) -> None:
        """Call its `doRead` when there is something to read."""
        self._watch(reader, self._events.get(reader.fileno(), 0) | _IN)

    def addWriter(self, writer: Source) -> None:
        """Call its `doWrite` when there is room to write."""
        self._watch(writer, self._events.get(writer.fileno(), 0) | _OUT)

    def removeReader(self, reader: Source) -> None:
        """Read it no more."""
        self._unwatch(reader, _IN)

    def removeWriter(self, writer: Source) -> None:
        """Write it no more."""
        self._unwatch(writer, _OUT)

    def removeAll(self) -> list[Source]:
        """Forget every connection; they are returned."""
        sources = list(self._sources.values())
        for source in sources:
            self._unwatch(source, _IN | _OUT)
        return sources

    def getReaders(self) -> list[Source]:
        """Those that are read."""
        return [source for descriptor, source in self._sources.items() if self._events[descriptor] & _IN]

    def getWriters(self) -> list[Source]:
        """Those that are written."""
        return [source for descriptor, source in self._sources.items() if self._events[descriptor] & _OUT]

    def callLater(self, delay: float, call: Callable[..., Any], *arguments: Any, **named: Any) -> IDelayedCall:
        """The reactor's."""
        delayed: IDelayedCall = self._reactor.callLater(delay, call, *arguments, **named)
        return delayed

    def _watch(self, source: Source, events: int) -> None:
        descriptor = source.fileno()
        before = self._events.get(descriptor, 0)
        if before == events:
            return
        if before:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._events[descriptor] = events
        self._sources[descriptor] = source

    def _unwatch(self, source: Source, events: int) -> None:
        descriptor = source.fileno()
        if self._sources.get(descriptor) is not source:
            return
        left = self._events[descriptor] & ~events
        if left == self._events[descriptor]:
            return
        if left:
            self._epoll.modify(descriptor, left)
            self._events[descriptor] = left
        else:
            self._epoll.unregister(descriptor)
            del self._events[descriptor], self._sources[descriptor]
