"""Where the daemon's log goes, by the configuration or by twistd's options, and when its file is rotated."""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import FileIO
from math import ceil, inf
from time import time
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from zope.interface import provider

from wsd.config import Config, ConfigError
from wsd.logs import MINUTE, AccessSettings, EventWriter, Forward, Threshold, linesTo, observer
from wsd.tap.options import Options


class LoggedService(MultiService):
    """
    The daemon with its log.

    twistd takes the log observer from the application, twist from its own options, so it is set in one of these.
    SIGUSR1 rotates the file. A reload reopens it, if the configuration names it. The lines of a `worker` have its
    number. If only the parent of the workers can write to the log, `forward` is called with each event instead.
    """

    def __init__(
        self, options: Options, reactor: Any, worker: int | None = None, forward: Forward | None = None
    ) -> None:
        super().__init__()
        self._options = options
        self._worker = worker
        self._forward = forward
        self._reactor = reactor
        self._observer: ILogObserver | None = None
        self.threshold: Threshold | None = Threshold(options.config.log.level)
        """The least level that is logged; None if the log is not written here."""
        self._reopened: list[Callable[[], object]] = []
        self._flush: Callable[[float], object] = lambda now: None
        self._path: str | None = None
        self._accessLines: EventWriter | None = None
        self._stacks: Any = None
        self._flushing = LoopingCall(lambda: self._flush(time()))
        self._flushing.clock = reactor
        self._isTerminal = False
        parent: Any = options.parent or {}
        if "fileLogObserverFactory" in parent:
            written = self._written(parent["logFile"])
            self._isTerminal = parent["logFile"] is sys.stdout
            parent["fileLogObserverFactory"] = lambda stream: written
            # The level is decided here, since it may change.
            parent["logLevel"] = LogLevel.debug
        elif parent.get("syslog"):
            self.threshold = None
        else:
            self._observer = self._written(None if options.config.log.file else self._stream(parent))
            self._isTerminal = self._path is None

    def _written(self, stream: Any) -> ILogObserver:
        """An observer that writes to the file of the configuration, else to `stream`."""
        log, access = self._options.config.log, self._options.config.access
        assert self.threshold is not None
        lines: Forward
        if self._forward is not None:
            lines = self._forward
        else:
            lines = writer = linesTo(log.format, log.file, stream)
            if log.file is not None:
                self._reopened.append(writer.reopen)
                self._path = log.file
        self._accessLines = self._ownAccessLines()
        # All workers together may write so many lines.
        share = 1 if self._worker is None else self._options.config.workers
        settings = AccessSettings(access.enabled, access.sample, ceil(access.per_minute / share))
        written = observer(lines, self.threshold, settings, self._accessLines)
        self._flush = written.flush
        return written if self._worker is None else _numbered(written, self._worker)

    def _ownAccessLines(self) -> EventWriter | None:
        """What writes the access lines, None if they go to the log."""
        log, access = self._options.config.log, self._options.config.access
        if access.file is None and access.format is None:
            return None
        style = access.format or ("text" if log.format == "journal" else log.format)
        lines = linesTo(style, access.file)
        self._reopened.append(lines.reopen)
        return lines

    def _stream(self, parent: Mapping[str, Any]) -> Any:
        """Where twistd logs: to its --logfile, the terminal or, as a daemon, twistd.log. Files are rotated by size."""
        path = parent.get("logfile") or ("-" if parent.get("nodaemon", True) else "twistd.log")
        if path != "-":
            file = LogFile.fromFullPath(path, **self._options.rotation)
            self._reopened.append(file.rotate)
            self._path = file.path
            return file
        if not parent.get("nodaemon", True):
            raise ConfigError("--logfile: a daemon has no terminal to log to; name a file, or run twistd -n")
        return self._options.terminal

    @property
    def isShared(self) -> bool:
        """Whether other processes can write to the log as well: a file that they reopen, the terminal, the journal."""
        log = self._options.config.log
        return log.file is not None or log.format == "journal" or self._isTerminal

    @property
    def path(self) -> str | None:
        """The file of the log; None if it goes to a terminal or to syslog."""
        return self._path

    def setServiceParent(self, parent: Any) -> None:
        """Join the application, and set its log observer."""
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """Start. From now on SIGUSR1, which logrotate sends, rotates the file."""
        signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(self.rotate))
        self._keepStacks()
        self._flushing.start(MINUTE, now=False)
        for notice in self._options.notices() if self._worker is None else ():
            Logger(namespace="wsd").warn("{notice}", event="config.unknown", notice=notice)
        super().startService()

    def stopService(self) -> Deferred[Any]:
        """Stop. Lines that were left out so far are reported."""
        if self._flushing.running:
            self._flushing.stop()
        stopped: Deferred[Any] = super().stopService()
        return stopped.addBoth(self._report)

    def _report(self, result: Any) -> Any:
        self._flush(inf)
        return result

    def _keepStacks(self) -> None:
        """Write the stack of each thread to the log at a crash, and at SIGABRT from systemd's watchdog."""
        before = self._stacks
        with suppress(OSError):
            self._stacks = sys.__stderr__ if self._path is None else FileIO(self._path, "a")
            faulthandler.enable(self._stacks)
            if before is not None and before is not sys.__stderr__:
                before.close()

    def rotate(self) -> None:
        """Continue in a new file or, if it cannot be opened, in the old one."""
        try:
            for reopen in self._reopened:
                reopen()
            self._keepStacks()
            for service in self:
                if hasattr(service, "logRotated"):
                    service.logRotated()
        except OSError as error:
            Logger().warn("the log continues in its old file: {reason}", event="log.kept", reason=str(error))

    def reread(self) -> Config:
        """Called first by a reload: reopen the log files, and read the configuration again. Raises ConfigError."""
        config = self._options.config
        if config.log.file is not None or config.access.file is not None:
            self.rotate()
        return self._options.reread()


def _numbered(log: ILogObserver, worker: int) -> ILogObserver:
    """A log whose events have the number of a worker."""

    @provider(ILogObserver)
    def number(event: LogEvent) -> None:
        log({**event, "worker": worker})

    numbered: ILogObserver = number
    return numbered
