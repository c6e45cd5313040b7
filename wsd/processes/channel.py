"""
A channel: messages between two processes of wsd, with descriptors, over a connected unix stream socket.

A message is a JSON object with a kind, an optional binary body, and descriptors (SCM_RIGHTS, unix(7)). On the wire it
has a fixed head: the lengths of the object and of the body, and the number of descriptors, which come with its first
byte. Twisted's own unix transport is not used, because it reports neither that a descriptor has been sent, so that it
can be closed, nor that one was lost because this process had no room for it.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import struct
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from twisted.internet import error, main
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.processes.descriptors import closeAll, duplicateAll, unpack

MAX_FIELDS = 64 * 1024 * 1024
"""Limit of the bytes of a JSON object. The largest has the metrics of a worker: 7 KB for each of its routes."""

MAX_BODY = 256 * 1024 * 1024
"""Limit of the bytes of a body. The largest has a client's unfinished message, and what waits to be sent to it."""

MAX_DESCRIPTORS = 250
"""Limit of the descriptors of a message. Linux allows 253 in one call (SCM_MAX_FD)."""

MAX_UNSENT = 1024 * 1024 * 1024
"""Bytes that may wait for a process that does not read. Beyond them, the channel is lost."""

_HEAD = struct.Struct("!IIH")
_READ = 256 * 1024
_LATER = (BlockingIOError, InterruptedError)

_EXHAUSTED = (errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM)
"""Errors of sending that go away: too many descriptors are on their way, or the kernel has no memory."""

_RETRY = 0.1
"""Seconds after which a message that the kernel could not take is sent again."""


class ChannelMessage(NamedTuple):
    """A message that was received. The receiver owns its descriptors, which are not inheritable."""

    kind: str
    fields: dict[str, Any]
    body: bytes = b""
    descriptors: tuple[int, ...] = ()

    def closeDescriptors(self) -> None:
        """Close the descriptors, if the receiver has no use for them."""
        closeAll(self.descriptors)


class _Unsent(NamedTuple):
    """A part of a message that waits to be sent, and the descriptors that go with its first byte."""

    data: memoryview
    descriptors: Sequence[int]


class ChannelBroken(Exception):
    """The channel cannot be used any longer, although both processes run. The message is one sentence."""


@implementer(IReadWriteDescriptor)
class ProcessChannel:
    """
    One end of a channel. It owns its socket, which must be connected.

    `received` is called with each message, in order. `lost` is called once, with the reason, after the other process
    has closed its end or died, or after it has sent something malformed; not after `close`.

    `dropped` is called with a message whose descriptors the kernel has closed because this process had no room for
    them. Without it, such a message ends the channel.
    """

    log = Logger(namespace="wsd")

    def __init__(
        self,
        reactor: Any,
        connected: socket.socket,
        received: Callable[[ChannelMessage], object],
        lost: Callable[[Failure], object],
        dropped: Callable[[ChannelMessage], object] | None = None,
    ) -> None:
        connected.setblocking(False)
        self._reactor = reactor
        self._socket = connected
        self._received = received
        self._lost = lost
        self._dropped = dropped
        self._buffer = bytearray()
        self._descriptors: deque[Sequence[int] | None] = deque()
        """The descriptors of each message that is not complete yet; None if they were lost."""
        self._queue: deque[_Unsent] = deque()
        self._flushed: list[Deferred[None]] = []
        self._retry: IDelayedCall | None = None
        self.unsent = 0
        """Bytes that wait to be sent."""
        self.isOpen = True
        reactor.addReader(self)

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For the reactor's log."""
        return "channel"

    # -- sending --------------------------------------------------------------------------------------------------

    def send(self, kind: str, fields: dict[str, Any], body: bytes = b"", descriptors: Sequence[int] = ()) -> None:
        """
        Send a message, now or when the other process reads. After the channel has ended, nothing is sent.

        The descriptors are duplicated: the caller may close its own at once. Raises ValueError if the message is larger
        than its limits, and OSError if a descriptor cannot be duplicated.
        """
        text = json.dumps({**fields, "kind": kind}, separators=(",", ":")).encode()
        if len(text) > MAX_FIELDS or len(body) > MAX_BODY or len(descriptors) > MAX_DESCRIPTORS:
            raise ValueError(
                f"a message {kind!r} with {len(text)} bytes of fields, {len(body)} of body and {len(descriptors)} "
                f"descriptors is over the limits of {MAX_FIELDS}, {MAX_BODY} and {MAX_DESCRIPTORS}"
            )
        if not self.isOpen:
            return
        head = _HEAD.pack(len(text), len(body), len(descriptors)) + text
        self._queue.append(_Unsent(memoryview(head), duplicateAll(descriptors)))
        if body:
            self._queue.append(_Unsent(memoryview(body), ()))
        isWaiting = self.unsent > 0
        self.unsent += len(head) + len(body)
        if self.unsent > MAX_UNSENT:
            self._end(Failure(self._broken("the other process does not read")))
        elif not isWaiting:
            self.doWrite()

    def flush(self) -> Deferred[None]:
        """Returns a Deferred that fires when everything has been sent, or with an error if the channel ends first."""
        if not self.isOpen:
            return fail(error.ConnectionLost("the channel has ended"))
        if not self.unsent:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._flushed.append(waiting)
        return waiting

    def doWrite(self) -> Any:
        """
        Send what the kernel takes, and the rest later.

        If the other process has ended, the next read tells, after it has delivered what had arrived.
        """
        while self._queue:
            data, descriptors = self._queue[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
            try:
                sent = self._socket.sendmsg([data], rights)
            except _LATER:
                self._reactor.addWriter(self)
                return None
            except OSError as fault:
                self._reactor.removeWriter(self)
                if fault.errno in _EXHAUSTED:
                    self._retry = self._reactor.callLater(_RETRY, self._sendAgain)
                return None
            closeAll(descriptors)
            self.unsent -= sent
            if sent < len(data):
                self._queue[0] = _Unsent(data[sent:], ())
            else:
                self._queue.popleft()
        self._reactor.removeWriter(self)
        flushed, self._flushed = self._flushed, []
        for waiting in flushed:
            waiting.callback(None)
        return None

    def _sendAgain(self) -> None:
        self._retry = None
        self.doWrite()

    # -- receiving ------------------------------------------------------------------------------------------------

    def doRead(self) -> Any:
        """Read once, and deliver the messages that are complete. Returns why the channel ends; None if it does not."""
        space = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
        try:
            data, control, flags, _ = self._socket.recvmsg(_READ, space, socket.MSG_CMSG_CLOEXEC)
        except _LATER:
            return None
        except OSError:
            return main.CONNECTION_LOST
        # One call returns the descriptors of one message at most, since each goes with a first byte.
        arrived = [each for _, kind, packed in control if kind == socket.SCM_RIGHTS for each in unpack(packed)]
        if flags & socket.MSG_CTRUNC:
            closeAll(arrived)
            self._descriptors.append(None)
        elif arrived:
            self._descriptors.append(arrived)
        if not data:
            return main.CONNECTION_DONE
        self._buffer += data
        try:
            self._deliver()
        except ChannelBroken as fault:
            return self._broken(str(fault))
        return None

    def readRest(self) -> None:
        """Deliver what has arrived so far. Call this before `close` when the other process has ended."""
        if not self.isOpen:
            return
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        while self.isOpen and waiting.poll(0) and self.doRead() is None:
            pass

    def _deliver(self) -> None:
        """Deliver the messages that are complete. Raises `ChannelBroken`."""
        while self.isOpen and len(self._buffer) >= _HEAD.size:
            textSize, bodySize, count = _HEAD.unpack_from(self._buffer)
            if textSize > MAX_FIELDS or bodySize > MAX_BODY or count > MAX_DESCRIPTORS:
                raise ChannelBroken("a message is over its limits")
            end = _HEAD.size + textSize
            if len(self._buffer) < end + bodySize:
                return
            text, body = bytes(self._buffer[_HEAD.size : end]), bytes(self._buffer[end : end + bodySize])
            del self._buffer[: end + bodySize]
            kind, fields = _read(text)
            descriptors = self._descriptorsOf(count)
            if descriptors is not None:
                self._received(ChannelMessage(kind, fields, body, tuple(descriptors)))
            elif self._dropped is not None:
                self._dropped(ChannelMessage(kind, fields, body))
            else:
                raise ChannelBroken("descriptors were lost: this process has no room for more; raise LimitNOFILE")

    def _descriptorsOf(self, count: int) -> Sequence[int] | None:
        """The descriptors of the next message; None if they were lost. Raises `ChannelBroken`."""
        if not count:
            return ()
        if not self._descriptors:
            raise ChannelBroken("a message came without its descriptors")
        descriptors = self._descriptors.popleft()
        if descriptors is not None and len(descriptors) != count:
            closeAll(descriptors)
            raise ChannelBroken("a message came without its descriptors")
        return descriptors

    # -- ending ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the channel now. What was not sent is discarded; `lost` is not called."""
        self._release()

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor after `doRead` has returned a reason."""
        self._end(reason)

    def _broken(self, sentence: str) -> Exception:
        """Log why the channel ends, which the other process does not cause by its own end. Returns the reason."""
        self.log.error("a channel between two processes is closed: {reason}", event="channel.broken", reason=sentence)
        return error.ConnectionLost(sentence)

    def _end(self, reason: Failure) -> None:
        if self.isOpen:
            self._release()
            self._lost(reason)

    def _release(self) -> None:
        if not self.isOpen:
            return
        self.isOpen = False
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        if self._retry is not None:
            self._retry.cancel()
        self._socket.close()
        for part in self._queue:
            closeAll(part.descriptors)
        for descriptors in self._descriptors:
            closeAll(descriptors or ())
        self._queue.clear()
        self._descriptors.clear()
        self._buffer.clear()
        self.unsent = 0
        flushed, self._flushed = self._flushed, []
        for waiting in flushed:
            waiting.errback(error.ConnectionLost("the channel has ended"))


def _read(text: bytes) -> tuple[str, dict[str, Any]]:
    """The kind and the fields of a JSON object. Raises `ChannelBroken`."""
    try:
        fields = json.loads(text)
        kind = fields.pop("kind")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise ChannelBroken("a message is not a JSON object with a kind") from None
    if not isinstance(kind, str):
        raise ChannelBroken("the kind of a message is not a string")
    return kind, fields
