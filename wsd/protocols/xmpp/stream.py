"""Stream: one XMPP stream from its <open/> to its <close/> (RFC 6120 4 in the framing of RFC 7395)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Coroutine
from enum import Enum, auto
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from wsd.logs import ConnectionLog
from wsd.policies.coroutines import remainder
from wsd.protocols.xmpp.clientinfo import ClientInfo
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.established import Established
from wsd.protocols.xmpp.faults import refuseForStore
from wsd.protocols.xmpp.framing import closeTag, openTag, parse
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.negotiation import (
    NOT_YET,
    Authentication,
    AuthenticationServices,
    Binding,
    BindingServices,
)
from wsd.protocols.xmpp.routing import Router
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.stanza import FRAMING, LANG, Element
from wsd.protocols.xmpp.store import StoreError
from wsd.protocols.xmpp.streammanagement import acknowledgement

_LOGIN = 60.0
"""Seconds from <open/> to a bound resource."""
_LONGEST_LANG = 35
"""Limit in characters of a language tag (RFC 5646 4.4.1)."""


class ClientSocket(Protocol):
    """The WebSocket of a client."""

    log: ConnectionLog
    """The log of the connection."""

    def text(self, message: str) -> None:
        """Send a text message."""

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping."""

    def finish(self) -> None:
        """Close it with 1000."""


class StreamServices(AuthenticationServices, BindingServices, Protocol):
    """The parts of the server that a stream uses."""

    clock: Any
    router: Router


class StreamState(Enum):
    """How far a stream has come."""

    OPENING = auto()
    """No <open/> has come yet."""
    AUTHENTICATING = auto()
    REOPENING = auto()
    """The client is authenticated and has to open the stream once more (RFC 6120 6.4.6)."""
    BINDING = auto()
    """The client has to bind a resource, or to resume a session."""
    BOUND = auto()
    ENDING = auto()
    """We have sent <close/> and wait for the client's."""
    OVER = auto()


_CLOSED = (StreamState.ENDING, StreamState.OVER)
"""Nothing more is sent in these states."""


class XmppStream:
    """One client's stream. Its state decides what handles an element."""

    def __init__(self, services: StreamServices, socket: ClientSocket, client: ClientInfo) -> None:
        self.client = client
        self.log = socket.log
        self.state = StreamState.OPENING
        self._services = services
        self._settings = services.settings
        self._socket = socket
        self._domain = ""
        self._lang = ""
        self._authentication: Authentication | None = None
        self._binding: Binding | None = None
        self._established: Established | None = None
        self._timer: IDelayedCall | None = services.clock.callLater(_LOGIN, self._tooLate)

    @property
    def isOpen(self) -> bool:
        """Whether neither side has ended the stream."""
        return self.state not in _CLOSED

    # -- messages -------------------------------------------------------------------------------------------------

    def received(self, message: bytes) -> Awaitable[None] | None:
        """Called with each text message. Returns an awaitable if the next one has to wait."""
        if self.state is StreamState.OVER:
            return None
        try:
            element = parse(message, self._settings.limits)
        except StreamError as error:
            self.fail(error)
            return None
        return _atOnce(self._element(element))

    async def _element(self, element: Element) -> None:
        try:
            if element.ns == FRAMING:
                self._framing(element)
            elif self._established is not None:
                await self._established.receive(element)
            elif self.state is not StreamState.ENDING:
                await self._negotiate(element)
        except StreamError as error:
            self.fail(error)
        except StoreError as fault:
            refused = refuseForStore(fault, self.log)
            self.fail(StreamError(refused.condition, refused.text))

    async def _negotiate(self, element: Element) -> None:
        if self.state is StreamState.OPENING:
            raise StreamError("invalid-namespace", f"a stream begins with <open/>, whose namespace is {FRAMING}")
        if self.state is StreamState.AUTHENTICATING and self._authentication is not None:
            await self._authentication.receive(element)
        elif self.state is StreamState.BINDING and self._binding is not None:
            await self._binding.receive(element)
        else:
            raise StreamError("not-authorized", NOT_YET)

    def write(self, xml: str) -> None:
        """Send."""
        if self.state not in _CLOSED:
            self._socket.text(xml)

    def ping(self, payload: bytes) -> None:
        """Send a ping of the WebSocket."""
        self._socket.ping(payload)

    def ponged(self, payload: bytes) -> None:
        """Called with each pong: what was sent before its ping has arrived."""
        if self._established is not None and payload.isdigit() and len(payload) <= 10:
            try:
                self._established.session.ponged(int(payload))
            except StreamError as error:
                self.fail(error)

    # -- what has been negotiated ---------------------------------------------------------------------------------

    def authenticated(self) -> None:
        """Called when the client has logged in."""
        self.state = StreamState.REOPENING

    def bound(self, session: Session) -> None:
        """Called when the client has bound a resource, or resumes a session."""
        self._authentication = self._binding = None
        self._established = Established(self._services.router, self._services.resumption, self, session, self._lang)
        self.state = StreamState.BOUND
        self._stopTimer()

    # -- <open/> and <close/> -------------------------------------------------------------------------------------

    def _framing(self, element: Element) -> None:
        if element.name == "close":
            if self.state is not StreamState.ENDING:
                self._acknowledge()
                self._close()
            self._finish()
        elif self.state is StreamState.ENDING:
            return
        elif element.name != "open":
            raise StreamError("bad-format", "a stream begins with <open/> and ends with <close/>")
        elif self.state not in (StreamState.OPENING, StreamState.REOPENING):
            raise StreamError("unsupported-stanza-type", "the stream is already open")
        else:
            self._opened(element)

    def _opened(self, element: Element) -> None:
        """The client opens its stream (RFC 6120 4.7): answer with <open/> and the features."""
        if self._settings.options.see_other is not None:
            self._close(self._settings.options.see_other)
            return
        domain = self._domainOf(element)
        self._lang = element.get(LANG)[:_LONGEST_LANG]
        self._open(domain)
        isFirst = self.state is StreamState.OPENING
        self.state = StreamState.AUTHENTICATING if isFirst else StreamState.BINDING
        version = re.fullmatch(r"0*([0-9]{1,9})\.[0-9]+", element.get("version"))
        if version is None or int(version[1]) < 1:
            raise StreamError("unsupported-version", "the version of XMPP is 1.0")
        if self._authentication is None:
            self._domain = domain
            self._authentication = Authentication(self._services, self, domain)
            features = self._authentication.features()
        elif domain != self._domain:
            raise StreamError("not-authorized", f"the login was for {self._domain}")
        else:
            self._binding = Binding(self._services, self, self._authentication.identity)
            features = self._binding.features()
        self._socket.text(features.toXml())

    def _domainOf(self, element: Element) -> str:
        try:
            domain = parseJid(element.get("to")).full
        except ValueError:
            raise StreamError("improper-addressing", "the attribute to must be a domain") from None
        if domain not in self._settings.domains:
            raise StreamError("host-unknown", f"{domain} is not served here")
        return domain

    def _open(self, domain: str) -> None:
        attrs = {"from": domain, "id": secrets.token_hex(8), "version": "1.0", LANG: "en"}
        self._socket.text(openTag(attrs))

    # -- the end --------------------------------------------------------------------------------------------------

    def fail(self, error: StreamError) -> None:
        """End the stream with an error (RFC 6120 4.9, RFC 7395 3.5)."""
        if self.state in _CLOSED:
            return
        if self.state is StreamState.OPENING:
            # RFC 6120 4.9.1.2: an error comes after the header of the stream.
            self._open(next(iter(self._settings.options.domains)))
        self._acknowledge()
        self._socket.text(error.element().toXml())
        self._close()

    def supplant(self) -> None:
        """End without the session: it has ended, or another stream has taken it over."""
        self._established = None
        self.fail(StreamError("conflict", "another connection has taken over this session"))

    def _acknowledge(self) -> None:
        """Acknowledge the stanzas that were handled, before the stream ends (XEP-0198 4)."""
        if self._established is not None and self._established.session.inbound is not None:
            self.write(acknowledgement(self._established.session.inbound.count()))

    def _close(self, seeOther: str | None = None) -> None:
        """End the session, send <close/>, and wait for the client's (RFC 7395 3.6)."""
        session = self._takeSession()
        if session is not None:
            session.stream = None
            self._services.sessions.end(session)
        self._socket.text(closeTag(seeOther))
        self.state = StreamState.ENDING
        self._setTimer(self.client.closing)

    def lost(self) -> None:
        """Called when the WebSocket is gone."""
        self.state = StreamState.OVER
        self._stopTimer()
        session = self._takeSession()
        if session is not None and session.stream is self:
            self._services.sessions.lost(session)

    def _takeSession(self) -> Session | None:
        established, self._established = self._established, None
        return None if established is None else established.session

    def _tooLate(self) -> None:
        self._timer = None
        if self.state is StreamState.ENDING:
            self._finish()
        else:
            self.fail(StreamError("connection-timeout", f"a login takes at most {_LOGIN:g} seconds"))

    def _finish(self) -> None:
        self.state = StreamState.OVER
        self._stopTimer()
        self._socket.finish()

    def _setTimer(self, seconds: float) -> None:
        self._stopTimer()
        self._timer = self._services.clock.callLater(seconds, self._tooLate)

    def _stopTimer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _atOnce(work: Coroutine[Any, Any, None]) -> Deferred[None] | None:
    """Run a coroutine to its first wait. Returns a Deferred for the rest, or None if it is done, as it mostly is."""
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return Deferred.fromCoroutine(remainder(work, awaited))
