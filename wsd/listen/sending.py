"""
The sending half of the transports: bytes are sent at once, and what the kernel does not take waits in a queue.

What is written while a read is delivered is sent together at its end. Twisted's own transports send nothing before the
next turn of the reactor, which is most of the cost of an answer.
"""

from __future__ import annotations

import errno
import sys
from collections import deque
from collections.abc import Callable, Iterable
from fcntl import ioctl
from itertools import islice
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any

from twisted.internet import main, tcp

if TYPE_CHECKING:
    _Base = tcp.Server
else:
    _Base = object

LATER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.ENOBUFS, errno.EINTR)
"""Errors of a socket after which the same call may succeed."""

_VECTOR = 64
"""Buffers given to one sendmsg, far below the system's IOV_MAX of 1024."""

_JOINED = 64 * 1024
"""Up to this size, gathered data is joined. Larger data is sent as a vector."""


class Sending(_Base):
    """
    A mixin for Twisted's server transports, with its own queue of the bytes that the kernel has not taken.

    A streaming producer is paused above `high` bytes and resumed at or below `low`. `unsent` is the number of bytes
    that wait to be sent.
    """

    producer: Any
    high = 65536
    low = 0
    unsent = 0
    _sent = 0
    _tell: Callable[[int], None] | None = None

    copies = False
    """Whether writing copies large data, as it does over TLS."""

    _socketReader: Any = None
    """The receiver, if it has the socket: then it reads for itself, and may send while `unsent` is 0."""

    _queue: deque[bytes | memoryview] | None = None
    _gathering: list[bytes] | None = None
    """What was written while a read is delivered; None at other times."""

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send, and queue what the kernel does not take."""
        if not isinstance(data, bytes):
            raise TypeError(f"a transport writes bytes, not {type(data).__name__}")
        gathering = self._gathering
        if gathering is None or not self.connected or self._writeDisconnected:
            self.writeSequence((data,))
        elif data:
            gathering.append(data)
            self.unsent += len(data)
            self._limitGathered()

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
        self._limitGathered()

    def _limitGathered(self) -> None:
        """Send what is gathered if it is much."""
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

    def _flushGathered(self) -> None:
        gathered, self._gathering = self._gathering, None
        if not gathered:
            return
        if len(gathered) > 1 and sum(map(len, gathered)) <= _JOINED:
            gathered = [b"".join(gathered)]
        if self.connected:
            self._send(gathered)

    # -- how much is sent -----------------------------------------------------------------------------------------

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
