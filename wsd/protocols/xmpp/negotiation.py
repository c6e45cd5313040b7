"""The negotiation of a stream: the login, then the binding of a resource or the resumption of a session."""

from __future__ import annotations

import secrets
from typing import NamedTuple, Protocol

from wsd.protocols.xmpp import caps, register
from wsd.protocols.xmpp.boundstream import BoundStream
from wsd.protocols.xmpp.credentials import hasScram
from wsd.protocols.xmpp.errors import StanzaError, StreamError, errorOf
from wsd.protocols.xmpp.faults import refuseForStore
from wsd.protocols.xmpp.jid import JID, prepareResource
from wsd.protocols.xmpp.logins import Logins, StreamLogins
from wsd.protocols.xmpp.queries import SESSION, Queries
from wsd.protocols.xmpp.register import Registration
from wsd.protocols.xmpp.resumption import Resumption
from wsd.protocols.xmpp.sasl import SASL, SaslExchange, SaslFailure, mechanismsFor
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.sessions import Sessions
from wsd.protocols.xmpp.settings import Settings
from wsd.protocols.xmpp.stanza import BIND, CLIENT, STREAMS, Element, isBind, result
from wsd.protocols.xmpp.store import StoreError, refusal
from wsd.protocols.xmpp.streammanagement import SM, failed

_TRIES = 5
"""Limit of the logins that may fail on one stream."""
NOT_YET = "log in, send a new <open/> and bind a resource first"


class AuthenticationServices(Protocol):
    """The parts of the server that a login uses."""

    settings: Settings
    logins: Logins
    registration: Registration


class BindingServices(Protocol):
    """The parts of the server that the binding of a resource uses."""

    queries: Queries
    sessions: Sessions
    resumption: Resumption


class NegotiatingStream(BoundStream, Protocol):
    """The stream that is negotiated."""

    @property
    def isOpen(self) -> bool:
        """Whether neither side has ended the stream."""

    def authenticated(self) -> None:
        """Called when the client has logged in."""

    def bound(self, session: Session) -> None:
        """Called when the client has bound a resource, or resumes a session."""


class Identity(NamedTuple):
    """The user who has logged in."""

    bare: str
    isAnonymous: bool


class Authentication:
    """The first part: the client registers, if it needs an account (XEP-0077), and logs in (RFC 6120 6)."""

    def __init__(self, services: AuthenticationServices, stream: NegotiatingStream, domain: str) -> None:
        self._settings = services.settings
        self._registration = services.registration
        self._stream = stream
        self._domain = domain
        self._logins = StreamLogins(services.logins, domain, stream.client.address)
        self._mechanisms = self._offered()
        self._exchange = SaslExchange(self._mechanisms, self._logins)
        self._tries = 0

    def _offered(self) -> tuple[str, ...]:
        options, client = self._settings.options, self._stream.client
        allowsAnonymous = options.anonymous == "always" or (options.anonymous == "loopback" and client.isLocal)
        return mechanismsFor(hasScram(), client.isSafe or options.secure, allowsAnonymous)

    @property
    def identity(self) -> Identity:
        """The user who has logged in."""
        assert self._exchange.user is not None
        return Identity(JID(self._exchange.user, self._domain, "").bare, self._exchange.isAnonymous)

    def features(self) -> Element:
        """The features of the stream (RFC 6120 6.3.3)."""
        mechanisms = (Element(SASL, "mechanism", {}, name) for name in self._mechanisms)
        features = Element(STREAMS, "features", {}, Element(SASL, "mechanisms", {}, *mechanisms))
        if self._settings.options.register:
            features.children.append(Element(register.FEATURE, "register"))
        return features

    async def receive(self, element: Element) -> None:
        """An element from the client. Raises StreamError and StoreError."""
        if element.ns == SASL:
            await self._authenticate(element)
        elif self._settings.options.register and _isRegistration(element):
            await self._register(element)
        else:
            raise StreamError("not-authorized", NOT_YET)

    async def _authenticate(self, element: Element) -> None:
        try:
            self._logins.admit()
            answer = await self._exchange.receive(element)
            if not self._stream.isOpen:
                return
        except StoreError as fault:
            self._stream.write(SaslFailure("temporary-auth-failure", refusal(fault).text).element().toXml())
            raise
        except SaslFailure as failure:
            self._logins.ended(False)
            self._stream.write(failure.element().toXml())
            self._tries += 1
            if self._tries >= _TRIES or failure.condition == "temporary-auth-failure":
                raise StreamError("policy-violation", "too many logins have failed") from None
            return
        self._stream.write(answer.toXml())
        if self._exchange.user is not None:
            self._logins.ended(True)
            self._stream.authenticated()

    async def _register(self, iq: Element) -> None:
        query = iq.first()
        assert query is not None
        try:
            if iq.get("type") == "get":
                self._stream.write(result(iq, register.fields()).toXml())
                return
            await self._registration.register(self._stream.client.address, self._domain, query)
            self._stream.write(result(iq).toXml())
        except StanzaError as error:
            self._stream.write(errorOf(iq, error).toXml())
        except StoreError as fault:
            self._stream.write(errorOf(iq, refuseForStore(fault, self._stream.log)).toXml())


class Binding:
    """The second part: the client binds a resource (RFC 6120 7), or resumes a session (XEP-0198 5)."""

    def __init__(self, services: BindingServices, stream: NegotiatingStream, identity: Identity) -> None:
        self._queries = services.queries
        self._sessions = services.sessions
        self._resumption = services.resumption
        self._stream = stream
        self._identity = identity

    def features(self) -> Element:
        """The features of the stream (RFC 6120 7.4)."""
        session = Element(SESSION, "session", {}, Element(SESSION, "optional"))
        capabilities = caps.element(self._queries.info())
        return Element(STREAMS, "features", {}, Element(BIND, "bind"), session, Element(SM, "sm"), capabilities)

    async def receive(self, element: Element) -> None:
        """An element from the client. Raises StreamError and StoreError."""
        if element.ns == SM:
            await self._resume(element)
        elif isBind(element):
            await self._bind(element)
        else:
            raise StreamError("not-authorized", NOT_YET)

    async def _bind(self, iq: Element) -> None:
        try:
            session = await self._newSession(iq)
        except StanzaError as error:
            self._stream.write(errorOf(iq, error).toXml())
            return
        except StoreError as fault:
            self._stream.write(errorOf(iq, refuseForStore(fault, self._stream.log)).toXml())
            return
        if session is not None:
            self._stream.bound(session)
            bound = Element(BIND, "bind", {}, Element(BIND, "jid", {}, session.jid))
            self._stream.write(result(iq, bound).toXml())

    async def _newSession(self, iq: Element) -> Session | None:
        """
        Returns the session that an iq asks for, None if the stream has ended meanwhile.

        Raises StanzaError, StreamError and StoreError.
        """
        bind = iq.first()
        assert bind is not None
        asked = bind.textOf(BIND, "resource")
        if not iq.get("id"):
            raise StanzaError("bad-request", "an iq has an id")
        try:
            resource = prepareResource(asked) if asked else secrets.token_urlsafe(9)
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        user = await self._sessions.owner(*self._identity)
        return self._sessions.bind(user, resource, self._stream) if self._stream.isOpen else None

    async def _resume(self, element: Element) -> None:
        stream = self._stream
        if element.name != "resume":
            stream.write(failed("unexpected-request").toXml())
            return
        try:
            found = await self._resumption.resume(self._identity.bare, element)
        except StoreError as fault:
            found = failed(refuseForStore(fault, stream.log).condition)
        if isinstance(found, Element):
            stream.write(found.toXml())
            return
        if not stream.isOpen:
            return
        self._resumption.takeOver(found, element)
        assert found.inbound is not None
        # <resumed/> comes before the stanzas that `attach` sends again; writing it may end the stream.
        found.stream = stream
        stream.bound(found)
        attrs = {"previd": element.get("previd"), "h": str(found.inbound.handled)}
        stream.write(Element(SM, "resumed", attrs).toXml())
        if found.stream is stream:
            found.attach(stream)


def _isRegistration(element: Element) -> bool:
    query = element.first() if element.ns == CLIENT and element.name == "iq" else None
    return query is not None and query.ns == register.REGISTER
