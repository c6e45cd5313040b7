"""
The command line of `twistd wsd` and `twist wsd`: options over a file, checked before anything starts.

What is wrong is raised as SystemExit with one line: whichever command runs us then ends with that line on stderr and
the exit status 1, without a traceback and before it becomes a daemon.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from io import FileIO
from types import MappingProxyType
from typing import Any, ClassVar

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from wsd import __version__
from wsd.config import Config, ConfigError, parse
from wsd.logs import LineObserver, isJournal, observer
from wsd.policies.timer import keepTime
from wsd.protocols import optionsOf

_LONG = """\
wsd is a WebSocket daemon. Without options it serves http://localhost:9998/ and ws://localhost:9998/echo to this machine
alone. "wsd config" prints a configuration file with every key, its default and what it is for."""

_NAMES = {
    "port": "port",
    "host": "host",
    "listen": "listen",
    "tls-port": "tls.port",
    "handlers": "handlers",
    "log-format": "log.format",
    "log-level": "log.level",
}
"""Options to the keys of the file that they win over; the certificate's are two options to one key."""


def readFile(path: str | None, overrides: dict[str, Any] | None = None) -> Config:
    """
    The configuration of a file (None: the defaults), with `overrides` by dotted key.

    Raises ConfigError, whose sentence begins with the file's path.
    """
    if path is None:
        return parse("", optionsOf, overrides)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; name a file that wsd may read") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    try:
        return parse(text, optionsOf, overrides, os.path.dirname(os.path.abspath(path)))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def checkFiles(config: Config) -> None:
    """
    Load the certificates and whatever else the configuration names; warnings go to stderr. Raises ConfigError.

    Whether a port is free is not checked: only a start can tell.
    """
    from twisted.internet import reactor

    from wsd import service

    warnings: dict[str, None] = {}
    for route in config.routes.values():
        for options in route.options.values():
            check = getattr(options, "check", None)
            if check is None:
                continue
            try:
                warnings.update(dict.fromkeys(check()))
            except ValueError as error:
                raise ConfigError(str(error)) from None
    if config.log.file is not None and not os.path.isdir(folder := os.path.dirname(os.path.abspath(config.log.file))):
        warnings[f"log.file: there is no folder {folder} yet"] = None
    if config.tls.certificate:
        from wsd.listen.tls import Certificates

        Certificates(replace(config.tls, self_signed=False), os.environ)
    try:
        warnings.update(dict.fromkeys(service.check(config, reactor)))
    except service.Unusable as error:
        raise ConfigError(str(error)) from None
    for warning in warnings:
        print(f"wsd: warning: {warning}", file=sys.stderr)


def _end(sentence: str) -> SystemExit:
    """An exception that ends the command with this line, which has the priority of an error in the journal."""
    priority = "<3>" if isJournal(sys.stderr, os.environ) else ""
    return SystemExit(f"{priority}wsd: {sentence}")


class Options(UsageOptions):
    """The options; after parsing, `config` is what they and the file make together."""

    longdesc = _LONG
    optParameters: ClassVar = [
        ["port", "p", None, "The TCP port; 0 takes a free one.  [default: 9998]"],
        ["tls-port", None, None, "A port for wss and https; 0 takes a free one."],
        ["tls-cert", None, None, "The certificate for TLS: a PEM file with the whole chain."],
        ["tls-key", None, None, "Its private key: a PEM file.  [default: the file of --tls-cert]"],
        ["config", "c", None, "A configuration file; options win over it."],
        ["handlers", "w", None, "A folder of pywebsocket handlers, NAME_wsh.py: each answers at /NAME."],
        ["log-format", None, None, "How the log is written: text or json.  [default: text]"],
        ["log-level", None, None, "The least level to log: debug, info, warn or error.  [default: info]"],
    ]
    optFlags: ClassVar = [
        ["tls-self-signed", None, "Make a certificate for localhost, to develop with, and keep it."],
        [
            "check",
            None,
            'Check options, file, protocols and certificates: print "ok" or what is wrong, and start nothing.',
        ],
    ]

    config: Config
    turning: Mapping[str, Any] = MappingProxyType({})
    """When a log file that is not the configuration's turns: what twisted's LogFile takes."""

    def opt_host(self, host: str) -> None:
        """An address to listen on, repeatable; 0.0.0.0 and :: let other machines in.  [default: 127.0.0.1 and ::1]"""
        self.setdefault("host", []).append(host)

    opt_H = opt_host

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted endpoint to listen at, repeatable: unix:/run/wsd.sock, systemd:domain=INET:name=wsd, and so on."""
        self.setdefault("listen", []).append(endpoint)

    def opt_version(self) -> None:
        """Print the version of wsd and exit."""
        print(f"wsd {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        """There are only options."""
        if arguments:
            raise UsageError(f'"{arguments[0]}" is not an option')

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse and check. Raises SystemExit with one line when something is wrong."""
        try:
            super().parseOptions(options)
        except UsageError as error:
            raise _end(f"{error}; see --help") from None

    def postOptions(self) -> None:
        """Read the file, and put the options over it; with --check that is all."""
        if self["config"] is not None:
            self["config"] = os.path.abspath(self["config"])
        try:
            self._overrides = self._given()
            self.config = self.reread()
            if self["check"]:
                checkFiles(self.config)
        except ConfigError as error:
            raise _end(str(error)) from None
        if self["check"]:
            print("ok")
            raise SystemExit(0)

    def reread(self) -> Config:
        """The configuration anew: the file as it is now, under the same options. Raises ConfigError."""
        try:
            return readFile(self["config"], self._overrides)
        except ConfigError as error:
            raise ConfigError(self._asOption(str(error))) from None

    def _given(self) -> dict[str, Any]:
        """What the command line says, by the file's keys."""
        given = {key: self[name] for name, key in _NAMES.items() if self.get(name) is not None}
        for key in ("port", "tls.port"):
            if key in given and given[key].isdecimal():
                given[key] = int(given[key])
        if self["tls-self-signed"]:
            given["tls.self_signed"] = True
        if self["tls-cert"] is not None:
            pair = {"cert": self["tls-cert"], "key": self["tls-key"] or self["tls-cert"]}
            given["tls.certificate"] = [{key: os.path.abspath(path) for key, path in pair.items()}]
        elif self["tls-key"] is not None:
            raise ConfigError("--tls-key: needs the certificate that it belongs to; add --tls-cert")
        return given

    def _asOption(self, sentence: str) -> str:
        """A sentence about a key that the command line gave names the option, not the file."""
        own = sentence.removeprefix(f"{self['config']}: ")
        key, _, rest = own.partition(": ")
        names = {key: name for name, key in _NAMES.items()}
        names |= {"tls.self_signed": "tls-self-signed", "tls.certificate": "tls-cert"}
        if key in names and self.get(names[key]):
            return f"--{names[key]}: {rest}"
        return sentence


# -- the log ----------------------------------------------------------------------------------------------------------


class Logged(MultiService):
    """
    The daemon with its log.

    twistd asks the application for an observer when it begins to log, so it is put there with us; twist asks its own
    options. USR1 turns the file; a reload opens the configuration's own anew.
    """

    def __init__(self, options: Options, reactor: Any) -> None:
        super().__init__()
        self._options = options
        self._reactor = reactor
        self._observer: ILogObserver | None = None
        self._turn: Callable[[], object] = lambda: None
        self._path: str | None = None
        self._stacks: Any = None
        parent: Any = options.parent or {}
        if "fileLogObserverFactory" in parent:
            written = self._written(parent["logFile"])
            parent["fileLogObserverFactory"] = lambda stream: written
            parent["logLevel"] = LogLevel.levelWithName(options.config.log.level)
        elif not parent.get("syslog"):
            self._observer = self._written(None if options.config.log.file else self._stream(parent))

    def _written(self, stream: Any) -> ILogObserver:
        """An observer that writes to the file of the configuration, or else to `stream`."""
        log = self._options.config.log
        if log.file is None:
            return observer(LineObserver(log.format, stream=stream), log.level)
        lines = LineObserver(log.format, log.file)
        self._turn, self._path = lines.reopen, log.file
        return observer(lines, log.level)

    def _stream(self, parent: Mapping[str, Any]) -> Any:
        """Where twistd would log: its --logfile, or the terminal, or as a daemon twistd.log. Its files turn by size."""
        path = parent.get("logfile") or ("-" if parent.get("nodaemon", True) else "twistd.log")
        if path != "-":
            file = LogFile.fromFullPath(path, **self._options.turning)
            self._turn, self._path = file.rotate, file.path
            return file
        if not parent.get("nodaemon", True):
            raise ConfigError(
                "--logfile: a daemon has no terminal to log to; name a file, or stay there with twistd -n"
            )
        return sys.stdout

    def setServiceParent(self, parent: Any) -> None:
        """Join the application, and tell it where to log."""
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    def startService(self) -> None:
        """From now on USR1, which logrotate sends, turns the file."""
        signal.signal(signal.SIGUSR1, lambda *_: self._reactor.callFromThread(self.turn))
        self._keepStacks()
        super().startService()

    def _keepStacks(self) -> None:
        """Make a crash, and SIGABRT from systemd's watchdog, write the stack of each thread to the log."""
        before = self._stacks
        with suppress(OSError):
            self._stacks = sys.__stderr__ if self._path is None else FileIO(self._path, "a")
            faulthandler.enable(self._stacks)
            if before is not None and before is not sys.__stderr__:
                before.close()

    def turn(self) -> None:
        """Go on in a new file; in the old one when there can be no new one."""
        try:
            self._turn()
            self._keepStacks()
        except OSError as error:
            Logger().warn("the log stays in its old file: {reason}", event="log.kept", reason=str(error))

    def reread(self) -> Config:
        """What a reload does first. Raises ConfigError."""
        if self._options.config.log.file is not None:
            self.turn()
        return self._options.reread()


def makeService(options: Options) -> IService:
    """
    The daemon with its log, every listener bound.

    Raises SystemExit with one line when that cannot be: nothing is a daemon yet, and no log has been begun.
    """
    from twisted.internet import reactor

    from wsd import service

    keepTime(reactor)
    try:
        logged = Logged(options, reactor)
    except ConfigError as error:
        raise _end(str(error)) from None
    except OSError as error:
        raise _end(
            f"log.file: {error.filename} cannot be written: {error.strerror}; name a file that wsd may write"
        ) from None
    try:
        service.makeService(options.config, reactor, logged.reread).setServiceParent(logged)
    except (ConfigError, service.Unusable) as error:
        raise _end(str(error)) from None
    return logged
