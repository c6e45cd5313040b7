"""The options of the command line, which override the configuration file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, TextIO

from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from wsd import __version__
from wsd.config import Config, ConfigError
from wsd.config.files import environmentOf, readFile
from wsd.config.reach import isLocal
from wsd.config.sources import ValueSource
from wsd.config.values import reference
from wsd.listen.systemd import isPassed
from wsd.logs import isJournal
from wsd.processes.given import isPassedOn
from wsd.protocols import optionsOf
from wsd.tap.check import checkConfig
from wsd.uses import offerOf

_LONG = """\
wsd is a WebSocket daemon. Without options, it serves http://localhost:9998/ and ws://localhost:9998/echo to this
machine only. "wsd config" prints a configuration file with every key, its default and its purpose."""

_OPTIONS = {
    "port": "port",
    "host": "host",
    "listen": "listen",
    "tls.port": "tls-port",
    "handlers": "handlers",
    "log.format": "log-format",
    "log.level": "log-level",
    "workers": "workers",
    "tls.self_signed": "tls-self-signed",
    "tls.certificate": "tls-cert",
}
"""The options that override keys of the file."""

_VALUES = ("port", "host", "listen", "tls.port", "handlers", "log.format", "log.level", "workers")
"""The keys that take the value of their option unchanged."""


def exitWith(*sentences: str) -> SystemExit:
    """Returns the exception that ends the command with these lines. In the journal, their priority is "error"."""
    priority = "<3>" if isJournal(sys.stderr, os.environ) else ""
    return SystemExit("\n".join(f"{priority}wsd: {sentence}" for sentence in sentences))


def _route(text: str) -> tuple[str, str]:
    """The path and the protocol of a --route. The code of a protocol is looked for in the current folder."""
    path, equals, name = text.partition("=")
    if not equals or not name:
        raise ConfigError(
            f'"{text}" has no protocol; write /PATH=PROTOCOL, such as /shout=shout.py:ShoutFactory', "--route"
        )
    if ":" not in name:
        return path, name
    try:
        return path, reference(name, os.getcwd())
    except ValueError as error:
        raise ConfigError(str(error), f"--route {path}") from None


class Options(UsageOptions):
    """The options. After parsing, `config` is the file's configuration with these overrides."""

    longdesc = _LONG
    optParameters: ClassVar = [
        ["port", "p", None, "The TCP port; 0 chooses a free one.  [default: 9998]"],
        ["tls-port", None, None, "The port for wss and https; 0 chooses a free one."],
        ["tls-cert", None, None, "The certificate for TLS: a PEM file with the whole chain."],
        ["tls-key", None, None, "The private key of the certificate: a PEM file.  [default: the file of --tls-cert]"],
        ["config", "c", None, "The configuration file. Options override it."],
        ["handlers", "w", None, "A folder of pywebsocket handlers. NAME_wsh.py serves /NAME."],
        ["log-format", None, None, "The format of the log: text, json or journal.  [default: text]"],
        ["log-level", None, None, "The lowest level to log: debug, info, warn or error.  [default: info]"],
        ["workers", None, None, 'The number of processes, or "auto" for one for each core.  [default: 1]'],
    ]
    optFlags: ClassVar = [
        ["tls-self-signed", None, "Create a development certificate for localhost, and keep it."],
        ["check", None, 'Check the options and everything that the configuration names, print "ok", and exit.'],
    ]

    config: Config
    rotation: Mapping[str, Any] = MappingProxyType({})
    """Arguments of Twisted's LogFile, for a log file that the configuration does not name."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables that override the configuration file, and are overridden by the options."""
        return os.environ

    @property
    def terminal(self) -> TextIO:
        """Where the log goes if neither the configuration nor twistd names a file."""
        return sys.stdout

    def opt_host(self, host: str) -> None:
        """An address to listen on; repeatable. 0.0.0.0 and :: accept other machines.  [default: 127.0.0.1 and ::1]"""
        self.setdefault("host", []).append(host)

    opt_H = opt_host

    def opt_route(self, route: str) -> None:
        """A route, repeatable: /PATH=PROTOCOL, or /PATH=FILE.py:CLASS for a protocol of your own."""
        self.setdefault("route", []).append(route)

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted endpoint to listen on; repeatable. Examples: unix:/run/wsd.sock, systemd:name=wsd."""
        self.setdefault("listen", []).append(endpoint)

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"wsd {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        """Refuse arguments that are no options."""
        if arguments:
            raise UsageError(f'"{arguments[0]}" is not an option')

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse and check. Raises SystemExit with one line for an error."""
        try:
            super().parseOptions(options)
        except UsageError as error:
            raise exitWith(f"{error}; see --help") from None

    def postOptions(self) -> None:
        """Read the file, and apply the options. With --check, check everything and exit."""
        self["config"] = self["config"] or self.environ.get("WSD_CONFIG") or None
        if self["config"] is not None:
            self["config"] = os.path.abspath(self["config"])
        try:
            self._overrides = self.overrides()
            self._uses = offerOf(os.environ, byDefault=not (isPassed() or isPassedOn(os.environ)))
            self.config = self.reread()
            # Listeners stay as they are until a restart, even if the file is changed.
            self._uses = replace(self._uses, byDefault=self._uses.byDefault and isLocal(self.config))
        except ConfigError as error:
            raise exitWith(str(error)) from None
        if self["check"]:
            faults = checkConfig(self.config, self["config"])
            if faults:
                raise exitWith(*faults)
            print("ok")
            raise SystemExit(0)

    def reread(self, sources: dict[str, ValueSource] | None = None) -> Config:
        """Read the file again, with the same options. `sources` is as in `parse`. Raises ConfigError."""
        try:
            return readFile(self["config"], optionsOf, self._overrides, self._uses, self.environ, sources)
        except ConfigError as error:
            option = self.optionOf(error.key)
            if option is None:
                raise
            raise ConfigError(error.sentence, option) from None

    def notices(self) -> list[str]:
        """Warnings about variables that are no keys."""
        return environmentOf(self["config"], optionsOf, self.environ).unknown()

    def withoutUses(self) -> None:
        """Read again, without the pages of uses by default: the daemon has sockets of systemd. Raises ConfigError."""
        self._uses = replace(self._uses, byDefault=False)
        self.config = self.reread()

    @property
    def usesByDefault(self) -> bool:
        """Whether the pages of uses exist unless the configuration says otherwise."""
        return self._uses.byDefault

    def commandLine(self) -> list[str]:
        """The options as a command line, for a worker."""
        names = [str(name) for name, *_ in self.optParameters]
        flags = [str(name) for name, *_ in self.optFlags if name != "check"]
        single = {name: self.get(name) for name in names}
        line = [f"--{name}={value}" for name, value in single.items() if value is not None]
        line += [f"--{name}" for name in flags if self.get(name)]
        return line + [f"--{name}={each}" for name in ("host", "listen", "route") for each in self.get(name, ())]

    def overrides(self) -> dict[str, Any]:
        """The values of the command line, by dotted key. Raises ConfigError."""
        given = {key: self[_OPTIONS[key]] for key in _VALUES if self.get(_OPTIONS[key]) is not None}
        for key in ("port", "tls.port", "workers"):
            if key in given and given[key].isdecimal():
                given[key] = int(given[key])
        if "route" in self:
            given["route"] = {path: {"protocol": name} for path, name in map(_route, self["route"])}
        if self["tls-self-signed"]:
            given["tls.self_signed"] = True
        if self["tls-cert"] is not None:
            pair = {"cert": self["tls-cert"], "key": self["tls-key"] or self["tls-cert"]}
            given["tls.certificate"] = [{key: os.path.abspath(path) for key, path in pair.items()}]
        elif self["tls-key"] is not None:
            raise ConfigError("needs --tls-cert, its certificate", "--tls-key")
        return given

    def optionOf(self, key: str) -> str | None:
        """The option that has set a key; None if the file did."""
        for path, _ in map(_route, self.get("route", ())):
            if key == f'route."{path}"' or key.startswith(f'route."{path}".protocol'):
                return f"--route {path}"
        name = _OPTIONS.get(key)
        return f"--{name}" if name is not None and self.get(name) else None
