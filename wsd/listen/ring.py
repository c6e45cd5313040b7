"""
The ring: an epoll set of all connections, which is itself one reader of the reactor.

Twisted's reactors take 4 us for each event, for logging and several calls. Here a turn of the reactor is one such
event, and handles a batch of the connections' events. The set is level-triggered: what a batch leaves comes again in
the next turn, after the reactor's other readers.
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
"""Events handled in a turn. At some microseconds each, the rest of the daemon waits at most a few milliseconds."""

_REASONS: dict[type[BaseException], Failure] = {
    kind: Failure(kind()) for kind in (error.ConnectionDone, error.ConnectionLost)
}
"""The reasons with which nearly all connections end, made once, as in Twisted's reactors."""

_IN, _OUT = select.EPOLLIN, select.EPOLLOUT

OnOtherEvent = Callable[["Source", int, BaseException | None], None]
"""Called for any event other than that a source can be read, and with the reason if reading fails."""


class Source(Protocol):
    """A connection on the ring: one of Twisted's transports."""

    def fileno(self) -> int:
        """Its descriptor, -1 when it is closed."""

    def doRead(self) -> Any:
        """It can be read. Returns why it is lost, if it is."""

    def doWrite(self) -> Any:
        """It can be written. Returns why it is lost, if it is."""

    def connectionLost(self, reason: Failure) -> None:
        """It is lost."""


def pythonTurn(epoll: select.epoll, sources: dict[int, Source], onOtherEvent: OnOtherEvent) -> None:
    """Read from a batch of the sources that are ready: what `wsd.listen._turn` does, if it is not built."""
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
    """A ring on this reactor, or the reactor itself if there is no epoll."""
    return Ring(reactor) if hasattr(select, "epoll") else reactor


@implementer(IReadDescriptor)
class Ring:
    """The reactor that connections are given; `stop` ends it when all are gone."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._sources: dict[int, Source] = {}
        self._events: dict[int, int] = {}
        reactor.addReader(self)

    # -- called by the reactor ---------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The descriptor of the epoll set, readable while one of its connections is ready."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return "ring"

    def doRead(self) -> None:
        """Serve a batch of the connections that are ready."""
        turn(self._epoll, self._sources, self._onOtherEvent)

    def _onOtherEvent(self, source: Source, event: int, why: BaseException | None) -> None:
        """A source can be written, or is lost."""
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
        """Close the ring."""
        self._reactor.removeReader(self)
        self._epoll.close()

    @staticmethod
    def _serve(source: Source, event: int) -> Any:
        """Handle an event other than that it can be read: it can be written, or the peer is gone."""
        why = source.doRead() if event & _IN else None
        if why is None and event & _OUT and source.fileno() >= 0:
            why = source.doWrite()
        if why is None and not event & (_IN | _OUT):
            why = main.CONNECTION_LOST
        return why

    def _lose(self, source: Source, why: BaseException, reading: bool) -> None:
        """It is lost, or its peer has closed only its own half."""
        self.removeReader(source)
        if reading and isinstance(why, error.ConnectionDone) and IHalfCloseableDescriptor.providedBy(source):
            source.readConnectionLost(Failure(why))
            return
        self.removeWriter(source)
        source.connectionLost(_REASONS.get(type(why)) or Failure(why))

    # -- called by connections ------------------------------------------------------------------------------------

    def addReader(self, reader: Source) -> None:
        """Call its `doRead` when there is something to read."""
        self._watch(reader, self._events.get(reader.fileno(), 0) | _IN)

    def addWriter(self, writer: Source) -> None:
        """Call its `doWrite` when there is room to write."""
        self._watch(writer, self._events.get(writer.fileno(), 0) | _OUT)

    def removeReader(self, reader: Source) -> None:
        """Stop reading it."""
        self._unwatch(reader, _IN)

    def removeWriter(self, writer: Source) -> None:
        """Stop writing it."""
        self._unwatch(writer, _OUT)

    def removeAll(self) -> list[Source]:
        """Remove and return all connections."""
        sources = list(self._sources.values())
        for source in sources:
            self._unwatch(source, _IN | _OUT)
        return sources

    def getReaders(self) -> list[Source]:
        """The connections that are read."""
        return [source for descriptor, source in self._sources.items() if self._events[descriptor] & _IN]

    def getWriters(self) -> list[Source]:
        """The connections that are written."""
        return [source for descriptor, source in self._sources.items() if self._events[descriptor] & _OUT]

    def callLater(self, delay: float, call: Callable[..., Any], *arguments: Any, **named: Any) -> IDelayedCall:
        """The reactor's own."""
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
