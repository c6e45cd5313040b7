"""
Moving: an open connection continues in another process, at the exact byte at which this one has stopped.

An upgrade does this (`wsd.processes`). `save` returns what the other process needs beside the socket, and `resume` goes
on there. Our deflating context is not moved: a new one refers to no earlier message (RFC 7692 7.1.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from wsd.auth.outcome import AuthenticatedUser
from wsd.connection.opening import Opening
from wsd.connection.request import Request
from wsd.head import Head, parseHead
from wsd.logs import logOf
from wsd.policies.address import Peer, TlsInfo
from wsd.policies.negotiation import Deflate, offeredExtensions, offeredSubprotocols

_COUNTS = ("messagesIn", "messagesOut", "bytesIn", "bytesOut")
"""What a plane counts of a connection."""


class Moving(Opening):
    """A connection that another process can continue."""

    _isSuspended = False

    def freeze(self) -> None:
        """Read nothing more until `thaw`. What a hook is still handling goes on."""
        if self.state == self.STATE_OPEN:
            self.held += 1
            if self.held == 1:
                self.transport.pauseProducing()

    def thaw(self) -> None:
        """Undo `freeze` and `suspend`: the connection stays here, or has arrived here."""
        if self._isSuspended:
            self._isSuspended = False
            self.state = self.STATE_OPEN
            self._watchPeer()
        self.release()

    @property
    def isMovable(self) -> bool:
        """
        Whether this connection, which is frozen and without TLS of our own, could be moved now. If not, that may
        change soon.

        If the hook `full` holds reading, it will do so again in the other process, which gets the unsent bytes.
        """
        frames = self.frames
        return (
            self.isOpen
            and frames is not None
            and self.held == 1 + self._heldByFull + self.heldByRate
            and not frames.isBusy
            and not self.isRoomAwaited
            and self.canMove
            and frames.unread is not None
        )

    def save(self) -> dict[str, Any]:
        """Returns what another process needs beside the socket. The connection must be movable."""
        factory, unread, deflater = self.factory, self.frames.unread, self._perMessageCompress
        agreed = None if deflater is None else deflater.agreed
        return {
            "id": self.id,
            "trace": self.log.traceId,
            "head": _textOf(self.request.head),
            # An older version takes no more than these five.
            "peer": list(self.peer[:5]),
            "proxyId": self.peer.proxyId,
            "tls": None if self.tls is None else astuple(self.tls),
            "user": self.user,
            "identity": None if self.request.identity is None else astuple(self.request.identity),
            "subprotocol": self.subprotocol,
            "extension": self.extension,
            "deflate": None if agreed is None else _fieldsOf(agreed),
            "window": unread.window,
            "unread": unread.data,
            "isFull": self.isFull,
            "counts": [getattr(self.frames, name) for name in _COUNTS],
            "age": factory.clock.seconds() - self.openedAt,
            "ping": max(0.0, self._pingAt - factory.timer.now),
            "state": self.saveState(),
        }

    def suspend(self) -> None:
        """Do nothing more at all until `thaw` or `forget`: from now on, the other process may go on."""
        self._isSuspended = True
        self.factory.timer.cancel(self)
        self._closeAccount()
        self.state = self.STATE_CLOSED

    def resume(self, saved: Mapping[str, Any], transport: Any, version: int) -> None:
        """
        Go on with a connection that another process has saved, with its state in this version of the protocol's.

        Nothing is read before `thaw`. Raises whatever is wrong with `saved`.
        """
        factory = self.factory
        self.request = request = _requestOf(saved)
        self.id, self.peer, self.tls, self.user = request.id, request.peer, request.tls, saved["user"]
        # An older version does not know traces.
        self.log = logOf(self.id, saved.get("trace"))
        self.subprotocol, self.extension = saved["subprotocol"], saved["extension"]
        self.transport = transport
        self._wire = getattr(transport, "wire", self._wire)
        factory.connections.add(self)
        self.held = 1
        transport.pauseProducing()
        self.state = self.STATE_OPEN
        if saved["deflate"] is not None:
            self._agreeOn(Deflate(*saved["deflate"]))
            self._perMessageCompress.restore(saved["window"])
        self.data = saved["unread"]
        self._startFrames()
        # An older version has not saved them.
        for name, count in zip(_COUNTS, saved.get("counts", ()), strict=False):
            setattr(self.frames, name, count)
        transport.registerProducer(self, True)
        self._takenAt = factory.timer.now
        self.openedAt = factory.clock.seconds() - saved["age"]
        self._pingAt = factory.timer.now + saved["ping"]
        if request.identity is not None:
            self._endAt(request.identity.expires)
        self.restoreState(saved["state"], version)
        if saved["isFull"]:
            self.pauseProducing()
        self._watchPeer()

    def forget(self) -> None:
        """Called when the connection goes on in another process, or could not be resumed here. No hook is called."""
        factory = self.factory
        factory.timer.cancel(self)
        factory.connections.discard(self)
        self.state = self.STATE_CLOSED
        self._letGo()


def _requestOf(saved: Mapping[str, Any]) -> Request:
    """The request of the opening handshake, as it was in the other process."""
    head = parseHead(saved["head"].encode("latin-1"))
    offered, extensions = offeredSubprotocols(head.headers), offeredExtensions(head.headers)
    key = head.headers.get("sec-websocket-key", "")
    # An older version has saved neither an id of a proxy nor TLS.
    peer = Peer(*saved["peer"])._replace(proxyId=saved.get("proxyId"))
    tls = None if saved.get("tls") is None else TlsInfo(*saved["tls"])
    # A version without authentication has not saved it.
    identity = None if saved.get("identity") is None else AuthenticatedUser(*saved["identity"])
    return Request(head, peer, tls, offered, extensions, key, saved["id"], identity)


def _textOf(head: Head) -> str:
    """A request head from which `parseHead` makes an equal one."""
    return "\r\n".join([head.line, *(f"{name}:{value}" for name, value in head.headers)])


def _fieldsOf(agreed: Deflate) -> Sequence[Any]:
    return agreed.serverNoContext, agreed.clientNoContext, agreed.serverBits, agreed.clientBits, agreed.answer
