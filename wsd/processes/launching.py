"""Starts the version on the disk with the command line of this process."""

from __future__ import annotations

import getopt
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from twisted.logger import Logger

from wsd.listen.systemd import Systemd
from wsd.processes.conversation import NewSide, NotTakenOver
from wsd.processes.given import Given


class Command(NamedTuple):
    """How this process was started."""

    arguments: Sequence[str]
    folder: str
    """The folder in which it was started."""


def commandOf(parent: Any) -> Command:
    """
    The command that starts this daemon again, in the foreground; `parent` has the options of twistd, if it runs that.
    """
    arguments = [sys.executable, *sys.orig_argv[1:]]
    longOptions = getattr(parent, "longOpt", None)
    if longOptions is None or "pidfile=" not in longOptions:
        return Command(arguments, os.getcwd())
    # twistd's log stays where it is. The old process rewrites the pid file, and the new one does not detach itself.
    ours = sys.argv[1:]
    _, rest = getopt.getopt(ours, parent.shortOpt, longOptions)
    more = ["--nodaemon", "--pidfile="]
    if not parent.get("nodaemon", True):
        more.append(f"--logfile={parent.get('logfile') or 'twistd.log'}")
    place = len(arguments) - len(rest)
    return Command([*arguments[:place], *more, *arguments[place:]], os.getcwd())


class PidFile:
    """The file with the process ID of twistd, if there is one."""

    log = Logger(namespace="wsd")

    def __init__(self, path: str | None, parent: Any) -> None:
        """`parent` has the options of twistd, if this process runs that."""
        self.path = path
        self._parent = parent

    @classmethod
    def of(cls, parent: Any, given: Given | None) -> PidFile:
        """That of twistd, whose options these are, or of the process before an upgrade."""
        if given is not None:
            return cls(given.pidFile, parent)
        name = parent.get("pidfile") if parent else None
        return cls(os.path.join(os.path.abspath(parent.get("rundir", ".")), name) if name else None, parent)

    def give(self, pid: int) -> None:
        """Write the ID of the new process. twistd in this process does not remove the file any more."""
        if self.path is None:
            return
        try:
            Path(self.path).write_text(str(pid))
        except OSError as error:
            self.log.warn(
                "{path} cannot be written: {reason}", event="upgrade.pidfile", path=self.path, reason=str(error)
            )
        else:
            if self._parent:
                self._parent["pidfile"] = ""


class NewProcess(NewSide):
    """The process that takes over: a child of this one."""

    def __init__(self, reactor: Any, command: Command, environ: Mapping[str, str], given: Given) -> None:
        """`given` has no channel yet. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            complete = replace(given, channel=theirs.fileno())
            variables = dict(environ)
            complete.put(variables)
            try:
                self._process = subprocess.Popen(
                    list(command.arguments),
                    cwd=command.folder,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    pass_fds=complete.descriptors,
                )
            except OSError:
                ours.close()
                raise
        super().__init__(reactor, ours)

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    def _howItEnded(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        status = self._process.poll()
        if status is None:
            return "the new process has closed its channel"
        if status < 0:
            return f"the new process was ended by the signal {-status}"
        return f"the new process has ended with the status {status}; its reason is above this line, or on its terminal"

    def _endProcess(self) -> None:
        with suppress(OSError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def launch(reactor: Any, command: Command, systemd: Systemd, given: Given) -> NewProcess:
    """Start the process that takes over. Raises `NotTakenOver`."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LISTEN_")}
    environ.update({name: value for name, value in systemd.variables.items() if value})
    try:
        return NewProcess(reactor, command, environ, given)
    except OSError as error:
        raise NotTakenOver(f"the new process cannot be started: {error}") from None
