"""
The transports of accepted connections, over TCP and unix sockets.

They provide the interfaces of Twisted's (`ITCPTransport`, `IConsumer`, `IPushProducer`), and report how many bytes wait
to be sent. `setReceiver` sets who gets what is read; the ring calls `read` when there is something.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from twisted.internet import main, tcp, unix
from twisted.internet.address import IPv6Address
from twisted.internet.error import ConnectionAborted
from twisted.python import failure

from wsd.listen.records import READ
from wsd.listen.ring import Read, Ring
from wsd.listen.sending import LATER, Sending
from wsd.policies.instances import shareNames


class AcceptedTransport(Sending):
    """A mixin for Twisted's server transports: reads, sends, and ends."""

    receiver: Any = None
    """The object whose `dataReceived` gets what is read, or None for the protocol. Set by `setReceiver` alone."""

    isOpening = True
    """Whether no whole request head has been read. The ring gives all such connections a part of its time together."""

    @property
    def wire(self) -> AcceptedTransport:
        """wsd's own transport: this one, which the layers above it pass on."""
        return self

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def read(self) -> Read:
        """Called by the ring when the socket can be read: the `doRead` of this transport, or of a receiver with one."""
        return self.doRead if self._socketReader is None else self._socketReader.doRead

    def doRead(self) -> Any:
        """Read once and deliver the data. What is written in the meantime is sent together."""
        if self._socketReader is not None:
            # Only on a system without epoll, where the reactor calls the transport.
            return self._socketReader.doRead()
        try:
            data = self.socket.recv(READ)
        except OSError as error:
            return None if error.errno in LATER else main.CONNECTION_LOST
        if not data:
            return main.CONNECTION_DONE
        self._gathering = []
        try:
            (self.protocol if self.receiver is None else self.receiver).dataReceived(data)
        finally:
            self._flushGathered()
        return None

    def setReceiver(self, receiver: Any) -> None:
        """
        Deliver what is read to `receiver.dataReceived` from now on.

        A receiver with a `doRead` is given the socket: it reads for itself, and may send while `unsent` is 0.
        """
        self._sent, self._socketReader = self._taken, None
        self.receiver = receiver
        if hasattr(receiver, "doRead"):
            receiver.attach(self.socket)
            self._socketReader = receiver
        ring: Any = self.reactor
        if isinstance(ring, Ring):
            ring.readChanged(self)

    def headRead(self) -> None:
        """Called when a whole request head has been read: the opening is over."""
        if self.isOpening:
            ring: Any = self.reactor
            if isinstance(ring, Ring):
                ring.opened(self)
            self.isOpening = False

    # -- ending ---------------------------------------------------------------------------------------------------

    def loseConnection(self, *reason: Any) -> None:
        """End the connection after everything unsent has been sent."""
        if self._gathering:
            self._flushGathered()
        super().loseConnection()

    def loseWriteConnection(self) -> None:
        """End our half of the connection after everything unsent has been sent."""
        if self._gathering:
            self._flushGathered()
        super().loseWriteConnection()

    # -- moving to another process --------------------------------------------------------------------------------

    def suspend(self) -> list[bytes]:
        """Read and send nothing more. Returns what waits to be sent."""
        self.stopReading()
        self.stopWriting()
        return [bytes(piece) for piece in self._queue or ()]

    def restart(self) -> None:
        """Undo `suspend`."""
        if self._queue:
            self.startWriting()
        if not self.producerPaused:
            self.startReading()

    def abandon(self) -> None:
        """Called when another process has the connection: close our descriptor, which does not end the connection."""
        self.stopReading()
        self.stopWriting()
        self.disconnected, self.connected = 1, 0
        self._queue = self._gathering = None
        self.unsent = 0
        self._tell = None
        self._socketReader, self.receiver, self.producer = None, None, None
        self.socket.close()
        del self.protocol, self.socket, self.fileno

    def connectionLost(self, reason: failure.Failure) -> None:
        """Discard what was not sent, and tell the protocol."""
        if self.disconnected:
            return
        self.disconnected, self.connected = 1, 0
        self._queue = self._gathering = None
        self.unsent = 0
        if self._tell is not None:
            self._tell(0)
            self._tell = None
        self._sent, self._socketReader, self.receiver = self._taken, None, None
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        ring: Any = self.reactor
        if isinstance(ring, Ring):
            ring.remove(self)
        else:
            self.stopReading()
            self.stopWriting()
        self._closeSocket(not isinstance(reason.value, ConnectionAborted))
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        protocol.connectionLost(reason)


class TCPTransport(AcceptedTransport, tcp.Server):
    """An accepted TCP connection."""

    _shouldShutdown = False
    """Closing the descriptor ends the connection, unless another process has it: Twisted's shutdown is not needed."""

    def __init__(
        self, accepted: socket.socket, protocol: Any, client: Any, server: Any, number: int, reactor: Any
    ) -> None:
        """As Twisted's, without the texts for its log and the buffers for its own way of sending."""
        self.reactor = reactor
        self.socket = accepted
        accepted.setblocking(False)
        self.fileno = accepted.fileno
        self.protocol = protocol
        if len(client) != 2:
            self._addressType = IPv6Address
        self.server = server
        self.client = client
        self.hostname = client[0]
        self.sessionno = number
        reactor.addReader(self)
        self.connected = 1

    def limitKernelBuffer(self, size: int) -> None:
        """Let the kernel buffer at most `size` unsent bytes. By default it takes megabytes for a slow peer."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)

    def logPrefix(self) -> str:
        """The name in Twisted's log."""
        return f"{type(self.protocol).__name__},{self.sessionno},{self.hostname}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} #{self.sessionno} of {self.hostname}>"

    def getPeer(self) -> Any:
        """The address of the peer. It is asked for a few times, soon after one another, and takes a while to make."""
        kind: Any = self._addressType
        return _addressOf(kind, *self.client)

    def getHost(self) -> Any:
        """The address at which it was accepted. The kernel is asked if the port listens on every address."""
        return getattr(self.server, "host", None) or super().getHost()


_NAMES = (
    *("reactor", "socket", "fileno", "protocol", "server", "client", "hostname", "sessionno", "connected"),
    *("high", "low", "_gathering", "unsent", "_sent", "_socketReader", "receiver"),
    *("producerPaused", "producer", "streamingProducer", "isOpening"),
)
"""The attributes of a transport with an open WebSocket."""

shareNames(TCPTransport, _NAMES)


@lru_cache(256)
def _addressOf(kind: Callable[..., Any], *name: Any) -> Any:
    return kind("TCP", *name)


class UNIXTransport(AcceptedTransport, unix.Server):
    """An accepted connection over a unix socket."""
