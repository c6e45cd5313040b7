"""Where the daemon's log goes, by the configuration or by twistd's options, and when its file is rotated."""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import FileIO
from typing import Any

from twisted.application.service import MultiService
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from wsd.config import Config, ConfigError
from wsd.logs import Forward, LineObserver, observer
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
        self._rotateFile: Callable[[], object] = lambda: None
        self._path: str | None = None
        self._stacks: Any = None
        self._isTerminal = False
        parent: Any = options.parent or {}
        if "fileLogObserverFactory" in parent:
            written = self._written(parent["logFile"])
            self._isTerminal = parent["logFile"] is sys.stdout
            parent["fileLogObserverFactory"] = lambda stream: written
            parent["logLevel"] = LogLevel.levelWithName(options.config.log.level)
        elif not parent.get("syslog"):
            self._observer = self._written(None if options.config.log.file else self._stream(parent))
            self._isTerminal = self._path is None

    def _written(self, stream: Any) -> ILogObserver:
        """An observer that writes to the file of the configuration, else to `stream`."""
        log = self._options.config.log
        if self._forward is not None:
            return observer(self._forward, log.level)
        if log.file is None:
            return observer(LineObserver(log.format, stream=stream, worker=self._worker), log.level)
        lines = LineObserver(log.format, log.file, worker=self._worker)
        self._rotateFile, self._path = lines.reopen, log.file
        return observer(lines, log.level)

    def _stream(self, parent: Mapping[str, Any]) -> Any:
        """Where twistd logs: to its --logfile, the terminal or, as a daemon, twistd.log. Files are rotated by size."""
        path = parent.get("logfile") or ("-" if parent.get("nodaemon", True) else "twistd.log")
        if path != "-":
            file = LogFile.fromFullPath(path, **self._options.rotation)
            self._rotateFile, self._path = file.rotate, file.path
            return file
        if not parent.get("nodaemon", True):
            raise ConfigError("--logfile: a daemon has no terminal to log to; name a file, or run twistd -n")
        return self._options.terminal

    @property
    def isShared(self) -> bool:
        """Whether other processes can write to the log as well: to a file that they reopen, or to the terminal."""
        return self._options.config.log.file is not None or self._isTerminal

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
        super().startService()

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
            self._rotateFile()
            self._keepStacks()
            for service in self:
                if hasattr(service, "logRotated"):
                    service.logRotated()
        except OSError as error:
            Logger().warn("the log continues in its old file: {reason}", event="log.kept", reason=str(error))

    def reread(self) -> Config:
        """Called first by a reload: reopen the log file, and read the configuration again. Raises ConfigError."""
        if self._options.config.log.file is not None:
            self.rotate()
        return self._options.reread()
