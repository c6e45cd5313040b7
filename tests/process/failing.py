"""A protocol that fails at a place that WSD_TEST_UPGRADE names, in a process that was started by an upgrade."""

from __future__ import annotations

import os
import signal
from typing import Any

from wsd.connection import Connection, Factory

_IS_NEW = os.getppid() != int(os.environ.setdefault("WSD_TEST_PARENT", str(os.getppid())))
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


class FailingFactory(Factory):
    connection = Failing
    stateVersion = 1
    sharesState = True

    def saveState(self) -> Any:
        return {"shared": True}

    def restoreState(self, state: Any, version: int) -> None:
        if _PLACE == "state":
            os.kill(os.getpid(), signal.SIGKILL)
