"""
Whose pages may come in: the Host a request is meant for, and the Origin of the page that sent it (RFC 6455 10.2).

Loopback is not trust. A page anywhere may open a socket to 127.0.0.1, and may give its own name that address: the first
shows in Origin, the second in Host.
"""

from __future__ import annotations

import re
from functools import lru_cache

from wsd.head import Refused, shown

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*+)://([a-z0-9_-]++(?:\.[a-z0-9_-]++)*\.?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?\Z", re.IGNORECASE
)
"""As browsers write it (RFC 6454 6.2): no path, no user name, international names in ASCII."""
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


@lru_cache(64)
def hostName(host: str) -> str:
    """The name in a Host: in lower case, without the port and without a final dot; IPv6 stays in its brackets."""
    if host.startswith("["):
        return host[: host.find("]") + 1].lower()
    return host.partition(":")[0].removesuffix(".").lower()


@lru_cache(4)
def _names(hosts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(hostName, hosts))


def checkHost(host: str, hosts: tuple[str, ...]) -> None:
    """On a loopback address: only names that are this daemon's, whatever the port. Raises `Refused` (421)."""
    if hostName(host) not in _names(hosts):
        raise Refused(421, f"Host {shown(host)} is not served here; add the name to `hosts` if it is yours")


def checkOrigin(origin: str | None, allowed: tuple[str, ...], host: str, hosts: tuple[str, ...]) -> None:
    """
    Whether a page of this origin may open the route: "same-host", "null", "*" or an origin in full may be allowed.

    None is no page: not a browser. Raises `Refused` (403).
    """
    if origin is None or "*" in allowed:
        return
    if origin == "null":
        if "null" not in allowed:
            raise Refused(403, 'a page of a file, or in a sandbox, may not open this route: its `origins` lack "null"')
        return
    parsed = _parse(origin)
    if parsed is None:
        raise Refused(403, f"Origin {shown(origin)} is not an origin; write scheme://host or scheme://host:port")
    if "same-host" in allowed and parsed[0] in _PORTS and _isSameHost(parsed[1], hostName(host), hosts):
        return
    if parsed not in map(_parse, allowed):
        raise Refused(403, f"pages of {shown(origin)} may not open this route; add it to its `origins` if they should")


@lru_cache(64)
def _parse(origin: str) -> tuple[str, str, int | None] | None:
    """Scheme, host name and port of an origin, in the one form that compares."""
    match = _ORIGIN.match(origin)
    if match is None:
        return None
    scheme = match[1].lower()
    return scheme, hostName(match[2]), int(match[3]) if match[3] else _PORTS.get(scheme)


def _isSameHost(name: str, host: str, hosts: tuple[str, ...]) -> bool:
    """Whether the page's host is the one asked, or both are names of this daemon."""
    ours = _names(hosts)
    return name == host or (name in ours and host in ours)
