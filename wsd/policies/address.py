"""
Who is there: the true address of a client, and what TLS says of it.

What a request says of its own way here (X-Forwarded-For, Forwarded: RFC 7239) is believed from trusted proxies only, and
from them only the header they are known to set; everything else in a request is what the client wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from wsd.head import Headers

UNIX = "unix"
"""The address of a peer on a unix socket."""

_PROXY_HEADERS = (
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Real-IP",
    "Forwarded",
    "Via",
)
_FORWARDED_PAIR = re.compile(r"""\s*([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*""")


@dataclass(frozen=True, slots=True)
class TlsInfo:
    """What a TLS handshake agreed on; `client` is the subject (RFC 4514) of a verified client certificate."""

    version: str
    cipher: str
    sni: str | None = None
    alpn: str | None = None
    client: str | None = None
    clientPem: bytes | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """
    A client: the address that every policy, log line and metric uses.

    `secure`: it came by TLS, to us or to a trusted proxy. `direct`: it is on this machine and nothing stands between, so
    it may have what only loopback may. `via` is the proxy's address when one stands between.
    """

    address: str
    port: int
    secure: bool = False
    direct: bool = False
    via: str | None = None

    def __str__(self) -> str:
        if self.address == UNIX:
            return UNIX
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address, or None for what is none; an IPv4 address in IPv6 clothing is the IPv4 address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def isLoopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


def inNetworks(address: str, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of these addresses and networks."""
    return Trust(networks, "").trusts(address)


class Trust:
    """Which peers are proxies whose word counts, and in which header they give it."""

    def __init__(self, networks: Iterable[str], header: str) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._unix = False
        for text in networks:
            if text == UNIX:
                self._unix = True
            else:
                self._networks.append(ip_network(text.strip("[]"), strict=False))
        self._header = header

    def trusts(self, address: str) -> bool:
        """Whether this is a trusted proxy's address."""
        if address == UNIX:
            return self._unix
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def peer(self, address: str, port: int, secure: bool, headers: Headers) -> Peer:
        """Who sent a request that came from `address`."""
        if not self.trusts(address):
            direct = (address == UNIX or isLoopback(address)) and not any(name in headers for name in _PROXY_HEADERS)
            plain = _parse(address)
            return Peer(address if plain is None else str(plain), port, secure, direct)
        hops, scheme = self._forwarded(headers) if self._header == "forwarded" else self._xForwarded(headers)
        true, truePort = address, port
        for hop in reversed(hops):
            node = _node(hop)
            if node is None:
                break
            true, truePort = node
            if not self.trusts(true):
                break
        direct = not hops and (address == UNIX or isLoopback(address)) and not any(n in headers for n in _PROXY_HEADERS)
        https = scheme in ("https", "wss") if scheme is not None else secure
        return Peer(true, truePort, https, direct, address if hops else None)

    @staticmethod
    def _xForwarded(headers: Headers) -> tuple[list[str], str | None]:
        hops = [hop.strip() for value in headers.all("X-Forwarded-For") for hop in value.split(",")]
        schemes = headers.tokens("X-Forwarded-Proto")
        return hops, schemes[-1] if schemes else None

    @staticmethod
    def _forwarded(headers: Headers) -> tuple[list[str], str | None]:
        """The `for` of each element, and the last `proto` (RFC 7239 4); an element that cannot be read ends the walk."""
        hops: list[str] = []
        scheme: str | None = None
        for element in _elements(", ".join(headers.all("Forwarded"))):
            pairs = {
                match[1].lower(): re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
                for part in _elements(element, ";")
                if (match := _FORWARDED_PAIR.fullmatch(part)) is not None
            }
            hops.append(pairs.get("for", ""))
            scheme = pairs["proto"].lower() if "proto" in pairs else scheme
        return hops, scheme


def _elements(text: str, separator: str = ",") -> list[str]:
    """The parts of a list, split outside quoted strings."""
    parts = re.findall(rf'(?:[^{separator}"]|"(?:[^"\\]|\\.)*")+', text)
    return [part for part in parts if part.strip()]


def _node(text: str) -> tuple[str, int] | None:
    """An address and its port, 0 when it has none; None for what names no address (`unknown`, `_hidden`, nonsense)."""
    match = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?|(\d+\.\d+\.\d+\.\d+)(?::(\d{1,5}))?|([0-9A-Fa-f:.]+)", text.strip())
    if match is None:
        return None
    parsed = _parse(match[1] or match[3] or match[5])
    return None if parsed is None else (str(parsed), int(match[2] or match[4] or 0))
