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
reading. If it is told to stop before step 5, the new process ends at once; later, both close what they have and end.
With several workers, each of them takes the steps with the worker that takes its place: `parentupgrade`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.processes.conversation import NotTakenOver
from wsd.processes.given import Given, Takeover
from wsd.processes.launching import Command, NewProcess, PidFile, launch
from wsd.processes.moves import Moved, Moves
from wsd.service.daemon import Daemon
from wsd.service.upgrading import refuseUpgrade

_log = Logger(namespace="wsd")


STOPPING = "the daemon is stopping"
"""Why a new process is ended, or told to stop."""


class Succession:
    """What happens to the new process when the old one is told to stop: a `wsd.service.multiprocess.Successor`."""

    def __init__(self, handOver: Callable[[], object]) -> None:
        """`handOver` is called if the new process is the daemon by then."""
        self._handOver = handOver
        self._new: NewProcess | None = None
        self._progress = Takeover.undecided
        """How far the new process has come."""

    def abort(self) -> Deferred[None]:
        """Called when the daemon stops: end the new process, or let it stop if it has connections."""
        if self._new is not None and self._progress is Takeover.committed:
            return self._new.stop(STOPPING)
        if self._progress is Takeover.main:
            self._handOver()
        elif self._new is not None:
            self._new.kill(STOPPING)
        return succeed(None)

    def hurry(self) -> None:
        """Called when the daemon is to stop at once."""
        if self._new is not None:
            self._new.hurry()


class Upgrade(Succession):
    """Upgrades a daemon. `start` may be called again if an upgrade has failed."""

    def __init__(self, daemon: Daemon, reactor: Any, command: Command, pidFile: PidFile) -> None:
        super().__init__(daemon.handOver)
        self._daemon = daemon
        self._reactor = reactor
        self._command = command
        self._pidFile = pidFile
        self._moves: Moves | None = None

    def start(self) -> Deferred[str]:
        """Upgrade. Fires with a sentence about what was done; fails with `UpgradeRefused` if the daemon serves on."""
        if self._new is not None:
            return fail(refuseUpgrade("an upgrade is under way already"))
        logBegin()
        return Deferred.fromCoroutine(self._run()).addErrback(self._failed)

    async def _run(self) -> str:
        daemon = self._daemon
        self._new = new = launch(self._reactor, self._command, daemon.systemd, self._given())
        daemon.successor = self
        self._moves = moves = Moves(daemon, self._reactor, new)
        self._progress = Takeover.undecided
        for step in (moves.agree, moves.empty, moves.hold):
            await step()
        self._progress = Takeover.committed
        for step in (moves.release, moves.move):
            await step()
        new.check()
        self._progress = Takeover.main
        daemon.systemd.notify(f"MAINPID={new.pid}")
        self._pidFile.give(new.pid)
        await moves.finish()
        sentence = logDone(moves.moved, new.pid)
        daemon.handOver()
        return sentence

    def _given(self) -> Given:
        daemon = self._daemon
        listeners = daemon.listening.listeners
        passed = sorted((*each.unitSocket, each.descriptor) for each in listeners if each.unitSocket is not None)
        return Given(
            channel=-1,
            bound=daemon.listening.bound,
            passed=[(name, descriptor) for _, name, descriptor in passed if descriptor is not None],
            locked={} if daemon.locks is None else daemon.locks.files,
            pidFile=self._pidFile.path,
        )

    def _failed(self, failure: Failure) -> Deferred[str]:
        """Take everything back that has not moved, and serve on unless the daemon stops."""
        return Deferred.fromCoroutine(self._serveOn(reasonOf(failure)))

    async def _serveOn(self, sentence: str) -> str:
        stays = self._new is not None and self._new.isStopping
        if self._new is not None and not stays:
            self._new.kill()
        if self._moves is not None:
            await self._moves.takeBack()
        if not stays:
            self._new = self._moves = self._daemon.successor = None
        raise refuseUpgrade(sentence, isStopping=not self._daemon.running)


def logBegin() -> None:
    """Log that an upgrade begins."""
    _log.info("the upgrade begins: starting the version on the disk", event="upgrade.begun")


def logDone(moved: Moved, process: int) -> str:
    """Log what was done, and return it as a sentence."""
    sentence = moved.sentence(process)
    _log.info(
        "upgraded: {sentence}",
        event="upgrade.done",
        sentence=sentence,
        process=process,
        moved=moved.connections,
        closed=moved.left,
        pause=round(moved.pause, 3),
    )
    return sentence


def reasonOf(failure: Failure) -> str:
    """Why an upgrade has failed, as a sentence."""
    if failure.check(NotTakenOver):
        return failure.getErrorMessage()
    _log.failure("the upgrade failed", failure, event="upgrade.error")
    return "an internal error occurred; see the log"
