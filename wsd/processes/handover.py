"""
Hands connections over to the owner: the worker that serves the routes whose state is in memory or in files.

Another worker that has read the head of a request for such a route passes the connection on, with the bytes that it has
read. On plain TCP and unix sockets it passes the descriptor, and has nothing more to do with the connection. With TLS,
whose keys are in this process, it passes one end of a socket pair and relays. Either way, the message says who the
client is and what TLS agreed on, so that nobody can forge it: a header in the bytes would have to be trusted.
"""

from __future__ import annotations

import os
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.head import Refused
from wsd.listen.proxy import ProxiedTransport, ProxyHeader
from wsd.listen.proxytlvs import NO_FACTS, ClientFacts
from wsd.listen.transport import TCPTransport, UNIXTransport
from wsd.policies.address import TlsInfo
from wsd.processes.channel import ChannelMessage, ProcessChannel
from wsd.processes.relay import Relay, relay
from wsd.web.door import Doors

CONNECTION = "connection"
"""The kind of the message that passes a connection."""

TlsOf = Callable[[Any], TlsInfo | None]


class HandedTransport(ProxiedTransport):
    """The transport of a connection that another worker has accepted: its addresses, and what its TLS agreed on."""

    def __init__(
        self, transport: Any, header: ProxyHeader, via: str | None, waited: float, tls: TlsInfo | None
    ) -> None:
        super().__init__(transport, header, via, waited)
        self.tls = tls


def withHanded(tlsOf: TlsOf) -> TlsOf:
    """A `TlsOf` for the owner, which also knows the connections that other workers relay."""
    return lambda transport: transport.tls if isinstance(transport, HandedTransport) else tlsOf(transport)


class Passing:
    """Passes connections on to the owner."""

    def __init__(self, tlsOf: TlsOf, ring: Callable[[], Any]) -> None:
        self._tlsOf = tlsOf
        self._ring = ring
        self.owner: ProcessChannel | None = None
        """The channel to the owner; None while it does not run."""

    @property
    def hasOwner(self) -> bool:
        """Whether there is a channel to the owner."""
        return self.owner is not None and self.owner.isOpen

    def check(self) -> None:
        """Raises `Refused` (503) while the owner does not run."""
        if not self.hasOwner:
            raise Refused(503, "the process of this route is starting again; try again", [("Retry-After", "1")])

    def passOn(self, transport: Any, data: bytes) -> Relay | None:
        """
        Pass a connection on, with the bytes that were read of it. Call `check` first.

        Returns None if the descriptor was passed; the transport is lost then. Otherwise returns the relay, which is to
        get all further data of the client. Raises `Refused` (503) if there is no room for another descriptor.
        """
        try:
            return self._passOn(transport, data)
        except OSError:
            raise Refused(503, "the server has no descriptors left; try again", [("Retry-After", "5")]) from None

    def _passOn(self, transport: Any, data: bytes) -> Relay | None:
        assert self.owner is not None
        wire = getattr(transport, "wire", None)
        tls = self._tlsOf(transport)
        facts = getattr(transport, "facts", NO_FACTS)
        fields = {
            "client": _toFields(transport.getPeer()),
            "host": _toFields(transport.getHost()),
            "via": getattr(transport, "via", None),
            "waited": getattr(transport, "waited", 0.0),
            "tls": _tlsToFields(tls),
            "facts": [_tlsToFields(facts.tls), facts.id],
        }
        if tls is None and wire is not None and not wire.unsent:
            self.owner.send(CONNECTION, {**fields, "relayed": False}, data, [wire.fileno()])
            protocol = wire.protocol
            wire.abandon()
            protocol.connectionLost(Failure(ConnectionDone()))
            return None
        near, far = socket.socketpair()
        with far:
            try:
                self.owner.send(CONNECTION, {**fields, "relayed": True}, data, [far.fileno()])
            except OSError:
                near.close()
                raise
        return relay(transport, near, self._ring())


class Receiving:
    """Serves the connections that other workers pass on."""

    log = Logger(namespace="wsd")

    def __init__(self, doors: Doors, ring: Callable[[], Any]) -> None:
        self._doors = doors
        self._ring = ring
        self._count = 0

    def received(self, message: ChannelMessage) -> None:
        """Serve the connection of a message: its transport, its door, and the bytes that were read."""
        (descriptor,) = message.descriptors
        try:
            accepted = socket.socket(fileno=descriptor)
        except OSError:
            os.close(descriptor)
            return
        accepted.setblocking(False)
        fields = message.fields
        clientTls, name = fields["facts"]
        facts = ClientFacts(_tlsFromFields(clientTls), name)
        header = ProxyHeader(_fromFields(fields["client"]), _fromFields(fields["host"]), facts)
        door: Any = self._doors.buildProtocol(header.peer)
        try:
            transport = self._transport(accepted, door)
        except OSError:
            # The client has gone on the way.
            accepted.close()
            return
        tls = _tlsFromFields(fields["tls"])
        door.makeConnection(HandedTransport(transport, header, fields["via"], fields["waited"], tls))
        if message.body:
            door.dataReceived(message.body)

    def _transport(self, accepted: socket.socket, door: Any) -> Any:
        self._count += 1
        if accepted.family == socket.AF_UNIX:
            return UNIXTransport(accepted, door, None, None, self._count, self._ring())
        return TCPTransport(accepted, door, accepted.getpeername(), None, self._count, self._ring())


def _toFields(address: Any) -> list[Any]:
    if isinstance(address, UNIXAddress):
        return ["unix", os.fsdecode(address.name) if address.name is not None else None]
    return [address.host, address.port]


def _fromFields(fields: list[Any]) -> Any:
    host, port = fields
    if host == "unix":
        return UNIXAddress(None if port is None else os.fsencode(port))
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


def _tlsToFields(tls: TlsInfo | None) -> dict[str, Any] | None:
    if tls is None:
        return None
    pem = tls.clientPem
    return {**asdict(tls), "clientPem": None if pem is None else b64encode(pem).decode()}


def _tlsFromFields(fields: dict[str, Any] | None) -> TlsInfo | None:
    if fields is None:
        return None
    pem = fields["clientPem"]
    return TlsInfo(**{**fields, "clientPem": None if pem is None else b64decode(pem)})
