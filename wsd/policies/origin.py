"""
Which web pages may connect: checks the Host of a request, and the Origin of the page that sent it (RFC 6455 10.2).

The client's address is no proof. Any page can make its visitor's browser connect to 127.0.0.1, or to an address in the
visitor's network: Origin shows that. It can also make its own name resolve to such an address: Host shows that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from wsd.config.values import canonicalHost
from wsd.head import Refused, shown

ANY = "*"
"""In `hosts`: any host."""

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*+)://([a-z0-9_-]++(?:\.[a-z0-9_-]++)*\.?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?\Z", re.IGNORECASE
)
"""
An origin as browsers write it (RFC 6454 6.2): no user name, international names in ASCII, no path. A single trailing
slash is allowed, since some programs treat the origin as a URL.
"""
_HOSTLESS = re.compile(r"([a-z][a-z0-9+.-]*+):///?\Z", re.IGNORECASE)
"""Origins without a host, such as `file://` and `qrc://`."""
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_OPAQUE = ("file", "qrc")
"""Schemes whose origins are treated like "null"."""

Origin = tuple[str, str, int | None]
"""Scheme, host name and port."""


@dataclass(frozen=True, slots=True)
class _Hosts:
    """The configured `hosts`, prepared for look-ups: whole names, suffixes of names, and whether any name matches."""

    names: frozenset[str]
    ends: tuple[str, ...]
    isAny: bool


@lru_cache(64)
def hostName(host: str) -> str:
    """Returns the name in a Host field, in canonical form and without the port."""
    if host.startswith("["):
        return canonicalHost(host[: host.find("]") + 1])
    return canonicalHost(host.partition(":")[0])


@lru_cache(4)
def _read(hosts: tuple[str, ...]) -> _Hosts:
    ends = tuple(host[1:] for host in hosts if host.startswith("*."))
    return _Hosts(frozenset(map(hostName, hosts)), ends, ANY in hosts)


@lru_cache(64)
def checkHost(host: str, hosts: tuple[str, ...], isWide: bool = False) -> None:
    """
    Check that Host is one of this daemon's names, on any port. Raises `Refused` (421).

    `isWide` means that other machines can reach the address that the request came to. Then any address is accepted too,
    since an attacker can make only a name resolve to this daemon. A missing Host is accepted as well, since browsers
    always send one.
    """
    ours, name = _read(hosts), hostName(host)
    if name in ours.names or ours.isAny or name.endswith(ours.ends):
        return
    if not isWide or not (name == "" or _isAddress(name)):
        raise Refused(
            421, f'Host {shown(host)} is not served here; if it is yours, add the name to `hosts`, or "*" for any name'
        )


def _isAddress(name: str) -> bool:
    """Returns whether a host is an IP address, IPv6 in brackets (RFC 3986 3.2.2)."""
    if name.startswith("["):
        return True
    try:
        IPv4Address(name)
    except ValueError:
        return False
    return True


@lru_cache(64)
def checkOrigin(origin: str | None, allowed: tuple[str, ...], host: str, hosts: tuple[str, ...]) -> None:
    """
    Check that a page of this origin may open the route. `allowed` has "same-host", "null", "*" and whole origins.

    A client that sends no origin is not a browser (RFC 6455 10.2), and is accepted. Raises `Refused` (403).
    """
    if origin is None or "*" in allowed:
        return
    parsed = _parse(origin)
    if parsed is not None:
        if "same-host" in allowed and parsed[0] in _PORTS and _isSameHost(parsed[1], hostName(host), hosts):
            return
        if parsed in map(_parse, allowed):
            return
    if origin in ("null", "") or (parsed is not None and parsed[0] in _OPAQUE and not parsed[1]):
        if "null" not in allowed:
            raise Refused(
                403,
                "pages opened from a file and sandboxed pages may not connect to this route; serve the page over HTTP, "
                'or add "null" to its `origins`',
            )
        return
    if parsed is None:
        raise Refused(403, f"Origin {shown(origin)} is not an origin; write scheme://host or scheme://host:port")
    raise Refused(
        403, f"pages of {shown(origin)} may not connect to this route; add the origin to its `origins` to allow it"
    )


@lru_cache(64)
def _parse(origin: str) -> Origin | None:
    """Returns an origin's scheme, host name and port in canonical form, None if it is malformed."""
    match = _ORIGIN.match(origin)
    if match is None:
        hostless = _HOSTLESS.match(origin)
        return None if hostless is None or hostless[1].lower() in _PORTS else (hostless[1].lower(), "", None)
    scheme = match[1].lower()
    return scheme, hostName(match[2]), int(match[3]) if match[3] else _PORTS.get(scheme)


def _isSameHost(name: str, host: str, hosts: tuple[str, ...]) -> bool:
    """Returns whether the page's host is the requested one, or both are whole names in `hosts`; "*" does not count."""
    ours = _read(hosts).names
    return name == host or (name in ours and host in ours)
