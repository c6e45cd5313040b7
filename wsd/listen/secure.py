"""
TLS on an accepted connection: a transport for the protocol above, a protocol for the transport or PROXY reader below.

The bytes of one read are delivered in one call, and what is written during that call is sent together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from twisted.internet import main
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import classImplements

from wsd.connection.request import newId
from wsd.listen.handshake import ChooseContext, Handshake, HandshakeFailed, tlsInfoOf
from wsd.listen.records import READ
from wsd.listen.sealing import Sealer
from wsd.listen.sending import LATER
from wsd.logs import ConnectionLog
from wsd.metrics import TlsHandshakes
from wsd.policies.address import TlsInfo

_PASSED = {"setWaterMarks", "limitKernelBuffer", "via", "facts", "waited", "headRead"}
_PASSED |= {"getTcpNoDelay", "setTcpNoDelay", "getTcpKeepAlive", "setTcpKeepAlive"}
"""Attributes that are passed on from the transport below, if it has them."""


class Phase(Enum):
    """How far the handshake of a connection has come."""

    handshake = "it goes on"
    refused = "it has failed"
    open = "it is complete"


# Module globals, because looking them up in the class costs more on every read.
_HANDSHAKE, _REFUSED, _OPEN = Phase


class SecureTransport:
    """
    One connection. The protocol above is connected before the handshake; what it writes until then is sent after it.

    The interfaces are Twisted's. `wire` is there if the transport below is our own. If the peer ends without a
    close_notify, the reason is ConnectionLost and not ConnectionDone: the data may be truncated (RFC 8446 6.1).
    """

    copies = False
    """Whether large data is copied when it is written."""

    __slots__ = (
        "_below",
        "_handshake",
        "_hasNotified",
        "_isHalfClosed",
        "_phase",
        "_producer",
        "_receive",
        "_records",
        "_sealer",
        "_serverName",
        "_socket",
        "_wire",
        "connected",
        "disconnecting",
        "protocol",
    )

    def __init__(self, choose: ChooseContext, protocol: Any, counted: TlsHandshakes) -> None:
        self.protocol = protocol
        self.connected = False
        self.disconnecting = False
        self._phase = _HANDSHAKE
        self._handshake: Handshake | None = Handshake(choose, counted)
        self._serverName: str | None = None
        self._records: Any = None
        self._sealer: Any = None
        self._receive: Any = None
        """The receiver's `dataReceived`; None while the protocol is the receiver."""
        self._producer: Any = None
        self._socket: Any = None
        self._hasNotified = False
        """Whether our close_notify has been sent."""
        self._isHalfClosed = False
        """Whether the peer has shut down its side of the TCP connection."""

    # -- the transport below calls --------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """Called with the transport, or with the PROXY reader on it."""
        self._below = transport
        self._wire: Any = getattr(transport, "wire", None)
        self._sealer = Sealer(transport, self._wire)
        self.connected = True
        if self._wire is not None:
            self._wire.setReceiver(self)
        self.protocol.makeConnection(self)

    def attach(self, socket: Any) -> None:
        """Use this socket: `doRead` reads from it, and data is sent to it while nothing is buffered below."""
        self._socket = socket
        self._sealer.attach(socket)

    def doRead(self) -> BaseException | None:
        """Read once, and deliver the data. Returns the reason if the connection is lost."""
        records = self._records
        isDirect = records is not None and not records.isOver
        try:
            data = records.receive(self._socket) if isDirect else self._socket.recv(READ) or None
        except OSError as error:
            return None if error.errno in LATER else main.CONNECTION_LOST
        if data is None:
            return main.CONNECTION_DONE
        if isDirect:
            self._decrypted(records, data)
        else:
            self.dataReceived(data)
        return None

    def dataReceived(self, data: bytes) -> None:
        """Decrypt the bytes that were read, and deliver them. What is written meanwhile is sent together."""
        if self._phase is not _OPEN:
            rest = self._continueHandshake(data)
            if rest is None:
                return
            if not rest:
                return
            data = rest
        records = self._records
        if records is not None and not records.isOver:
            self._decrypted(records, records.decrypt(data))

    def _decrypted(self, records: Any, plain: bytes) -> None:
        """Deliver what was decrypted, send what TLS itself has to send, and note the end."""
        if plain and not self.disconnecting:
            sealer = self._sealer
            sealer.cork()
            try:
                self._deliver(plain)
            finally:
                sealer.uncork()
        elif self.connected and (pending := records.takePending()):
            self._sealer.pass_(pending)
        if (records.isOver or self._isHalfClosed) and self.connected:
            self._peerEnded()

    def _deliver(self, plain: bytes) -> None:
        """Deliver to the receiver, or to the protocol while there is none."""
        if self._receive is not None:
            self._receive(plain)
        else:
            self.protocol.dataReceived(plain)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The TCP connection is lost. Without a close_notify, the data may be truncated (RFC 8446 6.1)."""
        if not self.connected:
            return
        if self._phase is _HANDSHAKE and self._handshake is not None and self._handshake.hasBegun:
            self._logRefusal("the client disconnected")
        if self._phase is _OPEN and not self._records.isOver and not self._hasNotified and reason.check(ConnectionDone):
            reason = Failure(ConnectionLost("the peer disconnected without a TLS close_notify"))
        self.connected = False
        self._records = self._handshake = self._producer = self._socket = None
        self._receive = None
        self._sealer.close()
        protocol, self.protocol = self.protocol, None
        protocol.connectionLost(reason)

    def __conform__(self, interface: Any) -> SecureTransport | None:
        """The peer may close its half if the protocol allows that, or if nothing more is delivered."""
        if interface is not IHalfCloseableProtocol or not self.connected or self._phase is not _OPEN:
            return None
        return self if self.disconnecting or IHalfCloseableProtocol(self.protocol, None) is not None else None

    def readConnectionLost(self) -> None:
        """The peer has closed its half, with or without a close_notify. It still gets what is written."""
        self._isHalfClosed = True
        if self.disconnecting:
            if self._hasNotified:
                self._below.loseConnection()
        elif not self._records.isOver:
            IHalfCloseableProtocol(self.protocol).readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Our half is closed."""

    # -- the handshake --------------------------------------------------------------------------------------------

    def _continueHandshake(self, data: bytes) -> bytes | None:
        """Continue the handshake. Returns the bytes after it, or None while it is not complete."""
        if self._phase is _REFUSED or self._handshake is None:
            return None
        handshake = self._handshake
        try:
            rest = handshake.feed(data)
        except HandshakeFailed as failed:
            self._phase = _REFUSED
            self._logRefusal(failed.reason, failed.id)
            self._below.write(failed.answer)
            self._below.loseConnection()
            return None
        if handshake.records is not None and (rest is None or not handshake.endsWithTicket):
            self._below.write(handshake.records.takePending())
        if rest is not None:
            self._phase = _OPEN
            self._records, self._serverName, self._handshake = handshake.records, handshake.serverName, None
            self._sealer.open(self._records)
            if self.disconnecting and self._producer is None:
                self._closeNotify()
        return rest

    @property
    def isOpen(self) -> bool:
        """Whether the handshake is complete."""
        return self._phase is _OPEN

    def giveUp(self, seconds: float) -> None:
        """Called when the handshake was not complete in time: end at once."""
        self._phase = _REFUSED
        self._logRefusal(f"no complete handshake within {seconds:g} seconds")
        self._below.abortConnection()

    def _logRefusal(self, reason: str, connectionId: str | None = None) -> None:
        peer = getattr(self.getPeer(), "host", "unix")
        log = ConnectionLog(connectionId or newId())
        log.info("TLS handshake with {peer} failed: {reason}", event="tls.refused", peer=peer, reason=reason)

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send these bytes, after the handshake."""
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
        if self.connected and not self._hasNotified:
            self._sealer.write(pieces, size)

    # -- buffered bytes -----------------------------------------------------------------------------------------------

    @property
    def wire(self) -> Any:
        """This object, for `unsent`, `written` and `acknowledged`. Raises AttributeError if the transport has none."""
        if self._wire is None:
            raise AttributeError("wire")
        return self

    @property
    def unsent(self) -> int:
        """Bytes that are not sent yet: encrypted ones, and collected plaintext."""
        below: int = self._wire.unsent
        collected: int = self._sealer.corked
        return below + collected

    @property
    def sent(self) -> int:
        """Encrypted bytes that went directly to the socket; the transport below adds them to its own count."""
        return int(self._sealer.sent)

    def tellUnsent(self, tell: Callable[[int], None]) -> None:
        """Call `tell` with the number of unsent encrypted bytes: now, and each time that some cannot be sent."""
        self._sealer.tellUnsent(tell)

    def written(self) -> int:
        """Bytes written since the connection began."""
        return int(self._wire.written()) + int(self._sealer.corked)

    def acknowledged(self) -> int:
        """Bytes that the peer has acknowledged."""
        return int(self._wire.acknowledged())

    def setReceiver(self, receiver: Any) -> None:
        """Deliver decrypted data to `receiver.dataReceived` from now on."""
        self._receive = receiver.dataReceived

    # -- producers ------------------------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Let the transport below pause and resume this producer."""
        self._producer = producer
        self._sealer.pulls = not streaming
        self._below.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """The producer is done. If `loseConnection` was waiting for that, send close_notify now."""
        self._producer = None
        self._sealer.pulls = False
        self._below.unregisterProducer()
        if self.disconnecting and self._phase is _OPEN:
            self._closeNotify()

    def pauseProducing(self) -> None:
        """Read no more, except while waiting for the peer's close_notify at the end."""
        if not self.disconnecting:
            self._below.pauseProducing()

    def resumeProducing(self) -> None:
        """Resume reading."""
        self._below.resumeProducing()

    def stopProducing(self) -> None:
        """End."""
        self.loseConnection()

    # -- ending ---------------------------------------------------------------------------------------------------

    def _peerEnded(self) -> None:
        """The peer has sent its close_notify, or a record that cannot be decrypted."""
        if self._records.isBroken:
            self._below.abortConnection()
            return
        half = None if self.disconnecting else IHalfCloseableProtocol(self.protocol, None)
        if half is not None:
            half.readConnectionLost()
        else:
            self._finish()

    def loseConnection(self) -> None:
        """End once everything is sent and both sides have sent close_notify. Nothing more is delivered."""
        if self.disconnecting or not self.connected:
            return
        if self._phase is not _OPEN and not self._sealer.corked:
            self.abortConnection()
            return
        self.disconnecting = True
        self._below.resumeProducing()
        if self._phase is _OPEN and self._producer is None:
            self._closeNotify()

    def leave(self) -> None:
        """End once everything and our close_notify are sent, without waiting for the peer's close_notify."""
        if self._phase is _OPEN and self.connected:
            self.disconnecting = True
            self._finish()
        else:
            self.abortConnection()

    def loseWriteConnection(self) -> None:
        """Send our close_notify after everything that was written. The peer may go on sending until its own."""
        if self._phase is _OPEN and self.connected:
            self._closeNotify()
            half = IHalfCloseableProtocol(self.protocol, None) if self.connected else None
            if half is not None:
                half.writeConnectionLost()

    def abortConnection(self) -> None:
        """End at once."""
        self._below.abortConnection()

    def _closeNotify(self) -> None:
        """Send our close_notify after everything that was written (RFC 8446 6.1)."""
        if self._hasNotified or not self.connected:
            return
        records = self._records
        self._sealer.uncork()
        self._hasNotified = True
        self._below.write(records.closeNotify())
        if records.isOver and self.connected:
            self._finish()

    def _finish(self) -> None:
        """Send our close_notify if that is not done yet, and end. A producer is stopped."""
        producer, self._producer = self._producer, None
        if producer is not None:
            self._below.unregisterProducer()
            producer.stopProducing()
        self._closeNotify()
        self._below.loseConnection()

    # -- information --------------------------------------------------------------------------------------------

    @property
    def info(self) -> TlsInfo:
        """What the handshake agreed on; empty before it is complete, and after the connection is lost."""
        if self._phase is not _OPEN or not self.connected:
            return TlsInfo("", "")
        return tlsInfoOf(self._records, self._serverName)

    def getPeerCertificate(self) -> bytes | None:
        """The client's certificate in DER."""
        certificate: bytes | None = self._records.certificate() if self._phase is _OPEN and self.connected else None
        return certificate

    def getPeer(self) -> Any:
        """The peer's address."""
        return self._below.getPeer()

    def getHost(self) -> Any:
        """The address that the peer connected to."""
        return self._below.getHost()

    def __getattr__(self, name: str) -> Any:
        if name in _PASSED:
            return getattr(self._below, name)
        raise AttributeError(name)


classImplements(SecureTransport, ISSLTransport, IConsumer, IPushProducer)
