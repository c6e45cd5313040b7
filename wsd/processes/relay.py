"""Relays a connection whose TLS ends in this process to the owner, over a socket pair."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from wsd.listen.transport import UNIXTransport


class _OwnerEnd(Protocol):
    """The end of the socket pair that is connected to the owner."""

    transport: Any

    def __init__(self, client: Any) -> None:
        self._client = client

    def dataReceived(self, data: bytes) -> None:
        """Called with what the owner sends to the client."""
        self._client.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The owner has ended the connection: so does the client's, once everything has been sent."""
        self._client.unregisterProducer()
        self._client.loseConnection()


class Relay:
    """
    What the door of a relayed connection has in place of a WebSocket.

    Each side stops reading while the other one does not take what was read.
    """

    isOpen = isBusy = True
    """The owner closes the connection in its own time; this worker waits for that when it stops."""
    cause = None

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def dataReceived(self, data: bytes) -> None:
        """Called with what the client sends."""
        self._owner.write(data)

    def connectionLost(self, reason: Failure) -> None:
        """The client has gone."""
        self._owner.unregisterProducer()
        self._owner.loseConnection()


def relay(client: Any, near: socket.socket, ring: Any) -> Relay:
    """Relay between a client's transport and one end of a socket pair, whose other end the owner has."""
    near.setblocking(False)
    end = _OwnerEnd(client)
    owner = UNIXTransport(near, end, None, None, 0, ring)
    end.makeConnection(owner)
    made = Relay(owner)
    owner.registerProducer(client, True)
    client.registerProducer(owner, True)
    return made
