"""The flags of standalone.py, from the command line and from an ini file."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentError, ArgumentParser, Namespace
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from typing import Any

from wsd.config import ConfigError
from wsd.config.values import nearest

_SECTION = "pywebsocket"

LEVELS = {
    "fine": "debug",
    "debug": "debug",
    "info": "info",
    "warning": "warn",
    "warn": "warn",
    "error": "error",
    "critical": "error",
}
"""The log levels of standalone.py, and the daemon's levels for them."""

_DEFAULTS: Mapping[str, Any] = {
    "port": 80,
    "websock_handlers": ".",
    "document_root": ".",
    "basic_auth_credential": "test:test",
    "log_level": "warn",
    "log_max": 256 * 1024,
    "log_count": 5,
}
"""The defaults, which are those of standalone.py where it has one."""

_FLAGS: Mapping[str, str] = {
    "tls": "use only TLS on the port (wss, https)",
    "tls-client-auth": "ask clients for a certificate, and refuse those without one",
    "tls-client-cert-optional": "ask for one, but accept clients without one",
    "basic-auth": "require a user name and a password",
    "allow-handlers-outside-root-dir": "follow symbolic links that lead out of the folder of handlers",
}
"""Flags without a value."""

_VALUES: Mapping[str, tuple[str, str]] = {
    "server-host": (
        "HOST",
        "the address to listen on; 0.0.0.0 and :: accept connections from other machines (default: this machine only)",
    ),
    "validation-host": ("HOST", "another name that is allowed in the Host header"),
    "websock-handlers": ("DIR", "the folder of the *_wsh.py files (default: the document root)"),
    "websock-handlers-map-file": ("FILE", 'a file with aliases, one "/alias /existing" per line'),
    "scan-dir": ("DIR", "the subfolder to search for handlers (default: the whole folder)"),
    "document-root": ("DIR", "the folder of files to serve (default: the working folder)"),
    "cgi-paths": ("PATHS", "the paths of CGI programs in the document root: /cgi-bin,/other"),
    "private-key": ("FILE", "the private key for TLS, a PEM file"),
    "certificate": ("FILE", "the certificate for TLS, a PEM file with the whole chain"),
    "tls-client-ca": ("FILE", "the authorities for client certificates, a PEM file"),
    "basic-auth-credential": ("NAME:PASSWORD", "the credentials for --basic-auth (default: test:test)"),
    "log-file": ("FILE", "the log file (default: the terminal)"),
    "handler-encoding": ("NAME", "the encoding of the handlers' files (default: UTF-8, or what each file declares)"),
}

_NUMBERS: Mapping[str, tuple[str, str]] = {
    "port": ("PORT", "the port (default: 80); 0 selects a free one"),
    "validation-port": ("PORT", "ignored: the Host header may have any port"),
    "log-max": ("BYTES", "the size at which the log file is rotated (default: 262144)"),
    "log-count": ("N", "the number of rotated log files to keep (default: 5)"),
    "queue": ("N", "ignored: the system limits the queue"),
    "thread-monitor-interval-in-sec": ("SECONDS", "ignored: /metrics has the number of threads"),
}

_SHORT = {
    "server-host": "-H",
    "validation-host": "-V",
    "port": "-p",
    "validation-port": "-P",
    "websock-handlers": "-w",
    "websock-handlers-map-file": "-m",
    "scan-dir": "-s",
    "document-root": "-d",
    "cgi-paths": "-x",
    "tls": "-t",
    "private-key": "-k",
    "certificate": "-c",
    "log-file": "-l",
    "queue": "-q",
}


def addArguments(parser: ArgumentParser) -> None:
    """Add the flags of standalone.py. Each may also be written with underscores for dashes."""

    def names(name: str) -> list[str]:
        return list(dict.fromkeys([*filter(None, [_SHORT.get(name)]), f"--{name}", f"--{name.replace('-', '_')}"]))

    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"an ini file with long names below [{_SECTION}]; the command line overrides it",
    )
    for name, (metavar, about) in _VALUES.items():
        parser.add_argument(*names(name), metavar=metavar, help=about, default=SUPPRESS)
    for name, (metavar, about) in _NUMBERS.items():
        parser.add_argument(*names(name), metavar=metavar, help=about, default=SUPPRESS, type=int)
    for name, about in _FLAGS.items():
        parser.add_argument(*names(name), action="store_true", help=about, default=SUPPRESS)
    for name, about in (("log-level", "the log level (default: warn)"), ("deflate-log-level", "ignored")):
        parser.add_argument(
            *names(name), choices=LEVELS, metavar="LEVEL", help=f"{about}: {', '.join(LEVELS)}", default=SUPPRESS
        )


def given(arguments: Namespace) -> dict[str, Any]:
    """The value of every flag: from the command line, else the file, else the default. Raises ConfigError."""
    own = {name: value for name, value in vars(arguments).items() if name != "config"}
    return {**_DEFAULTS, **(_readIni(arguments.config) if arguments.config else {}), **own}


def _readIni(path: str) -> dict[str, Any]:
    """The flags in an ini file. A flag that takes no value is set whatever its value is, as in standalone.py."""
    ini = ConfigParser()
    try:
        with open(path, encoding="utf-8") as file:
            ini.read_file(file)
        items = ini.items(_SECTION)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except IniError as error:
        raise ConfigError(
            f"{path}: is not a configuration: {' '.join(str(error).split())}; begin it with [{_SECTION}]"
        ) from None
    parser = ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    addArguments(parser)
    found = Namespace()
    for key, value in items:
        name = key.replace("_", "-")
        if name not in {*_FLAGS, *_VALUES, *_NUMBERS, "log-level", "deflate-log-level"}:
            known = [*_FLAGS, *_VALUES, *_NUMBERS, "log-level"]
            raise ConfigError(f"{path}: {key}: there is no such key; {nearest(name, known)}")
        try:
            parser.parse_args([f"--{name}"] if name in _FLAGS else [f"--{name}={value}"], found)
        except ArgumentError as error:
            raise ConfigError(f"{path}: {key}: {error.message}") from None
    return {name: value for name, value in vars(found).items() if name != "config"}
