"""Stream: one XMPP stream from its <open/> to its <close/> (RFC 6120 4 to 7 in the framing of RFC 7395)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from wsd.policies.coroutines import remainder
from wsd.protocols.xmpp import caps, register
from wsd.protocols.xmpp.credentials import hasScram
from wsd.protocols.xmpp.framing import StreamError, closeTag, openTag, parse
from wsd.protocols.xmpp.jid import JID, parseJid, prepareResource
from wsd.protocols.xmpp.routing import check
from wsd.protocols.xmpp.sasl import SASL, Exchange, SaslFailure, mechanismsFor
from wsd.protocols.xmpp.server import Logins, Server
from wsd.protocols.xmpp.session import Session
from wsd.protocols.xmpp.stanza import CLIENT, FRAMING, LANG, STREAMS, Element, StanzaError, errorOf, result
from wsd.protocols.xmpp.store import StoreFault, refusal
from wsd.protocols.xmpp.streammanagement import SM, Inbound, failed, numberOf
from wsd.protocols.xmpp.values import boolean, number

BIND = "urn:ietf:params:xml:ns:xmpp-bind"
_SESSION = "urn:ietf:params:xml:ns:xmpp-session"

_LOGIN = 60.0
"""Seconds from <open/> to a bound resource."""
_TRIES = 5
"""Logins that may fail on one stream."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a client before it says anything."""

    address: str
    isSafe: bool
    """Whether a password may be sent as it is."""
    isLocal: bool
    """Whether it is on this machine, and nobody between."""
    closing: float
    """Seconds to wait for its <close/>."""
    web: str = ""
    """The scheme and the authority of URLs by which it comes here: "https://chat.example.com"."""


class Wire(Protocol):
    """The WebSocket below."""

    def text(self, message: str) -> None:
        """Send a text message."""

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping."""

    def finish(self) -> None:
        """Close it with 1000."""


class State(Enum):
    """How far a stream is."""

    OPENING = auto()
    """No <open/> yet."""
    AUTHENTICATING = auto()
    REOPENING = auto()
    """Authenticated: the stream begins anew."""
    BINDING = auto()
    BOUND = auto()
    ENDING = auto()
    """We have said <close/>."""
    OVER = auto()


class Stream:
    """One client's stream: messages in, messages out."""

    def __init__(self, server: Server, wire: Wire, facts: Facts) -> None:
        self._server = server
        self._wire = wire
        self._facts = facts
        self.state = State.OPENING
        self.session: Session | None = None
        self._domain = ""
        self._lang = ""
        self._exchange: Exchange | None = None
        self._logins: Logins | None = None
        self._user = ""
        self._tries = 0
        self._timer: IDelayedCall | None = server.clock.callLater(_LOGIN, self._tooLate)

    @property
    def web(self) -> str:
        """The scheme and the authority of URLs by which the client comes here."""
        return self._facts.web

    @property
    def address(self) -> str:
        """The client's address, as far as addresses are told apart."""
        return self._facts.address

    # -- messages -------------------------------------------------------------------------------------------------

    def received(self, message: bytes) -> Awaitable[None] | None:
        """A text message. What is returned is done when the next may come."""
        if self.state is State.OVER:
            return None
        try:
            element = parse(message, self._server.caps)
        except StreamError as error:
            self.fail(error)
            return None
        return atOnce(self._element(element))

    async def _element(self, element: Element) -> None:
        try:
            if element.ns == FRAMING:
                self._framing(element)
            elif self.state is State.BOUND:
                await self._bound(element)
            elif self.state is not State.ENDING:
                await self._early(element)
        except StreamError as error:
            self.fail(error)
        except StoreFault as fault:
            refused = refusal(fault)
            self.fail(StreamError(refused.condition, refused.sentence))

    def write(self, xml: str) -> None:
        """Send."""
        if self.state not in (State.ENDING, State.OVER):
            self._wire.text(xml)

    def ping(self, payload: bytes) -> None:
        """Send a ping of the WebSocket's."""
        self._wire.ping(payload)

    def ponged(self, payload: bytes) -> None:
        """A pong: what was sent before its ping has arrived."""
        session = self.session
        if session is not None and payload.isdigit() and len(payload) <= 10:
            try:
                session.ponged(int(payload))
            except StreamError as error:
                self.fail(error)

    # -- the ends -------------------------------------------------------------------------------------------------

    def fail(self, error: StreamError) -> None:
        """End the stream with an error (RFC 6120 4.9, RFC 7395 3.5)."""
        if self.state in (State.ENDING, State.OVER):
            return
        if self.state is State.OPENING:
            self._open(next(iter(self._server.options.domains)))
        self._acknowledge()
        self._wire.text(error.element().toXml())
        self._close()

    def supplant(self) -> None:
        """The session is another's now."""
        self.session = None
        self.fail(StreamError("conflict", "another stream has taken this session's place"))

    def _close(self, seeOther: str | None = None) -> None:
        """Say that nothing more comes, and wait for the client to say so too."""
        self._endSession()
        self._wire.text(closeTag(seeOther))
        self.state = State.ENDING
        self._setTimer(self._facts.closing)

    def _endSession(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.link = None
            self._server.end(session)

    def lost(self) -> None:
        """The WebSocket is gone."""
        self.state = State.OVER
        self._stopTimer()
        session, self.session = self.session, None
        if session is not None and session.link is self:
            self._server.lost(session)

    def _tooLate(self) -> None:
        self._timer = None
        if self.state is State.ENDING:
            self._finish()
        else:
            self.fail(StreamError("connection-timeout", f"a login takes at most {_LOGIN:g} seconds"))

    def _finish(self) -> None:
        self.state = State.OVER
        self._stopTimer()
        self._wire.finish()

    def _setTimer(self, seconds: float) -> None:
        self._stopTimer()
        self._timer = self._server.clock.callLater(seconds, self._tooLate)

    def _stopTimer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- <open/> and <close/> -------------------------------------------------------------------------------------

    def _framing(self, element: Element) -> None:
        if element.name == "close":
            if self.state is not State.ENDING:
                self._acknowledge()
                self._close()
            self._finish()
        elif self.state is State.ENDING:
            return
        elif element.name != "open":
            raise StreamError("bad-format", "a stream begins with <open/> and ends with <close/>")
        elif self.state not in (State.OPENING, State.REOPENING):
            raise StreamError("unsupported-stanza-type", "the stream is open already")
        else:
            self._opened(element)

    def _acknowledge(self) -> None:
        """The last word on what was handled (XEP-0198 4)."""
        session = self.session
        if session is not None and session.inbound is not None:
            session.inbound.advance(self._server.vault.written)
            self.write(Element(SM, "a", {"h": str(session.inbound.handled)}).toXml())

    def _opened(self, element: Element) -> None:
        """The client opens its stream (RFC 6120 4.7): answer, and say what there is."""
        if self._server.options.see_other is not None:
            self._close(self._server.options.see_other)
            return
        domain = self._domainOf(element)
        isFirst = self.state is State.OPENING
        self._lang = element.get(LANG)[:35]
        self._open(domain)
        self.state = State.AUTHENTICATING if isFirst else State.BINDING
        version = re.fullmatch(r"0*([0-9]{1,9})\.[0-9]+", element.get("version"))
        if version is None or int(version[1]) < 1:
            raise StreamError("unsupported-version", "the version of XMPP is 1.0")
        if not isFirst and domain != self._domain:
            raise StreamError("not-authorized", f"the login was for {self._domain}")
        self._domain = domain
        if isFirst:
            self._logins = Logins(self._server, domain, self._facts.address)
            self._exchange = Exchange(self._mechanisms(), self._logins)
        self._wire.text(self._features().toXml())

    def _domainOf(self, element: Element) -> str:
        try:
            domain = parseJid(element.get("to")).full
        except ValueError:
            raise StreamError("improper-addressing", "to is the domain that is meant") from None
        if domain not in self._server.domains:
            raise StreamError("host-unknown", f"{domain} is not served here")
        return domain

    def _open(self, domain: str) -> None:
        attrs = {"from": domain, "id": secrets.token_hex(8), "version": "1.0", LANG: "en"}
        self._wire.text(openTag(attrs))

    def _mechanisms(self) -> tuple[str, ...]:
        options, facts = self._server.options, self._facts
        isOpen = options.anonymous == "always" or (options.anonymous == "loopback" and facts.isLocal)
        return mechanismsFor(hasScram(), facts.isSafe or options.secure, isOpen)

    def _features(self) -> Element:
        if self.state is State.BINDING:
            optional = Element(_SESSION, "session", {}, Element(_SESSION, "optional"))
            told = caps.element(self._server.queries.info())
            return Element(STREAMS, "features", {}, Element(BIND, "bind"), optional, Element(SM, "sm"), told)
        told = Element(SASL, "mechanisms", {}, *(Element(SASL, "mechanism", {}, name) for name in self._mechanisms()))
        features = Element(STREAMS, "features", {}, told)
        if self._server.options.register:
            features.children.append(Element(register.FEATURE, "register"))
        return features

    # -- until a resource is bound --------------------------------------------------------------------------------

    async def _early(self, element: Element) -> None:
        if self.state is State.OPENING:
            raise StreamError("invalid-namespace", f"a stream begins with <open/>, whose namespace is {FRAMING}")
        if self.state is State.AUTHENTICATING and element.ns == SASL:
            await self._authenticate(element)
        elif self.state is State.AUTHENTICATING and self._mayRegister(element):
            await self._register(element)
        elif self.state is State.BINDING and element.ns == SM:
            await self._resume(element)
        elif self.state is State.BINDING and _isBind(element):
            await self._bind(element)
        else:
            raise StreamError("not-authorized", "first come the login, a new <open/>, and a resource")

    async def _authenticate(self, element: Element) -> None:
        assert self._exchange is not None
        assert self._logins is not None
        try:
            self._logins.admit()
            answer = await self._exchange.receive(element)
            if self.state is not State.AUTHENTICATING:
                return
        except StoreFault as fault:
            self.write(SaslFailure("temporary-auth-failure", refusal(fault).sentence).element().toXml())
            raise
        except SaslFailure as failure:
            self.write(failure.element().toXml())
            self._tries += 1
            if self._tries >= _TRIES or failure.condition == "temporary-auth-failure":
                raise StreamError("policy-violation", "too many logins have failed") from None
            return
        self.write(answer.toXml())
        if self._exchange.user is not None:
            self._user = self._exchange.user
            self.state = State.REOPENING

    def _mayRegister(self, element: Element) -> bool:
        query = element.first() if element.ns == CLIENT and element.name == "iq" else None
        return self._server.options.register and query is not None and query.ns == register.REGISTER

    async def _register(self, iq: Element) -> None:
        assert self._logins is not None
        query = iq.first()
        assert query is not None
        try:
            if iq.get("type") == "get":
                self.write(result(iq, register.fields()).toXml())
                return
            if not self._server.byAddress.admits(self._facts.address):
                raise StanzaError("resource-constraint", "too many from this address; try again later")
            # What costs us most is counted as a login that failed: so many are made by nobody in earnest.
            self._server.byAddress.failed(self._facts.address)
            await register.register(self._server, self._domain, query)
            self.write(result(iq).toXml())
        except StanzaError as error:
            self.write(errorOf(iq, error).toXml())
        except StoreFault as fault:
            self.write(errorOf(iq, refusal(fault)).toXml())

    async def _bind(self, iq: Element) -> None:
        bind = iq.first()
        assert bind is not None
        assert self._exchange is not None
        asked = bind.textOf(BIND, "resource")
        try:
            if not iq.get("id"):
                raise StanzaError("bad-request", "an iq has an id")
            resource = prepareResource(asked) if asked else secrets.token_urlsafe(9)
            bare = JID(self._user, self._domain, "").bare
            user = await self._server.owner(bare, self._exchange.isAnonymous)
            if self.state is not State.BINDING:
                return
            self.session = self._server.bind(user, resource, self)
        except ValueError as error:
            self.write(errorOf(iq, StanzaError("bad-request", str(error))).toXml())
            return
        except StanzaError as error:
            self.write(errorOf(iq, error).toXml())
            return
        except StoreFault as fault:
            self.write(errorOf(iq, refusal(fault)).toXml())
            return
        self._begun()
        told = Element(BIND, "bind", {}, Element(BIND, "jid", {}, self.session.jid))
        self.write(result(iq, told).toXml())

    def _begun(self) -> None:
        """A session has begun."""
        self.state = State.BOUND
        self._stopTimer()

    # -- stream management ----------------------------------------------------------------------------------------

    async def _resume(self, element: Element) -> None:
        if element.name != "resume":
            self.write(failed("unexpected-request").toXml())
            return
        try:
            found = await self._server.resume(f"{self._user}@{self._domain}", element)
        except StoreFault as fault:
            found = failed(refusal(fault).condition)
        if isinstance(found, Element):
            self.write(found.toXml())
            return
        assert found.inbound is not None
        self.session, found.link = found, self
        self._begun()
        attrs = {"previd": element.get("previd"), "h": str(found.inbound.handled)}
        self.write(Element(SM, "resumed", attrs).toXml())
        if self.session is found:
            found.attach(self)

    def _manage(self, session: Session, element: Element) -> None:
        if element.name == "enable" and session.inbound is None:
            self._enable(session, element)
        elif element.name in ("enable", "resume"):
            self.write(failed("unexpected-request").toXml())
        elif element.name == "r" and session.inbound is not None:
            session.asked()
        elif element.name == "a" and session.inbound is not None:
            session.acknowledge(numberOf(element))

    def _enable(self, session: Session, element: Element) -> None:
        try:
            wantsResume = boolean(element.get("resume", "false"), "resume")
            number(element.get("max", "0"), "max")
        except StanzaError as error:
            self.write(failed(error.condition).toXml())
            return
        session.manage(Inbound())
        attrs = {}
        # An anonymous user cannot log in again as the same user, so nothing is held for them.
        if wantsResume and self._server.options.resume and not session.user.isAnonymous:
            id = self._server.makeResumable(session)
            attrs = {"id": id, "resume": "true", "max": f"{self._server.options.resume:.0f}"}
        self.write(Element(SM, "enabled", attrs).toXml())

    # -- afterwards -----------------------------------------------------------------------------------------------

    async def _bound(self, element: Element) -> None:
        session = self.session
        if session is None:
            return
        if element.ns == SM:
            self._manage(session, element)
            return
        if element.ns == SASL:
            raise StreamError("unsupported-stanza-type", "this stream has had its login")
        check(session, element)
        if self._lang and element.name != "iq":
            element.attrs.setdefault(LANG, self._lang)
        receipt = session.begin()
        if _isBind(element):
            session.send(errorOf(element, StanzaError("not-allowed", "a stream has one resource")))
            if receipt is not None:
                receipt.isOpen = False
            session.progress()
        else:
            await self._server.router.receive(session, element, receipt)


def _isBind(element: Element) -> bool:
    query = element.first() if element.ns == CLIENT and element.name == "iq" and element.get("type") == "set" else None
    return query is not None and query.ns == BIND and query.name == "bind"


def atOnce(work: Coroutine[Any, Any, None]) -> Deferred[None] | None:
    """Do what can be done at once, which is nearly always all: None then, else what is left."""
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    return Deferred.fromCoroutine(remainder(work, awaited))
