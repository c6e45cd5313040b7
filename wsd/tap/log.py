"""Where the daemon's log goes, by the configuration or by twistd's options, and when its file is rotated."""

from __future__ import annotations

import faulthandler
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
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
from wsd.config.prepared import PreparedChange
from wsd.logs import (
    JOURNAL,
    MINUTE,
    AccessSettings,
    DaemonObserver,
    EventWriter,
    Forward,
    Threshold,
    linesTo,
    observer,
)
from wsd.tap.options import Options


@dataclass(frozen=True, slots=True)
class LogOutput:
    """What writes the log of one configuration."""

    observer: DaemonObserver
    writers: tuple[EventWriter, ...]
    """The files and journals that were opened for it."""
    path: str | None
    """The file of the log, as the configuration names it."""

    def close(self) -> None:
        """Write what was left out of a flood so far, and close the files."""
        self.observer.flush(inf)
        for writer in self.writers:
            writer.close()


class LoggedService(MultiService):
    """
    The daemon with its log.

    twistd takes the log observer from the application, twist from its own options, so it is set in one of these.
    SIGUSR1 rotates the file. A reload reopens it, or writes to another one. The lines of a `worker` have its number. If
    only the parent of the workers can write to the log, `forward` is called with each event instead.
    """

    def __init__(
        self, options: Options, reactor: Any, worker: int | None = None, forward: Forward | None = None
    ) -> None:
        super().__init__()
        self._options = options
        self._current = options.config
        self._worker = worker
        self._forward = forward
        self._reactor = reactor
        self._observer: ILogObserver | None = None
        self.threshold: Threshold | None = Threshold(options.config.log.level)
        """The least level that is logged; None if the log is not written here."""
        self._parent: Any = options.parent or {}
        self._rotating: LogFile | None = None
        """The file of twistd, if the log goes there."""
        self._stacks: Any = None
        self._flushing = LoopingCall(self._flush)
        self._flushing.clock = reactor
        self._isTerminal = False
        self._output: LogOutput | None = None
        if self._parent.get("syslog") and "fileLogObserverFactory" not in self._parent:
            self.threshold = None
            return
        self._output = self._outputFor(options.config)
        if "fileLogObserverFactory" in self._parent:
            self._parent["fileLogObserverFactory"] = lambda stream: self._written()
            # The level is decided here, since it may change.
            self._parent["logLevel"] = LogLevel.debug
        else:
            self._observer = self._written()

    def _written(self) -> ILogObserver:
        """The observer of the log, whatever writes it now."""

        @provider(ILogObserver)
        def write(event: LogEvent) -> None:
            assert self._output is not None
            self._output.observer(event)

        written: ILogObserver = write
        return written if self._worker is None else _numbered(written, self._worker)

    def _outputFor(self, config: Config) -> LogOutput:
        """Open what a configuration names. Raises OSError, and ConfigError."""
        log, access = config.log, config.access
        assert self.threshold is not None
        writers: list[EventWriter] = []
        lines = self._forward
        try:
            if lines is None:
                writer = linesTo(log.format, log.file, None if log.file else self._stream())
                writers.append(writer)
                lines = writer
            accessLines = _ownAccessLines(config)
            if accessLines is not None:
                writers.append(accessLines)
        except BaseException:
            for writer in writers:
                writer.close()
            raise
        # All workers together may write so many lines.
        share = 1 if self._worker is None else config.workers
        settings = AccessSettings(access.enabled, access.sample, ceil(access.per_minute / share))
        written = observer(lines, self.threshold, settings, accessLines)
        return LogOutput(written, tuple(writers), log.file if self._forward is None else None)

    def _stream(self) -> Any:
        """Where the log goes if the configuration names no file."""
        parent = self._parent
        if "fileLogObserverFactory" in parent:
            self._isTerminal = parent["logFile"] is sys.stdout
            return parent["logFile"]
        path = parent.get("logfile") or ("-" if parent.get("nodaemon", True) else "twistd.log")
        if path == "-":
            if not parent.get("nodaemon", True):
                raise ConfigError("--logfile: a daemon has no terminal to log to; name a file, or run twistd -n")
            self._isTerminal = True
            return self._options.terminal
        # twistd's own file, which is rotated by its size.
        if self._rotating is None:
            self._rotating = LogFile.fromFullPath(path, **self._options.rotation)
        return self._rotating

    def _flush(self) -> None:
        if self._output is not None:
            self._output.observer.flush(time())

    def _isSharedBy(self, config: Config) -> bool:
        return config.log.file is not None or config.log.format == "journal" or self._isTerminal

    @property
    def isShared(self) -> bool:
        """Whether other processes can write to the log as well: a file that they reopen, the terminal, the journal."""
        return self._isSharedBy(self._current)

    @property
    def path(self) -> str | None:
        """The file of the log; None if it goes to a terminal or to syslog."""
        if self._output is None or self._output.path is not None:
            return None if self._output is None else self._output.path
        return None if self._rotating is None else str(self._rotating.path)

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
        if self._output is not None:
            self._output.observer.flush(inf)
        return result

    def _keepStacks(self) -> None:
        """Write the stack of each thread to the log at a crash, and at SIGABRT from systemd's watchdog."""
        before = self._stacks
        with suppress(OSError):
            self._stacks = sys.__stderr__ if self.path is None else FileIO(self.path, "a")
            faulthandler.enable(self._stacks)
            if before is not None and before is not sys.__stderr__:
                before.close()

    def rotate(self) -> None:
        """Continue in a new file or, if it cannot be opened, in the old one."""
        try:
            if self._rotating is not None:
                self._rotating.rotate()
            for writer in self._output.writers if self._output is not None else ():
                writer.reopen()
            self._keepStacks()
            for service in self:
                if hasattr(service, "logRotated"):
                    service.logRotated()
        except OSError as error:
            Logger().warn("the log continues in its old file: {reason}", event="log.kept", reason=str(error))

    def reread(self) -> Config:
        """Called first by a reload: reopen the log files, and read the configuration again. Raises ConfigError."""
        if self._current.log.file is not None or self._current.access.file is not None:
            self.rotate()
        return self._options.reread()

    # -- reloading ------------------------------------------------------------------------------------------------

    def prepare(self, config: Config) -> PreparedChange:
        """Open what a reload names anew. Raises ConfigError."""
        before = self._current
        if self.threshold is None or (config.log, config.access) == (before.log, before.access):
            return PreparedChange(lambda: self._note(config))
        if config.workers > 1 and self.isShared and not self._isSharedBy(config):
            raise ConfigError(
                "with several workers, only a restart can let the log go where its parent alone can write; restart wsd",
                "log.file",
            )
        try:
            output = self._outputFor(config)
        except OSError as error:
            raise ConfigError(unwritable(config, error)) from None
        return PreparedChange(lambda: self._use(config, output), output.close)

    def _note(self, config: Config) -> None:
        self._current = config

    def _use(self, config: Config, output: LogOutput) -> None:
        assert self.threshold is not None
        if config.log.level != self._current.log.level:
            self.threshold.level = config.log.level
        self._note(config)
        before, self._output = self._output, output
        if before is not None:
            before.close()
        self._keepStacks()


def _ownAccessLines(config: Config) -> EventWriter | None:
    """What writes the access lines, None if they go to the log. Raises OSError."""
    log, access = config.log, config.access
    if access.file is None and access.format is None:
        return None
    style = access.format or ("text" if log.format == "journal" else log.format)
    return linesTo(style, access.file)


def unwritable(config: Config, error: OSError) -> str:
    """Why the log cannot be written."""
    if error.filename is None:
        table = "log" if config.log.format == "journal" else "access"
        return f'{table}.format: there is no journal at {JOURNAL} ({error.strerror}); use "text" or "json"'
    tables = (("log", config.log), ("access", config.access))
    key = next((name for name, table in tables if table.file == error.filename), None)
    where = f"{key}.file: " if key else ""
    return f"{where}{error.filename} cannot be written: {error.strerror}; name a file that wsd can write"


def _numbered(log: ILogObserver, worker: int) -> ILogObserver:
    """A log whose events have the number of a worker."""

    @provider(ILogObserver)
    def number(event: LogEvent) -> None:
        log({**event, "worker": worker})

    numbered: ILogObserver = number
    return numbered
