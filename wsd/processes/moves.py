"""
Moves the connections of a daemon to the process that takes over, step by step.

`Moves.hold` is the last step that can be taken back completely: until then, this process has only stopped reading, and
the other one keeps what it was passed without touching it. From `release` on, what is confirmed continues there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from wsd.connection import Connection, Factory
from wsd.processes.conversation import NewSide, NotTakenOver
from wsd.processes.doors import factoryOf, freeze, isGone, isMovable, mayMove, takeBack, thawAll
from wsd.processes.packing import pack
from wsd.processes.passing import Leaving, wireOf
from wsd.processes.sending import BATCH, ConnectionSender
from wsd.service.daemon import Daemon
from wsd.service.factories import isExclusive
from wsd.service.routes import FactoryKey
from wsd.web.door import Door
from wsd.web.draining import RESTART, Drain

_LOOK = 0.01
"""Seconds between two checks for connections that have become movable."""

_SETTLING = 2.0
"""Seconds for which connections that share a state are frozen while hooks finish what they have begun."""

_STRAGGLING = 5.0
"""Seconds for which other connections are given the chance to become movable, after the new process accepts."""

_UPGRADING = "it is being upgraded"


class Moved(NamedTuple):
    """What an upgrade has done."""

    connections: int
    """Connections that were moved."""
    pause: float
    """The longest time in seconds for which one of them stood still."""
    left: int
    """Connections that are being closed."""

    def sentence(self, process: int) -> str:
        """What was done, for the log; `process` serves now."""
        return (
            f"process {process} serves now: {self.connections} connections were moved, none of which stood still for "
            f"longer than {self.pause * 1000:.0f} ms, and {self.left} are being closed"
        )


class Moves:
    """Moves what can move to `new`. The steps are called in this order, each once; any may raise `NotTakenOver`."""

    log = Logger(namespace="wsd")

    def __init__(self, daemon: Daemon, reactor: Any, new: NewSide) -> None:
        self._daemon = daemon
        self._reactor = reactor
        self._new = new
        self._sender = ConnectionSender(daemon, reactor, new)
        self._exclusive: dict[FactoryKey, Factory] = {}
        """Factories with files that only one process may use."""
        self._together: dict[FactoryKey, Factory] = {}
        """Factories whose connections move as a whole."""
        self._single: dict[Factory, FactoryKey] = {}
        """Factories whose connections move one by one."""
        self._frozen: list[Door] = []
        self._pending: list[Leaving] = []
        """Connections that the new process holds, or could not resume."""
        self._kept: list[Leaving] = []
        """Those of them that it could not resume."""
        self._stayed: list[Connection] = []
        """Connections whose route has moved without them. They are being closed."""
        self._stoppedAt = 0.0
        self._undo: list[Callable[[], Any]] = []
        """What takes everything back that is not confirmed, the last step first."""

    @property
    def moved(self) -> Moved:
        """What was done so far."""
        return Moved(self._sender.count, self._sender.pause, len({*self._daemon.routes.connections, *self._stayed}))

    # -- the steps ------------------------------------------------------------------------------------------------

    async def agree(self) -> None:
        """Wait until the new process is ready, and agree on what it can read."""
        offer = await self._new.ready()
        readable = {FactoryKey(*key): set(versions) for key, versions in offer.fields["factories"]}
        named = self._daemon.routes.named
        moving = {
            key: factory
            for key, factory in named.items()
            if factory.stateVersion and factory.stateVersion in readable.get(key, ())
        }
        self._exclusive = {key: factory for key, factory in named.items() if isExclusive(factory)}
        self._single = {
            factory: key for key, factory in moving.items() if not factory.sharesState and key not in self._exclusive
        }
        self._together = {key: factory for key, factory in moving.items() if factory not in self._single}

    async def empty(self) -> None:
        """Close the connections of routes that cannot move and whose files are passed on."""
        factories = [factory for key, factory in self._exclusive.items() if key not in self._together]
        for factory in factories:
            self._refuse(factory)
        self._new.check()
        if not any(factory.connections for factory in factories):
            return
        emptied = Deferred.fromCoroutine(self._closeAll(factories))
        self._new.ended = emptied.cancel
        try:
            await emptied
        except CancelledError:
            self._new.check()

    async def _closeAll(self, factories: Collection[Factory]) -> None:
        drain = self._farewell(lambda: [each for factory in factories for each in factory.connections])
        await drain.spread(self._daemon.config.drain)
        await drain.clear(max(factory.policies.closing_timeout for factory in factories))

    async def hold(self) -> None:
        """
        Accept no more, and pass on what goes together: routes with a shared state, and their files.

        One connection of each other route goes along. So a version that fails at any of them fails now.
        """
        listening = self._daemon.listening
        listening.pause(True)
        self._undo.append(lambda: listening.pause(False))
        together = self._together
        factories = {**self._exclusive, **together}
        for factory in factories.values():
            self._refuse(factory)
        doors = self._doorsOf(together.values())
        self._stoppedAt = self._reactor.seconds()
        self._frozen = frozen = list(doors)
        self._undo.append(lambda: thawAll(self._frozen))
        await self._settle(doors)
        leaving = {key: self._leave(each for each in doors if factoryOf(each) is together[key]) for key in together}
        leaving.update((key, self._leaveFirst(factory)) for factory, key in self._single.items())
        self._pending = pending = [each for group in leaving.values() for each in group]
        frozen[:] = [door for door in doors if all(door is not each.door for each in pending)]
        self._undo.append(lambda: takeBack(self._pending))
        states = {}
        for key, factory in together.items():
            states[key] = factory.saveState()
            self._undo.append(factory.stateKept)
        await self._passFiles(factories.values(), together.values())
        for key, factory in factories.items():
            fields = {"key": key, "version": factory.stateVersion, "hasState": key in states}
            await self._new.ask("route", fields, pack(states.get(key)))
        self._kept = [each for key, group in leaving.items() for each in await self._sender.hold(key, group)]

    async def release(self) -> None:
        """Let the new process go on with what it holds. What it could not resume is closed, or goes on here."""
        await self._new.ask("release", {})
        kept = self._kept
        self._sender.confirm((each for each in self._pending if each not in kept), self._stoppedAt)
        self._pending.clear()
        takeBack(kept)
        stayed = [*self._frozen, *(each.door for each in kept if factoryOf(each.door) not in self._single)]
        self._frozen.clear()
        self._stayed = [each.connection for each in stayed if each.connection is not None]
        # They stay frozen, as what they send would be handled by a route that has moved. Nothing waits for their ends.
        closed = Deferred.fromCoroutine(self._farewell(lambda: self._stayed).spread(self._daemon.config.drain, False))
        closed.addErrback(lambda failure: self.log.failure("connections could not be closed", failure))

    async def move(self) -> None:
        """Move all other connections, a few at a time, and let the new process accept."""
        await self._moveSingle()
        await self._moveNew()
        await self._new.ask("listen", {})
        self._undo.clear()
        self._daemon.site.stopping = True
        for factory in self._together.values():
            if factory.sharesState:
                self._retire(factory)

    async def finish(self) -> None:
        """The new process is the daemon now. Move connections that were busy, as soon as they are not."""
        if self._daemon.control is not None:
            # The new process has its own from now on. A client that waits for an answer still gets it.
            self._daemon.control.close()
        self._new.tell("main")
        end = self._reactor.seconds() + _STRAGGLING
        while self._daemon.running and self._reactor.seconds() < end and any(map(mayMove, self._doorsOf(self._single))):
            try:
                await self._moveSingle()
            except NotTakenOver:
                # What is left here is closed, as if it could not move.
                if self._new.hasEnded:
                    await self.takeBack()
                else:
                    self._sender.forget()
                return
            await deferLater(self._reactor, _LOOK)

    async def takeBack(self) -> None:
        """Go on here with everything that is not confirmed. The new process must not run any more."""
        self._sender.takeBack()
        while self._undo:
            try:
                await maybeDeferred(self._undo.pop())
            except Exception:
                self.log.failure("something could not be taken back", event="upgrade.error")

    # -- routes that move as a whole ------------------------------------------------------------------------------

    def _refuse(self, factory: Factory) -> None:
        """Answer new requests of a route with 503 from now on."""
        if factory.unusable is None:
            factory.unusable = _UPGRADING
            self._undo.append(lambda: setattr(factory, "unusable", None))

    def _leaveFirst(self, factory: Factory) -> list[Leaving]:
        """The first connection of a route that is movable."""
        for door in self._doorsOf([factory]):
            freeze(door)
            leaving = self._leave([door])
            if leaving:
                return leaving
            thawAll([door])
        return []

    async def _passFiles(self, factories: Iterable[Factory], moving: Collection[Factory]) -> None:
        """Stop the routes that use files which no other process may use at the same time."""
        routes = self._daemon.routes
        emptied: list[Factory] = []
        self._undo.append(partial(self._rebuild, emptied))
        for factory in factories:
            if not isExclusive(factory):
                continue
            if factory in moving:
                self._undo.append(partial(self._restart, factory))
            else:
                emptied.append(factory)
            await routes.stopOne(factory)

    async def _restart(self, factory: Factory) -> None:
        """Use the files of a route again, unless the daemon stops."""
        if self._daemon.running:
            await self._daemon.routes.startOne(factory)

    def _rebuild(self, emptied: list[Factory]) -> None:
        if self._daemon.running:
            self._daemon.rebuild(emptied)

    async def _settle(self, doors: list[Door]) -> None:
        """Freeze connections, and wait until all are movable, or for a while."""
        for door in doors:
            freeze(door)
        end = self._reactor.seconds() + _SETTLING
        while self._reactor.seconds() < end and not all(isGone(door) or isMovable(door) for door in doors):
            await deferLater(self._reactor, _LOOK)
            self._new.check()

    def _retire(self, factory: Factory) -> None:
        """End what requests over HTTP wait for: it happens in the new process."""
        try:
            factory.retired()
        except Exception:
            self.log.failure("a route could not finish its answers", event="route.unstopped")

    def _farewell(self, connections: Callable[[], list[Connection]]) -> Drain:
        return Drain(self._daemon.site, connections, self._reactor, farewell=RESTART)

    # -- connections ----------------------------------------------------------------------------------------------

    def _doorsOf(self, factories: Iterable[Factory]) -> list[Door]:
        wanted = set(factories)
        doors: Iterable[Any] = list(self._daemon.site.doors)
        return [each for each in doors if isinstance(each, Door) and factoryOf(each) in wanted]

    def _leave(self, doors: Iterable[Door]) -> list[Leaving]:
        """Those of frozen connections that are movable, ready to be passed on."""
        found = []
        for door in doors:
            wire = wireOf(door)
            if wire is None or not isMovable(door):
                continue
            try:
                found.append(Leaving(door, wire))
            except Exception:
                self.log.failure("a connection cannot be moved", event="upgrade.error")
        return found

    async def _moveSingle(self) -> None:
        """Move connections that share nothing, a few at a time. Those that are busy stay for now."""
        for factory, key in self._single.items():
            waiting = self._doorsOf([factory])
            while waiting:
                batch, waiting = waiting[:BATCH], waiting[BATCH:]
                began = self._reactor.seconds()
                for door in batch:
                    freeze(door)
                leaving = self._leave(batch)
                thawAll(set(batch).difference(each.door for each in leaving))
                await self._sender.move(key, leaving, began)

    async def _moveNew(self) -> None:
        """Pass on connections whose first request is not complete."""
        doors: Iterable[Any] = list(self._daemon.site.doors)
        for door in doors:
            wire = wireOf(door) if isinstance(door, Door) and door.isNew else None
            if wire is not None:
                await self._sender.moveNew(Leaving(door, wire))
