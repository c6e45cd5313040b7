"""A protocol whose start takes a second, in which the daemon is told to upgrade itself."""

from __future__ import annotations

import os
import signal
import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from wsd.connection import Connection, Factory

SECONDS = 1.0


class AskingFactory(Factory):
    connection = Connection

    def started(self) -> Deferred[None]:
        """Send USR2 to the daemon: this process or, with workers, its parent."""
        os.kill(os.getppid() if "wsd.tap.worker" in sys.orig_argv else os.getpid(), signal.SIGUSR2)
        return deferLater(self.clock, SECONDS, lambda: None)
