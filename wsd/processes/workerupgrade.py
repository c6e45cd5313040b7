"""An upgrade of several workers, on the side of one old worker: it takes the steps that its parent asks for."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.processes.conversation import NewWorker
from wsd.processes.moves import Moved, Moves
from wsd.processes.upgrade import STOPPING, reasonOf
from wsd.service.daemon import Daemon

_log = Logger(namespace="wsd")


class WorkerUpgrade:
    """One old worker, which hands over to the new one of its place; `connected` is its end of their channel."""

    def __init__(self, daemon: Daemon, reactor: Any, connected: socket.socket) -> None:
        self._daemon = daemon
        self._new = NewWorker(reactor, connected)
        self._moves = Moves(daemon, reactor, self._new)
        self._isCommitted = False
        self._step: Deferred[Any] = succeed(None)
        """Fires when the last step has ended. It never fails."""
        daemon.successor = self

    def step(self, name: str) -> Deferred[dict[str, Any]]:
        """Take a step. Fires with what the parent is told about it: why it has failed, or None."""
        self._step = step = Deferred.fromCoroutine(self._take(name))
        return step

    async def _take(self, name: str) -> dict[str, Any]:
        self._isCommitted = self._isCommitted or name == "release"
        try:
            await getattr(self._moves, name)()
        except Exception:
            refused = reasonOf(Failure())
            if self._isCommitted:
                self._new.kill()
                await self._moves.takeBack()
            return {"refused": refused}
        return {"refused": None}

    async def takeBack(self, *sentence: str) -> None:
        """
        Serve on as before. `sentence` says why the new worker is ended, if the upgrade was not just given up.

        A step that is under way ends first: it fails, as the new worker is gone.
        """
        self._new.kill(*sentence)
        await self._step
        await self._moves.takeBack()
        self._daemon.successor = None

    def leave(self) -> Moved:
        """Close what is left, and end. Returns what was moved."""
        moved = self._moves.moved
        self._new.leave()
        self._daemon.handOver()
        return moved

    def abort(self) -> Deferred[None]:
        """
        Called when the daemon stops: end the new worker, unless it has gone on with connections.

        What was to move is taken back, so that it is closed in order. The parent may be dead, and not ask for it.
        """
        if self._isCommitted:
            self._new.leave()
        else:
            taken = Deferred.fromCoroutine(self.takeBack(STOPPING))
            taken.addErrback(lambda failure: _log.failure("an upgrade could not be taken back", failure))
        return succeed(None)

    def hurry(self) -> None:
        """Called when the daemon is to stop at once: the parents tell the new worker."""
