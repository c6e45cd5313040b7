"""
The door: reads one request head and decides, once, who answers it.

An upgrade becomes a connection of its route, whether it is the first request of a TCP connection or a later one;
everything else becomes a request of twisted.web's. The bytes of a head are parsed here and by nobody else
(`wsd.head`), so no two parsers can disagree about them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString

from wsd.connection.request import Request, newId
from wsd.head import END, Head, Refused, afterBlankLines, endOfHead, parseHead
from wsd.logs import ConnectionLog
from wsd.policies.address import Peer, TlsInfo, isLoopback
from wsd.policies.negotiation import offeredExtensions, offeredSubprotocols
from wsd.policies.origin import checkHost, checkOrigin
from wsd.policies.subject import checkClient
from wsd.policies.upgrade import checkUpgrade
from wsd.web.channel import Channel

if TYPE_CHECKING:
    from wsd.connection import Connection
    from wsd.web.site import Site

_TLS = b"\x16\x03"
"""How a TLS handshake begins (RFC 8446 5.1)."""

_LINGER = 2.0
"""Seconds in which a peer may still send what nobody reads, so that it sees the answer before a reset."""


class Door(Protocol):
    """
    One TCP connection, until it is a WebSocket; then it only stands by to tell when the place is free again.

    It keeps the time-outs of HTTP: a head within `opening_timeout` of its first byte, nothing for `http_idle_timeout`,
    a body that stops or creeps, an answer that is not taken.
    """

    transport: Any
    due = -1
    lingering = False
    isEnded = False
    """Whether the peer has closed its half of the connection."""
    _takenSinceEnd = -1

    _buffer = b""
    _channel: Channel | None = None
    _connection: Connection | None = None
    _place: str | None = None
    _counted = False
    _isOverdue = False
    _bodySeen = 0
    _bodySince = 0.0
    _taken = -1
    _takenAt = 0.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._policies = site.policies

    # -- arriving -------------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Somebody knocks: is there room?"""
        site = self._site
        setWaterMarks = getattr(self.transport, "setWaterMarks", None)
        if setWaterMarks is not None:
            setWaterMarks(self._policies.high_water, self._policies.low_water)
        site.doors.add(self)
        self._counted = site.admission.arrive()
        self._wait(self._policies.opening_timeout - getattr(self.transport, "waited", 0.0))
        if not self._counted:
            self.refuseBytes(
                Refused(503, "the server has all the connections it may have; try again", [("Retry-After", "5")])
            )
            return
        address = self._addressOf(self.transport.getPeer())
        if not isLoopback(address) and address != "unix" and not site.trust.trusts(address):
            try:
                self._takePlace(address)
            except Refused as refused:
                self.refuseBytes(refused)

    def _takePlace(self, address: str) -> None:
        if self._place is None:
            self._site.admission.take(address)
            self._place = address

    @staticmethod
    def _addressOf(address: Any) -> str:
        return "unix" if isinstance(address, UNIXAddress) else str(address.host)

    # -- bytes ----------------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Bytes go to the WebSocket, else to the channel; until there is one they are of the first head."""
        if self.lingering:
            return
        receiver = self._channel if self._connection is None else self._connection
        if receiver is not None:
            receiver.dataReceived(data)
            return
        buffer = self._buffer + data
        if buffer.startswith(_TLS):
            self.refuseBytes(Refused(400, "this port speaks without TLS; open it with ws:// or http://"))
            return
        buffer = afterBlankLines(buffer)
        try:
            end = endOfHead(buffer, len(self._buffer))
        except Refused as refused:
            self.refuseBytes(refused)
            return
        if end < 0:
            self._buffer = buffer
        else:
            self._buffer = b""
            self.headReceived(buffer[:end], lambda: buffer[end + len(END) :])

    def headBegan(self) -> None:
        """The first bytes of a later head are here."""
        self._wait(self._policies.opening_timeout)

    def headReceived(self, data: bytes, rest: Callable[[], bytes]) -> None:
        """A whole head, without its empty line; `rest` gives, once, what came behind it."""
        head: Head | None = None
        tls = self._site.tlsOf(self.transport)
        try:
            head = parseHead(data)
            peer = self._admit(head, tls is not None)
        except Refused as refused:
            # A refused Host is answered alike everywhere; a refused target as its route answers it.
            self.refuseBytes(self._known(refused, head) if head is not None and head.authority else refused, head)
            return
        if head.isUpgrade:
            try:
                self._upgrade(head, peer, tls, rest)
            except Refused as refused:
                self.refuseBytes(self._known(refused, head), head)
            return
        self._wait(self._policies.http_body_timeout)
        self._bodySeen, self._bodySince = 0, self._site.timer.now
        if self._channel is not None:
            self._channel.begin(head, peer, tls)
            return
        self._channel = channel = Channel(self, self._site)
        channel.makeConnection(self.transport)
        channel.begin(head, peer, tls)
        if data := rest():
            channel.dataReceived(data)

    def _known(self, refused: Refused, head: Head) -> Refused:
        """A refusal in the form that the clients of the requested route know."""
        route = self._site.routeFor(head.path) if head.isUpgrade else None
        return refused if route is None else route.known(refused)

    def _admit(self, head: Head, secure: bool) -> Peer:
        """Who it is, and whether the daemon is meant at all: loopback is not trust."""
        # Asked for only now: another's transport may know it better than when it was made.
        address = self.transport.getPeer()
        host = self.transport.getHost()
        peer = self._site.trust.peer(
            self._addressOf(address),
            getattr(address, "port", 0),
            secure,
            head.headers,
        )
        via = getattr(self.transport, "via", None)
        if via is not None:
            peer = replace(peer, direct=False, via=peer.via or via)
        isUnix = isinstance(host, UNIXAddress)
        # No browser can open a unix socket, so only a proxy can bring a request for a foreign name.
        if not isUnix or not peer.direct:
            checkHost(head.host, self._site.hosts, isUnix or not isLoopback(host.host))
        return peer

    # -- upgrades -------------------------------------------------------------------------------------------------

    def _upgrade(self, head: Head, peer: Peer, tls: TlsInfo | None, rest: Callable[[], bytes]) -> None:
        """Check the opening handshake, and give it to its route (RFC 6455 4.2)."""
        site = self._site
        route = site.routeFor(head.path)
        if route is None:
            raise Refused(404, f"no WebSocket answers at {head.path[:80]}")
        key = checkUpgrade(head)
        checkClient(tls, route.route.clients)
        checkOrigin(head.headers.byName.get("origin"), route.origins, head.host, site.hosts)
        site.checkServing()
        if not peer.direct:
            site.admission.handshake(peer.address)
            self._takePlace(peer.address)
        offered, extensions = offeredSubprotocols(head.headers), offeredExtensions(head.headers)
        request = Request(head, peer, tls, offered, extensions, key)
        factory = route.select(offered)
        if self._channel is not None:
            self._channel.detach()
        site.timer.cancel(self)
        self._connection = connection = factory.build()
        setWaterMarks = getattr(self.transport, "setWaterMarks", None)
        if setWaterMarks is not None:
            setWaterMarks(factory.policies.high_water, factory.policies.low_water)
        connection.makeConnection(self.transport)
        connection.begin(request, rest(), lambda refused: self._refusedBy(request, refused))

    def _refusedBy(self, request: Request, refused: Refused) -> None:
        """The route's protocol did not open."""
        self.refuseBytes(refused, request.head, request.id, request.peer)

    # -- refusing and ending --------------------------------------------------------------------------------------

    def refuseBytes(
        self, refused: Refused, head: Head | None = None, id: str | None = None, peer: Peer | None = None
    ) -> None:
        """Answer with a status and one sentence, and end: for what never became a request of twisted.web's."""
        if self.lingering:
            return
        who = peer or self._addressOf(self.transport.getPeer())
        self._site.refused(ConnectionLog(id or newId()), head, who, refused)
        body = f"{refused.sentence}\n".encode()
        lines = [
            f"HTTP/1.1 {refused.status} {refused.phrase}",
            f"Date: {datetimeToString().decode()}",
            *(f"{name}: {value}" for name, value in refused.headers),
            "Content-Type: text/plain; charset=utf-8",
            "X-Content-Type-Options: nosniff",
            f"Content-Length: {len(body)}",
            "Connection: close" if "Upgrade" not in dict(refused.headers) else "Connection: close, Upgrade",
            "",
            "",
        ]
        answer = "\r\n".join(lines).encode("latin-1", "replace")
        self.transport.write(answer if head is not None and head.method == "HEAD" else answer + body)
        self.linger()

    def linger(self) -> None:
        """End: our half now, the whole when the peer has ended too or has had its time (RFC 9112 9.6)."""
        if self.lingering:
            return
        self.lingering = True
        self._buffer = b""
        self.transport.unregisterProducer()
        self.transport.resumeProducing()
        loseWriteConnection = getattr(self.transport, "loseWriteConnection", None)
        if self.isEnded or loseWriteConnection is None or self._site.tlsOf(self.transport) is not None:
            self.transport.loseConnection()
            self._wait(self._policies.closing_timeout)
        else:
            loseWriteConnection()
            self._wait(_LINGER)

    # -- half-closed connections ----------------------------------------------------------------------------------

    @property
    def isHttp(self) -> bool:
        """Whether requests are read here: it is not a WebSocket, and not about to end."""
        return self._connection is None and not self.lingering

    def __conform__(self, interface: Any) -> Door | None:
        """An HTTP client may close its half and still get its answer; a WebSocket then ends."""
        return self if interface is IHalfCloseableProtocol and self._connection is None else None

    def readConnectionLost(self) -> None:
        """The peer has closed its half; its requests are answered in full. Called again whenever reading resumes."""
        before, self.isEnded = self.isEnded, True
        if self.lingering:
            self.transport.loseConnection()
        elif self._channel is None:
            self.linger()
        else:
            self._channel.peerEnded()
            if not before and not self.lingering:
                self._answerDue(self._channel.patience)

    def writeConnectionLost(self) -> None:
        """Our own half is closed, as we asked."""

    def answered(self) -> None:
        """An answer went out whole; the next request may take its time, unless the daemon stops."""
        if self._site.stopping:
            self.linger()
        elif not self.lingering:
            self._wait(self._policies.http_idle_timeout)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The TCP connection is gone: so is its place."""
        self.lingering = True
        site = self._site
        site.timer.cancel(self)
        site.doors.discard(self)
        if self._counted:
            site.admission.leave()
        if self._place is not None:
            site.admission.give(self._place)
        connection, self._connection = self._connection, None
        channel, self._channel = self._channel, None
        if connection is not None:
            connection.connectionLost(reason)
        elif channel is not None:
            channel.connectionLost(reason)

    # -- time -----------------------------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        timer = self._site.timer
        timer.schedule(self, timer.now + seconds)

    def visit(self, now: float) -> None:
        """The time is up for what the peer owed us, unless it has done its part meanwhile."""
        if not getattr(self.transport, "isOpen", True):
            self.transport.giveUp(self._policies.closing_timeout if self.lingering else self._policies.opening_timeout)
            return
        waiting = "head" if self._channel is None else self._channel.waiting
        isTaking = self._isTaking(now)
        if self.lingering and (self._isOverdue or not self._counted):
            # Only one sentence was sent; it is not worth waiting, or keeping a place, until the peer takes it.
            self.transport.abortConnection()
        elif isTaking is False:
            self._site.metrics.httpDrop("stalled")
            self.transport.abortConnection()
        elif self.lingering and isTaking:
            self._wait(_LINGER)
        elif self.lingering:
            self.transport.abortConnection()
        elif waiting == "body":
            self._bodyDue(now)
        elif waiting == "answer" or isTaking:
            self._answerDue(self._channel.patience if self._channel is not None else None)
        else:
            self._headOverdue()

    def _isTaking(self, now: float) -> bool | None:
        """
        Whether the peer took some of what it was sent within `stall_timeout`; None when nothing waits for it.

        At the end that counts which it has not acknowledged, since it would be lost with the connection.
        """
        wire = getattr(self.transport, "wire", None)
        if wire is None:
            return None
        taken = wire.acknowledged()
        if taken >= wire.written() or not (self.lingering or wire.unsent):
            return None
        if taken != self._taken:
            self._taken, self._takenAt = taken, now
        return bool(now - self._takenAt < self._policies.stall_timeout)

    def _answerDue(self, patience: float | None) -> None:
        """A half-closed peer must take a byte of its answer from time to time, since it may as well be gone."""
        if self.isEnded:
            wire = getattr(self.transport, "wire", None)
            taken = -1 if wire is None else wire.acknowledged()
            if wire is not None and taken == self._takenSinceEnd:
                self._site.metrics.httpDrop("stalled")
                self.transport.abortConnection()
                return
            self._takenSinceEnd = taken
        self._wait(self._policies.stall_timeout if patience is None or not self.isEnded else patience)

    def _headOverdue(self) -> None:
        if self._channel is not None:
            self._site.metrics.httpDrop("idle")
            self.linger()
        else:
            self._isOverdue = True
            self.refuseBytes(
                Refused(408, f"no whole request head came within {self._policies.opening_timeout:g} seconds")
            )

    def _bodyDue(self, now: float) -> None:
        """A body must go on coming, and on average not creep."""
        assert self._channel is not None
        if self._channel.isHeld:
            self._bodySince += self._policies.http_body_timeout
            self._wait(self._policies.http_body_timeout)
            return
        seen = self._channel.received
        elapsed = now - self._bodySince
        rate = self._policies.http_body_rate
        if seen == self._bodySeen or seen < rate * (elapsed - self._policies.http_body_timeout):
            sentence = f"the body stopped, or came slower than {rate} bytes a second; send it again"
            self.refuseBytes(Refused(408, sentence))
            return
        self._bodySeen = seen
        self._wait(self._policies.http_body_timeout)

    @property
    def isNew(self) -> bool:
        """Whether the connection is new and unused; its request may be on the way."""
        return self._connection is None and self._channel is None and not self.lingering

    @property
    def isBusy(self) -> bool:
        """Whether a request or a message is being answered, or the peer has not yet taken all of an answer."""
        if self._connection is not None:
            return self._connection.isOpen and self._connection.isBusy
        if self._channel is not None and not self.lingering and self._channel.waiting != "head":
            return True
        wire = getattr(self.transport, "wire", None)
        return wire is not None and bool(wire.acknowledged() < wire.written())

    def end(self) -> None:
        """The daemon stops: an HTTP connection ends once no answer is pending, an idle one at once."""
        if self._connection is not None or (self._channel is not None and self._channel.waiting == "answer"):
            return
        isIdle = not self.lingering and self._hasAll() and (self._channel is None or self._channel.waiting == "head")
        self.linger()
        if isIdle:
            leave = getattr(self.transport, "leave", self.transport.loseConnection)
            leave()

    def _hasAll(self) -> bool:
        """Whether the peer has received everything that was sent, so that closing loses nothing."""
        wire = getattr(self.transport, "wire", None)
        return wire is None or bool(wire.acknowledged() >= wire.written())
