"""
TLS on an accepted connection: a transport to what stands above it, a protocol to the transport or PROXY reader below.

The standard library's ssl between two memory BIOs: one recv and one send carry what a socket's own BIO takes three
calls for. What arrives in one read is delivered as one, and what is written meanwhile leaves as one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProtocolFactory,
    IPushProducer,
    ISSLTransport,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.listen.hello import Hello, readHello
from wsd.policies.address import TlsInfo

ALPN = "http/1.1"
"""What is spoken here: WebSockets over HTTP/2 are not."""

_RECORD = 16384
"""Bytes of plain text in the largest record (RFC 8446 5.1)."""

_HEAD = 5
"""Bytes before each record, the last two of them its length."""

_JOINED = 64 * 1024
"""What was gathered is joined up to this size; beyond, each piece begins a record of its own."""

_PORTION = 16
"""Records handed to the transport below at a time."""

_NO_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"
"""The fatal alert no_application_protocol (RFC 7301 3.2)."""

_SENTENCE = b"this port speaks TLS; open it with wss:// or https://\n"
_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%b" % (len(_SENTENCE), _SENTENCE)
)

_plain = memoryview(bytearray(256 * 1024 + 2 * _RECORD))
"""What every connection deciphers into: one read's worth, and a record that was only half there before."""

_PASSED = {"setWaterMarks", "via", "getTcpNoDelay", "setTcpNoDelay", "getTcpKeepAlive", "setTcpKeepAlive"}
"""What is the transport's below, if it has it."""

_log = Logger(namespace="wsd")

Choose = Callable[[Hello], ssl.SSLContext]
"""Gives a client the context for what it asks for."""


@implementer(ISSLTransport, IConsumer, IPushProducer)
class SecureTransport:
    """
    One connection. The protocol above is connected before the handshake; what it writes meanwhile waits for that.

    Interfaces are Twisted's; `wire` tells of the transport below where that is the house's own. A peer that ends
    without TLS's own goodbye (close_notify, RFC 8446 6.1) is lost, not done: what it sent may have been cut.
    """

    __slots__ = (
        "_below",
        "_bytes",
        "_choose",
        "_feed",
        "_gathered",
        "_hello",
        "_incoming",
        "_isBroken",
        "_isDeaf",
        "_isOpen",
        "_isOver",
        "_missing",
        "_outgoing",
        "_producer",
        "_saidGoodbye",
        "_sni",
        "_start",
        "_tls",
        "_wire",
        "connected",
        "disconnecting",
        "protocol",
    )

    def __init__(self, choose: Choose, protocol: Any) -> None:
        self.protocol = protocol
        self.connected = False
        self.disconnecting = False
        self._choose = choose
        self._feed: Callable[[bytes], Any] = protocol.dataReceived
        self._gathered: list[bytes] | None = []
        self._bytes = 0
        self._hello = b""
        self._sni: str | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: Any = None
        self._start = b""
        self._missing = 0
        self._producer: Any = None
        self._isOpen = self._isOver = self._isBroken = self._isDeaf = self._saidGoodbye = False

    # -- the transport below calls --------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """Stand on this transport, or on what a PROXY header has told of it."""
        self._below = transport
        self._wire: Any = getattr(transport, "wire", None)
        self.connected = True
        if self._wire is not None:
            self._wire.setReader(self)
        self.protocol.makeConnection(self)

    def dataReceived(self, data: bytes) -> None:
        """What the peer sent."""
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Decipher what was read and deliver it; what is written meanwhile leaves as one."""
        if self._isOver or not self.connected:
            return
        if not self._isOpen:
            if not self._shake(data):
                return
            data = self._incoming.read()
        plain = self._decipher(data)
        if plain and not self._isDeaf:
            self._gathered = []
            try:
                self._feed(plain)
            finally:
                self._flush()
        self._settle()

    def _settle(self) -> None:
        """What OpenSSL itself has to say is sent, and an end that was met is carried out."""
        if not self.connected:
            return
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())
        if self._isOver:
            self._ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; without a goodbye it is cut."""
        if not self.connected:
            return
        if not self._isOpen and self._hello and not self._isOver:
            self._refused("the client went away")
        if self._isOpen and not self._isOver and not self._saidGoodbye and reason.check(ConnectionDone):
            reason = Failure(ConnectionLost("the peer ended without TLS's close_notify"))
        self.connected = False
        self._tls = self._gathered = self._producer = None
        protocol = self.protocol
        del self.protocol, self._feed
        protocol.connectionLost(reason)

    # -- the handshake --------------------------------------------------------------------------------------------

    def _shake(self, data: bytes) -> bool:
        """Go on with the handshake: whether it is done."""
        if self._tls is None:
            self._hello += data
            hello = readHello(self._hello)
            if hello is None or not self._begin(hello):
                return False
            data = self._hello
        try:
            self._incoming.write(data)
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._below.write(self._outgoing.read())
            return False
        except ssl.SSLError as error:
            self._isOver = True
            self._refused(reasonOf(error))
            self._below.write(_PLAIN if error.reason == "HTTP_REQUEST" else self._outgoing.read())
            self._below.loseConnection()
            return False
        self._isOpen = True
        self._hello = b""
        self._below.write(self._outgoing.read())
        self._flush()
        if self.disconnecting and self._producer is None:
            self._sayGoodbye()
        return self.connected

    def _begin(self, hello: Hello) -> bool:
        """The client has said what it wants: choose, unless it wants what is not spoken."""
        if hello.protocols is not None and ALPN.encode() not in hello.protocols:
            self._isOver = True
            self._refused(f"no application protocol in common, only {ALPN} is spoken")
            self._below.write(_NO_PROTOCOL)
            self._below.loseConnection()
            return False
        self._sni = hello.name
        self._tls = self._choose(hello).wrap_bio(self._incoming, self._outgoing, server_side=True)
        return True

    def _refused(self, reason: str) -> None:
        peer = getattr(self.getPeer(), "host", "unix")
        _log.info("no TLS with {peer}: {reason}", event="tls.refused", peer=peer, reason=reason)

    # -- reading --------------------------------------------------------------------------------------------------

    def _decipher(self, data: bytes) -> bytes:
        """
        The plain text of what was read; `_isOver` is set when nothing comes after it.

        OpenSSL is asked for whole records alone: for half a one it would raise an error, which costs more than it.
        """
        if self._start:
            data, self._start = self._start + data, b""
        view, incoming, read = memoryview(data), self._incoming, self._tls.read
        size, at, got, whole = len(data), 0, 0, b""
        while at < size and not self._isOver:
            end = at + self._missing
            if end == at:
                if size - at < _HEAD:
                    self._start = data[at:]
                    break
                end += _HEAD + (data[at + 3] << 8 | data[at + 4])
            incoming.write(view[at:end])
            self._missing = max(0, end - size)
            at = end
            if end > size:
                break
            if got > len(_plain) - _RECORD:
                whole, got = whole + bytes(_plain[:got]), 0
            try:
                count = read(_RECORD, _plain[got:])
            except ssl.SSLWantReadError:
                # A record for TLS itself.
                continue
            except ssl.SSLZeroReturnError:
                count = 0
            except ssl.SSLError:
                self._isOver = self._isBroken = True
                break
            got += count
            self._isOver = not count
        return whole + bytes(_plain[:got])

    def _ended(self) -> None:
        """The peer has said goodbye, or what it sends cannot be deciphered."""
        if self._isBroken:
            self._below.abortConnection()
            return
        half = None if self._isDeaf else IHalfCloseableProtocol(self.protocol, None)
        if half is not None:
            half.readConnectionLost()
        else:
            self._finish()

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send, once the handshake is done."""
        if not isinstance(data, bytes):
            raise TypeError(f"a transport writes bytes, not {type(data).__name__}")
        self.writeSequence((data,))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send several pieces in order."""
        pieces = [piece for piece in iovec if piece]
        if not pieces or not self.connected or self._saidGoodbye:
            return
        if self._gathered is None:
            self._seal(pieces)
            return
        self._gathered += pieces
        self._bytes += sum(map(len, pieces))
        if self._bytes > _JOINED and self._isOpen:
            self._flush()
            self._gathered = []

    def _flush(self) -> None:
        """Send what was gathered."""
        gathered, self._gathered, self._bytes = self._gathered, None, 0
        if gathered and self.connected:
            self._seal(gathered)

    def _seal(self, pieces: list[bytes]) -> None:
        """Encipher, and hand to the transport below."""
        if len(pieces) > 1 and sum(map(len, pieces)) <= _JOINED:
            pieces = [b"".join(pieces)]
        write, read = self._tls.write, self._outgoing.read
        try:
            if len(pieces) == 1 and len(pieces[0]) <= _RECORD:
                write(pieces[0])
                self._below.write(read())
                return
            sealed = []
            for piece in pieces:
                view = memoryview(piece)
                for start in range(0, len(piece), _RECORD):
                    write(view[start : start + _RECORD])
                    sealed.append(read())
                    if len(sealed) == _PORTION:
                        self._below.writeSequence(sealed)
                        sealed = []
            self._below.writeSequence(sealed)
        except ssl.SSLError:
            self._isOver = self._isBroken = True
            self._below.abortConnection()

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

    def written(self) -> int:
        """Bytes written since the connection began."""
        return int(self._wire.written()) + self._bytes

    def acknowledged(self) -> int:
        """Those of them that have reached the peer."""
        return int(self._wire.acknowledged())

    def setReader(self, reader: Any) -> None:
        """What was deciphered goes straight to `reader.feed` from now on."""
        self._feed = reader.feed

    # -- producers ------------------------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """It is told of what waits below."""
        self._producer = producer
        self._below.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """It has given all; an end that waited for it comes now."""
        self._producer = None
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
        self._flush()
        self._saidGoodbye = True
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            # The peer has not said it yet.
            pass
        else:
            self._isOver = True
        self._below.write(self._outgoing.read())
        if self._isOver:
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
        """What was agreed on; before the handshake is done, what of it is known."""
        tls = self._tls
        if not self._isOpen:
            return TlsInfo("", "")
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
        return self._tls.getpeercert(True) if self._isOpen and self.connected else None

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


def reasonOf(error: ssl.SSLError) -> str:
    """OpenSSL's words."""
    return error.reason.replace("_", " ").lower() if error.reason else str(error)


class SecureFactory(Factory):
    """Builds TLS in front of what `inner` builds."""

    noisy = False

    def __init__(self, choose: Choose, inner: IProtocolFactory) -> None:
        self._choose = choose
        self.inner = inner

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """For a connection that was accepted."""
        inner = self.inner.buildProtocol(addr)  # type: ignore[arg-type]
        return None if inner is None else SecureTransport(self._choose, inner)

    def doStart(self) -> None:
        """Start what stands behind."""
        self.inner.doStart()

    def doStop(self) -> None:
        """Stop it."""
        self.inner.doStop()
