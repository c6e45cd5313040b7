"""
One connection passes from a process to another: `Leaving` on the old side, `arrive` on the new one.

The old side stops at a byte, and keeps everything until the other process has confirmed that it goes on from there.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from wsd.connection import Connection, Factory
from wsd.listen.proxy import ProxiedTransport, ProxyHeader
from wsd.listen.proxytlvs import ClientFacts
from wsd.listen.transport import AcceptedTransport, TCPTransport, UNIXTransport
from wsd.policies.address import TlsInfo
from wsd.web.door import Door
from wsd.web.site import Site


def wireOf(door: Door) -> AcceptedTransport | None:
    """The transport of a connection if its socket can be passed on: it is our own, without TLS."""
    wire = getattr(door.transport, "wire", None)
    isBare = isinstance(wire, AcceptedTransport) and getattr(door.transport, "copies", True) is False
    # A relayed connection is bare here, but its TLS is in another worker.
    isRelayed = getattr(door.transport, "tls", None) is not None
    return wire if isBare and not isRelayed else None


class Leaving:
    """A connection that is passed on. From now on, nothing is read from it or sent to it."""

    def __init__(self, door: Door, wire: AcceptedTransport) -> None:
        self.door = door
        self._wire = wire
        connection = door.connection
        saved = None if connection is None else connection.save()
        if connection is not None:
            connection.suspend()
        self.saved: dict[str, Any] = {
            "connection": saved,
            "unread": door.unread,
            "place": door.place,
            "proxied": _proxiedOf(door.transport),
            "facts": _factsOf(door.transport),
            "unsent": wire.suspend(),
        }

    @property
    def descriptor(self) -> int:
        """The descriptor of its socket."""
        return int(self._wire.socket.fileno())

    def confirm(self) -> None:
        """The other process has it: forget it here."""
        connection = self.door.connection
        if connection is not None:
            connection.forget()
        self.door.forget()
        self._wire.abandon()

    def takeBack(self) -> None:
        """The other process does not have it: go on here."""
        connection = self.door.connection
        self._wire.restart()
        if connection is None:
            self._wire.resumeProducing()
        else:
            connection.thaw()


class Arrived(NamedTuple):
    """A WebSocket that has arrived. Nothing is read from it before `start`."""

    connection: Connection
    door: Door
    wire: AcceptedTransport
    unsent: list[bytes]

    def start(self) -> None:
        """Go on: send what waits, and read."""
        wire, connection = self.wire, self.connection
        wire.writeSequence(self.unsent)
        if connection.isFull and not wire.producerPaused:
            # It was full in the old process, and has more room now.
            wire.producerPaused = wire.unsent > wire.low
            if not wire.producerPaused:
                connection.resumeProducing()
        connection.thaw()

    def discard(self) -> None:
        """Leave it to the process that it has come from."""
        self.connection.forget()
        self.door.forget()
        self.wire.abandon()


def arrive(site: Site, factory: Factory, version: int, ring: Any, descriptor: int, saved: Mapping[str, Any]) -> Arrived:
    """
    Resume a WebSocket of `factory` on the socket with this descriptor, which belongs to the connection from now on.

    `version` is that of the old process's state. Raises whatever is wrong with `saved`, after closing the descriptor.
    """
    door = Door(site)
    wire = _wireOn(descriptor, door, ring)
    connection: Connection | None = None
    try:
        connection = factory.build()
        transport = _proxied(wire, saved)
        wire.setWaterMarks(factory.policies.high_water, factory.policies.low_water)
        identity = saved["connection"].get("identity")
        door.resume(transport, connection, saved["place"], None if identity is None else identity[0])
        connection.resume(saved["connection"], transport, version)
        unsent = saved["unsent"]
    except BaseException:
        if connection is not None:
            connection.forget()
        if door in site.doors:
            door.forget()
        wire.abandon()
        raise
    return Arrived(connection, door, wire, unsent)


def arriveNew(site: Site, ring: Any, descriptor: int, saved: Mapping[str, Any]) -> None:
    """Go on with a connection whose first request has not been read completely."""
    door = Door(site)
    wire = _wireOn(descriptor, door, ring)
    door.makeConnection(_proxied(wire, saved))
    if saved["unread"]:
        door.dataReceived(saved["unread"])


def _wireOn(descriptor: int, door: Door, ring: Any) -> AcceptedTransport:
    """Our own transport on a connected socket."""
    connected = socket.socket(fileno=descriptor)
    connected.setblocking(False)
    if connected.family == socket.AF_UNIX:
        return UNIXTransport(connected, door, "", None, 0, ring)
    try:
        peer: Any = connected.getpeername()
    except OSError:
        # The peer is gone. The next read tells.
        peer = ("::", 0, 0, 0) if connected.family == socket.AF_INET6 else ("0.0.0.0", 0)
    return TCPTransport(connected, door, peer, None, 0, ring)


def _proxiedOf(transport: Any) -> list[Any] | None:
    """The addresses of a PROXY header, and the proxy's."""
    if not isinstance(transport, ProxiedTransport):
        return None
    return [_fieldsOf(transport.getPeer()), _fieldsOf(transport.getHost()), transport.via]


def _factsOf(transport: Any) -> list[Any] | None:
    """What a proxy has said about the client."""
    facts = getattr(transport, "facts", None)
    return None if facts is None else [None if facts.tls is None else astuple(facts.tls), facts.id]


def _proxied(wire: AcceptedTransport, saved: Mapping[str, Any]) -> Any:
    if saved["proxied"] is None:
        return wire
    peer, host, via = saved["proxied"]
    # An older version does not save the facts.
    tls, name = saved.get("facts") or (None, None)
    facts = ClientFacts(None if tls is None else TlsInfo(*tls), name)
    return ProxiedTransport(wire, ProxyHeader(_addressOf(peer), _addressOf(host), facts), via, 0.0)


def _fieldsOf(address: Any) -> list[Any]:
    if isinstance(address, UNIXAddress):
        return ["unix", address.name]
    return ["tcp", address.host, address.port]


def _addressOf(fields: list[Any]) -> Any:
    if fields[0] == "unix":
        return UNIXAddress(fields[1])
    return (IPv6Address if ":" in fields[1] else IPv4Address)("TCP", fields[1], fields[2])
