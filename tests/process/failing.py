"""A protocol that fails at a place that WSD_TEST_UPGRADE names, in a process that was started by an upgrade."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from wsd.connection import Connection, Factory, Placement

_FIRST = int(os.environ.setdefault("WSD_TEST_FIRST", str(os.getpid())))
"""The process that has loaded this first: the old one or, with workers, their parent."""
_IS_OLD_WORKER = os.getppid() == _FIRST and "wsd.tap.worker" in sys.orig_argv
_IS_NEW = os.getpid() != _FIRST and not _IS_OLD_WORKER
_PLACE = os.environ.get("WSD_TEST_UPGRADE", "") if _IS_NEW else ""

if _PLACE == "import":
    raise RuntimeError("this version does not work")


class Failing(Connection):
    """An echo."""

    def received(self, payload: bytes, isBinary: bool) -> None:
        self.send(payload if isBinary else payload.decode())

    def restoreState(self, state: Any, version: int) -> None:
        if _PLACE == "restore":
            os.kill(os.getpid(), signal.SIGKILL)
        if _PLACE == "raise":
            raise RuntimeError("this version cannot read the state")
        if _PLACE == "orphan":
            os.kill(_FIRST, signal.SIGKILL)


class FailingFactory(Factory):
    connection = Failing
    stateVersion = 1
    sharesState = True

    def saveState(self) -> Any:
        return {"shared": True}

    def restoreState(self, state: Any, version: int) -> None:
        if _PLACE == "state":
            os.kill(os.getpid(), signal.SIGKILL)

    def stateComplete(self) -> None:
        """Called when the new process has gone on with the connections: nothing can be taken back any more."""
        victim = {"self": os.getpid(), "parent": os.getppid(), "first": _FIRST}.get(_PLACE)
        if victim is not None:
            os.kill(victim, signal.SIGKILL)
        if _PLACE == "stop":
            os.kill(_FIRST, signal.SIGTERM)


class Busy(Failing):
    """Never at a point at which it could move."""

    canMove = False


class BusyFactory(Factory):
    connection = Busy
    stateVersion = 1


class FreeFactory(Factory):
    """The same in every worker."""

    connection = Failing
    stateVersion = 1
    placement = Placement.free
