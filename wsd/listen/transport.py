"""
The transports of accepted connections: they send at once, and gather what is written while one read is delivered.

Twisted's own wait for the next turn of the reactor before they send anything; what an answer costs is mostly that.
These keep Twisted's interfaces to the letter (`ITCPTransport`, `IConsumer`, `IPushProducer`), and tell how much waits.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable
from fcntl import ioctl
from itertools import islice
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any

from twisted.internet import main, tcp, unix
from twisted.internet.address import IPv6Address
from twisted.internet.error import ConnectionAborted
from twisted.python import failure

if TYPE_CHECKING:
    _Base = tcp.Server
else:
    _Base = object

READ = 256 * 1024
"""Bytes asked for at a time: a large message comes in few pieces."""

_VECTOR = 64
"""Buffers handed to one sendmsg; far below the system's IOV_MAX of 1024."""

_JOINED = 64 * 1024
"""What was gathered is joined up to this size, and sent as a vector beyond."""

LATER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.ENOBUFS, errno.EINTR)


class Sending(_Base):
    """
    Mixed into Twisted's server transports: its own queue of what the kernel did not take.

    A streaming producer is paused above `high` bytes and resumed at or below `low`.
    """

    producer: Any
    high = 65536
    low = 0
    unsent = 0
    _sent = 0
    _tell: Callable[[int], None] | None = None

    copies = False
    """Whether large data that is written is copied here, as TLS does."""

    receiver: Any = None
    """Whose `dataReceived` is given what is read; None is the protocol. Set by `setReceiver` alone."""
    _socketReader: Any = None
    """The receiver, if it reads from the socket itself."""

    _queue: deque[bytes | memoryview] | None = None
    _gathering: list[bytes] | None = None

    @property
    def wire(self) -> Sending:
        """Where `unsent`, `written` and `acknowledged` are told; layers above pass this on."""
        return self

    def written(self) -> int:
        """Bytes written since the connection began."""
        return self._taken + self.unsent

    @property
    def _taken(self) -> int:
        """Bytes that the kernel took, from here or from a reader that sends for itself."""
        return self._sent if self._socketReader is None else self._sent + int(self._socketReader.sent)

    def acknowledged(self) -> int:
        """
        Bytes that have reached the peer since the connection began.

        What the kernel took does not tell: it wakes a writer when a third of a large buffer is free, which a slow peer
        may need minutes for.
        """
        waiting = bytearray(4)
        ioctl(self.socket, TIOCOUTQ, waiting)
        return self._taken - int.from_bytes(waiting, sys.byteorder)

    def setWaterMarks(self, high: int, low: int) -> None:
        """Bytes waiting above which a producer is paused, and at which it is resumed."""
        self.high, self.low = high, low

    def setKept(self, size: int) -> None:
        """Bytes that the kernel keeps beside what it has sent, at the most; only TCP has room for many."""

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the number of waiting bytes: now, and whenever it changes, until the connection is lost."""
        self._tell = tell
        tell(self.unsent)

    def _tellUnsent(self) -> None:
        if self._tell is not None:
            self._tell(self.unsent)

    # -- reading --------------------------------------------------------------------------------------------------

    def doRead(self) -> Any:
        """Read once and deliver it; what is written meanwhile leaves as one."""
        if self._socketReader is not None:
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

        A receiver with a `doRead` is given the socket: it reads for itself, and may send while nothing waits here.
        """
        self._sent, self._socketReader = self._taken, None
        self.receiver = receiver
        if hasattr(receiver, "doRead"):
            receiver.attach(self.socket)
            self._socketReader = receiver

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
        """Send, or keep what the kernel does not take."""
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
        """As Twisted's; a streaming producer that comes when too much waits already is paused at once."""
        self.producerPaused = False
        super().registerProducer(producer, streaming)
        self._tellProducer()

    def _send(self, pieces: list[bytes]) -> None:
        """Offer pieces, which `unsent` counts already, to the kernel, and queue the rest."""
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
        """What the kernel did not take of these pieces; an error is met again, and reported, by the next write."""
        try:
            sent = self.socket.send(pieces[0]) if len(pieces) == 1 else self.socket.sendmsg(pieces[:_VECTOR])
        except OSError:
            sent = 0
        self.unsent -= sent
        self._sent += sent
        return self._after(pieces, sent)

    @staticmethod
    def _after(pieces: Iterable[bytes | memoryview], sent: int) -> list[bytes | memoryview]:
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
        """The kernel has room again."""
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
        """All is sent: ask for more, or end as was asked for."""
        if self.producer is not None and (not self.streamingProducer or self.producerPaused):
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            return self._postLoseConnection()
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
        """End after what waits has been sent."""
        if self._gathering:
            self._flushGathered()
        super().loseConnection()

    def loseWriteConnection(self) -> None:
        """Send what waits, then end our half."""
        if self._gathering:
            self._flushGathered()
        super().loseWriteConnection()

    def connectionLost(self, reason: failure.Failure) -> None:
        """Let go of what was not sent."""
        if self.disconnected:
            return
        self.disconnected, self.connected = 1, 0
        self._queue = self._gathering = None
        self.unsent = 0
        self._tellUnsent()
        self._tell = None
        self._sent, self._socketReader, self.receiver = self._taken, None, None
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.stopReading()
        self.stopWriting()
        self._closeSocket(not isinstance(reason.value, ConnectionAborted))
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        protocol.connectionLost(reason)


class TCPTransport(Sending, tcp.Server):
    """A TCP connection that was accepted."""

    _shouldShutdown = False
    """No other process has the descriptor, so that closing it ends the connection: Twisted's shutdown says it twice."""

    def __init__(
        self, accepted: socket.socket, protocol: Any, client: Any, server: Any, number: int, reactor: Any
    ) -> None:
        """As Twisted's, without the two texts that it makes of each connection."""
        tcp.Connection.__init__(self, accepted, protocol, reactor)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(client) != 2:
            self._addressType = IPv6Address
        self.server = server
        self.client = client
        self.hostname = client[0]
        self.sessionno = number
        self.startReading()
        self.connected = 1

    def setKept(self, size: int) -> None:
        """Bytes that the kernel keeps beside what it has sent, at the most: else it takes megabytes for a slow peer."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)

    def logPrefix(self) -> str:
        """For Twisted's log."""
        return f"{type(self.protocol).__name__},{self.sessionno},{self.hostname}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} #{self.sessionno} of {self.hostname}>"

    def getHost(self) -> Any:
        """Where it was accepted; the kernel is asked where its port cannot tell."""
        return getattr(self.server, "host", None) or super().getHost()


class UNIXTransport(Sending, unix.Server):
    """A connection over a unix socket that was accepted."""
