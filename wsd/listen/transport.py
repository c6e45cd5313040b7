"""
The transports of accepted connections. They send at once; what is written while a read is delivered is sent together.

Twisted's own transports send nothing before the next turn of the reactor, which is most of the cost of an answer. These
provide the same interfaces (`ITCPTransport`, `IConsumer`, `IPushProducer`), and report how many bytes wait to be sent.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable
from fcntl import ioctl
from functools import lru_cache
from itertools import islice
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any

from twisted.internet import main, tcp, unix
from twisted.internet.address import IPv6Address
from twisted.internet.error import ConnectionAborted
from twisted.python import failure

from wsd.listen.ring import Read, Ring

if TYPE_CHECKING:
    _Base = tcp.Server
else:
    _Base = object

READ = 256 * 1024
"""Bytes read at a time, so that a large message comes in few pieces."""

_VECTOR = 64
"""Buffers given to one sendmsg, far below the system's IOV_MAX of 1024."""

_JOINED = 64 * 1024
"""Up to this size, gathered data is joined. Larger data is sent as a vector."""

LATER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.ENOBUFS, errno.EINTR)


class Sending(_Base):
    """
    A mixin for Twisted's server transports, with its own queue of the bytes that the kernel has not taken.

    A streaming producer is paused above `high` bytes and resumed at or below `low`.
    """

    producer: Any
    high = 65536
    low = 0
    unsent = 0
    _sent = 0
    _tell: Callable[[int], None] | None = None

    copies = False
    """Whether writing copies large data, as it does over TLS."""

    receiver: Any = None
    """The object whose `dataReceived` gets what is read, or None for the protocol. Set by `setReceiver` alone."""
    _socketReader: Any = None
    """The receiver, if it reads from the socket itself."""

    _queue: deque[bytes | memoryview] | None = None
    _gathering: list[bytes] | None = None

    @property
    def wire(self) -> Sending:
        """wsd's own transport: this one, which the layers above it pass on."""
        return self

    def written(self) -> int:
        """Returns the number of bytes written since the connection began."""
        return self._taken + self.unsent

    @property
    def _taken(self) -> int:
        """Bytes that the kernel has taken, from here or from a receiver that sends to the socket itself."""
        return self._sent if self._socketReader is None else self._sent + int(self._socketReader.sent)

    def acknowledged(self) -> int:
        """
        Returns the number of bytes that have reached the peer since the connection began.

        The bytes that the kernel has taken are no measure of a slow peer: the kernel wakes a writer only when a third
        of a large buffer is free, which may take minutes.
        """
        waiting = bytearray(4)
        ioctl(self.socket, TIOCOUTQ, waiting)
        return self._taken - int.from_bytes(waiting, sys.byteorder)

    def setWaterMarks(self, high: int, low: int) -> None:
        """Pause a streaming producer above `high` unsent bytes, and resume it at or below `low`."""
        self.high, self.low = high, low

    def limitKernelBuffer(self, size: int) -> None:
        """Let the kernel buffer at most `size` unsent bytes. Only TCP buffers many."""

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the number of unsent bytes: now, and whenever it changes, until the connection is lost."""
        self._tell = tell
        tell(self.unsent)

    def _tellUnsent(self) -> None:
        if self._tell is not None:
            self._tell(self.unsent)

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

    def _flushGathered(self) -> None:
        gathered, self._gathering = self._gathering, None
        if not gathered:
            return
        if len(gathered) > 1 and sum(map(len, gathered)) <= _JOINED:
            gathered = [b"".join(gathered)]
        if self.connected:
            self._send(gathered)

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send, and queue what the kernel does not take."""
        if not isinstance(data, bytes):
            raise TypeError(f"a transport writes bytes, not {type(data).__name__}")
        if data:
            self.writeSequence((data,))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send several pieces in order without joining them."""
        pieces = [piece for piece in iovec if piece]
        if not pieces or not self.connected or self._writeDisconnected:
            return
        self.unsent += sum(map(len, pieces))
        if self._gathering is None:
            self._send(pieces)
            return
        self._gathering += pieces
        if self.unsent > self.high:
            self._flushGathered()
            self._gathering = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """As Twisted's, but a streaming producer is paused at once if too many bytes are unsent already."""
        self.producerPaused = False
        super().registerProducer(producer, streaming)
        self._tellProducer()

    def _send(self, pieces: list[bytes]) -> None:
        """Offer pieces to the kernel, and queue what it does not take. `unsent` includes them already."""
        if self._queue:
            self._queue.extend(pieces)
        elif left := self._offer(pieces):
            self._queue = deque(left)
            self.startWriting()
        elif self.producer is not None and not self.streamingProducer:
            self.startWriting()
        self._tellUnsent()
        self._tellProducer()

    def _offer(self, pieces: list[bytes]) -> list[bytes | memoryview]:
        """Offer pieces to the kernel. Returns what it did not take. An error is left to the next write to report."""
        try:
            sent = self.socket.send(pieces[0]) if len(pieces) == 1 else self.socket.sendmsg(pieces[:_VECTOR])
        except OSError:
            sent = 0
        self.unsent -= sent
        self._sent += sent
        return self._without(pieces, sent) if self.unsent else []

    @staticmethod
    def _without(pieces: Iterable[bytes | memoryview], sent: int) -> list[bytes | memoryview]:
        """Returns the pieces without their first `sent` bytes."""
        rest: list[bytes | memoryview] = []
        for piece in pieces:
            if sent >= len(piece):
                sent -= len(piece)
            elif sent:
                rest.append(memoryview(piece)[sent:])
                sent = 0
            else:
                rest.append(piece)
        return rest

    def doWrite(self) -> Any:
        """Called when the kernel has room again: send from the queue."""
        queue = self._queue
        if queue:
            try:
                sent = self.socket.sendmsg(list(islice(queue, _VECTOR)))
            except OSError as error:
                return None if error.errno in LATER else main.CONNECTION_LOST
            self.unsent -= sent
            self._sent += sent
            self._tellUnsent()
            while sent:
                piece = queue[0]
                if sent < len(piece):
                    queue[0] = memoryview(piece)[sent:]
                    break
                sent -= len(piece)
                queue.popleft()
        if queue:
            self._resumeBelow()
            return None
        self._queue = None
        self.stopWriting()
        return self._emptied()

    def _emptied(self) -> Any:
        """Everything is sent: ask the producer for more, or end the connection or our half if that was requested."""
        if self.producer is not None and (not self.streamingProducer or self.producerPaused):
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            return main.CONNECTION_DONE
        elif self._writeDisconnecting:
            self._writeDisconnected = True
            return self._closeWriteConnection()
        return None

    def _tellProducer(self) -> None:
        if self.unsent > self.high and self.producer is not None and self.streamingProducer and not self.producerPaused:
            self.producerPaused = True
            self.producer.pauseProducing()

    def _resumeBelow(self) -> None:
        if self.unsent <= self.low and self.producer is not None and self.streamingProducer and self.producerPaused:
            self.producerPaused = False
            self.producer.resumeProducing()

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


class TCPTransport(Sending, tcp.Server):
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


@lru_cache(256)
def _addressOf(kind: Callable[..., Any], *name: Any) -> Any:
    return kind("TCP", *name)


class UNIXTransport(Sending, unix.Server):
    """An accepted connection over a unix socket."""
