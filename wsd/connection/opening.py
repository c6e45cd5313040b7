"""
Opening: the opening handshake, after its request was checked (RFC 6455 4.2.2, RFC 7692 7.1).

The protocol's `opening` decides, the response is sent, and the negotiated plane and extension are set up.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol
from twisted.python.failure import Failure

from wsd.auth.outcome import AuthenticatedUser, TokenError
from wsd.connection.access import pathOf
from wsd.connection.api import ConnectionApi
from wsd.connection.backpressure import Backpressure
from wsd.connection.deflate import AutobahnDeflater
from wsd.connection.request import Accept, Request
from wsd.frames.codes import UNAUTHORIZED, CloseCode
from wsd.head import Refused
from wsd.logs import ConnectionLog, logOf
from wsd.metrics import Cause
from wsd.policies.coroutines import remainder
from wsd.policies.negotiation import Deflate, acceptDeflate
from wsd.policies.upgrade import acceptKey

_SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "

_OPENED = "opened {path} for {peer}"


class Opening(Backpressure):
    """A connection that is being opened."""

    _opening: Deferred[Any] | None = None
    _raw: IProtocol | None = None
    __expiry: IDelayedCall | None = None
    __refuse: Callable[[Refused], None]
    __hasNoRoom = False
    """Whether it waits until there is memory for a new WebSocket."""

    def connectionMade(self) -> None:
        """Called when the transport is set, just before `begin`. Autobahn's own method would prepare debug output."""
        self._wire = getattr(self.transport, "wire", self._wire)
        self.factory.connections.add(self)

    def begin(self, request: Request, rest: bytes, refuse: Callable[[Refused], None]) -> None:
        """
        Call `opening` when there is memory for a new WebSocket, and respond.

        `rest` is what came after the head; `refuse` sends a refusal.
        """
        self.id = request.id
        self.log = ConnectionLog(request.id)
        if request.span is not None:
            self.log = logOf(request.id, request.span.traceId)
            request.span.identify(request.id)
        self.request = request
        self.peer = request.peer
        self.tls = request.tls
        self.user = request.user
        self.data = rest
        self.__refuse = refuse
        self.held = 1
        self.openedAt = self.factory.clock.seconds()
        room = self.factory.budget.room()
        if room is None:
            self.__ask()
        else:
            self.__hasNoRoom = True
            # It fails only if it is cancelled: then the connection has been refused, or is gone.
            self._opening = room.addCallbacks(lambda _: self.__ask(), lambda _: None)
            self.factory.timer.schedule(self, self.factory.timer.now + self.factory.policies.opening_timeout)

    def __ask(self) -> None:
        """Ask the protocol."""
        self._opening, self.__hasNoRoom = None, False
        context = copy_context()
        try:
            opening = self.opening(self.request)
            # Most protocols decide at once, which needs no Deferred.
            awaited = context.run(opening.send, None)
        except StopIteration as done:
            self.__accepted(done.value)
        except BaseException:
            self.__notAccepted(Failure())
        else:
            self.__awaitOpening(context.run(Deferred.fromCoroutine, remainder(opening, awaited)))

    def __awaitOpening(self, opening: Deferred[Any]) -> None:
        """Wait for the protocol's decision, for at most `opening_timeout`."""
        self._opening = opening
        opening.addCallbacks(self.__accepted, self.__notAccepted)
        if self._opening is not None:
            self.factory.timer.schedule(self, self.factory.timer.now + self.factory.policies.opening_timeout)

    def __accepted(self, accept: Accept | None) -> None:
        """Called with what `opening` returned."""
        self._opening = None
        if self.state != self.STATE_CONNECTING:
            return
        try:
            if self.request.raw is not None:
                self.__giveAway()
            else:
                self.transport.write(self.__answer(accept))
                self.__open()
        except Exception:
            self.__openingFailed(Failure())

    def __answer(self, accept: Accept | None) -> bytes:
        """Returns the 101 response (RFC 6455 4.2.2). Sets the negotiated subprotocol and extension."""
        if accept is None:
            raise TypeError("opening() returned None: return an Accept, raise Refused, or call request.takeRaw first")
        if accept.subprotocol is not None and accept.subprotocol not in self.request.subprotocols:
            raise ValueError(f"opening() accepted the subprotocol {accept.subprotocol!r}, which was not offered")
        answer = _SWITCHING + acceptKey(self.request.key)
        if accept.subprotocol is not None:
            self.subprotocol = accept.subprotocol
            answer += f"\r\nSec-WebSocket-Protocol: {accept.subprotocol}"
        policies = self.factory.policies
        offers, agreed = self.request.extensions, accept.deflate if policies.deflate else None
        if agreed is True:
            agreed = acceptDeflate(offers) if offers else None
        if agreed:
            self._agreeOn(agreed)
            self.extension = agreed.answer
            answer += f"\r\nSec-WebSocket-Extensions: {agreed.answer}"
        for name, value in accept.headers:
            if not set(name + value).isdisjoint("\r\n\0"):
                raise ValueError(f"opening() returned the header {name!r} with a line break")
            answer += f"\r\n{name}: {value}"
        return f"{answer}\r\n\r\n".encode("latin-1", "replace")

    def _agreeOn(self, agreed: Deflate) -> None:
        """Deflate and inflate messages with these parameters."""
        policies = self.factory.policies
        self._perMessageCompress = AutobahnDeflater(
            agreed, policies.deflate_level, policies.deflate_memory, self.factory.deflateContexts
        )

    def __open(self) -> None:
        """Called when the 101 is sent: the connection is open."""
        factory = self.factory
        self.state = self.STATE_OPEN
        askedAt, self.openedAt = self.openedAt, factory.clock.seconds()
        factory.counters.openings.observe(self.openedAt - askedAt)
        del self.__refuse
        early = self.data
        self._startFrames()
        self.transport.registerProducer(self, True)
        factory.counters.opened += 1
        factory.metrics.handshake("accepted")
        if self.request.span is not None:
            self.request.span.served(101)
        now = factory.timer.now
        self._takenAt = now
        policies = factory.policies
        self._pingAt = now + policies.ping_interval
        self.__logOpened()
        if self.request.identity is not None:
            self._endAt(self.request.identity.expires)
        self._call(self.opened)
        if self.isOpen:
            self._watchPeer()
        if self.held == 1 and not early:
            # Nothing was received meanwhile, and the transport was never paused.
            self.held = 0
        else:
            self.release()

    def __logOpened(self) -> None:
        fields: dict[str, Any] = {
            "event": "connection.opened",
            "path": pathOf(self.request.head),
            "route": self.factory.route.path,
            "peer": str(self.peer),
            "subprotocol": self.subprotocol,
        }
        if self.user is None:
            self.log.publish(_OPENED, fields)
        else:
            fields["user"] = self.user
            self.log.publish(_OPENED + "; user {user}", fields)

    def renewedBy(self, token: str) -> AuthenticatedUser:
        """Returns the client's user with a newer token, which `useIdentity` puts in force. Raises `TokenError`."""
        identity, authenticator = self.request.identity, self.factory.authenticator
        if identity is None or authenticator is None:
            raise TokenError("bad_token", "this route does not authenticate its clients, so there is no token to renew")
        return authenticator.renewed(identity, token)

    def useIdentity(self, identity: AuthenticatedUser) -> None:
        """The client has a newer token: close the connection when that one expires."""
        self.request.identity = identity
        if self.isOpen:
            self._endAt(identity.expires)

    def renewToken(self, token: str) -> None:
        """
        Keep the connection open until this token expires, instead of the one that it was opened with.

        For a protocol whose clients have a message for that. Raises `TokenError`, with a `code` and a `sentence`, if
        the token is not valid here or is for another user; the connection then keeps the old one.
        """
        self.useIdentity(self.renewedBy(token))

    def _endAt(self, expires: float | None) -> None:
        """Close when the client's authentication expires, in seconds since 1970; None: never."""
        expiry, self.__expiry = self.__expiry, None
        if expiry is not None and expiry.active():
            expiry.cancel()
        if expires is not None:
            factory = self.factory
            self.__expiry = factory.clock.callLater(max(0.0, expires - factory.now()), self.__expired)

    def __expired(self) -> None:
        """Close. A connection that was given away is dropped."""
        self.close(UNAUTHORIZED, "the token has expired; get a new one, and connect again")

    def _watchPeer(self) -> None:
        """Check from now on whether the peer responds."""
        timer, policies = self.factory.timer, self.factory.policies
        due = timer.now + policies.stall_timeout
        timer.scheduleBy(self, self._pingAt if policies.ping_interval and self._pingAt < due else due)

    def _startFrames(self) -> None:
        """Let the route's plane read and write from now on."""
        factory = self.factory
        rest, self.data = self.data, b""
        deflater = self._perMessageCompress
        # wsd's own transport, without the `ProxiedTransport` that may be around it.
        transport = getattr(self.transport, "wire", self.transport)
        self.setFrames(factory.plane.frames(self, transport, factory.frameLimits, deflater, rest))

    def setFrames(self, frames: Any) -> None:
        """Set the plane, which reads what the transport receives and sends the messages; None when it has closed."""
        before, self.frames = self.frames, frames
        if frames is not None:
            self._wire.setReceiver(frames)
        if type(self).send is not ConnectionApi.send:
            return
        # Protocols call the plane's `send` directly: one more method would add 10 % to the time of a small message.
        # Not by way of `__dict__`: an instance whose dictionary was asked for keeps one, and is slower from then on.
        if frames is not None:
            object.__setattr__(self, "send", frames.send)
        elif before is not None:
            object.__delattr__(self, "send")

    def _letGo(self) -> None:
        """Free what the connection holds: bytes that were read, memory in use, its contexts and its plane."""
        self.data = b""
        if self.__expiry is not None:
            self._endAt(None)
        self._closeAccount()
        deflater, self._perMessageCompress = self._perMessageCompress, None
        if deflater is not None:
            deflater.close()
        if self.frames is not None:
            self.frames.close()
            self.setFrames(None)

    def __giveAway(self) -> None:
        """Give the stream to the protocol of `takeRaw`. From now on this connection only passes on received data."""
        self.factory.metrics.handshake("raw")
        if self.request.span is not None:
            self.request.span.end()
        self.openedAt = self.factory.clock.seconds()
        self._raw = raw = self.request.raw
        assert raw is not None
        self.factory.timer.cancel(self)
        if self.request.identity is not None:
            self._endAt(self.request.identity.expires)
        self.held = 0
        raw.makeConnection(self.transport)
        rest, self.data = self.data, b""
        self.noteReceived(0, 0, 0)
        if rest:
            raw.dataReceived(rest)
        self.transport.resumeProducing()

    def __notAccepted(self, failure: Failure) -> None:
        """Called when `opening` raised: refuse as `Refused` says, or fail."""
        self._opening = None
        if self.state != self.STATE_CONNECTING:
            return
        if isinstance(failure.value, Refused):
            self.__refused(failure.value)
        else:
            self.__openingFailed(failure)

    def __openingFailed(self, failure: Failure) -> None:
        """Log an exception of the hook. The client is told only that the server failed."""
        if failure.check(CancelledError) or self.state == self.STATE_CLOSED:
            return
        self.log.failure("opening failed", failure, event="connection.error")
        if self.state == self.STATE_CONNECTING:
            self.__refused(
                Refused(500, "an internal error occurred while opening this connection; see the server's log")
            )
        else:
            self.drop(Cause.internal_error)

    def __refused(self, refused: Refused) -> None:
        """Refuse the request, and cancel the protocol's `opening` if it is still running."""
        opening, self._opening = self._opening, None
        self.state = self.STATE_CLOSED
        self.factory.timer.cancel(self)
        self.__refuse(refused)
        if opening is not None:
            opening.cancel()

    def openingOverdue(self) -> None:
        """Called when the protocol has taken too long to decide, or no memory became free."""
        if self.__hasNoRoom:
            sentence = "the server has no memory for a new connection; try again later"
            self.__refused(Refused(503, sentence, [("Retry-After", "5")]))
            return
        self.__refused(Refused(503, "the server took too long to open this connection; try again"))

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, sentence: str = "", cause: Cause = Cause.closed) -> None:
        """Begin the closing handshake. A connection that is not open yet is refused with 503 and the sentence."""
        if self.state == self.STATE_CONNECTING and self._raw is None:
            self.__refused(Refused(503, sentence or "the server closed this connection while opening it; try again"))
        else:
            super().close(code, sentence, cause)
