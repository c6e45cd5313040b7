"""
An upgrade of several workers, on the side of the old parent.

It starts the new version's parent, which starts its workers. Then each old worker takes the steps of
`wsd.processes.moves` with the new worker of the same place, to which the two parents have connected it. The old parent
says when: nobody goes on to `release` before all new workers hold what they were passed, so that a new version that
fails at any of them leaves everything as it was. From there on, nothing is taken back: if a new worker dies, its parent
starts it again, and the old worker closes what it still has.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, FirstError, fail, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.processes.channel import ChannelMessage
from wsd.processes.child import Child, WorkerEnded
from wsd.processes.conversation import NotTakenOver
from wsd.processes.descriptors import closeAll
from wsd.processes.given import Given, Takeover
from wsd.processes.launching import Command, NewProcess, PidFile, launch
from wsd.processes.moves import Moved
from wsd.processes.parent import Parent
from wsd.processes.upgrade import Succession, logBegin, logDone, reasonOf
from wsd.processes.worker import OWNER
from wsd.service.upgrading import refuseUpgrade


class ParentUpgrade(Succession):
    """Upgrades a daemon with several workers. `start` may be called again if an upgrade has failed."""

    log = Logger(namespace="wsd")

    def __init__(self, parent: Parent, reactor: Any, command: Command, pidFile: PidFile) -> None:
        super().__init__(parent.handOver)
        self._parent = parent
        self._reactor = reactor
        self._command = command
        self._pidFile = pidFile

    def start(self) -> Deferred[str]:
        """Upgrade. Fires with a sentence about what was done; fails with `UpgradeRefused` if the daemon serves on."""
        if self._parent.successor is not None:
            return fail(refuseUpgrade("an upgrade is under way already"))
        self._parent.successor = self
        self._progress = Takeover.undecided
        logBegin()
        return Deferred.fromCoroutine(self._run()).addErrback(self._failed)

    async def _run(self) -> str:
        parent = self._parent
        children = parent.children
        owner, others = children[OWNER], [child for child in children if child.number != OWNER]
        self._new = new = await self._launch()
        offer = await new.ready()
        await self._connect(offer)
        await self._step("agree", children)
        await self._step("empty", children)
        # Connections that share a state are the owner's. They stand still from here on, and the others have but one.
        await self._step("hold", others)
        await self._step("hold", [owner])
        await new.ask("commit", {})
        self._progress = Takeover.committed
        for child in children:
            child.isStopping = True
        await self._step("release", children)
        for child in (owner, *others):
            await self._step("move", [child])
        await new.ask("serve", {})
        new.check()
        self._progress = Takeover.main
        parent.systemd.notify(f"MAINPID={new.pid}")
        self._pidFile.give(new.pid)
        if parent.control is not None:
            parent.control.close()
        new.tell("main")
        await self._step("finish", children)
        sentence = logDone(await self._leave(), new.pid)
        parent.handOver()
        return sentence

    async def _launch(self) -> NewProcess:
        parent = self._parent
        locked = await parent.children[OWNER].ask("locks", {})
        given = Given(
            channel=-1,
            bound=[(each, own.listener.secure) for own in parent.listening.own for each in own.descriptors],
            passed=parent.listening.passed,
            locked=dict(zip(locked.fields["paths"], locked.descriptors, strict=True)),
            pidFile=self._pidFile.path,
            workers=len(parent.children),
        )
        try:
            return launch(self._reactor, self._command, parent.systemd, given)
        finally:
            locked.closeDescriptors()

    async def _connect(self, offer: ChannelMessage) -> None:
        """Connect each worker with the new one of its place."""
        try:
            for child, descriptor in zip(self._parent.children, offer.descriptors, strict=True):
                _accepted(await child.ask("upgrade", {}, [descriptor]))
        finally:
            closeAll(offer.descriptors)

    async def _step(self, name: str, children: Iterable[Child]) -> None:
        """
        Let these workers take a step. Raises `NotTakenOver` if one cannot.

        After the new workers have gone on with connections, that is only logged: all others go on, too.
        """
        asked = [child.ask("step", {"name": name}) for child in children]
        answers = gatherResults([each.addCallback(_accepted) for each in asked], consumeErrors=True)
        try:
            await answers
        except FirstError as failed:
            sentence = failed.subFailure.getErrorMessage()
            if self._progress is Takeover.undecided:
                raise NotTakenOver(sentence) from None
            self.log.error("not everything was moved: {sentence}", event="upgrade.partial", sentence=sentence)

    async def _leave(self) -> Moved:
        """Let all workers close what they still have, and end. Returns what they have moved."""
        count, pause, left = 0, 0.0, 0
        for child in self._parent.children:
            try:
                told = (await child.ask("leave", {})).fields
            except WorkerEnded:
                continue
            count, pause, left = count + told["connections"], max(pause, told["pause"]), left + told["left"]
        return Moved(count, pause, left)

    def _failed(self, failure: Failure) -> Deferred[str]:
        """Take everything back, and serve on."""
        sentence = failure.getErrorMessage() if failure.check(WorkerEnded) else reasonOf(failure)
        return Deferred.fromCoroutine(self._serveOn(sentence))

    async def _serveOn(self, sentence: str) -> str:
        parent = self._parent
        if self._new is not None and self._new.isStopping:
            raise refuseUpgrade(sentence, isStopping=True)
        if self._new is not None:
            self._new.kill()
        isCommitted = self._progress is not Takeover.undecided
        for child in parent.children:
            with suppress(WorkerEnded):
                # What has moved cannot come back: the new parent has died with it. These begin anew.
                await child.ask("leave" if isCommitted else "takeback", {})
            if isCommitted and parent.running:
                child.resume()
        self._new = parent.successor = None
        raise refuseUpgrade(sentence, isStopping=not parent.running)


def _accepted(message: ChannelMessage) -> None:
    """Raises `NotTakenOver` if the answer of a worker says why it cannot do what it was asked for."""
    if message.fields["refused"] is not None:
        raise NotTakenOver(message.fields["refused"])
