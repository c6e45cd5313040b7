"""What answers HTTP at a route of SOAP: requests by POST, the contract at ?wsdl, and a page for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from wsd.connection import Refused
from wsd.head import Head
from wsd.policies.address import Peer
from wsd.policies.origin import checkOrigin
from wsd.protocols.soap.media import parameters, versionOf
from wsd.protocols.soap.names import SOAP11, Version
from wsd.protocols.soap.node import Answer
from wsd.protocols.soap.page import pageOf
from wsd.protocols.soap.publish import httpWsdl, webSocketWsdl
from wsd.protocols.soap.reading import Reader
from wsd.protocols.soap.service import Service
from wsd.resources import IBody, IStreamed

if TYPE_CHECKING:
    from wsd.protocols.soap.protocol import SoapFactory


class HttpLink:
    """Who asks by HTTP: there is one answer, and no way for more."""

    user: str | None = None
    isFull = False
    canPush = False
    isOpen = True

    def __init__(self, clock: IReactorTime, request: Any) -> None:
        self.clock = clock
        self.peer: Peer = request.peer
        self._head: Head = request.head
        self._goodbyes: list[Callable[[], None]] = []

    def header(self, name: str) -> str | None:
        """A header of the request."""
        return self._head.headers.get(name)

    def deliver(self, text: str) -> None:
        """There is no way: a function looks at `canPush` before. Raises RuntimeError."""
        raise RuntimeError("over HTTP nothing can be pushed")

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """Register a callback. There is only one call, and it ends with the request."""
        self._goodbyes.append(call)
        return lambda: None

    def end(self) -> None:
        """It has been answered, or nobody waits any more."""
        self.isOpen = False
        for call in self._goodbyes:
            call()


@implementer(IBody)
class Posted:
    """The envelope of a request, parsed as it arrives; what is no SOAP is passed over, so that the connection stays."""

    def __init__(self, kind: str | None, most: int) -> None:
        self.refused: Refused | None = None
        try:
            if kind is None:
                raise Refused(415, "Content-Type is missing; write application/soap+xml (1.2) or text/xml (1.1)")
            self.version = versionOf(kind, "Content-Type")
        except Refused as refused:
            self.refused = refused
        self.reader = Reader(most)
        self._left = most
        self._most = most

    def received(self, data: bytes) -> None:
        """Some of it. Raises `Refused` (413)."""
        self._left -= len(data)
        if self._left < 0:
            raise Refused(413, f"an envelope has at most {self._most} bytes here")
        if self.refused is None:
            self.reader.feed(data)

    def ended(self) -> None:
        """It is whole."""

    def lost(self) -> None:
        """Nobody will ask."""
        self.reader.drop()


@implementer(IStreamed)
class Pages(Resource):
    """`/soap`, and what its page needs below it."""

    isLeaf = True

    def __init__(self, factory: SoapFactory) -> None:
        super().__init__()
        self._factory = factory
        self._page = None if factory.service is None else pageOf(factory.route.path, factory.service)

    def bodyOf(self, request: Any) -> IBody | None:
        """Only a POST has one. Raises `Refused`: 403 for another site's page."""
        origin = request.head.headers.get("Origin")
        if origin is not None:
            checkOrigin(origin, self._factory.route.origins, request.head.host, request.site.hosts)
        if request.head.method != "POST" or request.postpath not in ([], [b""]):
            return None
        request.posted = Posted(request.head.headers.get("Content-Type"), self._factory.maxMessage)
        body: IBody = request.posted
        return body

    def render_POST(self, request: Any) -> int:
        """Answer a request. Raises `Refused`: 415 for what is no SOAP."""
        posted: Posted | None = getattr(request, "posted", None)
        if posted is None:
            raise Refused(400, "there is no envelope; write one into the body")
        if posted.refused is not None:
            raise posted.refused
        version = posted.version
        link = HttpLink(self._factory.clock, request)
        answer = self._factory.node.process(posted.reader, version, link, _actionOf(request, version))
        if isinstance(answer, Answer):
            _say(request, answer, link)
            return NOT_DONE_YET
        gone = request.notifyFinish()
        gone.addErrback(lambda _: answer.cancel())
        answer.addCallbacks(lambda done: _say(request, done, link), lambda _: link.end())
        return NOT_DONE_YET

    def render_GET(self, request: Any) -> bytes:
        """The contract, or the page, or one of its files."""
        if self._page is None or self._factory.service is None:
            raise Refused(404, "this route is a gateway; the contract is at the service behind it")
        if request.postpath not in ([], [b""]):
            name = request.postpath[-1].decode("latin-1")
            if len(request.postpath) > 1 or name not in self._page:
                raise Refused(404, f"nothing answers at {request.head.path[:80]}")
            return self._page.render(request, name)
        asked = {name.lower(): value for name, value in parse_qsl(request.head.query, keep_blank_values=True)}
        if "wsdl" in asked or "singlewsdl" in asked:
            return self._contract(request, self._factory.service, asked.get("transport", "websocket"))
        return self._page.render(request, "index.html")

    def _contract(self, request: Any, service: Service, transport: str) -> bytes:
        if transport not in ("http", "websocket"):
            raise Refused(400, "the transport of a contract is http or websocket: ?wsdl&transport=http")
        isHttp = transport == "http"
        scheme = ("http" if isHttp else "ws") + ("s" if request.peer.secure else "")
        location = f"{scheme}://{request.head.headers.get('Host') or 'localhost'}{self._factory.route.path}"
        request.setHeader(b"Content-Type", b"text/xml; charset=utf-8")
        request.setHeader(b"Cache-Control", b"no-cache")
        return (httpWsdl if isHttp else webSocketWsdl)(service.contract, location)


def _actionOf(request: Any, version: Version) -> str:
    """What HTTP says beside the envelope: SOAPAction (1.1, 6.1.1), or action in the content type (RFC 3902)."""
    if version is SOAP11:
        return str(request.head.headers.get("SOAPAction") or "").strip().strip('"')
    return parameters(request.head.headers.get("Content-Type") or "").get("action", "")


def _say(request: Any, answer: Answer, link: HttpLink) -> None:
    """SOAP 1.2 part 2, 7.5.2.2: 400 for what the sender did wrong, 500 for other faults, 202 for no answer."""
    if not link.isOpen or request.channel is None:
        return
    link.end()
    content = answer.text.encode()
    status = 200 if content else 202
    if answer.fault is not None and content:
        status = 400 if answer.fault.code == "Sender" and answer.version is not SOAP11 else 500
    request.setResponseCode(status)
    if content:
        request.setHeader(b"Content-Type", f"{answer.version.contentType}; charset=utf-8".encode())
    request.setHeader(b"Content-Length", b"%d" % len(content))
    request.write(content)
    request.finish()
