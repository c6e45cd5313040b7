"""
Gateway: a client's stream (RFC 7395) carried to another server's port for clients (RFC 6120), and back.

What is said is not judged beyond its framing: logins, acknowledgements and resume are between the client and the server
behind. STARTTLS is between us and that server (RFC 7395 3.9), so what it offers of TLS is not shown to the client.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as BaseProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.config import ConfigError
from wsd.protocols.xmpp.clientinfo import ClientInfo
from wsd.protocols.xmpp.cutter import Cutter
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import Caps, closeTag, openTag, parse
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.options import XmppOptions, upstreamOf
from wsd.protocols.xmpp.sasl import SASL
from wsd.protocols.xmpp.stanza import CLIENT, FRAMING, LANG, STREAMS, Element

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
_COMPRESS = "http://jabber.org/protocol/compress"
_HIDDEN = (
    (TLS, "starttls"),
    ("urn:xmpp:sasl-cb:0", "sasl-channel-binding"),
    ("http://jabber.org/features/compress", "compression"),
)
"""Features that are about the connection to the server behind, or that RFC 7395 3.10 does without."""
_MECHANISMS = ((SASL, "mechanisms"), ("urn:xmpp:sasl:2", "authentication"))

_FOOTER = ssl.PEM_FOOTER.encode()
_PATIENCE = 10.0
"""Seconds for the connection, and for what comes before the client's part of it."""
_CAPS = Caps(1 << 24, 200, 100_000, 200)
"""The server behind is trusted with more than its clients are."""


class Wire(Protocol):
    """The WebSocket below."""

    def text(self, message: str) -> None:
        """Send a text message."""

    def finish(self) -> None:
        """Close it with 1000."""

    def hold(self) -> None:
        """Read no more."""

    def release(self) -> None:
        """Read on."""


class Upstream:
    """The server behind: where it is, and how to be safe on the way there. Raises ConfigError."""

    def __init__(self, options: XmppOptions, reactor: Any) -> None:
        assert options.upstream is not None
        self.options = options
        self.reactor = reactor
        self.caps = Caps(size=options.max_stanza)
        host, port = upstreamOf(options.upstream)
        self.endpoint = HostnameEndpoint(reactor, host, port, timeout=_PATIENCE)
        self._trust: Any = None
        if options.upstream_tls != "none":
            self._trust = _authorities(options.upstream_ca)

    def context(self, domain: str) -> Any:
        """What TLS to the server of a domain is begun with: its certificate has to be that domain's (RFC 6120 13.7)."""
        from twisted.internet.ssl import optionsForClientTLS

        return optionsForClientTLS(domain, trustRoot=self._trust)


def _authorities(path: str | None) -> Any:
    try:
        from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates
    except ImportError as error:
        raise ConfigError(f'upstream: TLS needs {error.name}, which is not installed; pip install "wsd[tls]"') from None
    if path is None:
        return platformTrust()
    try:
        pem = Path(path).read_bytes()
        parts = [part + _FOOTER for part in pem.split(_FOOTER) if ssl.PEM_HEADER.encode() in part]
        return trustRootFromCertificates([Certificate.loadPEM(part) for part in parts])
    except Exception as error:
        # What pyOpenSSL raises at what is no certificate is its own; none of it is more than that.
        raise ConfigError(f"upstream_ca: {path} cannot be read as certificates in PEM: {error}") from None


@implementer(IPushProducer)
class Gateway:
    """One client's stream, and its connection to the server behind."""

    log = Logger(namespace="wsd")

    def __init__(self, upstream: Upstream, wire: Wire, facts: ClientInfo, source: tuple[str, int]) -> None:
        self._upstream = upstream
        self.clock = upstream.reactor
        self._wire = wire
        self._facts = facts
        self._source = source
        self._other: Other | None = None
        self._domain = ""
        self._hasOpened = False
        self._isConnecting = False
        self._isSafe = upstream.options.upstream_tls == "none"
        self._isHeld = self._isFull = False
        self._hasClosed = self._heardClose = self._isOver = False
        self._timer: IDelayedCall | None = self.clock.callLater(60.0, self._tooLate)

    # -- the client's messages ------------------------------------------------------------------------------------

    def received(self, message: bytes) -> None:
        """A text message."""
        if self._isOver:
            return
        try:
            element = parse(message, self._upstream.caps)
            if self._hasClosed:
                if (element.ns, element.name) == (FRAMING, "close"):
                    self._finish()
            elif element.ns == FRAMING:
                self._framing(element)
            else:
                self._element(element, message)
        except StreamError as error:
            self._fail(error)

    def _framing(self, element: Element) -> None:
        if element.name == "close":
            self._heardClose = True
            if self._other is None:
                self._close()
            else:
                self._other.say("</stream:stream>")
                self._setTimer(self._facts.closing)
        elif element.name != "open":
            raise StreamError("bad-format", "a stream begins with <open/> and ends with <close/>")
        elif self._heardClose:
            return
        else:
            self._open(element)

    def _open(self, element: Element) -> None:
        try:
            domain = parseJid(element.get("to")).full
        except ValueError:
            raise StreamError("improper-addressing", "to is the domain that is meant") from None
        self._header = {name: element.get(name) for name in ("version", LANG) if element.get(name)}
        if self._other is not None:
            if domain != self._domain:
                raise StreamError("not-authorized", f"the login was for {self._domain}")
            self._other.begin(self._head())
            return
        self._domain = domain
        self._connect()

    def _element(self, element: Element, message: bytes) -> None:
        if self._other is None:
            raise StreamError("invalid-namespace", f"a stream begins with <open/>, whose namespace is {FRAMING}")
        if self._heardClose:
            return
        if not element.ns:
            raise StreamError("invalid-namespace", f"an element says its namespace; a stanza's is {CLIENT}")
        if element.ns in (TLS, _COMPRESS, STREAMS):
            raise StreamError("unsupported-stanza-type", "a WebSocket is neither made safe nor deflated in a stream")
        self._other.say(message.decode())

    # -- the connection -------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Nothing more is read until the server behind has been reached, and TLS to it has begun."""
        self._hold()
        self._isConnecting = True
        self._setTimer(_PATIENCE)
        factory = Factory.forProtocol(lambda: Other(self))
        factory.noisy = False
        self._upstream.endpoint.connect(factory).addCallbacks(self._connected, self._refused)

    def _connected(self, other: Other) -> None:
        other.transport.registerProducer(self, True)
        if self._hasClosed or self._isOver:
            other.end()
            return
        self._other = other
        if self._isFull:
            other.transport.pauseProducing()
        if self._upstream.options.upstream_proxy:
            other.say(_proxyHeader(self._source, other.transport.getPeer()))
        other.begin(self._head())

    def _refused(self, failure: Failure) -> None:
        self.log.warn(
            "the XMPP server at {upstream} cannot be reached: {sentence}",
            event="xmpp.upstream",
            upstream=self._upstream.options.upstream,
            sentence=failure.getErrorMessage(),
        )
        self._fail(StreamError("remote-connection-failed", "the server behind cannot be reached"))

    def _head(self) -> str:
        """Our <open/> as a stream's header; what it lacks of a closed element is its end."""
        attrs = {"to": self._domain, **self._header, "xmlns:stream": STREAMS}
        return "<?xml version='1.0'?>" + Element(CLIENT, "stream:stream", attrs).toXml()[:-2] + ">"

    # -- what the server behind says ------------------------------------------------------------------------------

    def begun(self, root: Element) -> None:
        """Its stream has begun: that of the client too, once the way is safe."""
        self._root = root
        if self._isSafe:
            self._ready()

    def _ready(self) -> None:
        attrs = {name: value for name, value in self._root.attrs.items() if " " not in name}
        self._wire.text(openTag(attrs))
        self._hasOpened = True
        if self._isConnecting:
            self._isConnecting = False
            self._stopTimer()
            self._release()

    def whole(self, element: Element) -> None:
        """An element has come."""
        if self._hasClosed:
            return
        if not self._isSafe:
            self._negotiate(element)
        elif (element.ns, element.name) == (STREAMS, "features"):
            self._wire.text(_shown(element).toXml())
        else:
            if (element.ns, element.name) == (STREAMS, "error"):
                self._opened()
            self._wire.text(element.toXml())

    def _negotiate(self, element: Element) -> None:
        """STARTTLS (RFC 6120 5), which the client does not hear of."""
        other = self._other
        assert other is not None
        if (element.ns, element.name) == (STREAMS, "features"):
            if element.child(TLS, "starttls") is not None:
                other.say(Element(TLS, "starttls").toXml())
            elif self._upstream.options.upstream_tls == "optional":
                self._isSafe = True
                self._ready()
                self.whole(element)
            else:
                self._unsafe("it offers no TLS, and upstream_tls is required")
        elif (element.ns, element.name) == (TLS, "proceed"):
            other.secure(self._upstream.context(self._domain))
            self._isSafe = True
            other.begin(self._head())
        elif (element.ns, element.name) == (STREAMS, "error"):
            self._opened()
            self._wire.text(element.toXml())
        else:
            self._unsafe("it refuses to begin TLS")

    def _unsafe(self, sentence: str) -> None:
        self._refused(Failure(ConnectionDone(sentence)))

    def ended(self) -> None:
        """Its stream has ended."""
        self._opened()
        self._close()

    def otherLost(self, failure: Failure) -> None:
        """Its connection is gone."""
        if not self._isOver and not self._hasClosed:
            if self._isConnecting or not self._heardClose:
                self._refused(failure)
            else:
                self._close()

    def faulty(self, error: StreamError) -> None:
        """What it says is no stream."""
        self._refused(Failure(error))

    def ponged(self, payload: bytes) -> None:
        """Pings are between us and the client."""

    # -- the ends -------------------------------------------------------------------------------------------------

    def _fail(self, error: StreamError) -> None:
        if self._hasClosed:
            return
        self._opened()
        self._wire.text(error.element().toXml())
        self._close()

    def _opened(self) -> None:
        """An error is in a stream, so there has to be one."""
        if not self._hasOpened:
            self._hasOpened = True
            attrs = {"from": self._domain, "version": "1.0", LANG: "en"}
            self._wire.text(openTag({name: value for name, value in attrs.items() if value}))

    def _close(self) -> None:
        """Say <close/>, and wait for the client's, unless that has come."""
        if self._hasClosed:
            return
        self._hasClosed = True
        self._wire.text(closeTag())
        self._endOther("" if self._heardClose else "</stream:stream>")
        self._release()
        if self._heardClose:
            self._finish()
        else:
            self._setTimer(self._facts.closing)

    def _endOther(self, last: str = "") -> None:
        other, self._other = self._other, None
        if other is not None:
            other.end(last)

    def _finish(self) -> None:
        self.lost()
        self._wire.finish()

    def lost(self) -> None:
        """The WebSocket is gone. Without the end of the stream, the server behind keeps the session to be resumed."""
        self._isOver = True
        self._stopTimer()
        self._endOther()

    def _tooLate(self) -> None:
        self._timer = None
        if self._hasClosed:
            self._finish()
        elif self._heardClose:
            self._close()
        elif self._isConnecting:
            self._fail(StreamError("remote-connection-failed", "the server behind does not answer"))
        else:
            self._fail(StreamError("connection-timeout", "a stream begins with <open/>"))

    def _setTimer(self, seconds: float) -> None:
        self._stopTimer()
        self._timer = self.clock.callLater(seconds, self._tooLate)

    def _stopTimer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    # -- who does not read is not written to ----------------------------------------------------------------------

    def _hold(self) -> None:
        if not self._isHeld:
            self._isHeld = True
            self._wire.hold()

    def _release(self) -> None:
        if self._isHeld:
            self._isHeld = False
            self._wire.release()

    def pauseProducing(self) -> None:
        """The server behind does not read: neither do we."""
        self._hold()

    def resumeProducing(self) -> None:
        """It does again."""
        if not self._isConnecting:
            self._release()

    def stopProducing(self) -> None:
        """Its connection is gone; `otherLost` tells."""

    def full(self) -> None:
        """The client does not read: nor do we what is for it."""
        self._isFull = True
        if self._other is not None:
            self._other.transport.pauseProducing()

    def drained(self) -> None:
        """It does again."""
        self._isFull = False
        if self._other is not None:
            self._other.transport.resumeProducing()


class Other(BaseProtocol):
    """The connection to the server behind."""

    transport: Any

    def __init__(self, gateway: Gateway) -> None:
        self._gateway: Gateway | None = gateway
        self._cutter: Cutter | None = None
        self._cut: IDelayedCall | None = None

    def begin(self, head: str) -> None:
        """A stream begins, with a parser of its own."""
        assert self._gateway is not None
        if self._cutter is not None:
            self._cutter.mute()
        self._cutter = Cutter(_CAPS, self._gateway)
        self.say(head)

    def say(self, xml: str) -> None:
        """Write."""
        self.transport.write(xml.encode())

    def secure(self, context: Any) -> None:
        """Begin TLS. What came with <proceed/> in one piece came unsafe, and is not read (RFC 6120 5.4.3.3)."""
        self.transport.startTLS(context)

    def end(self, last: str = "") -> None:
        """Close, after a last word; who does not take it is cut off."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            self.transport.unregisterProducer()
            # Paused, it would not see the other side close.
            self.transport.resumeProducing()
            if last:
                self.say(last)
            self._cut = gateway.clock.callLater(_PATIENCE, self.transport.abortConnection)
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Some of its stream."""
        if self._gateway is not None and self._cutter is not None:
            try:
                self._cutter.feed(data)
            except StreamError as error:
                if self._gateway is not None:
                    self._gateway.faulty(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Gone."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            gateway.otherLost(reason)
        elif self._cut is not None and self._cut.active():
            self._cut.cancel()


def _shown(features: Element) -> Element:
    """The features that are a client's: none about TLS, no mechanism that is bound to it."""
    shown = features.copy()
    shown.children = [
        _unbound(child) if (child.ns, child.name) in _MECHANISMS else child
        for child in features.elements()
        if (child.ns, child.name) not in _HIDDEN
    ]
    return shown


def _unbound(mechanisms: Element) -> Element:
    kept = mechanisms.copy()
    kept.children = [
        child
        for child in mechanisms.children
        if isinstance(child, str) or child.name != "mechanism" or not _isBound(child.text.strip())
    ]
    return kept


def _isBound(mechanism: str) -> bool:
    return mechanism == "EXTERNAL" or mechanism.endswith("-PLUS")


def _proxyHeader(source: tuple[str, int], to: Any) -> str:
    """Who the client is, in version 1 of the PROXY protocol."""
    address, port = source
    if not (":" in address or address[-1:].isdigit()):
        return "PROXY UNKNOWN\r\n"
    family, none = ("TCP6", "::") if ":" in address else ("TCP4", "0.0.0.0")
    host = to.host if (":" in to.host) == (":" in address) else none
    return f"PROXY {family} {address} {host} {port} {to.port}\r\n"
