"""The protocol `xmpp`: its route, and the WebSockets on which streams run (RFC 7395)."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.resource import IResource

from wsd.config import ConfigError
from wsd.config.stores import whyNotCreated
from wsd.connection import Accept, CannotStart, Connection, Factory, Placement, Refused, Request
from wsd.frames.codes import CloseCode
from wsd.policies.admission import accountOf
from wsd.protocols.xmpp.asyncstore import AsyncStore
from wsd.protocols.xmpp.clientinfo import ClientInfo
from wsd.protocols.xmpp.credentials import hasScram
from wsd.protocols.xmpp.gateway.bridge import XmppGateway
from wsd.protocols.xmpp.gateway.upstream import Upstream
from wsd.protocols.xmpp.hostmeta import HostMeta
from wsd.protocols.xmpp.options import XmppOptions, upstreamOf
from wsd.protocols.xmpp.server import Server
from wsd.protocols.xmpp.sqlite import SqliteStore
from wsd.protocols.xmpp.store import StoreError
from wsd.protocols.xmpp.stream import XmppStream
from wsd.protocols.xmpp.upload import UploadService
from wsd.resources import Slots

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_MOST_UNSENT = 4
"""How many of the largest stanzas `max_unsent` must hold; a stanza may double in size when it is passed on."""

_SHARED = ("domains", "store", "upstream")
"""The keys that distinguish one server from another."""


class XmppConnection(Connection):
    """One WebSocket, and the stream or the gateway on it."""

    factory: XmppFactory
    _stream: XmppStream | XmppGateway

    async def opening(self, request: Request) -> Accept:
        """Accept clients that offer the subprotocol (RFC 7395 3.1)."""
        if "xmpp" not in request.subprotocols:
            raise Refused(400, "this route needs the subprotocol xmpp; offer it in Sec-WebSocket-Protocol")
        return Accept("xmpp")

    def opened(self) -> None:
        """Wait for the client's <open/> (RFC 7395 3.4)."""
        peer = self.peer
        closing = self.factory.policies.closing_timeout
        web = f"{'https' if peer.secure else 'http'}://{self.request.head.host}"
        client = ClientInfo(accountOf(peer.address), peer.secure or peer.direct, peer.direct, closing, web)
        upstream = self.factory.host.upstream
        if upstream is None:
            self._stream = XmppStream(self.factory.server, self, client)
        else:
            self._stream = XmppGateway(upstream, self, closing, (peer.address, peer.port), self._traced)

    def _traced(self) -> Span | None:
        """The span of the opening of a stream to the upstream server, linked with the handshake."""
        tracer, upstream = self.factory.tracing.tracer, self.factory.host.options.upstream
        if tracer is None or upstream is None:
            return None
        host, port = upstreamOf(upstream)
        attributes: dict[str, str | int] = {
            "network.protocol.name": "xmpp",
            "server.address": host,
            "server.port": port,
        }
        return tracer.call("open XMPP stream", attributes, self.request.span)

    def received(self, payload: bytes, isBinary: bool) -> Awaitable[None] | None:
        """One message is one element (RFC 7395 3.3)."""
        if isBinary:
            self.close(CloseCode.UNSUPPORTED_DATA, "XMPP is text (RFC 7395 3.2)")
            return None
        return self._stream.received(payload)

    def closed(self, code: int, reason: str) -> None:
        """Called when the WebSocket has ended, with or without <close/>."""
        self._stream.lost()

    def onPong(self, payload: bytes) -> None:
        """Called with each pong: everything sent before its ping has arrived."""
        super().onPong(payload)
        if payload:
            self._stream.ponged(bytes(payload))

    def full(self) -> None:
        """Called when the client reads too slowly: stop reading from it, and from the server behind a gateway."""
        self.hold()
        if isinstance(self._stream, XmppGateway):
            self._stream.full()

    def drained(self) -> None:
        """Called when the client reads again."""
        self.release()
        if isinstance(self._stream, XmppGateway):
            self._stream.drained()

    # -- called by the stream -------------------------------------------------------------------------------------

    def text(self, message: str) -> None:
        """Send a text message."""
        self.send(message)

    def finish(self) -> None:
        """Both sides have sent <close/>, so the WebSocket may end (RFC 7395 3.6)."""
        self.close(CloseCode.NORMAL_CLOSURE)


class XmppFactory(Factory):
    """A route of XMPP. Routes with the same domains, store and upstream share one server."""

    connection = XmppConnection
    placement = Placement.pinned
    about = MappingProxyType(
        {
            "en": "Chat by XMPP over WebSocket, for clients such as Converse.js.",
            "zh": "基于 WebSocket 的 XMPP 聊天，适用于 Converse.js 等客户端。",
        }
    )
    subprotocols = ("xmpp",)
    Options = XmppOptions
    log = Logger(namespace="wsd")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        options: XmppOptions = self.options
        if options.store is not None and not hasScram():
            raise ConfigError("store: users log in with scramp, which is not installed; pip install scramp")
        self.users = 0
        """The number of routes that use the server of this route."""
        self._all: list[XmppFactory] = [self]
        self._others: Sequence[Factory] = ()
        self._host: XmppFactory | None = None
        self._server: Server | None = None
        self._beginning: Deferred[Exception | None] | None = None
        self.upstream: Upstream | None = None
        """The server behind, if this route is a gateway."""
        self._hostMeta = {b"host-meta": HostMeta(self._url, False), b"host-meta.json": HostMeta(self._url, True)}

    @property
    def host(self) -> XmppFactory:
        """The leading route of the routes that share a server: its keys hold for all of them."""
        return self._host or self

    @property
    def server(self) -> Server:
        """The server, which other routes may share."""
        server = self.host._server
        assert server is not None
        return server

    def meet(self, others: Sequence[Factory]) -> None:
        """Take note of the other routes of the daemon."""
        self._others = others
        for other in others:
            if isinstance(other, XmppFactory):
                self._all = other._all
                self._all.append(self)
                break

    def _leader(self) -> XmppFactory:
        """
        Returns the leading route of the routes that share a server with this one.

        A route without keys of its own takes those of the first route that has some. Routes with the same domains,
        store and upstream share a server, since two servers must not write to one store.
        """
        options = next((each.options for each in self._all if each.options.isOwn and not each.hasFailed), self.options)
        if self.options.isOwn:
            options = self.options
        key = _key(options)
        alike = [each for each in self._all if _key(each.options) == key and not each.hasFailed]
        return max(alike, key=lambda each: (each.users > 0, each.options.isOwn))

    def check(self) -> Iterable[str]:
        """Check the subprotocol, the authorities of the upstream server, and that no other server uses the store."""
        if self.route.single is None and "xmpp" not in self.spoken:
            raise ConfigError('xmpp has no other name as a subprotocol; write xmpp = "xmpp"', "protocol")
        if self.options.upstream is not None:
            Upstream(self.options, self.clock)
            return ()
        path = self.options.storeFile(os.environ)
        for other in (each for each in self._all if each.options.isOwn and self.options.isOwn):
            isOther = other.options.domains != self.options.domains and other.options.upstream is None
            if isOther and other.options.storeFile(os.environ) == path:
                raise ConfigError(
                    f"{path} is the store of {other.route.table} too, which has other domains; name another file",
                    "store",
                )
        return ()

    def started(self) -> Deferred[None] | None:
        """Start the server, or use the one of the leading route."""
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
        """Log the keys that a reload has changed and that take effect after a restart."""
        served = (each for each in self._all if each._host and not each.hasFailed)
        before = next((each for each in served if each.route.path == self.route.path), self)
        changed = [name for name in _SHARED if getattr(before.options, name) != getattr(self.options, name)]
        if changed:
            self.log.warn(
                "{route}: {keys} changed and take effect after a restart; until then, routes without "
                "their own keys use the old server",
                event="reload.partial",
                route=self.route.path,
                keys=", ".join(changed),
            )

    def _keysFor(self, host: XmppFactory) -> XmppOptions:
        """The keys for a running server during a reload, when both the new routes and the old ones exist."""
        newest: dict[Any, XmppOptions] = {(each.route.path, each.spoken): each.options for each in self._all}
        ours = [options for options in newest.values() if options.isOwn and _key(options) == _key(host.options)]
        if ours:
            return ours[0]
        before: XmppOptions = host.options
        own: XmppOptions = self.options
        return replace(own, domains=before.domains, store=before.store, upstream=before.upstream)

    def _bounded(self, options: XmppOptions) -> XmppOptions:
        """The options, with `max_stanza` lowered to fit the `max_unsent` of each route."""
        most = min(each.policies.max_unsent for each in self._all) // _MOST_UNSENT
        return replace(options, max_stanza=min(options.max_stanza, most))

    async def _attempt(self) -> Exception | None:
        """Start the server for all routes that share it. Returns the error, None if there is none."""
        try:
            await self._begin()
        except Exception as error:
            server, self._server = self._server, None
            # The first error is the one to report.
            with suppress(Exception):
                if server is not None:
                    await server.stop()
            return error
        return None

    async def _begin(self) -> None:
        if self.options.upstream is not None:
            self.upstream = Upstream(self.options, self.clock)
            return
        path = self.options.storeFile(os.environ)
        thread = self.pool.share("xmpp", self.route.path, threads=1)
        store = AsyncStore(thread, lambda: SqliteStore(path), self.clock, str(path))
        deriving = self.pool.share("scram", self.route.path, threads=2)
        self._server = Server(self._bounded(self.options), self.clock, time.time, store, deriving, self.budget)
        if self._slots() is not None:
            UploadService(self._server.settings, self._server.queries, self._slots)
        self._server.counters = self.counters
        try:
            await self._server.start(path.exists())
        except StoreError as fault:
            raise CannotStart(f"the store cannot be opened: {fault}{_ownerOf(path)}", str(path)) from fault

    def _slots(self) -> Slots | None:
        """The upload slots of the last route that keeps files, of those that the newest of our routes has met."""
        others = self._all[-1]._others if self._all else ()
        return next((slots for each in reversed(others) if (slots := each.slots()) is not None), None)

    def stopped(self) -> Deferred[None] | None:
        """Stop the server with the last of its routes. What was not sent is stored."""
        self._all.remove(self)
        # Among them are replaced routes, each of which has others of its own: no reload's would ever be gone.
        self._others = ()
        host, self._host = self.host, None
        host.users -= 1
        return None if host.users or host._server is None else Deferred.fromCoroutine(host._server.stop())

    def wellKnown(self) -> Mapping[bytes, IResource]:
        """The host-meta documents (XEP-0156)."""
        return self._hostMeta

    def _url(self, request: Any) -> str:
        """The URL of the WebSocket: the key `url`, else a URL at the host that the request names."""
        host = self._leader()
        if host.options.url is not None:
            return str(host.options.url)
        # Of the routes that share a server, prefer one that speaks XMPP alone.
        alike = [each for each in self._all if not each.hasFailed and each._leader() is host]
        shown = min(alike, key=lambda each: (not each.options.isOwn, each.route.single is None))
        scheme = "wss" if request.peer.secure else "ws"
        name = (request.getHeader(b"host") or b"localhost").decode("latin-1")
        return f"{scheme}://{name}{shown.route.path}"

    def ready(self) -> str | None:
        """Returns why the store accepts no new writes; None if it does."""
        server = self.host._server
        fault = None if server is None else server.store.fault
        if fault is not None:
            return f"the store cannot be used: {fault}"
        # A missing store is created by the first write. Whether it can be is told before that.
        reason = None if server is None else whyNotCreated(self.host.options.storeFile(os.environ))
        return None if reason is None else f"the store cannot be created: {reason}"


async def _after(beginning: Deferred[Exception | None]) -> None:
    """Wait for a start that other routes wait for as well. Raises its error."""
    waiting: Deferred[Exception | None] = Deferred()

    def tell(error: Exception | None) -> Exception | None:
        waiting.callback(error)
        return error

    beginning.addCallback(tell)
    error = await waiting
    if error is not None:
        raise error


def _ownerOf(path: Path) -> str:
    """The end of an error message, if the file belongs to another user."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return ""
    return "" if owner == os.geteuid() else f"; it belongs to user {owner}, and the daemon is user {os.geteuid()}"


def _key(options: XmppOptions) -> tuple[tuple[str, ...], Path, str | None]:
    """What distinguishes servers: routes with the same key share one."""
    return options.domains, options.storeFile(os.environ), options.upstream
