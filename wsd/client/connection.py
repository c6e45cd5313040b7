"""The client's side of a WebSocket (RFC 6455 4.1): connects, and reports each failure in one sentence."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn, TypeVar
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from autobahn.websocket.types import ConnectingRequest, ConnectionResponse
from twisted.internet.defer import Deferred, DeferredQueue, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as ConnectRefused
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from wsd import __version__
from wsd.client.url import readUrl
from wsd.config.values import printable
from wsd.frames.codes import CloseCode

_T = TypeVar("_T")

OPENING = 5.0
"""Seconds to wait for the connection, and for the handshake."""
ANSWER = 10.0
"""Seconds to wait for each answer, and for the close."""
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_OPAQUE = re.compile(rb"[^\t\r\n -~]")
"""A byte that is not printable ASCII, and does not end a line."""
_PASSWORD = re.compile(r"(?<=^Authorization: Basic ).*", re.IGNORECASE)
NO_ANSWER = "no answer came within {:g} seconds"
"""The sentence of a time-out, for `withTimeout`."""

WIDTH = 200
"""Characters of a message that are shown."""


class Unanswered(Exception):
    """The server gave no answer, or a wrong one. The message is one sentence, which also says what may help."""


def addTrust(parser: ArgumentParser) -> None:
    """Add the options that say which certificates are trusted."""
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="FILE", help="trust the certificates in this PEM file, and no others")
    trust.add_argument("--insecure", action="store_true", help="do not check the server's certificate")


def withTimeout(deferred: Deferred[_T], reactor: Any, seconds: float, sentence: str) -> Deferred[_T]:
    """Make a Deferred fail with `Unanswered` and this sentence after `seconds`. Returns it."""

    def fail(result: object, seconds: float) -> NoReturn:
        raise Unanswered(sentence.format(seconds))

    return deferred.addTimeout(seconds, reactor, onTimeoutCancel=fail)


async def connect(
    reactor: Any, arguments: Namespace, subprotocols: Sequence[str], kind: type[ClientConnection] | None = None
) -> ClientConnection:
    """Connect to `arguments.url`, and begin a handshake that offers these subprotocols. Raises `Unanswered`."""
    kind = kind or ClientConnection
    try:
        url, headers = readUrl(arguments.url)
        factory = WebSocketClientFactory(
            url, protocols=list(subprotocols), useragent=f"wsd/{__version__}", headers=headers, reactor=reactor
        )
        port = urlsplit(url).port or (443 if factory.isSecure else 80)
    except (ValueError, TypeError, LookupError) as error:
        raise Unanswered(f"is not the URL of a WebSocket ({error}); write ws://HOST:PORT/PATH") from None
    factory.protocol = kind
    factory.setProtocolOptions(
        openHandshakeTimeout=0,
        perMessageCompressionOffers=[PerMessageDeflateOffer()] if kind.deflates else [],
        perMessageCompressionAccept=_acceptDeflate,
    )
    endpoint: Any = HostnameEndpoint(reactor, factory.host, port, OPENING)
    if factory.isSecure:
        endpoint = wrapClientTLS(_trust(factory.host, arguments), endpoint)
    server = f"{factory.host} port {port}"
    try:
        connection: ClientConnection = await endpoint.connect(factory)
    except ConnectRefused:
        raise Unanswered(f"refused: nothing listens at {server}; start the daemon, or look at the port") from None
    except DNSLookupError:
        raise Unanswered(f"there is no host {factory.host}; look for a slip in its name") from None
    except ConnectTimedOut:
        raise Unanswered(f"{server} does not answer within {OPENING:g} seconds") from None
    except ConnectError as error:
        raise Unanswered(f"{server} cannot be reached: {error}") from None
    return connection


def _acceptDeflate(response: object) -> PerMessageDeflateResponseAccept | None:
    return PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None


def _trust(host: str, arguments: Namespace) -> Any:
    """TLS options that trust the system's authorities, those of --ca, or with --insecure any certificate."""
    # Imported late: a connection without TLS does not load these libraries.
    from OpenSSL.SSL import Error as SSLError
    from twisted.internet import ssl

    if arguments.insecure:
        return ssl.CertificateOptions(verify=False)
    if arguments.ca is None:
        return ssl.optionsForClientTLS(host)
    try:
        with open(arguments.ca, "rb") as file:
            pieces = file.read().split(_BEGIN)[1:]
        roots = [ssl.Certificate.loadPEM(_BEGIN + piece) for piece in pieces]
    except OSError as error:
        raise Unanswered(f"--ca: {arguments.ca} cannot be read: {error.strerror}") from None
    except SSLError:
        roots = []
    if not roots:
        raise Unanswered(f"--ca: {arguments.ca} has no certificate in it that can be read; name a PEM file")
    return ssl.optionsForClientTLS(host, trustRoot=ssl.trustRootFromCertificates(roots))


class ClientConnection(WebSocketClientProtocol):
    """One connection, whose events can be awaited."""

    showsHeads: ClassVar[bool] = True
    """Whether the handshake is printed."""
    deflates: ClassVar[bool] = True
    """Whether compression is offered."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        """Fires when the handshake is complete; fails with `Unanswered`."""
        self.closed: Deferred[str] = Deferred()
        """Fires when the connection has ended, with the close code and the reason as text."""
        self._answers: DeferredQueue[tuple[bytes, bool, float] | Unanswered] = DeferredQueue()
        self._head: bytes | None = None
        self._refused: str | None = None
        self._lost: BaseException | None = None

    async def _receive(self) -> tuple[bytes, bool, float]:
        answer = await self._answers.get()
        if isinstance(answer, Unanswered):
            raise answer
        return answer

    def receive(self) -> Deferred[tuple[bytes, bool, float]]:
        """Receive a message: its payload, whether it is binary, and when it arrived. Fails with `Unanswered`."""
        return ensureDeferred(self._receive())

    def close(self) -> None:
        """Begin the closing handshake (RFC 6455 7.1.2)."""
        if not self.closed.called:
            # Autobahn takes no IntEnum.
            self.sendClose(CloseCode.NORMAL_CLOSURE.value)

    def onConnecting(self, details: object) -> ConnectingRequest:
        """Called for the opening request. Puts an IPv6 address in brackets, as RFC 3986 3.2.2 requires."""
        factory = self.factory
        host = f"[{factory.host}]" if ":" in factory.host else factory.host
        return ConnectingRequest(
            host=host,
            port=factory.port,
            resource=factory.resource,
            headers=factory.headers,
            useragent=factory.useragent,
            protocols=factory.protocols,
        )

    def processHandshake(self) -> None:
        """
        Replace the non-ASCII bytes of the response, which are opaque (RFC 9110 5.5), before Autobahn reads it.

        Autobahn would decode them as UTF-8, and split lines at characters that do not end a line.
        """
        end = self.data.find(b"\r\n\r\n")
        if end >= 0:
            self._head = self.data[:end]
            self.data = _OPAQUE.sub(b"?", self._head) + self.data[end:]
        super().processHandshake()

    def onConnect(self, response: ConnectionResponse) -> None:
        """Called when the server has accepted the handshake."""
        if not self.showsHeads:
            return
        self._showHeads()
        print(f"subprotocol: {printable(response.protocol or 'none')}")
        print(f"extensions: {printable(response.headers.get('sec-websocket-extensions', 'none'))}")

    def onOpen(self) -> None:
        """Called when messages may be sent."""
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Called for each message."""
        self._answers.put((payload, isBinary, self.factory.reactor.seconds()))

    def failHandshake(self, reason: str) -> None:
        """Called when the server refuses, or is no WebSocket server. Keeps its status and its first line of text."""
        if self.showsHeads:
            self._showHeads()
        seen, _, body = self.data.partition(b"\r\n\r\n")
        head = seen if self._head is None else self._head
        status = head.split(b" ", 1)[-1].split(b"\r\n")[0].decode("latin-1")
        line = body.decode("utf-8", "replace").strip().split("\n")[0] if b"text/plain" in head.lower() else ""
        if status[:3].isdigit() and not status.startswith("101"):
            self._refused = f"refused with {printable(status)}" + (f": {printable(line[:WIDTH])}" if line else "")
        else:
            self._refused = f"is no WebSocket server: {printable(reason)}"
        super().failHandshake(reason)

    def _showHeads(self) -> None:
        answer, _, _ = self.data.partition(b"\r\n\r\n")
        for mark, head in ((">", self.http_request_data), ("<", self._head or answer)):
            for line in head.decode("latin-1").strip("\r\n").split("\r\n"):
                print(f"{mark} {printable(_PASSWORD.sub('...', line))}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called when the connection is gone; Autobahn calls `onClose` next."""
        self._lost = reason.value
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Called at the end: every Deferred that is still pending fires or fails."""
        said = "without a code" if code in (None, CloseCode.NO_STATUS_RECEIVED) else str(code)
        said += (f" {printable(reason)}" if reason and wasClean else "") + ("" if wasClean else ", not clean")
        if not self.opened.called:
            self.opened.errback(Unanswered(self._refused or self._broken()))
        self._answers.put(Unanswered(f"the server closed instead of answering: {said}"))
        if not self.closed.called:
            self.closed.callback(said)

    def _broken(self) -> str:
        """A sentence that says why the connection was lost before the handshake was complete."""
        if isinstance(self._lost, ConnectionDone):
            return "the server closed without an answer; does it want TLS (wss://)?"
        if self.factory.isSecure and isinstance(self._lost, ConnectionLost):
            return "the server broke off instead of speaking TLS; does it want ws://?"
        text = str(self._lost)
        if "certificate verify failed" in text or "VerificationError" in type(self._lost).__name__:
            return (
                "its certificate is not trusted here, or is for another name; "
                "--ca FILE trusts it, --insecure does not ask"
            )
        if "SSL" in text or "TLS" in text:
            return "it does not speak TLS as we do; try ws://, or look at its certificate and port"
        return f"the connection broke off: {printable(text)}"
