"""xmpp: the route, and the WebSocket that a stream runs on (RFC 7395)."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from wsd.config import ConfigError, stateFolder
from wsd.connection import Accept, Connection, Factory, Refused, Request
from wsd.policies.admission import accountOf
from wsd.protocols.xmpp.credentials import hasScram
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.server import Server
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.store import Vault
from wsd.protocols.xmpp.stream import Facts, Stream
from wsd.protocols.xmpp.threads import Threads


class XmppConnection(Connection):
    """One WebSocket, and the stream on it."""

    factory: XmppFactory
    _stream: Stream

    async def opening(self, request: Request) -> Accept:
        """Only who speaks XMPP comes in."""
        if "xmpp" not in request.subprotocols:
            raise Refused(400, "this route speaks xmpp: offer it in Sec-WebSocket-Protocol")
        return Accept("xmpp")

    def opened(self) -> None:
        """The client speaks first."""
        peer = self.peer
        facts = Facts(
            accountOf(peer.address), peer.secure or peer.direct, peer.direct, self.factory.policies.closing_timeout
        )
        self._stream = Stream(self.factory.server, self, facts)

    def received(self, payload: bytes, isBinary: bool) -> Awaitable[None] | None:
        """One message is one element."""
        if isBinary:
            self.close(1003, "XMPP is text (RFC 7395 3.2)")
            return None
        return self._stream.received(payload)

    def closed(self, code: int, reason: str) -> None:
        """Gone, with or without <close/>."""
        self._stream.lost()

    def onPong(self, payload: bytes) -> None:
        """What was sent before the ping has arrived."""
        super().onPong(payload)
        if payload:
            self._stream.ponged(bytes(payload))

    # -- the stream says ------------------------------------------------------------------------------------------

    def text(self, message: str) -> None:
        """Send a text message."""
        self.send(message)

    def finish(self) -> None:
        """Both have said <close/>."""
        self.close(1000)


class XmppFactory(Factory):
    """A server of XMPP at a route; routes for the same domains and the same store are one server."""

    connection = XmppConnection
    subprotocols = ("xmpp",)
    Options = XmppOptions
    threads: ClassVar[type[Threads]] = Threads

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        options: XmppOptions = self.options
        if options.store is not None and not hasScram():
            raise ConfigError('store: users log in with scramp, which is not installed; pip install "wsd[xmpp]"')
        self.users = 0
        """Routes that use our server, once it has started."""
        self.host: XmppFactory = self

    @property
    def path(self) -> Path:
        """The store's file."""
        return Path(self.options.store or Path(stateFolder(os.environ)) / "xmpp.sqlite")

    @property
    def server(self) -> Server:
        """The server, which may be another route's too."""
        return self.host._server

    def meet(self, others: Sequence[Factory]) -> None:
        """Be one with the route that serves the same."""
        mine = (self.options.domains, self.path)
        for other in others:
            if isinstance(other, XmppFactory) and (other.options.domains, other.path) == mine:
                self.host = other.host
                break
        if self.host is self:
            vault = Vault(self.threads(self.clock, 1, "xmpp"), lambda: SqliteStore(self.path))
            self._server = Server(self.options, self.clock, time.time, vault, self.threads(self.clock, 2, "scram"))

    def started(self) -> Deferred[None] | None:
        """Begin."""
        self.host.users += 1
        if self.host.users > 1:
            return None
        return Deferred.fromCoroutine(self.server.start(self.path.exists()))

    def stopped(self) -> Deferred[None] | None:
        """Keep what was not sent, and end."""
        self.host.users -= 1
        return None if self.host.users else Deferred.fromCoroutine(self.server.stop())

    def ready(self) -> str | None:
        """Why the store cannot be had."""
        return self.server.vault.fault
