"""The HTTP side of a connection: twisted.web's channel, given heads that the door has parsed (RFC 9112)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from wsd.connection.request import newId
from wsd.head import END, MAX_HEAD, Head, Refused, afterBlankLines, endOfHead
from wsd.logs import ConnectionLog
from wsd.policies.address import Peer, TlsInfo
from wsd.web.ending import Due, Ending
from wsd.web.request import HttpRequest
from wsd.web.site import Site

TURN = 4
"""Requests of one connection that are answered before other connections have their turn."""

_PIECES = 512
"""Limit of the pieces of bodies in one turn: one read may bring forty thousand chunks of a byte."""

_PORTION = 16 * 1024
"""Bytes of a chunked body that are read before the pieces are counted."""


class Admitted(NamedTuple):
    """A request that the door has let in: its head, the true peer, and what TLS agreed on (None without TLS)."""

    head: Head
    peer: Peer
    tls: TlsInfo | None


class _Reads(Enum):
    """What a channel reads."""

    requests = "one after the other"
    nothing = "the present answer ends the connection"
    detached = "the connection is a WebSocket"


class Channel(http.HTTPChannel):
    """
    Bodies, persistence and answers are twisted.web's; reading heads and pipelining are our own.

    Requests of a connection are answered one after the other, a few in each turn, and none while the client has not
    taken the earlier answers. Each later head goes to `admit`, which returns the request, or None if it was refused or
    has become a WebSocket. twisted.web's time-outs are off: `ending` has them.
    """

    transport: Any
    requestFactory = HttpRequest
    timeOut = None
    totalHeadersSize = MAX_HEAD
    MAX_LENGTH = MAX_HEAD

    def __init__(
        self, site: Site, ending: Ending, admit: Callable[[bytes, Callable[[], bytes]], Admitted | None]
    ) -> None:
        super().__init__()
        self.site = site
        self._ending = ending
        self._admit = admit
        self._reads = _Reads.requests
        self._unread = b""
        self._isReading = False
        self._isBlocked = False
        """Whether the client has yet to take the earlier answers."""
        self._hasBegun = False
        """Whether the first bytes of the next head are here."""
        self._isFull = False
        """Whether reading is paused since `_unread` is full."""
        self._pieces = 0
        self._later: IDelayedCall | None = None
        ending.requests = self

    # -- reading --------------------------------------------------------------------------------------------------

    def begin(self, admitted: Admitted, rest: bytes) -> None:
        """Answer the first request; `rest` came after its head."""
        self._begin(admitted)
        if rest:
            self.dataReceived(rest)

    def dataReceived(self, data: bytes) -> None:
        """Bytes of bodies and later heads."""
        if self._isDeaf:
            return
        self._unread += data
        if not self._isReading and self._later is None:
            self._readOn()
        else:
            self._settle()

    @property
    def _isDeaf(self) -> bool:
        """Whether what still comes is dropped."""
        return self._reads is not _Reads.requests or self._ending.isLingering

    def _readOn(self) -> None:
        """Read until a request is not answered at once, or other connections must have their turn."""
        self._later = None
        self._isReading = True
        self._pieces = 0
        heads = 0
        try:
            while self._unread and not (self._handlingRequest or self._isBlocked):
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
            self._isReading = False
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
        """Pause or resume the peer, as the unread bytes require; end once a half-closed peer has all its answers."""
        if self._reads is _Reads.detached or self._ending.isLingering:
            return
        if self._ending.isHalfClosed and not self._isBusy:
            self._ending.linger()
        elif self._isBusy and len(self._unread) > MAX_HEAD:
            self._isFull = True
            self.transport.pauseProducing()
        elif self._isFull and not self.isHeld and not self._isBlocked:
            self._isFull = False
            self.transport.resumeProducing()

    @property
    def _isBusy(self) -> bool:
        """Whether an answer is pending, or a request is waiting."""
        waits = self._isBlocked and bool(self._unread)
        return self._handlingRequest or self._later is not None or waits

    def _readHead(self) -> bool:
        """Read a head if it is complete; bytes that can no longer be requests are dropped (RFC 9112 9.6)."""
        if self._isDeaf or not self.persistent:
            self._unread = b""
            return False
        self._unread = buffer = afterBlankLines(self._unread)
        try:
            end = endOfHead(buffer)
        except Refused as refused:
            self._unread = b""
            self._ending.refuse(refused)
            return False
        if end < 0:
            if buffer and not self._hasBegun:
                self._hasBegun = True
                self._ending.waitForHead()
            return False
        self._unread = buffer[end + len(END) :]
        self._hasBegun = False
        admitted = self._admit(buffer[:end], self._takeUnread)
        if admitted is not None:
            self._begin(admitted)
        return True

    def _takeUnread(self) -> bytes:
        unread, self._unread = self._unread, b""
        return unread

    def _readBody(self) -> None:
        """Read a part of a body; it may consist of very many small chunks."""
        size = _PORTION if self.requests and self.requests[-1].head.chunked else len(self._unread)
        data, self._unread = self._unread[:size], self._unread[size:]
        before = self.requests[-1].pieces if self.requests else 0
        self.rawDataReceived(data)
        if self.requests:
            self._pieces += self.requests[-1].pieces - before

    # -- requests -------------------------------------------------------------------------------------------------

    def _begin(self, admitted: Admitted) -> None:
        """Route a request, then read its body if that is wanted, and answer."""
        self._ending.waitForBody()
        head, peer, tls = admitted
        request = HttpRequest(self, parsePOSTFormSubmission=False)
        self.requests.append(request)
        request.arrive(head, peer, tls, self.site)
        if not head.hasBody:
            self.length = 0
        elif head.chunked:
            self._maybeChooseTransferDecoder(b"Transfer-Encoding", b"chunked")
        else:
            self._maybeChooseTransferDecoder(b"Content-Length", str(head.length).encode())
        self.persistent = self.checkPersistence(request, request.clientproto)
        request.parseCookies()
        request.gotLength(self.length)
        if not head.hasBody:
            self.allContentReceived()
        elif request.wantsBody:
            if "100-continue" in head.headers.tokens("Expect") and head.version == (1, 1):
                # RFC 9110 10.1.1
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.setRawMode()
        else:
            self.answerEarly(request)

    def answerEarly(self, request: HttpRequest) -> None:
        """Answer a request whose body is not read, or not to its end; the connection ends with the answer."""
        self._reads = _Reads.nothing
        self.persistent = False
        request.setHeader(b"Connection", b"close")
        self.allContentReceived()

    def allContentReceived(self) -> None:
        """The request is complete: answer it."""
        if not self._handlingRequest:
            self.requests[-1].bodyEnded()
        if not self._handlingRequest:
            self.length = 0
            self._transferDecoder = None
            self._handlingRequest = True
            self.setRawMode()
            self.requests[-1].process()

    def rawDataReceived(self, data: bytes) -> None:
        """Some of a body; nobody reads what comes after an early answer."""
        if not self._isDeaf:
            super().rawDataReceived(data)

    def _finishRequestBody(self, data: bytes) -> None:
        """The body is complete; the bytes after it belong to the next request."""
        self._unread = data + self._unread
        self.allContentReceived()

    def requestDone(self, request: HttpRequest) -> None:
        """The answer is complete; what the next request brings comes after that."""
        self._ending.answered()
        super().requestDone(request)
        if not self._isReading and self._later is None:
            self._readOn()

    def pauseProducing(self) -> None:
        """The client does not take the answers: other requests wait."""
        self._isBlocked = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """The client has taken the earlier answers: waiting requests go on."""
        self._isBlocked = False
        super().resumeProducing()
        if self._later is None and not self._isReading and not self._handlingRequest:
            self._readLater()

    # -- what `ending` asks ---------------------------------------------------------------------------------------

    @property
    def awaited(self) -> Due:
        """What has to come next."""
        if self._isBusy:
            return Due.answer
        return Due.body if self.requests else Due.head

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

    def peerEnded(self) -> None:
        """The peer has closed its half: answer what it has sent."""
        self._settle()

    # -- ending ---------------------------------------------------------------------------------------------------

    def loseConnection(self) -> None:
        """End after the answer; what the peer still sends is dropped, so that it gets the answer (RFC 9112 9.6)."""
        self._ending.linger()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """twisted.web found the body's framing broken (RFC 9112 7.1)."""
        self._ending.refuse(Refused(400, "the body is not chunked as RFC 9112 7.1 says: send size, CRLF, data, CRLF"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone: tell the requests that are not answered."""
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
        self._reads = _Reads.detached
        self.transport.unregisterProducer()
        self._forgetTurn()
        self.requests = []
