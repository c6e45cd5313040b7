"""
Bridge: joins the stream of one client to its connection to the server.

The bridge checks only the framing: logins, acknowledgements and resumption are between the client and the server. TLS
is between the gateway and the server (RFC 7395 3.9), so the client sees nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.logs import ConnectionLog
from wsd.protocols.xmpp.errors import StreamError
from wsd.protocols.xmpp.framing import closeTag, parse
from wsd.protocols.xmpp.gateway.translation import (
    STREAM_END,
    checkForServer,
    featuresForClient,
    openAlone,
    openOf,
    streamHeader,
)
from wsd.protocols.xmpp.gateway.upstream import CONNECT_TIMEOUT, Upstream, UpstreamProtocol
from wsd.protocols.xmpp.jid import parseJid
from wsd.protocols.xmpp.stanza import FRAMING, STREAMS, Element

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_OPEN_TIMEOUT = 60.0
"""Seconds in which a client must send <open/>."""


class GatewayWebSocket(Protocol):
    """The client's WebSocket."""

    log: ConnectionLog

    def text(self, message: str) -> None:
        """Send a text message."""

    def finish(self) -> None:
        """Close it with 1000."""

    def hold(self) -> None:
        """Read nothing more, not even messages that have arrived."""

    def release(self) -> None:
        """Read again."""


class BridgeState(Enum):
    """How far a bridge has come. It passes through the states in this order, and may skip some."""

    WAITING = auto()
    """The client has not sent <open/>."""
    CONNECTING = auto()
    """Connecting to the server, up to the header of its stream. The client is held, so it sends no message."""
    OPEN = auto()
    """Both streams are open."""
    CLIENT_CLOSED = auto()
    """The client has sent <close/>. The server has been told, and has not ended its stream yet."""
    CLOSING = auto()
    """We have sent <close/> to the client, which has not answered. The server's connection is gone."""
    OVER = auto()
    """Both sides have sent <close/>, or the WebSocket is gone."""


@implementer(IPushProducer)
class XmppGateway:
    """The bridge of one client. Raises nothing: every error ends the client's stream with a reason."""

    def __init__(
        self,
        upstream: Upstream,
        webSocket: GatewayWebSocket,
        closeTimeout: float,
        source: tuple[str, int],
        beginSpan: Callable[[], Span | None] = lambda: None,
    ) -> None:
        self._upstream = upstream
        self._webSocket = webSocket
        self._closeTimeout = closeTimeout
        """Seconds to wait for the end of either stream."""
        self._source = source
        """The client's address and port."""
        self._beginSpan = beginSpan
        self._span: Span | None = None
        """The opening of the server's stream, while that is under way; None without traces."""
        self._state = BridgeState.WAITING
        self._domain = ""
        """The domain of the first <open/>."""
        self._connection: UpstreamProtocol | None = None
        self._isClientHeld = False
        """Whether the client is not read."""
        self._isServerHeld = False
        """Whether the server is not read, because the client reads too slowly."""
        self._timer: IDelayedCall | None = None
        self._setTimer(_OPEN_TIMEOUT)

    # -- the client -----------------------------------------------------------------------------------------------

    def received(self, message: bytes) -> None:
        """Called with each text message."""
        if self._state is BridgeState.OVER:
            return
        try:
            element = parse(message, self._upstream.limits)
            if self._state is BridgeState.CLOSING:
                if (element.ns, element.name) == (FRAMING, "close"):
                    self._finish()
            elif element.ns == FRAMING:
                self._framing(element)
            else:
                self._forward(element, message)
        except StreamError as error:
            self._fail(error)

    def _framing(self, element: Element) -> None:
        if element.name == "close":
            self._clientClosed()
        elif element.name != "open":
            raise StreamError("bad-format", "a stream begins with <open/> and ends with <close/>")
        elif self._state in (BridgeState.WAITING, BridgeState.OPEN):
            self._clientOpened(element)

    def _clientOpened(self, element: Element) -> None:
        try:
            domain = parseJid(element.get("to")).full
        except ValueError:
            raise StreamError("improper-addressing", "the attribute to must be a domain") from None
        header = streamHeader(domain, element)
        if self._connection is None:
            self._domain = domain
            self._connect(header)
        elif domain != self._domain:
            raise StreamError("not-authorized", f"the login was for {self._domain}")
        else:
            # After the login a new stream begins on the same connection (RFC 6120 6.4.6).
            self._connection.begin(header)

    def _clientClosed(self) -> None:
        if self._state is BridgeState.OPEN and self._connection is not None:
            self._state = BridgeState.CLIENT_CLOSED
            self._connection.write(STREAM_END)
            self._setTimer(self._closeTimeout)
        elif self._state is not BridgeState.CLIENT_CLOSED:
            self._state = BridgeState.CLIENT_CLOSED
            self._close()

    def _forward(self, element: Element, message: bytes) -> None:
        if self._state is BridgeState.OPEN and self._connection is not None:
            checkForServer(element)
            self._connection.write(message.decode())
        elif self._state is not BridgeState.CLIENT_CLOSED:
            raise StreamError("invalid-namespace", f"a stream begins with <open/>, whose namespace is {FRAMING}")

    def ponged(self, payload: bytes) -> None:
        """Called with each pong, which concerns the WebSocket alone."""

    # -- connecting -----------------------------------------------------------------------------------------------

    def _connect(self, header: str) -> None:
        self._state = BridgeState.CONNECTING
        self._span = self._beginSpan()
        self._hold()
        self._setTimer(CONNECT_TIMEOUT)
        connecting = self._upstream.connect(self, self._domain, self._source)
        connecting.addCallbacks(self._connected, self._refused, callbackArgs=(header,))
        connecting.addErrback(self._broken)

    def _connected(self, connection: UpstreamProtocol, header: str) -> None:
        if self._state is not BridgeState.CONNECTING:
            connection.end()
            return
        self._connection = connection
        if self._isServerHeld:
            connection.pauseReading()
        connection.begin(header)

    def _refused(self, failure: Failure) -> None:
        self.upstreamFailed(failure.getErrorMessage())

    def _broken(self, failure: Failure) -> None:
        """Called for an error of the gateway itself: log it and close, or the client would wait for ever."""
        self._webSocket.log.failure("the gateway failed", failure, event="connection.error")
        self.lost()
        self._webSocket.finish()

    # -- the server -----------------------------------------------------------------------------------------------

    def streamBegan(self, header: Element) -> None:
        """Called when the server's stream has begun: the client's begins as well."""
        self._webSocket.text(openOf(header))
        self._endSpan()
        if self._state is BridgeState.CONNECTING:
            self._state = BridgeState.OPEN
            self._stopTimer()
            self._release()

    def elementReceived(self, element: Element) -> None:
        """Called with each element of the server."""
        if element.ns != STREAMS:
            self._webSocket.text(element.toXml())
        elif element.name == "features":
            self._webSocket.text(featuresForClient(element).toXml())
        elif self._state is BridgeState.CONNECTING:
            self._endSpan("stream_error")
            self._openForClient()
            self._webSocket.text(element.toXml())
            self._close()
        else:
            self._webSocket.text(element.toXml())

    def streamEnded(self) -> None:
        """Called when the server has ended its stream."""
        self._endSpan("stream_ended")
        self._openForClient()
        self._close()

    def upstreamFailed(self, reason: str) -> None:
        """Called when the server cannot be reached, or not safely, or does not send XMPP."""
        self._webSocket.log.warn(
            "the XMPP server at {upstream} cannot be reached: {sentence}",
            event="xmpp.upstream",
            upstream=self._upstream.options.upstream,
            sentence=reason,
        )
        self._endSpan("unreachable")
        self._fail(StreamError("remote-connection-failed", "the upstream server cannot be reached"))

    def upstreamLost(self, reason: str) -> None:
        """Called when the server's connection is gone."""
        if self._state is BridgeState.CLIENT_CLOSED:
            self._close()
        else:
            self.upstreamFailed(reason)

    # -- the end --------------------------------------------------------------------------------------------------

    def _fail(self, error: StreamError) -> None:
        """End the client's stream with an error (RFC 6120 4.9.1.1)."""
        if self._state in (BridgeState.CLOSING, BridgeState.OVER):
            return
        self._openForClient()
        self._webSocket.text(error.element().toXml())
        self._close()

    def _openForClient(self) -> None:
        """Open the client's stream if it is not open: errors and the end are part of a stream (RFC 6120 4.9.1.2)."""
        if self._state in (BridgeState.WAITING, BridgeState.CONNECTING):
            self._webSocket.text(openAlone(self._domain))

    def _close(self) -> None:
        """Send <close/>, and wait for the client's unless it has come (RFC 7395 3.6)."""
        hasClientClosed = self._state is BridgeState.CLIENT_CLOSED
        self._state = BridgeState.CLOSING
        self._webSocket.text(closeTag())
        self._endConnection("" if hasClientClosed else STREAM_END)
        self._release()
        if hasClientClosed:
            self._finish()
        else:
            self._setTimer(self._closeTimeout)

    def _endConnection(self, last: str = "") -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end(last)

    def _finish(self) -> None:
        self.lost()
        self._webSocket.finish()

    def lost(self) -> None:
        """
        Called when the WebSocket is gone.

        The server is not told that the stream ends, so that it keeps a session that can be resumed (XEP-0198 5).
        """
        self._state = BridgeState.OVER
        self._endSpan("client_left")
        self._stopTimer()
        self._endConnection()

    def _endSpan(self, error: str | None = None) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.end(error)

    # -- time -----------------------------------------------------------------------------------------------------

    def _setTimer(self, seconds: float) -> None:
        self._stopTimer()
        self._timer = self._upstream.reactor.callLater(seconds, self._timedOut)

    def _stopTimer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timedOut(self) -> None:
        self._timer = None
        if self._state is BridgeState.WAITING:
            self._fail(StreamError("connection-timeout", "a stream begins with <open/>"))
        elif self._state is BridgeState.CONNECTING:
            self._endSpan("timeout")
            self._fail(StreamError("remote-connection-failed", "the upstream server does not answer"))
        elif self._state is BridgeState.CLIENT_CLOSED:
            self._close()
        else:
            self._finish()

    # -- flow control ---------------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Called when the server reads too slowly: read nothing more from the client."""
        self._hold()

    def resumeProducing(self) -> None:
        """Called when the server reads again."""
        if self._state is not BridgeState.CONNECTING:
            self._release()

    def stopProducing(self) -> None:
        """Called when the server's connection is gone; `upstreamLost` follows."""

    def full(self) -> None:
        """Called when the client reads too slowly: read nothing more from the server."""
        self._isServerHeld = True
        if self._connection is not None:
            self._connection.pauseReading()

    def drained(self) -> None:
        """Called when the client reads again."""
        self._isServerHeld = False
        if self._connection is not None:
            self._connection.resumeReading()

    def _hold(self) -> None:
        if not self._isClientHeld:
            self._isClientHeld = True
            self._webSocket.hold()

    def _release(self) -> None:
        if self._isClientHeld:
            self._isClientHeld = False
            self._webSocket.release()
