"""Reads endpoint strings of `listen`. Other kinds than tcp, unix and systemd are left to Twisted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from twisted.internet.endpoints import serverFromString


class CannotListen(Exception):
    """A listener cannot be made. The message is one sentence that names it, and says what would be right."""


def cannotShare(string: str) -> CannotListen:
    """The error of an endpoint of one of Twisted's other kinds, whose socket several workers cannot share."""
    return CannotListen(
        f"listen {string!r} cannot be shared by several workers; use tcp, unix or systemd, or workers = 1"
    )


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """`tcp:PORT`, `tcp4:PORT` or `tcp6:PORT`."""

    host: str
    port: int
    proxied: bool | None
    """Whether connections begin with a PROXY header; None if `proxy_protocol` decides."""


@dataclass(frozen=True, slots=True)
class UnixEndpoint:
    """`unix:PATH`."""

    path: str
    mode: int
    proxied: bool | None


@dataclass(frozen=True, slots=True)
class SystemdEndpoint:
    """`systemd:index=N` or `systemd:name=NAME`: one of the two is None."""

    index: str | None
    name: str | None
    proxied: bool | None


def readEndpoint(string: str) -> TcpEndpoint | UnixEndpoint | SystemdEndpoint | None:
    """Read an endpoint string. Returns None for one of Twisted's other kinds. Raises `CannotListen`."""
    kind, _, rest = string.partition(":")
    if kind in ("tcp", "tcp4", "tcp6"):
        return _readTcp(string, kind, rest)
    if kind == "unix":
        return _readUnix(string, rest)
    if kind == "systemd":
        return _readSystemd(string, rest)
    try:
        serverFromString(_NoReactor(), string)
    except Exception as error:
        raise CannotListen(
            f"listen {string!r} is not an endpoint: {error}; use one such as tcp:9998 or unix:/run/wsd.sock"
        ) from None
    return None


class _NoReactor:
    """Stands for the reactor while an endpoint string is checked; the endpoint is made when the daemon starts."""


def _readTcp(string: str, kind: str, rest: str) -> TcpEndpoint:
    positional, named = _parts(string, rest, "port", "interface", "backlog", "proxy")
    port = (positional or [named.get("port", "")])[0]
    if not port.isdigit() or int(port) > 65535:
        raise CannotListen(f"listen {string!r} has no port; write tcp:PORT or tcp:PORT:interface=ADDRESS")
    host = named.get("interface", "::" if kind == "tcp6" else "0.0.0.0")
    return TcpEndpoint(host, int(port), _proxied(string, named))


def _readUnix(string: str, rest: str) -> UnixEndpoint:
    positional, named = _parts(string, rest, "address", "mode", "backlog", "lockfile", "proxy")
    path = (positional or [named.get("address", "")])[0]
    mode = named.get("mode", "666")
    if not path or not re.fullmatch("[0-7]{3,4}", mode):
        raise CannotListen(f"listen {string!r} is not unix:PATH or unix:PATH:mode=660")
    return UnixEndpoint(path, int(mode, 8), _proxied(string, named))


def _readSystemd(string: str, rest: str) -> SystemdEndpoint:
    positional, named = _parts(string, rest, "domain", "index", "name", "proxy")
    if positional or ("index" in named) == ("name" in named):
        raise CannotListen(f"listen {string!r} is not systemd:index=N or systemd:name=NAME")
    return SystemdEndpoint(named.get("index"), named.get("name"), _proxied(string, named))


def _parts(string: str, rest: str, *known: str) -> tuple[list[str], dict[str, str]]:
    """The positional and the named parts of an endpoint string; `\\:` and `\\=` stand for themselves."""
    positional: list[str] = []
    named: dict[str, str] = {}
    for part in re.findall(r"(?:[^:\\]|\\.)+", rest):
        pieces = re.findall(r"(?:[^=\\]|\\.)+|(?<==)$", part)
        pieces = [re.sub(r"\\(.)", r"\1", piece) for piece in pieces]
        if re.match(r"[a-zA-Z]+=", part) and len(pieces) >= 1:
            named[pieces[0]] = "=".join(pieces[1:])
        else:
            positional.append("=".join(pieces))
    if len(positional) > 1:
        raise CannotListen(f"listen {string!r} has {len(positional)} unnamed values; only the first may be unnamed")
    for name in named:
        if name not in known:
            raise CannotListen(
                f"listen {string!r} has the unknown part {name!r}; the known parts are {', '.join(known)}"
            )
    return positional, named


def _proxied(string: str, named: Mapping[str, str]) -> bool | None:
    value = named.get("proxy")
    if value not in (None, "true", "false"):
        raise CannotListen(f"listen {string!r} has proxy={value}; write proxy=true or proxy=false")
    return None if value is None else value == "true"
