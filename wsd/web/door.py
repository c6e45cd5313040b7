"""
The door: reads the head of each request and decides who answers it.

An upgrade becomes a connection of its route, whether it is the first request of a TCP connection or a later one. Any
other request goes to the HTTP channel. Heads are parsed only here, by `wsd.head`, so that no two parsers can disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import Factory as ProtocolFactory
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from wsd.auth.outcome import AuthenticatedUser
from wsd.config import Policies
from wsd.connection import Connection, Factory, newId
from wsd.connection.request import Request
from wsd.head import END, MAX_HEAD, Head, Refused, afterBlankLines, endOfHead, parseHead
from wsd.logs import ConnectionLog, logOf
from wsd.policies.address import Peer, isLoopback
from wsd.policies.admission import Places
from wsd.policies.coroutines import begin
from wsd.policies.instances import shareNames
from wsd.web.admitted import Admitted
from wsd.web.attempts import Attempt, attemptOf, unmark
from wsd.web.channel import Channel
from wsd.web.ending import Due, Ending
from wsd.web.peer import hostOf, identify
from wsd.web.route import SiteRoute
from wsd.web.site import PassesOn, Site
from wsd.web.upgrading import checkHandshake, checkRepeated

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_TLS = b"\x16\x03"
"""The first bytes of a TLS handshake (RFC 8446 5.1)."""

_EARLY = 10.0
"""Seconds after its opening in which a connection's end counts as a failed attempt."""


class Door(Protocol):
    """One TCP connection until it is a WebSocket. Then it only holds the connection's places in `site.admission`."""

    transport: Any

    _buffer = b""
    _ending: Ending
    _channel: Channel | None = None
    _connection: Connection | None = None
    _places: Places
    _deciding: Deferred[AuthenticatedUser] | None = None
    """What fires when it is known who the client is; None if nobody waits for that."""
    _attempt: Attempt | None = None
    """The opening handshake, if a page of this daemon has marked it."""
    _span: Span | None = None
    """The opening handshake in its trace; None without traces."""
    _openedAt = 0.0
    """When the route's protocol was asked to open the WebSocket, by the timer."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._policies = site.policies

    # -- arriving -------------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Take a place, or refuse the connection if there is none."""
        site = self._site
        setWaterMarks = getattr(self.transport, "setWaterMarks", None)
        if setWaterMarks is not None:
            setWaterMarks(self._policies.high_water, self._policies.low_water)
        site.doors.add(self)
        self._places = Places(site.admission)
        self._ending = Ending(site, self.transport)
        self._ending.wait(self._policies.opening_timeout - getattr(self.transport, "waited", 0.0))
        if not self._places.isAdmitted:
            self._ending.isBrief = True
            self._refuse(Refused(503, "the server has reached its connection limit; try again", [("Retry-After", "5")]))
            return
        address = hostOf(self.transport.getPeer())
        if not isLoopback(address) and address != "unix" and not site.trust.trusts(address):
            try:
                self._places.take(address)
            except Refused as refused:
                self._refuse(refused)

    # -- heads ----------------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Called with bytes of the first head; later bytes are passed to the channel or the WebSocket."""
        if self._ending.isLingering:
            return
        if self._deciding is not None:
            self._buffer += data
            return
        receiver = self._channel if self._connection is None else self._connection
        if receiver is not None:
            receiver.dataReceived(data)
            return
        if self._buffer or not data > b" ":
            self._readHead(self._buffer + data)
            return
        # Nearly every head comes as a whole, and begins with a letter.
        end = data.find(END, 0, MAX_HEAD + len(END))
        if end < 0:
            self._readHead(data)
        else:
            self._begin(data, end)

    def _readHead(self, buffer: bytes) -> None:
        """Read the first head if it is complete."""
        if buffer.startswith(_TLS):
            self._refuse(Refused(400, "this port does not use TLS; use ws:// or http://"))
            return
        buffer = afterBlankLines(buffer)
        try:
            end = endOfHead(buffer, len(self._buffer))
        except Refused as refused:
            self._refuse(refused)
            return
        if end < 0:
            self._buffer = buffer
            return
        self._buffer = b""
        self._begin(buffer, end)

    def _begin(self, buffer: bytes, end: int) -> None:
        """Begin with the first head, which ends at `end`."""
        admitted = self.admit(buffer[:end], lambda: buffer[end + len(END) :])
        if admitted is not None:
            self._headRead()
            self._channel = channel = Channel(self._site, self._ending, self.admit)
            channel.makeConnection(self.transport)
            channel.begin(admitted, buffer[end + len(END) :])

    def _headRead(self) -> None:
        """Let the transport know that the opening is over, if it is our own."""
        headRead = getattr(self.transport, "headRead", None)
        if headRead is not None:
            headRead()

    def admit(self, data: bytes, rest: Callable[[], bytes]) -> Admitted | None:
        """
        Parse a whole head, without its empty line. Returns the request that it begins.

        Returns None if it was refused, or has opened a WebSocket. In that case the bytes after the head, which `rest`
        returns once, belong to the WebSocket.
        """
        head: Head | None = None
        site = self._site
        tls = site.tlsOfClient(self.transport)
        repeated = site.known.find(data)
        tokens: tuple[str, ...] = ()
        try:
            if repeated is not None:
                head = repeated.known.head
            else:
                head, tokens = unmark(parseHead(data))
                passing = site.passing
                if passing is not None and site.isElsewhere(head, bool(tokens)):
                    self._passOn(passing, data + END + rest())
                    return None
            # Not earlier: a foreign transport may learn the address from the first bytes.
            peer = identify(self.transport, head, tls is not None, site.trust, site.hosts)
        except Refused as refused:
            # A wrong Host gets the same answer everywhere; other refusals are restated for the clients of the route.
            self._refuse(self._restate(refused, head) if head is not None and head.authority else refused, head)
            return None
        if repeated is not None or head.isUpgrade:
            if tokens:
                self._attempt = attemptOf(head, tokens, peer)
            if site.tracing.tracer is not None:
                self._span = site.trace(head, peer)
            try:
                if repeated is not None:
                    checked = checkRepeated(site, self._places, repeated, peer, tls)
                else:
                    checked = checkHandshake(site, self._places, head, peer, tls)
                    if not tokens:
                        site.known.remember(data, *checked)
                self._upgrade(*checked, rest)
            except Refused as refused:
                self._refuse(self._restate(refused, head), head, peer)
            return None
        return Admitted(head, peer, tls)

    def _passOn(self, passing: PassesOn, data: bytes) -> None:
        """Pass the connection on to the worker that answers this request. Raises `Refused` if it cannot be reached."""
        passing.check()
        if self._channel is not None:
            self._channel.detach()
        self._ending.stopWaiting()
        self._connection = passing.passOn(self.transport, data)

    def _restate(self, refused: Refused, head: Head) -> Refused:
        """The refusal with the status that the clients of the requested route expect."""
        route = self._site.routeFor(head.path) if head.isUpgrade else None
        return refused if route is None or not route.factories else route.restate(refused)

    # -- upgrades -------------------------------------------------------------------------------------------------

    def _upgrade(self, request: Request, route: SiteRoute, rest: Callable[[], bytes]) -> None:
        """Find out who the client is, and pass an opening handshake that was checked to its route. Raises `Refused`."""
        if self._span is not None:
            request.span = self._span
        if route.authenticator is None:
            self._open(request, route.select(request.subprotocols), rest)
            return
        asked = route.authRequest(request.head, request.peer, request.tls, self._span)
        found = begin(route.authenticator.authenticate(asked))
        if isinstance(found, Deferred):
            self._awaitUser(request, route, found, rest())
        else:
            self._openFor(found, request, route, rest)

    def _awaitUser(self, request: Request, route: SiteRoute, found: Deferred[AuthenticatedUser], rest: bytes) -> None:
        """Wait until it is known who the client is. Nothing is read meanwhile."""
        if self._channel is not None:
            self._channel.detach()
        self._ending.stopWaiting()
        self._buffer, self._deciding = rest, found
        self.transport.pauseProducing()

        def decide(user: AuthenticatedUser | Failure) -> None:
            self._deciding = None
            if self._ending.isLingering or (isinstance(user, Failure) and user.check(CancelledError)):
                return
            self.transport.resumeProducing()
            try:
                if isinstance(user, Failure):
                    user.raiseException()
                else:
                    self._site.checkServing()
                    self._openFor(user, request, route, self._takeBuffer)
            except Refused as refused:
                self._refuse(self._restate(refused, request.head), request.head, request.peer)

        found.addBoth(decide).addErrback(self._decisionFailed)

    def _decisionFailed(self, failure: Failure) -> None:
        if self._span is not None:
            self._span.end(type(failure.value).__name__)
        ConnectionLog(newId()).failure("authentication failed", failure, event="connection.error")
        self.transport.abortConnection()

    def _takeBuffer(self) -> bytes:
        buffer, self._buffer = self._buffer, b""
        return buffer

    def _openFor(self, user: AuthenticatedUser, request: Request, route: SiteRoute, rest: Callable[[], bytes]) -> None:
        """Open a WebSocket for a user. Raises `Refused`."""
        request.identity = user
        factory = route.select(request.subprotocols)
        if user.name is not None:
            self._places.takeUser(user.name)
        self._open(request, factory, rest)

    def _open(self, request: Request, factory: Factory, rest: Callable[[], bytes]) -> None:
        """Let the route's protocol open the WebSocket."""
        if self._channel is not None:
            self._channel.detach()
        self._ending.stopWaiting()
        self._headRead()
        self._openedAt = self._site.timer.now
        self._connection = connection = factory.build()
        self._setWaterMarks(self._policies, factory.policies)
        connection.makeConnection(self.transport)
        connection.begin(request, rest(), lambda refused: self._refusedBy(request, refused))

    def _setWaterMarks(self, before: Policies, policies: Policies) -> None:
        """Use those of the route, if they are others than those of the site."""
        if before.high_water == policies.high_water and before.low_water == policies.low_water:
            return
        setWaterMarks = getattr(self.transport, "setWaterMarks", None)
        if setWaterMarks is not None:
            setWaterMarks(policies.high_water, policies.low_water)

    def _refusedBy(self, request: Request, refused: Refused) -> None:
        """Called when the route's protocol refuses to open."""
        self._noteRefusal(refused)
        log = ConnectionLog(request.id)
        if request.span is not None:
            log = logOf(request.id, request.span.traceId)
            request.span.served(refused.status)
        self._ending.refuse(refused, request.head, log, request.peer)

    # -- ending ---------------------------------------------------------------------------------------------------

    def _refuse(self, refused: Refused, head: Head | None = None, peer: Peer | None = None) -> None:
        """Answer with a status and a page or one sentence, and end the connection."""
        self._noteRefusal(refused)
        log = None
        if self._span is not None:
            log = logOf(newId(), self._span.traceId)
            self._span.identify(log.id)
            self._span.served(refused.status)
        self._ending.refuse(refused, head, log, peer)
        self._buffer = b""

    def _noteRefusal(self, refused: Refused) -> None:
        """Let the page that made this attempt know why it failed."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._site.attempts.refused(attempt, refused)

    def _noteEnd(self, connection: Connection) -> None:
        """The same for a connection that ended soon after it had opened."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None and connection.cause is not None and self._site.timer.now - self._openedAt < _EARLY:
            self._site.attempts.ended(attempt, connection.cause)

    def __conform__(self, interface: Any) -> Door | None:
        """An HTTP client may close its half and still get its answer. A WebSocket ends when it does."""
        return self if interface is IHalfCloseableProtocol and self._connection is None else None

    def readConnectionLost(self) -> None:
        """Called when the peer has closed its half."""
        self._ending.peerEnded()

    def writeConnectionLost(self) -> None:
        """Called when our half is closed."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called when the TCP connection is lost: give its places back."""
        connection, channel, self._channel = self._connection, self._channel, None
        deciding, self._deciding = self._deciding, None
        self.forget()
        if deciding is not None:
            deciding.cancel()
        if self._span is not None:
            self._span.end("client_left")
        if connection is not None:
            connection.connectionLost(reason)
            if self._attempt is not None:
                self._noteEnd(connection)
        elif channel is not None:
            channel.connectionLost(reason)

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def connection(self) -> Connection | None:
        """The WebSocket, None before it and over HTTP."""
        return self._connection

    @property
    def place(self) -> str | None:
        """The address under which the connection is counted."""
        return self._places.address

    @property
    def unread(self) -> bytes:
        """What was received of the first head."""
        return self._buffer

    def resume(self, transport: Any, connection: Connection, place: str | None, user: str | None = None) -> None:
        """Hold the places of a WebSocket that has come from another process. It was admitted there."""
        site = self._site
        self.transport, self._connection = transport, connection
        self._headRead()
        site.doors.add(self)
        self._places = Places(site.admission)
        self._ending = Ending(site, transport)
        # It stays even if a limit is lower here.
        if place is not None:
            with suppress(Refused):
                self._places.take(place)
        if user is not None:
            with suppress(Refused):
                self._places.takeUser(user)

    def forget(self) -> None:
        """Called when another process has the connection: give its places back."""
        self._ending.isLingering = True
        if self._connection is None or self._ending.due >= 0:
            self._ending.stopWaiting()
        self._site.doors.discard(self)
        self._places.leave()
        self._connection = None

    # -- the daemon stops -----------------------------------------------------------------------------------------

    @property
    def isNew(self) -> bool:
        """Whether the connection is new and unused; its request may be on the way."""
        return self._connection is None and self._channel is None and not self._ending.isLingering

    @property
    def isBusy(self) -> bool:
        """Whether a request or a message is being answered, or the peer has not yet received a whole answer."""
        if self._connection is not None:
            return self._connection.isOpen and self._connection.isBusy
        ending = self._ending
        return (not ending.isLingering and not ending.awaits(Due.head)) or not ending.hasSentAll()

    def end(self) -> None:
        """End an HTTP connection unless an answer is pending. WebSockets are closed by `Drain`."""
        ending = self._ending
        if self._connection is not None or ending.awaits(Due.answer):
            return
        isIdle = not ending.isLingering and ending.hasSentAll() and ending.awaits(Due.head)
        ending.linger()
        if isIdle:
            leave = getattr(self.transport, "leave", self.transport.loseConnection)
            leave()


_NAMES = (
    *("_site", "_policies", "connected", "transport", "_places", "_ending", "_buffer"),
    *("_channel", "_attempt", "_span", "_openedAt", "_connection"),
)
"""The attributes of a door."""

shareNames(Door, _NAMES)


class Doors(ProtocolFactory):
    """Builds a door of a site for each connection that a listener accepts."""

    noisy = False

    def __init__(self, site: Site) -> None:
        self._site = site

    def buildProtocol(self, addr: IAddress | None) -> Door:
        """A new door."""
        return Door(self._site)
