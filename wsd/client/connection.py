"""The client's side of a WebSocket (RFC 6455 4.1): connects, and reports each failure in one sentence."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from autobahn.websocket.types import ConnectionResponse
from twisted.internet.defer import Deferred, DeferredQueue, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as ConnectRefused
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from wsd import __version__
from wsd.client.failures import ExitStatus, Unanswered, withTimeout
from wsd.client.proxy import ProxyEndpoint
from wsd.client.refusal import Response
from wsd.client.target import Target
from wsd.client.trust import tlsOptions
from wsd.client.url import readUrl
from wsd.config.values import printable
from wsd.frames.codes import CloseCode

_Kind = TypeVar("_Kind", bound="ClientConnection")

OPENING = 5.0
"""Seconds to wait for the connection, and for the handshake."""
ANSWER = 10.0
"""Seconds to wait for each answer, and for the close."""
_BODY = 2.0
"""Seconds to wait for the body of a refusal."""
_OPAQUE = re.compile(rb"[^\t\r\n -~]")
"""A byte that is not printable ASCII, and does not end a line."""
_SECRET = re.compile(r"^(Authorization: (?:\S+ )?).*", re.IGNORECASE)
_HIDDEN = r"\1..."


class _Factory(WebSocketClientFactory):
    """Makes the one connection to a target."""

    headers: dict[str, str]

    def __init__(self, reactor: Any, target: Target, kind: type[ClientConnection]) -> None:
        url, credentials = readUrl(target.url)
        super().__init__(url, protocols=list(target.subprotocols), reactor=reactor)
        parts = urlsplit(url)
        self.port = parts.port or (443 if self.isSecure else 80)
        self.fields = [*credentials.items(), *target.headers]
        """The header fields that the target adds."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = host if parts.port is None else f"{host}:{self.port}"
        self.protocol = kind
        self.offers = [PerMessageDeflateOffer()] if kind.deflates else []
        self.setProtocolOptions(
            openHandshakeTimeout=0,
            closeHandshakeTimeout=kind.closingTimeout,
            failByDrop=False,
            perMessageCompressionOffers=self.offers,
            perMessageCompressionAccept=_acceptDeflate,
        )


def _acceptDeflate(response: object) -> PerMessageDeflateResponseAccept | None:
    return PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None


async def connect(reactor: Any, target: Target, kind: type[_Kind]) -> _Kind:
    """Connect, and begin the handshake. Returns the connection before it is open. Raises `Unanswered`."""
    try:
        factory = _Factory(reactor, target, kind)
    except (ValueError, TypeError, LookupError) as error:
        raise Unanswered(f"is not a WebSocket URL ({error}); write ws://HOST:PORT/PATH", ExitStatus.USAGE) from None
    proxy = target.proxy
    host, port = (factory.host, factory.port) if proxy is None else (proxy.host, proxy.port)
    endpoint: Any = HostnameEndpoint(reactor, host, port, OPENING)
    if proxy is not None:
        endpoint = ProxyEndpoint(endpoint, proxy, factory.host, factory.port)
    if factory.isSecure:
        endpoint = wrapClientTLS(tlsOptions(factory.host, target.trust), endpoint)
    place = f"{host} port {port}" if proxy is None else str(proxy)
    try:
        connection: _Kind = await withTimeout(
            endpoint.connect(factory), reactor, 2 * OPENING, f"{place} did not answer within {{:g}} seconds"
        )
    except ConnectRefused:
        raise Unanswered(f"refused: nothing listens at {place}; start the daemon, or check the port") from None
    except DNSLookupError:
        raise Unanswered(f"the host {host} was not found; check its name") from None
    except ConnectTimedOut:
        raise Unanswered(f"{place} did not answer within {OPENING:g} seconds") from None
    except ConnectError as error:
        raise Unanswered(f"{place} cannot be reached: {error}") from None
    return connection


class ClientConnection(WebSocketClientProtocol):
    """One connection, whose events can be awaited."""

    deflates: ClassVar[bool] = True
    """Whether compression is offered."""
    closingTimeout: ClassVar[float] = 1
    """Seconds in which the server has to complete a close; 0 waits for it without end."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        """Fires when the handshake is complete; fails with `Unanswered`."""
        self.closed: Deferred[str] = Deferred()
        """Fires when the connection has ended, with the close code and the reason as text."""
        self.fault: str | None = None
        """What the server did wrong, if this client ended the connection because of it."""
        self.extensions = ""
        """The extensions that were agreed on."""
        self._answers: DeferredQueue[tuple[bytes, bool, float] | Unanswered] = DeferredQueue()
        self._head: bytes | None = None
        self._refused: Unanswered | None = None
        self._lost: BaseException | None = None
        self._body: IDelayedCall | None = None

    async def _receive(self) -> tuple[bytes, bool, float]:
        answer = await self._answers.get()
        if isinstance(answer, Unanswered):
            raise answer
        return answer

    def receive(self) -> Deferred[tuple[bytes, bool, float]]:
        """Receive a message: its payload, whether it is binary, and when it arrived. Fails with `Unanswered`."""
        return ensureDeferred(self._receive())

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the closing handshake (RFC 6455 7.1.2). `code` is one that may be sent."""
        if not self.closed.called:
            # Autobahn's sendClose takes only 1000 and 3000 to 4999. Its sendCloseFrame takes no IntEnum.
            self.sendCloseFrame(int(code), reason.encode() if reason else None, False)

    @property
    def heads(self) -> list[str]:
        """The lines of the handshake, those sent with `>` and those received with `<`; passwords are left out."""
        answer, _, _ = self.data.partition(b"\r\n\r\n")
        return [
            f"{mark} {printable(_SECRET.sub(_HIDDEN, line))}"
            for mark, head in ((">", self.http_request_data), ("<", self._head or answer))
            for line in head.decode("latin-1").strip("\r\n").split("\r\n")
        ]

    # -- the handshake ------------------------------------------------------------------------------------------------

    def startHandshake(self) -> None:
        """Send the opening request. Header fields of the target take the place of our own."""
        factory = self.factory
        self.websocket_key = b64encode(os.urandom(16))
        own = {
            "Host": factory.authority,
            "User-Agent": f"wsd/{__version__}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": self.websocket_key.decode(),
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": ",".join(factory.protocols),
            "Sec-WebSocket-Extensions": ",".join(each.get_extension_string() for each in factory.offers),
        }
        given = {name.lower() for name, _ in factory.fields}
        fields = [(name, value) for name, value in own.items() if value and name.lower() not in given]
        lines = [f"GET {factory.resource} HTTP/1.1", *(f"{name}: {value}" for name, value in fields + factory.fields)]
        self.http_request_data = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
        self.sendData(self.http_request_data)

    def processHandshake(self) -> None:
        """
        Read the response. If it is a refusal, its body is waited for.

        Non-ASCII bytes of its head, which are opaque (RFC 9110 5.5), are replaced before Autobahn reads it: it would
        decode them as UTF-8, and split lines at characters that do not end a line.
        """
        end = self.data.find(b"\r\n\r\n")
        if end < 0 or self._refused is not None:
            return
        response = Response(self.data)
        if response.code is not None and response.code != 101 and not response.isWhole:
            if self._body is None:
                self._body = self.factory.reactor.callLater(_BODY, self._refuse)
            return
        if response.code != 101:
            self._refuse()
            return
        self._head = self.data[:end]
        self.data = _OPAQUE.sub(b"?", self._head) + self.data[end:]
        super().processHandshake()

    def _refuse(self) -> None:
        self._noteRefusal()
        self.failHandshake("refused")

    def _noteRefusal(self) -> None:
        self._forgetBody()
        self._refused = Response(self.data).refusal()

    def _forgetBody(self) -> None:
        body, self._body = self._body, None
        if body is not None and body.active():
            body.cancel()

    def failHandshake(self, reason: str) -> None:
        """Called when the server refuses, or when its answer is wrong."""
        if self._refused is None:
            self._refused = Unanswered(f"is not a WebSocket server, or a broken one: {printable(reason)}")
            super().failHandshake(reason)

    # -- the connection -----------------------------------------------------------------------------------------------

    def onConnect(self, response: ConnectionResponse) -> None:
        """Called when the server has accepted the handshake."""
        self.extensions = response.headers.get("sec-websocket-extensions", "")

    def onOpen(self) -> None:
        """Called when messages may be sent."""
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Called for each message."""
        self._answers.put((payload, isBinary, self.factory.reactor.seconds()))

    def _fail_connection(self, code: int = CloseCode.GOING_AWAY, reason: str = "going away") -> None:
        self.fault = self.fault or reason
        super()._fail_connection(int(code), reason)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called when the connection is gone; Autobahn calls `onClose` next."""
        self._lost = reason.value
        if self._body is not None:
            self._noteRefusal()
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Called at the end: every Deferred that is still pending fires or fails."""
        said = "without a code" if code in (None, CloseCode.NO_STATUS_RECEIVED) else str(code)
        if not wasClean:
            said += ", without a closing handshake"
        elif reason:
            said += f" {printable(reason)}"
        if not self.opened.called:
            self.opened.errback(self._refused or Unanswered(self._broken()))
        self._answers.put(Unanswered(f"the server closed instead of answering: {said}", ExitStatus.ABNORMAL))
        if not self.closed.called:
            self.closed.callback(said)

    def _broken(self) -> str:
        """A sentence that says why the connection was lost before the handshake was complete."""
        if isinstance(self._lost, ConnectionDone):
            return "the server closed the connection without an answer; does it expect TLS (wss://)?"
        if self.factory.isSecure and isinstance(self._lost, ConnectionLost):
            return "the server closed the connection during the TLS handshake; does it expect ws://?"
        text = str(self._lost)
        if "certificate verify failed" in text or "VerificationError" in type(self._lost).__name__:
            return (
                "its certificate is not trusted, or is for another name; "
                "trust it with --ca FILE, or skip the check with --insecure"
            )
        if "SSL" in text or "TLS" in text:
            return "the TLS handshake failed; try ws://, or check its certificate and port"
        return f"the connection was lost: {printable(text)}"
