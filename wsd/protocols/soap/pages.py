"""Pages: a route over HTTP. It answers POST requests, and serves the contract at ?wsdl and a page for people."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from wsd.auth.outcome import AuthenticatedUser
from wsd.config import Route
from wsd.connection import Closed, Refused
from wsd.head import Head
from wsd.policies.address import Peer, TlsInfo
from wsd.policies.origin import checkOrigin
from wsd.protocols.soap.contenttype import parameters
from wsd.protocols.soap.encodings.choice import encodingOfRequest
from wsd.protocols.soap.encodings.encoding import Encoding, MessageReader, Utf8
from wsd.protocols.soap.exchange import Answer, PendingAnswer, Responder, faultAnswer
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import SOAP11, Version
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.page import pageOf
from wsd.protocols.soap.reader import Document
from wsd.protocols.soap.service import Service
from wsd.protocols.soap.wsdl.contract import Contract
from wsd.protocols.soap.wsdl.policy import Credentials
from wsd.protocols.soap.wsdl.writer import httpWsdl, webSocketWsdl
from wsd.resources import IBody, IStreamed, answerBy, compressedFor, decodedBody, finish

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_KEPT = 8
"""The contracts that are kept as a WSDL."""


class ServedRoute(Protocol):
    """The factory of a route, as its pages need it."""

    @property
    def clock(self) -> IReactorTime:
        """The clock to use."""

    @property
    def maxMessage(self) -> int:
        """Limit of a message in bytes."""

    @property
    def node(self) -> Responder:
        """The node that answers requests."""

    @property
    def options(self) -> SoapOptions:
        """The keys of the route."""

    @property
    def route(self) -> Route:
        """The route in the configuration."""

    @property
    def service(self) -> Service | None:
        """The service, None for a gateway."""


class HttpRequester:
    """The peer of a request over HTTP. It gets one answer and no pushed messages."""

    isFull = False
    canPush = False
    isOpen = True

    def __init__(self, clock: IReactorTime, request: Any, encoding: Encoding) -> None:
        self.clock = clock
        self.encoding = encoding
        self.peer: Peer = request.peer
        self.user: str | None = request.user
        self.head: Head = request.head
        self.tls: TlsInfo | None = request.tls
        self._request = request
        self._span: Span | None = request.span
        self._closeCalls: list[Callable[[], None]] = []

    def header(self, name: str) -> str | None:
        """Returns a header of the request."""
        return self.head.headers.get(name)

    def deliver(self, text: str) -> None:
        """Raises RuntimeError, since a function must check `canPush` before it pushes."""
        raise RuntimeError("messages cannot be pushed over HTTP")

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """Calls a function when the request has ended. The returned function does nothing: a request is one call."""
        self._closeCalls.append(call)
        return lambda: None

    def authenticated(self, user: AuthenticatedUser) -> None:
        """Called with the sender of the message, whom the access line of the request shows."""
        self.user = self._request.user = user.name

    def traced(self, url: str) -> Span | None:
        """Returns the span of a POST in the trace of the request."""
        return None if self._span is None else self._span.request("POST", url)

    def end(self) -> None:
        """Called when the request has been answered, or when the client is gone. Only the first call counts."""
        self.isOpen = False
        calls, self._closeCalls = self._closeCalls, []
        for call in calls:
            call()


@implementer(IBody)
class PostedEnvelope:
    """The body of a request, parsed as it arrives. A body that is not SOAP is skipped, so that the connection stays."""

    def __init__(self, contentType: str | None, most: int) -> None:
        self.refused: Refused | None = None
        self.encoding: Encoding
        self._reader: MessageReader | None = None
        try:
            if contentType is None:
                raise Refused(415, "Content-Type is missing; write application/soap+xml (1.2) or text/xml (1.1)")
            self.encoding = encodingOfRequest(contentType)
            self._reader = self.encoding.reader(most)
        except Refused as refused:
            self.refused = refused
        self._left = most
        self._most = most

    def received(self, data: bytes) -> None:
        """Called with the next bytes. Raises `Refused` (413)."""
        self._left -= len(data)
        if self._left < 0:
            raise Refused(413, f"an envelope may have at most {self._most} bytes")
        if self._reader is not None:
            self._reader.feed(data)

    @property
    def kept(self) -> int:
        """The bytes of memory of the elements that it has become."""
        return 0 if self._reader is None else self._reader.weight

    def ended(self) -> None:
        """Called when the body is complete."""

    def lost(self) -> None:
        """Called when the connection ends before the body is complete."""
        if self._reader is not None:
            self._reader.drop()

    def document(self) -> Document:
        """Returns the envelope. Raises `Fault` (Sender), or `Refused` (413) if it becomes too large."""
        assert self._reader is not None
        try:
            return self._reader.close()
        except Closed as closed:
            raise Refused(413, closed.sentence) from None


@implementer(IStreamed)
class Pages(Resource):
    """The resource of a route, and of the files of its page below it."""

    isLeaf = True

    def __init__(self, factory: ServedRoute) -> None:
        super().__init__()
        self._factory = factory
        self._page = (
            None
            if factory.service is None
            else pageOf(factory.route.path, factory.service, factory.options.username_token)
        )
        # By transport and address, which are few: the hosts of a daemon are known.
        self._wsdl = lru_cache(_KEPT)(self._wsdlOf)

    def bodyOf(self, request: Any) -> IBody | None:
        """Returns the reader for the body of a POST. Raises `Refused` (403) for a page of another site."""
        fields = request.head.headers.byName
        origin = fields.get("origin")
        if origin is not None:
            checkOrigin(origin, self._factory.route.origins, request.head.host, request.site.hosts)
        if request.head.method != "POST" or request.postpath not in ([], [b""]):
            return None
        request.posted = PostedEnvelope(fields.get("content-type"), self._factory.maxMessage)
        body: IBody = request.posted
        return decodedBody(request.head, body)

    def render(self, request: Any) -> Any:
        """Answers a request. Twisted's way to the method takes longer than the rest of it."""
        return self.render_POST(request) if request.head.method == "POST" else super().render(request)

    def render_POST(self, request: Any) -> int:
        """Answers a request. Raises `Refused`, 415 for a content type that is not SOAP."""
        posted: PostedEnvelope | None = getattr(request, "posted", None)
        if posted is None:
            raise Refused(400, "the body is empty; send an envelope")
        if posted.refused is not None:
            raise posted.refused
        requester = HttpRequester(self._factory.clock, request, posted.encoding)
        answer: Answer | PendingAnswer
        try:
            document = posted.document()
            version = posted.encoding.version
            answer = self._factory.node.process(document, version, requester, _actionOf(request, version))
        except Fault as fault:
            answer = faultAnswer(fault, posted.encoding.version)
        if isinstance(answer, Answer):
            self._respond(request, answer, requester)
            return NOT_DONE_YET
        return answerBy(request, self._respondLater(request, answer.result, requester))

    def render_GET(self, request: Any) -> bytes:
        """Returns the contract, the page, or one of the files of the page."""
        if self._page is None or self._factory.service is None:
            raise Refused(404, "this route is a gateway; the contract is at the upstream service")
        if request.postpath not in ([], [b""]):
            name = request.postpath[-1].decode("latin-1")
            if len(request.postpath) > 1 or name not in self._page:
                raise Refused(404, f"there is nothing at {request.head.path[:80]}")
            return self._page.render(request, name)
        asked = {name.lower(): value for name, value in parse_qsl(request.head.query, keep_blank_values=True)}
        if "wsdl" in asked or "singlewsdl" in asked:
            return self._contract(request, self._factory.service, asked.get("transport", "websocket"))
        return self._page.render(request, "index.html")

    def _contract(self, request: Any, service: Service, transport: str) -> bytes:
        if transport not in ("http", "websocket"):
            raise Refused(400, "transport must be http or websocket: ?wsdl&transport=http")
        isHttp = transport == "http"
        scheme = ("http" if isHttp else "ws") + ("s" if request.peer.secure else "")
        location = f"{scheme}://{request.head.headers.get('Host') or 'localhost'}{self._factory.route.path}"
        request.setHeader(b"Content-Type", b"text/xml; charset=utf-8")
        request.setHeader(b"Cache-Control", b"no-cache")
        return self._wsdl(service.contract, isHttp, location)

    def _wsdlOf(self, contract: Contract, isHttp: bool, location: str) -> bytes:
        """Returns the WSDL for a transport and an address, the URL of the route."""
        credentials = Credentials.none
        if self._factory.options.username_token:
            credentials = Credentials.usernameToken
        elif "basic" in self._factory.route.auth.methods:
            credentials = Credentials.basic
        return (httpWsdl if isHttp else webSocketWsdl)(contract, location, credentials)

    async def _respondLater(self, request: Any, result: Deferred[Answer], requester: HttpRequester) -> None:
        """Sends an answer once it is known. Cancels the call if the client is gone before that."""
        request.notifyFinish().addErrback(_abandon, result, requester)
        try:
            self._respond(request, await result, requester)
        except CancelledError:
            if requester.isOpen:
                raise
        finally:
            requester.end()

    def _respond(self, request: Any, answer: Answer, requester: HttpRequester) -> None:
        """
        Sends an answer: 500 for a fault, 202 without a content.

        With `fault_status = "soap12"` the fault Sender of SOAP 1.2 is 400 (SOAP 1.2 part 2, 7.5.2.2).
        """
        requester.end()
        encoding: Encoding = request.posted.encoding
        if answer.version is not encoding.version:
            # The sender of another version can read it (SOAP 1.2 part 1, appendix A).
            encoding = Utf8(answer.version)
        content = encoding.write(answer.text) if answer.text else b""
        status = 200 if content else 202
        if answer.fault is not None and content:
            isSender = answer.fault.code == "Sender" and answer.version is not SOAP11
            status = 400 if isSender and self._factory.options.fault_status == "soap12" else 500
        content, fields = compressedFor(request.head, content)
        if content:
            fields["Content-Type"] = encoding.contentType
        finish(request, status, fields, content)


def _actionOf(request: Any, version: Version) -> str:
    """Returns the Action: the header SOAPAction (SOAP 1.1, 6.1.1), or a parameter of the content type (RFC 3902)."""
    if version is SOAP11:
        return str(request.head.headers.get("SOAPAction") or "").strip().strip('"')
    told = parameters(request.head.headers.get("Content-Type") or "")
    return told.get("action") or parameters(told.get("start-info", "")).get("action", "")


def _abandon(failure: Failure, result: Deferred[Answer], requester: HttpRequester) -> None:
    """Called when the client is gone: cancels the call."""
    requester.end()
    result.cancel()
