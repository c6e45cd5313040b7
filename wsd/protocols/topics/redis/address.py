"""
What a URL of Redis says.

    redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]       rediss:// with TLS
    redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/NAME[/DATABASE]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")
_PORT, _SENTINEL_PORT = 6379, 26379
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is, and how to log in."""

    hosts: tuple[tuple[str, int], ...]
    """The one server, or the Sentinels."""
    name: str | None
    """What the Sentinels call the master; None without Sentinel."""
    database: int
    user: str | None
    password: str | None
    isSecure: bool

    def __str__(self) -> str:
        """Without the password, for logs."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        scheme = ("rediss" if self.isSecure else "redis") + ("" if self.name is None else "+sentinel")
        return f"{scheme}://{hosts}/" + ("" if self.name is None else f"{self.name}/") + str(self.database)


def readAddress(text: str) -> RedisAddress:
    """What a URL says. Raises ValueError."""
    url = urlsplit(text)
    if url.scheme not in _SCHEMES or url.query or url.fragment:
        raise ValueError(
            f"{_shown(text)} is not the URL of a Redis; write redis://HOST:PORT/DATABASE, rediss:// for TLS"
        )
    credentials, _, places = url.netloc.rpartition("@")
    isSentinel = url.scheme.endswith("+sentinel")
    hosts = tuple(_host(place, _SENTINEL_PORT if isSentinel else _PORT, text) for place in places.split(","))
    if len(hosts) > 1 and not isSentinel:
        raise ValueError(f"{_shown(text)} names several hosts; for Sentinels write redis+sentinel://")
    parts = [part for part in url.path.split("/") if part]
    name = parts.pop(0) if isSentinel and parts else None
    if isSentinel and name is None:
        raise ValueError(f"{_shown(text)} has no master name; write redis+sentinel://HOST:PORT/NAME")
    if len(parts) > 1 or (parts and not re.fullmatch(r"[0-9]{1,5}", parts[0])):
        raise ValueError(f"{_shown(text)} does not end with the number of a database; write one, such as /0")
    user, _, password = credentials.partition(":")
    return RedisAddress(
        hosts,
        name,
        int(parts[0]) if parts else 0,
        unquote(user) or None,
        unquote(password) or None,
        url.scheme.startswith("rediss"),
    )


def _host(place: str, port: int, text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(place)
    if found is None or int(found["port"] or port) > 65535:
        raise ValueError(f"{_shown(text)} has an invalid host; write HOST or HOST:PORT")
    return found["name"].strip("[]"), int(found["port"] or port)


def _shown(text: str) -> str:
    """A URL without what may be a password."""
    return repr(re.sub(r"//.*@", "//...@", text)[:100])
