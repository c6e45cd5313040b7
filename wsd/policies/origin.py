"""
Whose pages may come in: the Host a request is meant for, and the Origin of the page that sent it (RFC 6455 10.2, RFC 6454).

Loopback is not trust. A page anywhere may open a socket to 127.0.0.1, and may give its own name that address: the first
shows in Origin, the second in Host.
"""

from __future__ import annotations

import re

from wsd.head import Refused

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#@\s:\[\]]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?\Z", re.IGNORECASE)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def hostName(host: str) -> str:
    """The name in a Host: in lower case, without the port and without a final dot; IPv6 stays in its brackets."""
    if host.startswith("["):
        return host[: host.find("]") + 1].lower()
    return host.partition(":")[0].rstrip(".").lower()


def checkHost(host: str, hosts: tuple[str, ...]) -> None:
    """On a loopback address: only names that are this daemon's. Raises `Refused` (421)."""
    if hostName(host) not in {hostName(name) for name in hosts}:
        raise Refused(421, f"Host {ascii(host)[:80]} is not served here; add the name to `hosts` if it is yours")


def _parse(origin: str) -> tuple[str, str, int | None] | None:
    match = _ORIGIN.match(origin)
    if match is None:
        return None
    scheme = match[1].lower()
    return scheme, hostName(match[2]), int(match[3]) if match[3] else _PORTS.get(scheme)


def checkOrigin(origin: str | None, allowed: tuple[str, ...], host: str, hosts: tuple[str, ...]) -> None:
    """
    Whether a page of this origin may open the route: "same-host", "null", "*" or an origin in full may be allowed.

    None is no page: not a browser. Raises `Refused` (403).
    """
    if origin is None or "*" in allowed:
        return
    if origin == "null":
        if "null" not in allowed:
            raise Refused(403, "pages without an origin (opened from a file, or sandboxed) may not open this route")
        return
    parsed = _parse(origin)
    if parsed is not None:
        if "same-host" in allowed and _isSameHost(parsed[1], hostName(host), hosts):
            return
        if parsed in [_parse(one) for one in allowed]:
            return
    raise Refused(403, f"pages of {ascii(origin)[:80]} may not open this route; add the origin to its `origins` if they should")


def _isSameHost(name: str, host: str, hosts: tuple[str, ...]) -> bool:
    ours = {hostName(one) for one in hosts}
    return bool(name) and (name == host or (name in ours and host in ours))
