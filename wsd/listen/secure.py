"""
TLS on an accepted connection: a transport to what stands above it, a protocol to the transport or PROXY reader below.

What arrives in one read is delivered as one, and what is written meanwhile leaves as one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from twisted.internet import main
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import classImplements

from wsd.listen.hello import Hello, HelloReader, TooLong
from wsd.listen.records import Records, reasonOf
from wsd.listen.transport import LATER, READ
from wsd.policies.address import TlsInfo

ALPN = "http/1.1"
"""What is spoken here: WebSockets over HTTP/2 are not."""

_JOINED = 64 * 1024
"""What is gathered is joined up to this size; from there on it is sent, though a read is still being delivered."""

_PORTION = 256 * 1024
"""What is enciphered at a time."""

_NO_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"
"""The fatal alert no_application_protocol (RFC 7301 3.2)."""

_TOO_LONG = b"\x15\x03\x03\x00\x02\x02\x2f"
"""The fatal alert illegal_parameter, which OpenSSL also sends for an excessively long message."""

_SENTENCE = b"this port speaks TLS; open it with wss:// or https://\n"
_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b" % (len(_SENTENCE), _SENTENCE)
)

_PASSED = {"setWaterMarks", "setKept", "via", "waited"}
_PASSED |= {"getTcpNoDelay", "setTcpNoDelay", "getTcpKeepAlive", "setTcpKeepAlive"}
"""What is the transport's below, if it has it."""

_log = Logger(namespace="wsd")

Choose = Callable[[Hello], ssl.SSLContext]
"""Gives a client the context for what it asks for."""


class SecureTransport:
    """
    One connection. The protocol above is connected before the handshake; what it writes meanwhile waits for that.

    Interfaces are Twisted's; `wire` tells of the transport below where that is the house's own. A peer that ends
    without TLS's own goodbye (close_notify, RFC 8446 6.1) is lost, not done: what it sent may have been cut.
    """

    copies = False
    """Whether large data that is written is copied."""

    __slots__ = (
        "_below",
        "_bytes",
        "_choose",
        "_gathered",
        "_hello",
        "_isDeaf",
        "_isEnded",
        "_isOpen",
        "_isRefused",
        "_producer",
        "_pulls",
        "_receiver",
        "_records",
        "_saidGoodbye",
        "_sni",
        "_socket",
        "_tell",
        "_wire",
        "connected",
        "disconnecting",
        "protocol",
        "sent",
    )

    def __init__(self, choose: Choose, protocol: Any) -> None:
        self.protocol = protocol
        self.connected = False
        self.disconnecting = False
        self.sent = 0
        self._choose = choose
        self._receiver: Any = None
        self._gathered: list[bytes] | None = []
        self._bytes = 0
        self._hello: HelloReader | None = HelloReader()
        self._sni: str | None = None
        self._records: Any = None
        self._producer: Any = None
        self._socket: Any = None
        self._tell: Any = None
        self._isOpen = self._isRefused = self._isDeaf = self._isEnded = self._saidGoodbye = self._pulls = False

    # -- the transport below calls --------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """Stand on this transport, or on what a PROXY header has told of it."""
        self._below = transport
        self._wire: Any = getattr(transport, "wire", None)
        self.connected = True
        if self._wire is not None:
            self._wire.setReceiver(self)
        self.protocol.makeConnection(self)

    def attach(self, socket: Any) -> None:
        """The socket that `doRead` reads from, and that is sent to while nothing waits below."""
        self._socket = socket

    def doRead(self) -> BaseException | None:
        """Read once and deliver it; what is returned is why the connection is lost."""
        try:
            data = self._socket.recv(READ)
        except OSError as error:
            return None if error.errno in LATER else main.CONNECTION_LOST
        if not data:
            return main.CONNECTION_DONE
        self.feed(data)
        return None

    def dataReceived(self, data: bytes) -> None:
        """What the peer sent."""
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Decipher what was read and deliver it; what is written meanwhile leaves as one."""
        if not self._isOpen:
            rest = self._shake(data)
            if rest is None:
                return
            data = rest
        records = self._records
        if records is None or records.isOver:
            return
        plain = records.decipher(data)
        if plain and not self._isDeaf:
            self._gathered = []
            try:
                self._deliver(plain)
            finally:
                self._flush()
        elif self.connected and (said := records.said()):
            self._send(said)
        if (records.isOver or self._isEnded) and self.connected:
            self._ended()

    def _deliver(self, plain: bytes) -> None:
        """To the receiver, or to the protocol while none is set."""
        if self._receiver is not None:
            self._receiver.dataReceived(plain)
        else:
            self.protocol.dataReceived(plain)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; without a goodbye it is cut."""
        if not self.connected:
            return
        if not self._isOpen and not self._isRefused and (self._hello is None or self._hello.received):
            self._tellRefused("the client went away")
        if self._isOpen and not self._records.isOver and not self._saidGoodbye and reason.check(ConnectionDone):
            reason = Failure(ConnectionLost("the peer ended without TLS's close_notify"))
        self.connected = False
        self._records = self._gathered = self._producer = self._socket = None
        self._receiver = None
        protocol, self.protocol = self.protocol, None
        self._tell = None
        protocol.connectionLost(reason)

    def __conform__(self, interface: Any) -> SecureTransport | None:
        """The peer may close its half if the protocol allows it, or if nothing more is delivered."""
        if interface is not IHalfCloseableProtocol or not self.connected or not self._isOpen:
            return None
        return self if self._isDeaf or IHalfCloseableProtocol(self.protocol, None) is not None else None

    def readConnectionLost(self) -> None:
        """The peer has closed its half, with close_notify or without. It still gets what is written to it."""
        self._isEnded = True
        if self._isDeaf:
            if self._saidGoodbye:
                self._below.loseConnection()
        elif not self._records.isOver:
            IHalfCloseableProtocol(self.protocol).readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Our half is closed."""

    # -- the handshake --------------------------------------------------------------------------------------------

    def _shake(self, data: bytes) -> bytes | None:
        """Go on with the handshake: what came behind it when it is done."""
        if self._isRefused or not self.connected:
            return None
        if self._hello is not None:
            begun = self._greet(self._hello, data)
            if begun is None:
                return None
            data = begun
        try:
            rest: bytes | None = self._records.shake(data)
        except ssl.SSLError as error:
            self._refuse(reasonOf(error), _PLAIN if error.reason == "HTTP_REQUEST" else self._records.said())
            return None
        self._below.write(self._records.said())
        if rest is not None:
            self._isOpen = True
            self._flush()
            if self.disconnecting and self._producer is None:
                self._sayGoodbye()
        return rest

    def _greet(self, reader: HelloReader, data: bytes) -> bytes | None:
        """All received bytes once the hello is complete and accepted; None before, and if it is refused."""
        try:
            hello = reader.feed(data)
        except TooLong as fault:
            self._refuse(str(fault), _TOO_LONG)
            return None
        if hello is None or not self._begin(hello):
            return None
        self._hello = None
        return bytes(reader.received)

    def _begin(self, hello: Hello) -> bool:
        """The client has said what it wants: choose, unless it wants what is not spoken."""
        if hello.protocols is not None and ALPN.encode() not in hello.protocols:
            self._refuse(f"no application protocol in common, only {ALPN} is spoken", _NO_PROTOCOL)
            return False
        self._sni = hello.name
        self._records = Records(self._choose(hello))
        return True

    @property
    def isOpen(self) -> bool:
        """Whether the handshake is done."""
        return bool(self._isOpen)

    def giveUp(self, seconds: float) -> None:
        """The handshake was not done in time: end at once."""
        self._isRefused = True
        self._tellRefused(f"no complete handshake came within {seconds:g} seconds")
        self._below.abortConnection()

    def _refuse(self, reason: str, answer: bytes) -> None:
        self._isRefused = True
        self._tellRefused(reason)
        self._below.write(answer)
        self._below.loseConnection()

    def _tellRefused(self, reason: str) -> None:
        peer = getattr(self.getPeer(), "host", "unix")
        _log.info("no TLS with {peer}: {reason}", event="tls.refused", peer=peer, reason=reason)

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send, once the handshake is done."""
        if not isinstance(data, bytes):
            raise TypeError(f"a transport writes bytes, not {type(data).__name__}")
        if data:
            self._write((data,), len(data))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send several pieces in order."""
        pieces = [piece for piece in iovec if piece]
        if pieces:
            self._write(pieces, sum(map(len, pieces)))

    def _write(self, pieces: Iterable[bytes], size: int) -> None:
        if not self.connected or self._saidGoodbye:
            return
        if self._gathered is None:
            self._seal(list(pieces))
            return
        self._gathered += pieces
        self._bytes += size
        if self._bytes > _JOINED and self._isOpen:
            self._flush()
            self._gathered = []

    def _flush(self) -> None:
        """Send what was gathered."""
        gathered, self._gathered, self._bytes = self._gathered, None, 0
        if gathered and self.connected:
            self._seal(gathered)

    def _seal(self, pieces: list[bytes]) -> None:
        """Encipher, and send."""
        if len(pieces) > 1 and sum(map(len, pieces)) <= _JOINED:
            pieces = [b"".join(pieces)]
        # Held in a local variable: reporting that too much waits may lose the connection.
        records = self._records
        try:
            for piece in pieces:
                if len(piece) <= _PORTION:
                    self._send(records.seal(piece))
                    continue
                view = memoryview(piece)
                for start in range(0, len(piece), _PORTION):
                    self._send(records.seal(view[start : start + _PORTION]))
        except ssl.SSLError:
            records.isOver = records.isBroken = True
            self._below.abortConnection()

    def _send(self, data: bytes) -> None:
        """Send at once if nothing waits before it, the rest through the transport below."""
        if self._socket is not None and not self._wire.unsent and not self._pulls:
            try:
                sent = self._socket.send(data)
            except OSError:
                # It is met again, and reported, by the transport.
                sent = 0
            self.sent += sent
            if sent == len(data):
                return
            data = data[sent:]
        self._below.write(data)
        if self._tell is not None and self._wire.unsent:
            self._wire.tellUnsent(self._tell)

    # -- what waits -----------------------------------------------------------------------------------------------

    @property
    def wire(self) -> Any:
        """Where `unsent`, `written` and `acknowledged` are told, if the transport below does."""
        if self._wire is None:
            raise AttributeError("wire")
        return self

    @property
    def unsent(self) -> int:
        """Bytes that wait: enciphered ones, and those that are gathered."""
        return int(self._wire.unsent) + self._bytes

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Tell how many enciphered bytes wait, now and each time that some must; what is gathered goes out at once."""
        self._tell = tell
        if self._wire.unsent:
            self._wire.tellUnsent(tell)

    def written(self) -> int:
        """Bytes written since the connection began."""
        return int(self._wire.written()) + self._bytes

    def acknowledged(self) -> int:
        """Those of them that have reached the peer."""
        return int(self._wire.acknowledged())

    def setReceiver(self, receiver: Any) -> None:
        """Deliver what is deciphered to `receiver.dataReceived` from now on."""
        self._receiver = receiver

    # -- producers ------------------------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """It is told of what waits below."""
        self._producer = producer
        self._pulls = not streaming
        self._below.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """It has given all; an end that waited for it comes now."""
        self._producer = None
        self._pulls = False
        self._below.unregisterProducer()
        if self.disconnecting and self._isOpen:
            self._sayGoodbye()

    def pauseProducing(self) -> None:
        """Read no more; but the peer's goodbye is waited for."""
        if not self.disconnecting:
            self._below.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self._below.resumeProducing()

    def stopProducing(self) -> None:
        """End."""
        self.loseConnection()

    # -- ending ---------------------------------------------------------------------------------------------------

    def _ended(self) -> None:
        """The peer has said goodbye, or what it sends cannot be deciphered."""
        if self._records.isBroken:
            self._below.abortConnection()
            return
        half = None if self._isDeaf else IHalfCloseableProtocol(self.protocol, None)
        if half is not None:
            half.readConnectionLost()
        else:
            self._finish()

    def loseConnection(self) -> None:
        """End after what waits has been sent, and both have said goodbye; nothing is delivered any more."""
        if self.disconnecting or not self.connected:
            return
        if not self._isOpen and not self._gathered:
            self.abortConnection()
            return
        self.disconnecting = self._isDeaf = True
        self._below.resumeProducing()
        if self._isOpen and self._producer is None:
            self._sayGoodbye()

    def leave(self) -> None:
        """End after the waiting bytes and our close_notify have been sent, without waiting for the peer's."""
        if self._isOpen and self.connected:
            self.disconnecting = self._isDeaf = True
            self._finish()
        else:
            self.abortConnection()

    def loseWriteConnection(self) -> None:
        """Say goodbye after what waits; the peer may go on until it says so too."""
        if self._isOpen and self.connected:
            self._sayGoodbye()
            half = IHalfCloseableProtocol(self.protocol, None) if self.connected else None
            if half is not None:
                half.writeConnectionLost()

    def abortConnection(self) -> None:
        """End at once."""
        self._below.abortConnection()

    def _sayGoodbye(self) -> None:
        if self._saidGoodbye or not self.connected:
            return
        records = self._records
        self._flush()
        self._saidGoodbye = True
        self._below.write(records.sayGoodbye())
        if records.isOver and self.connected:
            self._finish()

    def _finish(self) -> None:
        """Both have said goodbye, or have to: nobody is asked for more."""
        producer, self._producer = self._producer, None
        if producer is not None:
            self._below.unregisterProducer()
            producer.stopProducing()
        self._sayGoodbye()
        self._below.loseConnection()

    # -- what is known --------------------------------------------------------------------------------------------

    @property
    def info(self) -> TlsInfo:
        """What the handshake agreed on; empty before it is done, and after the connection is gone."""
        if not self._isOpen or not self.connected:
            return TlsInfo("", "")
        tls = self._records.tls
        der = tls.getpeercert(True)
        certificate = x509.load_der_x509_certificate(der) if der else None
        return TlsInfo(
            tls.version() or "",
            (tls.cipher() or ("",))[0],
            self._sni,
            tls.selected_alpn_protocol(),
            certificate.subject.rfc4514_string() if certificate is not None else None,
            certificate.public_bytes(serialization.Encoding.PEM) if certificate is not None else None,
        )

    def getPeerCertificate(self) -> bytes | None:
        """The client's certificate in DER."""
        return self._records.tls.getpeercert(True) if self._isOpen and self.connected else None

    def getPeer(self) -> Any:
        """Who is there."""
        return self._below.getPeer()

    def getHost(self) -> Any:
        """Where they came in."""
        return self._below.getHost()

    def __getattr__(self, name: str) -> Any:
        if name in _PASSED:
            return getattr(self._below, name)
        raise AttributeError(name)


classImplements(SecureTransport, ISSLTransport, IConsumer, IPushProducer)
