"""A daemon behind a proxy in memory: every connection comes with a PROXY header that tells what the proxy knows."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress

from wsd.listen.proxy import ProxiedTransport, ProxyHeader
from wsd.listen.proxytlvs import ClientFacts
from wsd.policies.address import TlsInfo
from wsd.web.door import Door, Doors

FACTS = ClientFacts(TlsInfo("TLSv1.3", "AES", "ws.example.com", None, "CN=ann", b"-----BEGIN"), "7F000001_1")
HEADER = ProxyHeader(IPv4Address("TCP", "203.0.113.7", 51000), IPv4Address("TCP", "198.51.100.1", 443), FACTS)


class ProxiedDoors(Doors):
    """The doors of a site, behind the proxy 10.0.0.1."""

    def buildProtocol(self, addr: IAddress | None) -> Door:
        door: Any = super().buildProtocol(addr)
        connect = door.makeConnection
        door.makeConnection = lambda transport: connect(ProxiedTransport(transport, HEADER, "10.0.0.1", 0.0))
        return door  # type: ignore[no-any-return]
