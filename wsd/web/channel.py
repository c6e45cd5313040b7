"""The HTTP side of a connection: twisted.web's channel, given heads that the door has parsed (RFC 9112)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from wsd.connection.request import newId
from wsd.head import END, MAX_HEAD, Head, Refused, afterBlankLines, endOfHead
from wsd.logs import ConnectionLog
from wsd.policies.address import Peer, TlsInfo
from wsd.web.request import Request

if TYPE_CHECKING:
    from wsd.web.door import Door
    from wsd.web.site import Site


TURN = 4
"""Requests of one connection that are answered before other connections have their turn."""

_PIECES = 512
"""Limit of the pieces of bodies in one turn: one read may bring forty thousand chunks of a byte."""

_PORTION = 16 * 1024
"""Bytes of a chunked body that are read before the pieces are counted."""


class Channel(http.HTTPChannel):
    """
    Bodies, persistence and answers are twisted.web's; reading heads and pipelining are our own.

    Requests of a connection are answered one after the other, a few in each turn, and none while the client has not
    taken the earlier answers. Each later head goes to the door, which recognizes upgrades. There is no delayed call for
    time-outs: the door looks at `waiting`.
    """

    transport: Any
    requestFactory = Request
    timeOut = None
    totalHeadersSize = MAX_HEAD
    MAX_LENGTH = MAX_HEAD

    def __init__(self, door: Door, site: Site) -> None:
        super().__init__()
        self.door = door
        self.site = site
        self._early = False
        self._began = False
        self._isFull = False
        self._pieces = 0
        self._later: IDelayedCall | None = None

    # -- reading --------------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Bytes of heads and bodies."""
        if self._early or self.door.lingering:
            return
        self._buffer += data
        if not self._busyReceiving and self._later is None:
            self._readOn()
        else:
            self._settle()

    def _readOn(self) -> None:
        """Read the buffer until a request is not answered at once, or other connections must have their turn."""
        self._later = None
        self._busyReceiving = True
        self._pieces = 0
        heads = 0
        try:
            while self._buffer and not (self._handlingRequest or self._waitingForTransport):
                if heads == TURN or self._pieces > _PIECES:
                    self._readLater()
                    break
                if not self.line_mode:
                    self._readBody()
                elif not self._readHead():
                    break
                else:
                    heads += 1
        finally:
            self._busyReceiving = False
        self._settle()

    def _readLater(self) -> None:
        """Read on after other connections have had their turn."""
        self._later = self.site.clock.callLater(0, self._nextTurn)

    def _nextTurn(self) -> None:
        try:
            self._readOn()
        except Exception:
            # As the transport does for errors in dataReceived.
            ConnectionLog(newId()).failure("a connection failed", Failure(), event="connection.error")
            self.transport.abortConnection()

    def _settle(self) -> None:
        """Pause or resume the peer, as the buffer requires; end once a half-closed peer has all its answers."""
        if not self.door.isHttp:
            return
        if self.door.isEnded and not self.isBusy:
            self.door.linger()
        elif self.isBusy and len(self._buffer) > MAX_HEAD:
            self._isFull = True
            self.transport.pauseProducing()
        elif self._isFull and not self.isHeld and not self._waitingForTransport:
            self._isFull = False
            self.transport.resumeProducing()

    @property
    def isBusy(self) -> bool:
        """Whether an answer is pending, or a request is waiting."""
        waits = self._waitingForTransport and bool(self._buffer)
        return self._handlingRequest or self._later is not None or waits

    def _readHead(self) -> bool:
        """Read a head if it is complete; bytes that can no longer be requests are dropped."""
        if self._early or not self.persistent or self.door.lingering:
            self._buffer = b""
            return False
        self._buffer = buffer = afterBlankLines(self._buffer)
        try:
            end = endOfHead(buffer)
        except Refused as refused:
            self._buffer = b""
            self.door.refuseBytes(refused)
            return False
        if end >= 0:
            self._buffer = buffer[end + len(END) :]
            self._began = False
            self.door.headReceived(buffer[:end], self.clearLineBuffer)
        elif buffer and not self._began:
            self._began = True
            self.door.headBegan()
        return end >= 0

    def _readBody(self) -> None:
        """Read a part of a body; it may consist of very many small chunks."""
        size = _PORTION if self.requests and self.requests[-1].head.chunked else len(self._buffer)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        before = self.requests[-1].pieces if self.requests else 0
        self.rawDataReceived(data)
        if self.requests:
            self._pieces += self.requests[-1].pieces - before

    # -- requests -------------------------------------------------------------------------------------------------

    def begin(self, head: Head, peer: Peer, tls: TlsInfo | None) -> None:
        """A request whose head is parsed: route it, then read its body if that is wanted, and answer."""
        request = Request(self, parsePOSTFormSubmission=False)
        self.requests.append(request)
        request.arrive(head, peer, tls, self.site)
        self._command, self._path, self._version = request.method, request.uri, request.clientproto
        if not head.hasBody:
            self.length = 0
        elif head.chunked:
            self._maybeChooseTransferDecoder(b"Transfer-Encoding", b"chunked")
        else:
            self._maybeChooseTransferDecoder(b"Content-Length", str(head.length).encode())
        self.persistent = self.checkPersistence(request, self._version)
        request.parseCookies()
        request.gotLength(self.length)
        if not head.hasBody:
            self.allContentReceived()
        elif request.wantsBody:
            if "100-continue" in head.headers.tokens("Expect") and head.version == (1, 1):
                self._send100Continue()
            self.setRawMode()
        else:
            self.answerEarly(request)

    def answerEarly(self, request: Request) -> None:
        """Answer a request whose body is not read, or not to its end; the connection ends with the answer."""
        self._early = True
        self.persistent = False
        request.setHeader(b"Connection", b"close")
        self.allContentReceived()

    def allContentReceived(self) -> None:
        """The request is whole: answer it."""
        if not self._handlingRequest:
            self.requests[-1].bodyEnded()
        if not self._handlingRequest:
            super().allContentReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Some of a body; what comes after an early answer is not for anybody."""
        if self._early or self.door.lingering:
            return
        super().rawDataReceived(data)

    def _finishRequestBody(self, data: bytes) -> None:
        """The body is complete; the bytes after it belong to the next request."""
        self._buffer = data + self._buffer
        self.allContentReceived()

    def requestDone(self, request: Request) -> None:
        """The answer is whole; what the next request brings comes after that."""
        self.door.answered()
        super().requestDone(request)
        if not self._busyReceiving and self._later is None:
            self._readOn()

    def resumeProducing(self) -> None:
        """The client has taken the earlier answers: waiting requests go on."""
        super().resumeProducing()
        if self._later is None and not self._busyReceiving and not self._handlingRequest:
            self._readLater()

    def peerEnded(self) -> None:
        """The peer has closed its half: answer what it has sent."""
        self._settle()

    # -- ending ---------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> str:
        """What the peer owes us: "answer" (nothing, we owe), "body", or "head"."""
        if self.isBusy:
            return "answer"
        return "body" if self.requests else "head"

    @property
    def patience(self) -> float | None:
        """Seconds that a half-closed peer may wait for a byte of the present answer; None for the default."""
        return self.requests[0].patience if self.requests else None

    @property
    def received(self) -> int:
        """Bytes of the present body that have arrived."""
        return self.requests[-1].received if self.requests else 0

    @property
    def isHeld(self) -> bool:
        """Whether the present body is not read because its resource has enough for now."""
        return bool(self.requests and self.requests[-1].held)

    def loseConnection(self) -> None:
        """End after the answer; what the peer still sends is dropped, so that it gets the answer (RFC 9112 9.6)."""
        self.door.linger()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """twisted.web found the body's framing broken."""
        self.door.refuseBytes(Refused(400, "the body is not chunked as RFC 9112 7.1 says: send size, CRLF, data, CRLF"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, and with it whoever waits for one of its requests."""
        self._forgetTurn()
        super().connectionLost(reason)
        self.requests = []
        self._transferDecoder = None

    def _forgetTurn(self) -> None:
        later, self._later = self._later, None
        if later is not None:
            later.cancel()

    def detach(self) -> None:
        """The connection becomes a WebSocket: nothing here is asked for any more."""
        self.transport.unregisterProducer()
        self._forgetTurn()
        self.requests = []
