"""The HTTP side of a connection: twisted.web's channel, with heads that the door has parsed (RFC 9112)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from wsd.connection.request import newId
from wsd.head import END, MAX_HEAD, Refused, afterBlankLines, endOfHead
from wsd.logs import ConnectionLog
from wsd.web.admitted import CHUNKED, Admitted
from wsd.web.ending import Due, Ending
from wsd.web.request import HttpRequest
from wsd.web.site import Site

TURN = 4
"""Requests of one connection that are answered in one turn of the reactor."""

_PIECES = 512
"""Limit of the pieces of bodies in one turn: a single read may contain 40,000 chunks of one byte."""

_REMEMBERED = 2048
"""Limit of the head that a connection remembers, in bytes."""

_PORTION = 16 * 1024
"""Bytes of a chunked body that are read between two looks at the number of pieces."""


class _Reads(Enum):
    """What a channel does with the bytes that arrive."""

    requests = "read requests, one after the other"
    nothing = "drop them: the current answer ends the connection"
    detached = "none arrive: the connection is a WebSocket"


class _Next(Enum):
    """What is known of the next request."""

    nothing = "none of it has arrived"
    head = "the first bytes of its head have arrived"
    sender = "its head is complete, and it takes time to find out who sent it"


class Channel(http.HTTPChannel):
    """
    Bodies, persistence and answers are twisted.web's. Reading heads and pipelining are our own.

    The requests of a connection are answered one after the other, a few in each turn of the reactor, and none while the
    client does not take earlier answers. Each later head is passed to `admit`, which returns the request, or None if it
    was refused or has opened a WebSocket. twisted.web's time-outs are off: `ending` has ours.
    """

    transport: Any
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
        self._next = _Next.nothing
        self._unread = b""
        self._isReading = False
        self._isBlocked = False
        """Whether the client does not take the answers: a producer of ours is paused."""
        self._isFull = False
        """Whether reading is paused because `_unread` is full."""
        self._pieces = 0
        self._isInBody = False
        """Whether the bytes that arrive are those of a body."""
        self._bodyLeft = 0
        """Bytes of the body that have not arrived, if their number is known."""
        self._isWhole = False
        """Whether the body had arrived with the head, so that nothing was waited for."""
        self._remembered: tuple[bytes, Admitted, object] | None = None
        """The last head, what it stands for, and the version of the site that admitted it."""
        self._later: IDelayedCall | None = None
        ending.requests = self

    # -- reading --------------------------------------------------------------------------------------------------

    def begin(self, admitted: Admitted, rest: bytes) -> None:
        """Answer the first request. `rest` are the bytes after its head."""
        self._unread = rest
        self._isReading = True
        try:
            self._begin(admitted)
        finally:
            self._isReading = False
        if self._isDeaf:
            self._unread = b""
        else:
            self._readOn()

    def dataReceived(self, data: bytes) -> None:
        """Called with bytes of bodies and later heads."""
        if self._isDeaf:
            return
        self._unread += data
        if not self._isReading and self._later is None:
            self._readOn()
        else:
            self._settle()

    @property
    def _isDeaf(self) -> bool:
        """Whether bytes that arrive are dropped."""
        return self._reads is not _Reads.requests or self._ending.isLingering

    def _readOn(self) -> None:
        """Read until an answer takes time, or this turn has been long enough."""
        self._later = None
        self._isReading = True
        self._pieces = 0
        heads = 0
        try:
            while self._unread and not (self._handlingRequest or self._isBlocked or self._next is _Next.sender):
                if heads == TURN or self._pieces > _PIECES:
                    self._readLater()
                    break
                if self._isInBody:
                    self._readBody()
                elif not self._readHead():
                    break
                else:
                    heads += 1
        finally:
            self._isReading = False
        self._settle()

    def _readLater(self) -> None:
        """Read on in the next turn of the reactor."""
        self._later = self.site.clock.callLater(0, self._nextTurn)

    def _nextTurn(self) -> None:
        try:
            self._readOn()
        except Exception:
            # The transport does the same for errors in dataReceived.
            ConnectionLog(newId()).failure("a connection failed", Failure(), event="connection.error")
            self.transport.abortConnection()

    def _settle(self) -> None:
        """Pause or resume reading, by the unread bytes. End once a half-closed peer has all its answers."""
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
        """Whether an answer or a request is pending."""
        isPending = self._isBlocked and bool(self._unread)
        return self._handlingRequest or self._next is _Next.sender or self._later is not None or isPending

    def _readHead(self) -> bool:
        """Read a head if it is complete. After the last request, further bytes are dropped (RFC 9112 9.6)."""
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
            if buffer and self._next is _Next.nothing:
                self._next = _Next.head
                self._ending.waitForHead()
            return False
        self._unread = buffer[end + len(END) :]
        self._next = _Next.nothing
        admitted = self._admitted(buffer[:end])
        if admitted is not None:
            self._begin(admitted)
        return True

    def _admitted(self, head: bytes) -> Admitted | None:
        """Let a request in. A client that sends the same head again is not looked at again."""
        remembered, version = self._remembered, self.site.version
        if remembered is not None and remembered[0] == head and remembered[2] is version:
            return remembered[1]
        admitted = self._admit(head, self._takeUnread)
        self._remembered = None if admitted is None or len(head) > _REMEMBERED else (head, admitted, version)
        return admitted

    def _takeUnread(self) -> bytes:
        unread, self._unread = self._unread, b""
        return unread

    def _readBody(self) -> None:
        """Read a part of a body, which may consist of very many small chunks."""
        request: HttpRequest = self.requests[-1]
        before = request.pieces
        if request.admitted.length == CHUNKED:
            data, self._unread = self._unread[:_PORTION], self._unread[_PORTION:]
            self.rawDataReceived(data)
        else:
            data, self._unread = self._unread[: self._bodyLeft], self._unread[self._bodyLeft :]
            self._bodyLeft -= len(data)
            request.handleContentChunk(data)
            if not self._bodyLeft and not self._isDeaf:
                self.allContentReceived()
        self._pieces += request.pieces - before

    # -- requests -------------------------------------------------------------------------------------------------

    def _begin(self, admitted: Admitted) -> None:
        """Route a request, once it is known who sent it if the route needs that."""
        self._isWhole = 0 <= admitted.length <= len(self._unread)
        if not self._isWhole:
            self._ending.waitForBody()
        request = HttpRequest(self, admitted, self.site)
        self.requests.append(request)
        deciding = request.arrive()
        if deciding is None:
            self._receive(request)
        else:
            self._ending.waitForBody()
            self._next = _Next.sender
            deciding.addCallback(lambda _: self._decided(request))

    def _decided(self, request: HttpRequest) -> None:
        """Called when it is known who the client is."""
        self._next = _Next.nothing
        if request not in self.requests:
            return
        self._receive(request)
        if not self._isReading and self._later is None:
            self._readOn()

    def _receive(self, request: HttpRequest) -> None:
        """Read the body of a request if the resource wants it, and answer."""
        admitted = request.admitted
        self.persistent = admitted.isPersistent
        if not self.persistent and request.head.version == (1, 1):
            request.setHeader(b"Connection", b"close")
        if not admitted.length:
            self.allContentReceived()
        elif request.wantsBody:
            if admitted.awaitsContinue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._isInBody = True
            self._bodyLeft = admitted.length
            if admitted.length == CHUNKED:
                self._maybeChooseTransferDecoder(b"Transfer-Encoding", b"chunked")
        else:
            self.answerEarly(request)

    def answerEarly(self, request: HttpRequest) -> None:
        """Answer a request without reading the rest of its body. The connection ends with the answer."""
        self._reads = _Reads.nothing
        self.persistent = False
        request.setHeader(b"Connection", b"close")
        self.allContentReceived()

    def allContentReceived(self) -> None:
        """Called when the request is complete: answer it."""
        if not self._handlingRequest:
            self.requests[-1].bodyEnded()
        if not self._handlingRequest:
            self._transferDecoder = None
            self._isInBody = False
            self._handlingRequest = True
            self.requests[-1].process()
            if self._isWhole and self._handlingRequest:
                # It was not needed for answers at once.
                self._ending.waitForBody()

    def rawDataReceived(self, data: bytes) -> None:
        """Called with bytes of a body. After an early answer they are dropped."""
        if not self._isDeaf:
            super().rawDataReceived(data)

    def _finishRequestBody(self, data: bytes) -> None:
        """Called when the body is complete. `data` are the bytes after it, which belong to the next request."""
        self._unread = data + self._unread
        self.allContentReceived()

    def requestDone(self, request: HttpRequest) -> None:
        """Called when an answer is complete: go on with the next request."""
        request.answered()
        self._ending.answered()
        self.requests.remove(request)
        if request.held and not self._isBlocked:
            self.transport.resumeProducing()
        if self.persistent:
            self._handlingRequest = False
        else:
            self.loseConnection()
        if not self._isReading and self._later is None:
            self._readOn()

    def pauseProducing(self) -> None:
        """Called when the client does not take the answers: later requests are not read."""
        self._isBlocked = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """Called when the client has taken the answers: later requests are read again."""
        self._isBlocked = False
        super().resumeProducing()
        if self._later is None and not self._isReading and not self._handlingRequest:
            self._readLater()

    # -- for `ending` ---------------------------------------------------------------------------------------

    @property
    def awaited(self) -> Due:
        """What must come next."""
        if self._isBusy:
            return Due.answer
        return Due.body if self.requests else Due.head

    @property
    def patience(self) -> float | None:
        """Seconds for which the current answer may stop after the peer has closed its half; None for the default."""
        return self.requests[0].patience if self.requests else None

    @property
    def received(self) -> int:
        """Bytes of the current body that have arrived."""
        return self.requests[-1].received if self.requests else 0

    @property
    def isHeld(self) -> bool:
        """Whether the resource has paused reading of the current body."""
        return bool(self.requests and self.requests[-1].held)

    def peerEnded(self) -> None:
        """Called when the peer has closed its half: answer what it has sent."""
        self._settle()

    def refused(self, refused: Refused) -> ConnectionLog | None:
        """Called when the current request is refused instead of being answered. Returns its log, if there is one."""
        if not self.requests:
            return None
        request: HttpRequest = self.requests[-1]
        request.isRefused = True
        if request.span is not None:
            request.span.served(refused.status)
        return request.log

    # -- ending ---------------------------------------------------------------------------------------------------

    def loseConnection(self) -> None:
        """End after the answer. Until the peer has it, further bytes are read and dropped (RFC 9112 9.6)."""
        self._ending.linger()

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Called by twisted.web when the chunked coding of a body is malformed (RFC 9112 7.1)."""
        self._ending.refuse(
            Refused(400, "the body is not valid chunked encoding (RFC 9112 section 7.1): send size, CRLF, data, CRLF")
        )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called when the connection is lost. Unfinished requests are told so."""
        self._forgetTurn()
        super().connectionLost(reason)
        self.requests = []
        self._transferDecoder = None

    def _forgetTurn(self) -> None:
        later, self._later = self._later, None
        if later is not None:
            later.cancel()

    def detach(self) -> None:
        """Called when the connection becomes a WebSocket, which no longer needs this channel."""
        self._reads = _Reads.detached
        self.transport.unregisterProducer()
        self._forgetTurn()
        self._remembered = None
        self.requests = []
