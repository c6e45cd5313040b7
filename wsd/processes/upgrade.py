"""
An upgrade, on the side of the old process: it starts the new version, and hands it everything that can move.

1. The new process reads its configuration, takes the listening sockets, and says which connections it can read.
2. Routes whose connections cannot move, and whose files only one process may use, are drained.
3. Nothing is accepted any more. The kernel keeps new clients waiting.
4. Routes whose connections share a state move as a whole, and with them one connection of each other route: if the new
   version fails at one of them, nothing has moved yet.
5. All other connections move a few at a time.
6. The new process accepts. What could not move is closed here with 1012, and this process ends.

Until a step is confirmed, this process can take everything back: it keeps the connections, and has only stopped
reading.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.connection import Factory
from wsd.processes.farewells import closeSpread
from wsd.processes.given import Given
from wsd.processes.launching import Command, NewProcess, NotTakenOver, PidFile
from wsd.processes.packing import pack
from wsd.processes.passing import Leaving, wireOf
from wsd.service.daemon import Daemon, UpgradeRefused
from wsd.service.routes import FactoryKey, isExclusive
from wsd.web.door import Door

_BATCH = 16
"""Connections that are passed on in one message. Each of them waits for all others of its batch."""

_BATCH_SIZE = 8 * 1024 * 1024
"""Bytes of a batch beyond which no further connection is added to it."""

_LOOK = 0.01
"""Seconds between two checks for connections that have become movable."""

_SETTLING = 2.0
"""Seconds for which connections that share a state are frozen while hooks finish what they have begun."""

_STRAGGLING = 5.0
"""Seconds for which other connections are given the chance to become movable, after the new process accepts."""

_UPGRADING = "it is being upgraded"


class Upgrade:
    """Upgrades a daemon. `start` may be called again if an upgrade has failed."""

    log = Logger(namespace="wsd")

    def __init__(self, daemon: Daemon, reactor: Any, command: Command, pidFile: PidFile) -> None:
        self._daemon = daemon
        self._reactor = reactor
        self._command = command
        self._pidFile = pidFile
        self._new: NewProcess | None = None
        self._moved = 0
        self._pause = 0.0
        """The longest time in seconds for which a connection stood still."""
        self._undo: list[Callable[[], Any]] = []
        """What takes everything back that is not confirmed, the last step first."""

    def start(self) -> Deferred[str]:
        """Upgrade. Fires with a sentence about what was done; fails with `UpgradeRefused` if the daemon serves on."""
        if self._new is not None:
            return fail(UpgradeRefused("an upgrade is under way already"))
        self._moved, self._pause = 0, 0.0
        self.log.info("the upgrade begins: starting the version on the disk", event="upgrade.begun")
        return Deferred.fromCoroutine(self._run()).addErrback(self._failed)

    async def _run(self) -> str:
        daemon = self._daemon
        self._new = new = self._launch()
        daemon.successor = self
        offer = await new.ready()
        readable = {FactoryKey(*key): set(versions) for key, versions in offer.fields["factories"]}
        moving = {
            key: factory
            for key, factory in daemon.routes.named.items()
            if factory.stateVersion and factory.stateVersion in readable.get(key, ())
        }
        exclusive = {key: factory for key, factory in daemon.routes.named.items() if isExclusive(factory)}
        await self._empty([factory for key, factory in exclusive.items() if key not in moving])
        daemon.listening.pause(True)
        self._undo.append(lambda: daemon.listening.pause(False))
        single = {factory: key for key, factory in moving.items() if not factory.sharesState and key not in exclusive}
        shared = {key: factory for key, factory in moving.items() if factory not in single}
        await self._moveTogether({**exclusive, **shared}, shared, single)
        await self._moveSingle(single)
        await self._moveNew()
        await new.ask("listen", {})
        self._undo.clear()
        daemon.site.stopping = True
        self._retire(factory for factory in moving.values() if factory.sharesState)
        daemon.systemd.notify(f"MAINPID={new.pid}")
        if daemon.control is not None:
            # The new process has its own from now on. A client that waits for an answer still gets it.
            daemon.control.close()
        new.tell("main")
        self._writePid()
        await self._moveStragglers(single)
        return self._done()

    def _launch(self) -> NewProcess:
        daemon = self._daemon
        listeners = daemon.listening.listeners
        passed = sorted((*each.unitSocket, each.descriptor) for each in listeners if each.unitSocket is not None)
        given = Given(
            channel=-1,
            bound=daemon.listening.bound,
            passed=[(name, descriptor) for _, name, descriptor in passed if descriptor is not None],
            locked={} if daemon.locks is None else daemon.locks.files,
            pidFile=self._pidFile.path,
        )
        environ = {key: value for key, value in os.environ.items() if not key.startswith("LISTEN_")}
        environ.update({name: value for name, value in daemon.systemd.variables.items() if value})
        try:
            return NewProcess(self._reactor, self._command, environ, given)
        except OSError as error:
            raise NotTakenOver(f"the new process cannot be started: {error}") from None

    # -- moving ---------------------------------------------------------------------------------------------------

    async def _empty(self, factories: list[Factory]) -> None:
        """Close the connections of routes that cannot move and whose files are passed on."""
        for factory in factories:
            self._refuse(factory)
        connections = [connection for factory in factories for connection in factory.connections]
        await closeSpread(connections, self._daemon.config.drain, self._reactor)

    def _refuse(self, factory: Factory) -> None:
        """Answer new requests of a route with 503 from now on."""
        if factory.unusable is None:
            factory.unusable = _UPGRADING
            self._undo.append(lambda: setattr(factory, "unusable", None))

    async def _moveTogether(
        self,
        factories: dict[FactoryKey, Factory],
        together: dict[FactoryKey, Factory],
        single: dict[Factory, FactoryKey],
    ) -> None:
        """
        Move routes whose connections share a state or files: everything is frozen until all have arrived.

        `factories` are these, and those that only pass on their files. One connection of each of `single` goes along.
        """
        for factory in factories.values():
            self._refuse(factory)
        doors = self._doorsOf(together.values())
        began = self._reactor.seconds()
        frozen = list(doors)
        self._undo.append(partial(_thawAll, frozen))
        await self._settle(doors)
        leaving = {key: self._leave(each for each in doors if _factoryOf(each) is together[key]) for key in together}
        leaving.update((key, self._leaveFirst(factory)) for factory, key in single.items())
        pending = [each for group in leaving.values() for each in group]
        frozen[:] = [door for door in doors if all(door is not each.door for each in pending)]
        self._undo.append(partial(_takeBack, pending))
        states = {}
        for key, factory in together.items():
            states[key] = factory.saveState()
            self._undo.append(factory.stateKept)
        await self._passFiles(factories.values(), together.values())
        for key, factory in factories.items():
            fields = {"key": key, "version": factory.stateVersion, "hasState": key in states}
            await self._ask("route", fields, pack(states.get(key)))
        kept = [each for key, group in leaving.items() for each in await self._pass(key, group, isHeld=True)]
        await self._ask("release", {})
        self._confirm(each for each in pending if each not in kept)
        self._notePause(began if pending else self._reactor.seconds())
        pending.clear()
        _takeBack(kept)
        # What the others send would be handled by a route that has moved.
        stayed = [*frozen, *(each.door for each in kept if _factoryOf(each.door) not in single)]
        frozen.clear()
        await closeSpread([each.connection for each in stayed if each.connection is not None], 0, self._reactor)

    def _leaveFirst(self, factory: Factory) -> list[Leaving]:
        """The first connection of a route that is movable."""
        for door in self._doorsOf([factory]):
            _freeze(door)
            leaving = self._leave([door])
            if leaving:
                return leaving
            _thawAll([door])
        return []

    async def _passFiles(self, factories: Iterable[Factory], moving: Collection[Factory]) -> None:
        """Stop the routes that use files which no other process may use at the same time."""
        routes = self._daemon.routes
        emptied: list[Factory] = []
        self._undo.append(partial(self._daemon.rebuild, emptied))
        for factory in factories:
            if not isExclusive(factory):
                continue
            if factory in moving:
                self._undo.append(partial(routes.startOne, factory))
            else:
                emptied.append(factory)
            await routes.stopOne(factory)

    def _doorsOf(self, factories: Iterable[Factory]) -> list[Door]:
        wanted = set(factories)
        doors: Iterable[Any] = list(self._daemon.site.doors)
        return [each for each in doors if isinstance(each, Door) and _factoryOf(each) in wanted]

    async def _settle(self, doors: list[Door]) -> None:
        """Freeze connections, and wait until all are movable, or for a while."""
        for door in doors:
            _freeze(door)
        end = self._reactor.seconds() + _SETTLING
        while self._reactor.seconds() < end and not all(_isGone(door) or _isMovable(door) for door in doors):
            await deferLater(self._reactor, _LOOK)

    def _leave(self, doors: Iterable[Door]) -> list[Leaving]:
        """Those of frozen connections that are movable, ready to be passed on."""
        found = []
        for door in doors:
            wire = wireOf(door)
            if wire is None or not _isMovable(door):
                continue
            try:
                found.append(Leaving(door, wire))
            except Exception:
                self.log.failure("a connection cannot be moved", event="upgrade.error")
        return found

    async def _moveSingle(self, factories: dict[Factory, FactoryKey]) -> None:
        """Move connections that share nothing, a few at a time. Those that are busy stay for now."""
        for factory, key in factories.items():
            waiting = self._doorsOf([factory])
            while waiting:
                batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
                began = self._reactor.seconds()
                for door in batch:
                    _freeze(door)
                leaving = self._leave(batch)
                _thawAll(set(batch).difference(each.door for each in leaving))
                self._undo.append(partial(_takeBack, leaving))
                kept = await self._pass(key, leaving, isHeld=False)
                self._undo.pop()
                _takeBack(kept)
                self._notePause(began)
                self._confirm(each for each in leaving if each not in kept)

    async def _moveStragglers(self, factories: dict[Factory, FactoryKey]) -> None:
        """Move connections that were busy, as soon as they are not."""
        end = self._reactor.seconds() + _STRAGGLING
        while self._reactor.seconds() < end and any(map(_mayMove, self._doorsOf(factories))):
            try:
                await self._moveSingle(factories)
            except NotTakenOver:
                # The new process has crashed. What is left here is closed, as if it could not move.
                await self._takeAllBack()
                return
            await deferLater(self._reactor, _LOOK)

    async def _moveNew(self) -> None:
        """Pass on connections whose first request is not complete."""
        doors: Iterable[Any] = list(self._daemon.site.doors)
        for door in doors:
            wire = wireOf(door) if isinstance(door, Door) and door.isNew else None
            if wire is not None:
                leaving = Leaving(door, wire)
                self._undo.append(leaving.takeBack)
                await self._ask("new", {}, pack(leaving.saved), [leaving.descriptor])
                self._undo.pop()
                leaving.confirm()

    async def _pass(self, key: FactoryKey, leaving: list[Leaving], isHeld: bool) -> list[Leaving]:
        """Pass connections on. Returns those that the new process could not resume."""
        kept: list[Leaving] = []
        while leaving:
            batch, size = [], 0
            for each in leaving[:_BATCH]:
                batch.append(pack(each.saved))
                size += len(batch[-1])
                if size > _BATCH_SIZE:
                    break
            sent, leaving = leaving[: len(batch)], leaving[len(batch) :]
            descriptors = [each.descriptor for each in sent]
            version = self._daemon.routes.named[key].stateVersion
            fields = {"key": key, "version": version, "isHeld": isHeld}
            answer = await self._ask("connections", fields, pack(batch), descriptors)
            kept += [sent[number] for number in answer.fields["failed"]]
        return kept

    def _ask(self, kind: str, fields: dict[str, Any], body: bytes = b"", descriptors: Iterable[int] = ()) -> Any:
        assert self._new is not None
        return self._new.ask(kind, fields, body, list(descriptors))

    def _confirm(self, leaving: Iterable[Leaving]) -> None:
        for each in leaving:
            each.confirm()
            self._moved += 1

    def _notePause(self, began: float) -> None:
        """Connections that were stopped at this time go on in the other process."""
        self._pause = max(self._pause, self._reactor.seconds() - began)

    def _retire(self, factories: Iterable[Factory]) -> None:
        """End what requests over HTTP wait for: it happens in the new process."""
        for factory in factories:
            try:
                factory.retired()
            except Exception:
                self.log.failure("a route could not finish its answers", event="route.unstopped")

    # -- ending ---------------------------------------------------------------------------------------------------

    def _writePid(self) -> None:
        """Write the new process ID where twistd has written ours."""
        assert self._new is not None
        try:
            self._pidFile.give(self._new.pid)
        except OSError as error:
            self.log.warn(
                "{path} cannot be written: {reason}",
                event="upgrade.pidfile",
                path=self._pidFile.path,
                reason=str(error),
            )

    def _done(self) -> str:
        assert self._new is not None
        left = len(self._daemon.routes.connections)
        sentence = (
            f"process {self._new.pid} serves now: {self._moved} connections were moved, none of which stood still for "
            f"longer than {self._pause * 1000:.0f} ms, and {left} are being closed"
        )
        self.log.info(
            "upgraded: {sentence}",
            event="upgrade.done",
            sentence=sentence,
            process=self._new.pid,
            moved=self._moved,
            closed=left,
            pause=round(self._pause, 3),
        )
        self._daemon.handOver()
        return sentence

    def _failed(self, failure: Failure) -> Deferred[str]:
        """Take everything back, and serve on."""
        if failure.check(NotTakenOver):
            sentence = failure.getErrorMessage()
        else:
            sentence = "an internal error occurred; see the log"
            self.log.failure("the upgrade failed", failure, event="upgrade.error")
        return Deferred.fromCoroutine(self._serveOn(sentence))

    async def _serveOn(self, sentence: str) -> str:
        if self._new is not None:
            self._new.kill()
        await self._takeAllBack()
        self._new = self._daemon.successor = None
        self.log.error("not upgraded, this process serves on: {sentence}", event="upgrade.refused", sentence=sentence)
        raise UpgradeRefused(sentence)

    async def _takeAllBack(self) -> None:
        while self._undo:
            try:
                await maybeDeferred(self._undo.pop())
            except Exception:
                self.log.failure("something could not be taken back", event="upgrade.error")

    def abort(self) -> None:
        """Called when the daemon stops: end the new process, and take everything back."""
        if self._new is not None:
            self._new.kill()


def _factoryOf(door: Door) -> Any:
    return None if door.connection is None else door.connection.factory


def _mayMove(door: Door) -> bool:
    """Whether a connection could become movable."""
    return door.connection is not None and door.connection.isOpen and wireOf(door) is not None


def _freeze(door: Door) -> None:
    if door.connection is not None:
        door.connection.freeze()


def _isGone(door: Door) -> bool:
    return door.connection is None or not door.connection.isOpen


def _isMovable(door: Door) -> bool:
    return door.connection is not None and door.connection.isMovable


def _thawAll(doors: Iterable[Door]) -> None:
    for door in doors:
        if door.connection is not None:
            door.connection.thaw()


def _takeBack(leaving: Iterable[Leaving]) -> None:
    for each in leaving:
        each.takeBack()
