"""Upstream: the server behind a gateway, and connections to it, with STARTTLS (RFC 6120 5)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as BaseProtocol
from twisted.python.failure import Failure

from wsd.config import ConfigError
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import XmlLimits
from wsd.protocols.xmpp.gateway.streamparser import StreamParser
from wsd.protocols.xmpp.gateway.translation import TLS
from wsd.protocols.xmpp.options import XmppOptions, upstreamOf
from wsd.protocols.xmpp.stanza import STREAMS, Element

CONNECT_TIMEOUT = 10.0
"""Seconds to connect, and to begin the stream over TLS."""
_CLOSE_TIMEOUT = 10.0
"""Seconds in which the server must take the last data of a connection that is closed."""
_SERVER_LIMITS = XmlLimits(1 << 24, 200, 100_000, 200)
"""Limits for what the server sends. They are wider than those for clients, since it is trusted more."""
_PEM_FOOTER = ssl.PEM_FOOTER.encode()


class UpstreamListener(Protocol):
    """
    The receiver of the server's stream. It hears nothing of STARTTLS.

    It is also a push producer, which the connection pauses while the server reads too slowly.
    """

    def streamBegan(self, header: Element) -> None:
        """The server's stream has begun, and is as safe as `upstream_tls` demands."""

    def elementReceived(self, element: Element) -> None:
        """A child of the stream is complete. Before `streamBegan` this is an error of the stream, if anything."""

    def streamEnded(self) -> None:
        """The server has ended its stream."""

    def upstreamFailed(self, reason: str) -> None:
        """The server cannot be used: it refuses TLS, or does not send XMPP."""

    def upstreamLost(self, reason: str) -> None:
        """The connection is gone."""

    def pauseProducing(self) -> None:
        """Send nothing more for now."""

    def resumeProducing(self) -> None:
        """Send again."""

    def stopProducing(self) -> None:
        """Send nothing more; `upstreamLost` follows."""


class Upstream:
    """The server behind a gateway: its address, and the options for TLS to it. Raises ConfigError."""

    def __init__(self, options: XmppOptions, reactor: Any) -> None:
        assert options.upstream is not None
        self.options = options
        self.reactor = reactor
        self.limits = XmlLimits(size=options.max_stanza)
        """Limits for what a client sends."""
        host, port = upstreamOf(options.upstream)
        self.endpoint = HostnameEndpoint(reactor, host, port, timeout=CONNECT_TIMEOUT)
        self._trustRoot: Any = None
        if options.upstream_tls != "none":
            self._trustRoot = _trustRoot(options.upstream_ca)

    def connect(self, listener: UpstreamListener, domain: str, source: tuple[str, int]) -> Deferred[Any]:
        """Connect for a client at `source` that opens a stream to `domain`. Fires with the UpstreamProtocol."""
        factory = Factory.forProtocol(lambda: UpstreamProtocol(self, listener, domain, source))
        factory.noisy = False
        return self.endpoint.connect(factory)

    def tlsOptions(self, domain: str) -> Any:
        """
        The options for TLS to the server of a domain. Its certificate must be for that domain (RFC 6120 13.7.2).

        Raises UnicodeError if no certificate can be for it.
        """
        from twisted.internet.ssl import optionsForClientTLS

        return optionsForClientTLS(domain, trustRoot=self._trustRoot)


def _trustRoot(path: str | None) -> Any:
    """The authorities of a PEM file, or those of the system."""
    from twisted.internet.ssl import Certificate, platformTrust, trustRootFromCertificates

    if path is None:
        return platformTrust()
    try:
        pem = Path(path).read_bytes()
        parts = [part + _PEM_FOOTER for part in pem.split(_PEM_FOOTER) if ssl.PEM_HEADER.encode() in part]
        if not parts:
            raise ValueError("it has none")
        return trustRootFromCertificates([Certificate.loadPEM(part) for part in parts])
    except Exception as error:
        # pyOpenSSL raises errors of its own, with no common base class, for what is not a certificate.
        raise ConfigError(f"upstream_ca: {path} cannot be read as certificates in PEM: {error}") from None


class UpstreamProtocol(BaseProtocol):
    """
    One connection to the server: parses its stream, and begins TLS as `upstream_tls` demands.

    The listener is told of the stream only when it is safe. After `end` it is told nothing.
    """

    transport: Any

    def __init__(self, upstream: Upstream, listener: UpstreamListener, domain: str, source: tuple[str, int]) -> None:
        self._upstream = upstream
        self._listener: UpstreamListener | None = listener
        self._domain = domain
        self._source = source
        self._header = ""
        """The header of our stream."""
        self._serverHeader: Element | None = None
        self._isSafe = upstream.options.upstream_tls == "none"
        """Whether TLS has begun, or is not needed."""
        self._parser: StreamParser | None = None
        self._aborting: IDelayedCall | None = None

    # -- to the server --------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Called when the connection is made."""
        self.transport.registerProducer(self._listener, True)
        if self._upstream.options.upstream_proxy:
            self.write(proxyHeader(self._source, self.transport.getPeer()))

    def begin(self, header: str) -> None:
        """Begin a stream, or begin it again (RFC 6120 4.2, 4.3.3). The server answers with a stream of its own."""
        self._header = header
        if self._parser is not None:
            self._parser.mute()
        self._parser = StreamParser(_SERVER_LIMITS, self)
        self.write(header)

    def write(self, xml: str) -> None:
        """Send to the server."""
        self.transport.write(xml.encode())

    def pauseReading(self) -> None:
        """Read nothing more for now."""
        self.transport.pauseProducing()

    def resumeReading(self) -> None:
        """Read again."""
        self.transport.resumeProducing()

    def end(self, last: str = "") -> None:
        """Send `last` and close. A server that does not read it in time loses the connection."""
        if self._listener is None:
            return
        self._listener = None
        self.transport.unregisterProducer()
        # A paused transport would not notice that the other side closes.
        self.transport.resumeProducing()
        if last:
            self.write(last)
        self._aborting = self._upstream.reactor.callLater(_CLOSE_TIMEOUT, self.transport.abortConnection)
        self.transport.loseConnection()

    # -- from the server ------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Called with some bytes of the server's stream."""
        if self._listener is None or self._parser is None:
            return
        try:
            self._parser.feed(data)
        except StreamError as error:
            self._fail(str(error))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called when the connection is gone."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.upstreamLost(reason.getErrorMessage())
        elif self._aborting is not None and self._aborting.active():
            self._aborting.cancel()

    def begun(self, header: Element) -> None:
        """Called by the parser: the server's stream has begun."""
        self._serverHeader = header
        if self._isSafe and self._listener is not None:
            self._listener.streamBegan(header)

    def whole(self, element: Element) -> None:
        """Called by the parser: an element is complete."""
        if self._listener is None:
            return
        if self._isSafe or (element.ns, element.name) == (STREAMS, "error"):
            self._listener.elementReceived(element)
        else:
            self._negotiate(element)

    def ended(self) -> None:
        """Called by the parser: the server's stream has ended."""
        if self._listener is not None:
            self._listener.streamEnded()

    def _fail(self, reason: str) -> None:
        if self._listener is not None:
            self._listener.upstreamFailed(reason)

    # -- STARTTLS (RFC 6120 5.4) ----------------------------------------------------------------------------------

    def _negotiate(self, element: Element) -> None:
        if (element.ns, element.name) == (STREAMS, "features"):
            if element.child(TLS, "starttls") is not None:
                self.write(Element(TLS, "starttls").toXml())
            elif self._upstream.options.upstream_tls == "optional":
                self._goOnWithoutTls(element)
            else:
                self._fail("it offers no TLS, and upstream_tls is required")
        elif (element.ns, element.name) == (TLS, "proceed"):
            self._beginTls()
        else:
            self._fail("it refused STARTTLS")

    def _goOnWithoutTls(self, features: Element) -> None:
        assert self._serverHeader is not None
        self._isSafe = True
        self.begun(self._serverHeader)
        self.whole(features)

    def _beginTls(self) -> None:
        try:
            options = self._upstream.tlsOptions(self._domain)
        except UnicodeError:
            self._fail(f"no certificate can be valid for {self._domain!r}")
            return
        # Bytes after <proceed/> in the same piece were not encrypted: they go to the old parser, which is muted
        # (RFC 6120 5.4.3.3).
        self.transport.startTLS(options)
        self._isSafe = True
        self.begin(self._header)


def proxyHeader(source: tuple[str, int], destination: Any) -> str:
    """The client's address for the server at the address `destination` (PROXY protocol, version 1, 2.1)."""
    address, port = source
    if not (":" in address or address[-1:].isdigit()):
        return "PROXY UNKNOWN\r\n"
    family, unspecified = ("TCP6", "::") if ":" in address else ("TCP4", "0.0.0.0")
    host = destination.host if (":" in destination.host) == (":" in address) else unspecified
    return f"PROXY {family} {address} {host} {port} {destination.port}\r\n"
