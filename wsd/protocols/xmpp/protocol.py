"""xmpp: the route, and the WebSocket that a stream runs on (RFC 7395)."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import IResource

from wsd.config import ConfigError
from wsd.connection import Accept, CannotStart, Connection, Factory, Refused, Request
from wsd.policies.admission import accountOf
from wsd.protocols.xmpp.credentials import hasScram
from wsd.protocols.xmpp.gateway import Gateway, Upstream
from wsd.protocols.xmpp.hostmeta import HostMeta
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.server import Server
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.store import StoreFault
from wsd.protocols.xmpp.stream import Facts, Stream
from wsd.protocols.xmpp.tool import storeOf
from wsd.protocols.xmpp.upload import Upload
from wsd.protocols.xmpp.vault import Vault
from wsd.resources import Slots

_ROOM = 4
"""How many of the largest stanzas `max_unsent` must hold; one may grow to twice its size when it is passed on."""

_SHARED = ("domains", "store", "upstream")
"""The keys that distinguish one server from another."""


class XmppConnection(Connection):
    """One WebSocket, and the stream on it."""

    factory: XmppFactory
    _stream: Stream | Gateway

    async def opening(self, request: Request) -> Accept:
        """Only who speaks XMPP comes in."""
        if "xmpp" not in request.subprotocols:
            raise Refused(400, "this route speaks xmpp: offer it in Sec-WebSocket-Protocol")
        return Accept("xmpp")

    def opened(self) -> None:
        """The client speaks first."""
        peer = self.peer
        closing = self.factory.policies.closing_timeout
        web = f"{'https' if peer.secure else 'http'}://{self.request.head.host}"
        facts = Facts(accountOf(peer.address), peer.secure or peer.direct, peer.direct, closing, web)
        upstream = self.factory.host.upstream
        if upstream is None:
            self._stream = Stream(self.factory.server, self, facts)
        else:
            self._stream = Gateway(upstream, self, facts, (peer.address, peer.port))

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

    def full(self) -> None:
        """The client does not read: nor do we, neither it nor what is for it."""
        self.hold()
        if isinstance(self._stream, Gateway):
            self._stream.full()

    def drained(self) -> None:
        """It does again."""
        self.release()
        if isinstance(self._stream, Gateway):
            self._stream.drained()

    # -- the stream says ------------------------------------------------------------------------------------------

    def text(self, message: str) -> None:
        """Send a text message."""
        self.send(message)

    def finish(self) -> None:
        """Both have said <close/>."""
        self.close(1000)


class XmppFactory(Factory):
    """A server of XMPP at a route; routes with the same domains and the same store are one."""

    connection = XmppConnection
    subprotocols = ("xmpp",)
    Options = XmppOptions
    log = Logger(namespace="wsd")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        options: XmppOptions = self.options
        if options.store is not None and not hasScram():
            raise ConfigError('store: users log in with scramp, which is not installed; pip install "wsd[xmpp]"')
        self.users = 0
        """Routes that use our server."""
        self._all: list[XmppFactory] = [self]
        self._others: Sequence[Factory] = ()
        self._host: XmppFactory | None = None
        self._server: Server | None = None
        self._beginning: Deferred[Exception | None] | None = None
        self.upstream: Upstream | None = None
        """The server behind, where we are the gateway to one."""
        self._hostMeta = {b"host-meta": HostMeta(self._url, False), b"host-meta.json": HostMeta(self._url, True)}

    @property
    def host(self) -> XmppFactory:
        """The route whose keys hold here: our own, or that of the first that serves the same."""
        return self._host or self

    @property
    def server(self) -> Server:
        """The server, which may be another route's too."""
        server = self.host._server
        assert server is not None
        return server

    def meet(self, others: Sequence[Factory]) -> None:
        """Know the others of the daemon."""
        self._others = others
        for other in others:
            if isinstance(other, XmppFactory):
                self._all = other._all
                self._all.append(self)
                break

    def _leader(self) -> XmppFactory:
        """
        With whom we are one: a route that says nothing of its own is what the first is that does.

        Else two routes with the same domains and the same store would tread on one another.
        """
        options = next((each.options for each in self._all if each.options.isOwn and not each.hasFailed), self.options)
        if self.options.isOwn:
            options = self.options
        key = _key(options)
        alike = [each for each in self._all if _key(each.options) == key and not each.hasFailed]
        return max(alike, key=lambda each: (each.users > 0, each.options.isOwn))

    def started(self) -> Deferred[None] | None:
        """Begin."""
        self._warn()
        self._host = host = self._leader()
        host.users += 1
        if host._server is not None or host.upstream is not None:
            host.options = self._keysFor(host)
            if host._server is not None:
                host._server.configure(host._bounded(host.options))
            else:
                host.upstream = Upstream(host.options, host.clock)
        if host._beginning is None:
            host._beginning = Deferred.fromCoroutine(host._attempt())
        return Deferred.fromCoroutine(_after(host._beginning))

    def _warn(self) -> None:
        """Log that a reload separates this route from those with which it shared a server, until a restart."""
        served = (each for each in self._all if each._host and not each.hasFailed)
        before = next((each for each in served if each.route.path == self.route.path), self)
        changed = [name for name in _SHARED if getattr(before.options, name) != getattr(self.options, name)]
        if changed:
            self.log.warn(
                "{route}: {keys} changed and will take effect after a restart; until then routes without keys of "
                "their own stay with the old server",
                event="reload.partial",
                route=self.route.path,
                keys=", ".join(changed),
            )

    def _keysFor(self, host: XmppFactory) -> XmppOptions:
        """The keys for a server that runs already: a reload has built the routes anew, and the old ones end."""
        newest: dict[Any, XmppOptions] = {(each.route.path, each.spoken): each.options for each in self._all}
        ours = [options for options in newest.values() if options.isOwn and _key(options) == _key(host.options)]
        if ours:
            return ours[0]
        before: XmppOptions = host.options
        own: XmppOptions = self.options
        return replace(own, domains=before.domains, store=before.store, upstream=before.upstream)

    def _bounded(self, options: XmppOptions) -> XmppOptions:
        """The same options, with `max_stanza` lowered to fit the `max_unsent` of each route."""
        room = min(each.policies.max_unsent for each in self._all) // _ROOM
        return replace(options, max_stanza=min(options.max_stanza, room))

    async def _attempt(self) -> Exception | None:
        """Start the server of all routes that share it. Returns what went wrong, or None."""
        try:
            await self._begin()
        except Exception as error:
            server, self._server = self._server, None
            with suppress(Exception):
                if server is not None:
                    await server.stop()
            return error
        return None

    async def _begin(self) -> None:
        if self.options.upstream is not None:
            self.upstream = Upstream(self.options, self.clock)
            return
        path = storeOf(self.options, os.environ)
        thread = self.pool.share("xmpp", self.route.path, threads=1)
        vault = Vault(thread, lambda: SqliteStore(path), self.clock, str(path))
        deriving = self.pool.share("scram", self.route.path, threads=2)
        self._server = Server(self._bounded(self.options), self.clock, time.time, vault, deriving)
        if self._slots() is not None:
            Upload(self._server, self._slots)
        self._server.counters = self.counters
        try:
            await self._server.start(path.exists())
        except StoreFault as fault:
            raise CannotStart(f"the store cannot be opened: {fault}{_ownerOf(path)}", str(path)) from fault

    def _slots(self) -> Slots | None:
        """Where files may be put: at the last route that keeps some."""
        return next((slots for each in reversed(self._others) if (slots := each.slots()) is not None), None)

    def stopped(self) -> Deferred[None] | None:
        """Keep what was not sent, and end."""
        self._all.remove(self)
        host = self.host
        host.users -= 1
        return None if host.users or host._server is None else Deferred.fromCoroutine(host._server.stop())

    def wellKnown(self) -> Mapping[bytes, IResource]:
        """XEP-0156."""
        return self._hostMeta

    def _url(self, request: Any) -> str:
        """Where a client finds us: what we were told, else where its question came to."""
        host = self._leader()
        if host.options.url is not None:
            return str(host.options.url)
        # Of routes that are one, that which is for XMPP alone.
        alike = [each for each in self._all if not each.hasFailed and each._leader() is host]
        shown = min(alike, key=lambda each: (not each.options.isOwn, each.route.single is None))
        scheme = "wss" if request.peer.secure else "ws"
        name = (request.getHeader(b"host") or b"localhost").decode("latin-1")
        return f"{scheme}://{name}{shown.route.path}"

    def ready(self) -> str | None:
        """Why the store accepts nothing new, None if it does."""
        server = self.host._server
        fault = None if server is None else server.vault.fault
        return None if fault is None else f"the store cannot be used: {fault}"


async def _after(beginning: Deferred[Exception | None]) -> None:
    """Wait for a start that others wait for too. Raises what went wrong."""
    waiting: Deferred[Exception | None] = Deferred()

    def tell(error: Exception | None) -> Exception | None:
        waiting.callback(error)
        return error

    beginning.addCallback(tell)
    error = await waiting
    if error is not None:
        raise error


def _ownerOf(path: Path) -> str:
    """The end of an error sentence if the file belongs to another user."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""
    return "" if owner == os.geteuid() else f"; it belongs to user {owner}, and the daemon is user {os.geteuid()}"


def _key(options: XmppOptions) -> tuple[tuple[str, ...], Path, str | None]:
    """Routes that have this in common are one server."""
    return options.domains, storeOf(options, os.environ), options.upstream
