"""
A channel: messages between two processes of wsd, with descriptors, over a connected unix stream socket.

A message is a JSON object with a kind, an optional binary body, and descriptors (SCM_RIGHTS, unix(7)). On the wire it
has a fixed head: the lengths of the object and of the body, and the number of descriptors, which come with its first
byte. Twisted's own unix transport is not used, because it reports neither that a descriptor has been sent, so that it
can be closed, nor that one was lost because this process had no room for it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from twisted.internet import error, main
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

MAX_FIELDS = 4 * 1024 * 1024
"""Limit of the bytes of a JSON object."""

MAX_BODY = 256 * 1024 * 1024
"""Limit of the bytes of a body: a message of a client, at most, with what waits to be sent to it."""

MAX_DESCRIPTORS = 250
"""Limit of the descriptors of a message. Linux allows 253 in one call (SCM_MAX_FD)."""

MAX_UNSENT = 1024 * 1024 * 1024
"""Bytes that may wait for a process that does not read. Beyond them, the channel is lost."""

_HEAD = struct.Struct("!IIH")
_READ = 256 * 1024
_LATER = (BlockingIOError, InterruptedError)


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


class NotAMessage(Exception):
    """What arrived is not a message. The text is one sentence that says why."""


@implementer(IReadWriteDescriptor)
class ProcessChannel:
    """
    One end of a channel. It owns its socket, which must be connected.

    `received` is called with each message, in order. `lost` is called once, with the reason, after the other process
    has closed its end or died, or after it has sent something malformed; not after `close`.
    """

    def __init__(
        self,
        reactor: Any,
        connected: socket.socket,
        received: Callable[[ChannelMessage], object],
        lost: Callable[[Failure], object],
    ) -> None:
        connected.setblocking(False)
        self._reactor = reactor
        self._socket = connected
        self._received = received
        self._lost = lost
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()
        """Descriptors that have arrived before their message was complete."""
        self._queue: deque[_Unsent] = deque()
        self._flushed: list[Deferred[None]] = []
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
        self._queue.append(_Unsent(memoryview(head), _duplicate(descriptors)))
        if body:
            self._queue.append(_Unsent(memoryview(body), ()))
        isWaiting = self.unsent > 0
        self.unsent += len(head) + len(body)
        if self.unsent > MAX_UNSENT:
            self._end(Failure(error.ConnectionLost("the other process does not read")))
        elif not isWaiting and self.doWrite() is None and self.unsent:
            self._reactor.addWriter(self)

    def flush(self) -> Deferred[None]:
        """Returns a Deferred that fires when everything has been sent, or with an error if the channel ends first."""
        if not self.isOpen:
            return _failed(error.ConnectionLost("the channel has ended"))
        if not self.unsent:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._flushed.append(waiting)
        return waiting

    def doWrite(self) -> Any:
        """Send what the kernel takes. An error is left to the next read, which still delivers what has arrived."""
        while self._queue:
            data, descriptors = self._queue[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
            try:
                sent = self._socket.sendmsg([data], rights)
            except _LATER:
                return None
            except OSError:
                self._reactor.removeWriter(self)
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
        for _, kind, packed in control:
            if kind == socket.SCM_RIGHTS:
                self._descriptors.extend(array("i", packed[: len(packed) // 4 * 4]))
        if not data:
            return main.CONNECTION_DONE
        self._buffer += data
        try:
            if flags & socket.MSG_CTRUNC:
                raise NotAMessage("descriptors were lost: this process has no room for more; raise LimitNOFILE")
            self._deliver()
        except NotAMessage as fault:
            return error.ConnectionLost(str(fault))
        return None

    def _deliver(self) -> None:
        while self.isOpen and len(self._buffer) >= _HEAD.size:
            textSize, bodySize, count = _HEAD.unpack_from(self._buffer)
            if textSize > MAX_FIELDS or bodySize > MAX_BODY or count > MAX_DESCRIPTORS:
                raise NotAMessage("a message is over its limits")
            end = _HEAD.size + textSize
            if len(self._buffer) < end + bodySize:
                return
            text, body = bytes(self._buffer[_HEAD.size : end]), bytes(self._buffer[end : end + bodySize])
            del self._buffer[: end + bodySize]
            if count > len(self._descriptors):
                raise NotAMessage("a message came without its descriptors")
            kind, fields = _read(text)
            self._received(ChannelMessage(kind, fields, body, tuple(self._descriptors.popleft() for _ in range(count))))

    # -- ending ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the channel now. What was not sent is discarded; `lost` is not called."""
        self._release()

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor after `doRead` has returned a reason."""
        self._end(reason)

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
        self._socket.close()
        for part in self._queue:
            closeAll(part.descriptors)
        closeAll(self._descriptors)
        self._queue.clear()
        self._descriptors.clear()
        self._buffer.clear()
        self.unsent = 0
        flushed, self._flushed = self._flushed, []
        for waiting in flushed:
            waiting.errback(error.ConnectionLost("the channel has ended"))


def closeAll(descriptors: Iterable[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def _failed(reason: Exception) -> Deferred[None]:
    failed: Deferred[None] = Deferred()
    failed.errback(reason)
    return failed


def _duplicate(descriptors: Sequence[int]) -> Sequence[int]:
    duplicates: list[int] = []
    try:
        duplicates.extend(map(os.dup, descriptors))
    except OSError:
        closeAll(duplicates)
        raise
    return duplicates


def _read(text: bytes) -> tuple[str, dict[str, Any]]:
    """The kind and the fields of a JSON object. Raises `NotAMessage`."""
    try:
        fields = json.loads(text)
        kind = fields.pop("kind")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise NotAMessage("a message is not a JSON object with a kind") from None
    if not isinstance(kind, str):
        raise NotAMessage("the kind of a message is not a string")
    return kind, fields
