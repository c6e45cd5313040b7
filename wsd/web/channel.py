"""The HTTP side of a connection: twisted.web's channel, given heads that the door has parsed (RFC 9112)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from wsd.head import MAX_HEAD, Head, Refused
from wsd.policies.address import Peer, TlsInfo
from wsd.web.request import Request

if TYPE_CHECKING:
    from wsd.web.door import Door
    from wsd.web.site import Site


class Channel(http.HTTPChannel):
    """
    Bodies, pipelining, persistence and answers are twisted.web's; the reading of heads is not.

    Each later head of the connection goes to the door, which knows what an upgrade is. No call of the reactor's is kept
    for time-outs: the door looks at `waiting`.
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
        self._lines: list[bytes] = []
        self._early = False

    # -- heads ----------------------------------------------------------------------------------------------------

    def lineReceived(self, line: bytes) -> None:
        """A line of a head; with the empty one the head is whole."""
        if self._early or not self.persistent or self.door.lingering:
            return
        if line:
            self._receivedHeaderSize += len(line) + 2
            self._lines.append(line)
            if self._receivedHeaderSize > MAX_HEAD:
                self.lineLengthExceeded(line)
            elif len(self._lines) == 1:
                self.door.headBegan()
        elif self._lines:
            head = b"\r\n".join(self._lines)
            self._lines, self._receivedHeaderSize = [], 0
            self.door.headReceived(head, self.clearLineBuffer)

    def lineLengthExceeded(self, line: bytes) -> None:
        """More of a head than anybody needs."""
        self._lines = []
        self.door.refuseBytes(
            Refused(431, f"the request head is larger than {MAX_HEAD} bytes; send fewer or shorter header fields")
        )

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
        if self._handlingRequest and len(data) > MAX_HEAD:
            # twisted.web goes on reading what comes behind a request while the answer to it is not taken.
            self.transport.pauseProducing()

    def requestDone(self, request: Request) -> None:
        """The answer is whole; what the next request brings comes after that."""
        self.door.answered()
        super().requestDone(request)

    # -- ending ---------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> str:
        """What the peer owes us: "answer" (nothing, we owe), "body", or "head"."""
        if self._handlingRequest:
            return "answer"
        return "body" if self.requests else "head"

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
        super().connectionLost(reason)
        self.requests = []
        self._transferDecoder = None

    def end(self) -> None:
        """Nothing more is read, not even what is here already."""
        self._early = True
        self._lines = []
        self.clearLineBuffer()

    def detach(self) -> None:
        """The connection becomes a WebSocket: nothing here is asked for any more."""
        self.transport.unregisterProducer()
        self.requests = []
