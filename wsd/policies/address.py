"""
The true address of a client, and what its TLS handshake agreed on.

The hops in a request's headers (X-Forwarded-For, or Forwarded of RFC 7239) are believed only if a trusted proxy sent
the request, and only in the header that the proxies are configured to set. A client can forge the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from wsd.head import Headers

UNIX = "unix"
"""The address of a peer on a unix socket."""

_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_PAIR = rf'[ \t]*+({_TCHAR}++)=({_TCHAR}++|"[^",;\\]*+")[ \t]*+'
_FORWARDED_PAIR = re.compile(_PAIR)
_FORWARDED = re.compile(rf"{_PAIR}(?:;{_PAIR})*\Z")
"""
An element of Forwarded (RFC 7239 4). No value used in practice has a comma, a semicolon or a backslash within its
quotes. Such an element counts as malformed, so that quotes that a client left open cannot hide what a proxy added.
"""
_NODE = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+))(?::(?P<port>[0-9]{1,5}))?\Z"
    r"|(?P<bare>[0-9A-Fa-f:.]+)\Z"
)
_PROXY_HEADERS = frozenset(
    "x-real-ip x-client-ip x-cluster-client-ip x-original-forwarded-for forwarded via true-client-ip cf-connecting-ip"
    " fastly-client-ip".split()
)
"""Header fields that proxies add, besides X-Forwarded-...: a request with one of them came through a proxy."""


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What a TLS handshake agreed on; `client` is the subject (RFC 4514) of a verified client certificate."""

    version: str
    cipher: str
    sni: str | None = None
    alpn: str | None = None
    client: str | None = None
    clientPem: bytes | None = None


class Peer(NamedTuple):
    """
    A client: the address that every policy, log line and metric uses.

    `port` is 0 if a proxy did not report it. `secure` means that the client uses TLS, to us or to a trusted proxy.
    `direct` means that it is on this machine with no proxy in between, so that it may do what only loopback may. `via`
    is the address of the proxy in between, None without one. `proxyId` is the id that the proxy has given to the
    connection in a PROXY header, None without one.
    """

    address: str
    port: int
    secure: bool = False
    direct: bool = False
    via: str | None = None
    proxyId: str | None = None

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" if self.port else host


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address; returns None if it is malformed. An IPv4-mapped one (RFC 4291 2.5.5.2) becomes IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or address


@lru_cache(1024)
def _parseSockets(address: str) -> tuple[IPv4Address | IPv6Address | None, str, bool]:
    """Returns a socket's address parsed, its text, and whether it is loopback. Cached, since clients come back."""
    parsed = _parse(address)
    return (None, address, False) if parsed is None else (parsed, str(parsed), parsed.is_loopback)


@lru_cache(1024)
def isLoopback(address: str) -> bool:
    """Returns whether an address is loopback."""
    return _parseSockets(address)[2]


def inNetworks(address: str, networks: Iterable[str]) -> bool:
    """Returns whether an address is in one of these networks, which may be single addresses."""
    return Trust(networks, "").trusts(address)


def _network(text: str) -> IPv4Network | IPv6Network:
    """Parse a network. A network of IPv4-mapped addresses becomes one of IPv4 addresses, as in `_parse`."""
    network = ip_network(text, strict=False)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))


class Trust:
    """
    Which proxies are trusted, and the header in which they report the client's address.

    `networks` are addresses, networks in CIDR form, or "unix"; `header` is "x-forwarded-for" or "forwarded".
    """

    def __init__(self, networks: Iterable[str], header: str) -> None:
        texts = tuple(networks)
        self._unix = UNIX in texts
        self._networks = tuple(_network(text) for text in texts if text != UNIX)
        self._readHops = _forwarded if header == "forwarded" else _xForwarded

    def trusts(self, address: str) -> bool:
        """Returns whether this is the address of a trusted proxy."""
        return self._unix if address == UNIX else self._covers(_parseSockets(address)[0])

    def _covers(self, address: IPv4Address | IPv6Address | None) -> bool:
        return bool(self._networks) and address is not None and any(address in network for network in self._networks)

    def peer(self, address: str, port: int, secure: bool, headers: Headers) -> Peer:
        """
        Returns the client of a request that came from `address`, over TLS if `secure`.

        Hops are read from the nearest one on, as long as a trusted proxy reported them. A hop without an address
        (unknown, obfuscated, or malformed: RFC 7239 6.2, 6.3) ends this: the client is the hop before it.
        """
        parsed, true, loopback = _parseSockets(address)
        local = loopback or address == UNIX
        if not (self._unix if address == UNIX else self._covers(parsed)):
            return Peer(true, port, secure, local and not _isRelayed(headers))
        via = None
        for node, scheme in self._readHops(headers):
            via = str(parsed or address)
            hop = _node(node)
            if hop is None:
                break
            true, port = str(hop[0]), hop[1]
            secure = scheme in ("https", "wss") if scheme else secure
            if not self._covers(hop[0]):
                break
        return Peer(true, port, secure, via is None and local and not _isRelayed(headers), via)


def _isRelayed(headers: Headers) -> bool:
    """Returns whether a proxy has added a header field."""
    names = headers.byName
    return not _PROXY_HEADERS.isdisjoint(names) or "\nx-forwarded-" in "\n".join(("", *names))


def _xForwarded(headers: Headers) -> Iterator[tuple[str, str | None]]:
    """The hops of X-Forwarded-For, the nearest first. All get the scheme that the nearest proxy reported."""
    schemes = headers.tokens("X-Forwarded-Proto")
    scheme = schemes[-1] if schemes else None
    for hop in reversed(headers.get("X-Forwarded-For", "").split(",")):
        if node := hop.strip(" \t"):
            yield node, scheme


def _forwarded(headers: Headers) -> Iterator[tuple[str, str | None]]:
    """The `for` and `proto` of each element of Forwarded (RFC 7239 5), the nearest first. `for` is "" if malformed."""
    for element in reversed(headers.get("Forwarded", "").split(",")):
        if not element.strip(" \t"):
            continue
        pairs = [(name.lower(), value.strip('"')) for name, value in _FORWARDED_PAIR.findall(element)]
        named = dict(pairs) if _FORWARDED.match(element) else {}
        yield named.get("for", "") if len(named) == len(pairs) else "", named.get("proto", "").lower() or None


def _node(text: str) -> tuple[IPv4Address | IPv6Address, int] | None:
    """Returns the address and port of a node (RFC 7239 6), 0 for no port; None for a node without an address."""
    match = _NODE.match(text)
    if match is None:
        return None
    parsed = _parse(match["six"] or match["four"] or match["bare"])
    port = int(match["port"] or 0)
    return None if parsed is None or port > 65535 else (parsed, port)
