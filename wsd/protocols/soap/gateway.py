"""
Gateway: forwards the envelopes of clients to an upstream service by HTTP POST, and returns its answers.

It speaks SOAP 1.1 (6) and SOAP 1.2 part 2 (7) over HTTP. Only the configuration sets the URL. No request is sent twice.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from lxml import etree
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from wsd.protocols.soap.contenttype import mediaType
from wsd.protocols.soap.encodings.charsets import toUtf8
from wsd.protocols.soap.encodings.encoding import MessageReader, TooLarge
from wsd.protocols.soap.encodings.mtom import Mtom, MtomReader
from wsd.protocols.soap.envelope import Envelope, readRelayed
from wsd.protocols.soap.exchange import Answer, PendingAnswer, Requester, faultAnswer, isOneWay, logUnanswered
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import SOAP11, WSA, Version
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.reader import Document, EnvelopeReader

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_ACTION = re.compile(r"[!#-\[\]-~]*")
_WSA = f"{{{WSA}}}"


class UpstreamResponse(NamedTuple):
    """The response of the upstream service to a POST."""

    status: int
    contentType: str
    content: bytes


class SoapGateway:
    """Answers requests by sending them to the upstream service; it takes the place of a `Node`."""

    log = Logger(namespace="wsd")

    def __init__(self, reactor: Any, options: SoapOptions, route: str) -> None:
        assert options.upstream is not None
        self._url = options.upstream.encode("ascii")
        self._options = options
        self._clock = reactor
        self._route = route
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = options.upstream_calls
        # A request may have been carried out although the connection was lost.
        self._pool.retryAutomatically = False
        self._agent = Agent(reactor, connectTimeout=options.upstream_timeout, pool=self._pool)

    def stop(self) -> Deferred[Any]:
        """Closes the idle connections to the upstream service. Fires when they are closed."""
        closed: Deferred[Any] = self._pool.closeCachedConnections()
        return closed

    def process(
        self, document: Document, spoken: Version, requester: Requester, action: str = ""
    ) -> Answer | PendingAnswer:
        """Answers a request with the upstream service's answer, or with a fault if it gives none."""
        envelope = readRelayed(document.root, spoken)
        addressing = envelope.addressing
        try:
            if envelope.fault is not None:
                raise envelope.fault
            body, headers = self._request(document, addressing.Action or action, envelope.version, requester)
        except Fault as fault:
            return self.refuse(envelope, fault, requester)
        result = Deferred.fromCoroutine(self._relay(body, headers, envelope, requester))
        return PendingAnswer(result, addressing.MessageID)

    def _request(
        self, document: Document, action: str, version: Version, requester: Requester
    ) -> tuple[bytes, Headers]:
        """Returns the body and the headers to send: in MTOM for a client of MTOM, else as text. Raises `Fault`."""
        headers = self._headers(version, action, requester)
        if not isinstance(requester.encoding, Mtom):
            return etree.tostring(document.root, encoding="utf-8"), headers
        mtom = Mtom(version, "", hasHeaders=False)
        contentType = mtom.contentType
        if version is not SOAP11 and action:
            # A quoted string in a quoted string (XOP 1.0, 4.1).
            contentType = rf'{contentType[:-1]};action=\"{action}\""'
        headers.setRawHeaders("Content-Type", [contentType])
        headers.setRawHeaders("Accept", [f"multipart/related, {version.contentType}"])
        return mtom.write(etree.tostring(document.root, encoding="unicode")), headers

    def _headers(self, version: Version, action: str, requester: Requester) -> Headers:
        """Returns the headers to send. Of the client's, only `upstream_headers` are passed on. Raises `Fault`."""
        if not _ACTION.fullmatch(action):
            raise Fault(
                "the Action is not a URI, so it cannot be passed on as an HTTP header",
                subcode="InvalidAddressingHeader",
            )
        headers = Headers({"Accept": [version.contentType]})
        contentType = f"{version.contentType}; charset=utf-8"
        if version is SOAP11:
            headers.setRawHeaders("SOAPAction", [f'"{action}"'])
        elif action:
            contentType += f'; action="{action}"'
        headers.setRawHeaders("Content-Type", [contentType])
        for name in self._options.upstream_headers:
            value = requester.header(name)
            if value is not None:
                headers.setRawHeaders(name, [value])
        if self._options.upstream_user is not None and requester.user is not None:
            headers.setRawHeaders(self._options.upstream_user, [requester.user])
        return headers

    async def _relay(self, body: bytes, headers: Headers, envelope: Envelope, requester: Requester) -> Answer:
        span = requester.traced(self._url.decode("ascii"))
        posted = self._post(body, headers) if span is None else self._postTraced(body, headers, span, requester)
        response = Deferred.fromCoroutine(posted)
        response.addTimeout(self._options.upstream_timeout, self._clock, _late)
        try:
            answer = self._read(await response, envelope)
            if answer.fault is None or not isOneWay(envelope.addressing, requester):
                return answer
            fault = answer.fault
        except Fault as error:
            fault = error
        except Exception as error:
            if not requester.isOpen:
                # The request was cancelled, since the client is gone.
                return Answer("", envelope.version)
            self._logUnreachable(error)
            fault = Fault("the upstream service cannot be reached", "Receiver")
        return self.refuse(envelope, fault, requester)

    def refuse(self, envelope: Envelope, fault: Fault, requester: Requester) -> Answer:
        """Returns the answer with a fault, an empty one to a one-way message."""
        if isOneWay(envelope.addressing, requester):
            logUnanswered(self.log, self._route, requester, fault)
            return Answer("", envelope.version, fault)
        return faultAnswer(fault, envelope.version, envelope.addressing)

    def _logUnreachable(self, error: Exception) -> None:
        if isinstance(error, (ConnectError, ConnectionLost)):
            reason = str(error)
        else:
            reasons = getattr(error, "reasons", None)
            reason = "; ".join(each.getErrorMessage() for each in reasons) if reasons else repr(error)
        self.log.warn(
            "{route}: the upstream service cannot be reached: {reason}",
            event="soap.upstream",
            route=self._route,
            reason=reason[:400],
        )

    async def _post(self, body: bytes, headers: Headers) -> UpstreamResponse:
        response: Any = await self._agent.request(b"POST", self._url, headers, FileBodyProducer(BytesIO(body)))
        contentType = (response.headers.getRawHeaders("Content-Type") or [""])[0]
        receiver = _BodyReceiver(self._options.max_answer)
        response.deliverBody(receiver)
        return UpstreamResponse(response.code, contentType, await receiver.whole)

    async def _postTraced(self, body: bytes, headers: Headers, span: Span, requester: Requester) -> UpstreamResponse:
        """The same as a span, whose trace is passed on."""
        for name, value in span.passOn():
            headers.setRawHeaders(name, [value])
        with span.endsWith(lambda: "timeout" if requester.isOpen else "client_left"):
            response = await self._post(body, headers)
        span.answered(response.status)
        return response

    def _read(self, response: UpstreamResponse, envelope: Envelope) -> Answer:
        """Returns the answer for the client. Raises `Fault` (Receiver) if the client could not read the response."""
        version, status = envelope.version, response.status
        if status in (202, 204) or (status == 200 and not response.content):
            return Answer("", version)
        try:
            root = self._rootOf(response)
        except Fault as wrong:
            if wrong.code == "Receiver":
                raise
            what = f"{response.contentType.partition(';')[0][:80] or 'no content type'}): {wrong.reason}"
            raise Fault(
                f"the upstream service answered {status} with something other than SOAP ({what}", "Receiver"
            ) from None
        if root.tag != version.envelope:
            raise Fault(
                f"the upstream service answered {status} with {root.tag[:200]} instead of an Envelope of SOAP "
                f"{version.number}",
                "Receiver",
            )
        if envelope.addressing.MessageID:
            _relate(root, version, envelope.addressing.MessageID)
        return Answer(etree.tostring(root, encoding="unicode"), version, _faultIn(root, version))

    def _rootOf(self, response: UpstreamResponse) -> Any:
        """Returns the root of an answer, in MTOM or as text in any common encoding. Raises `Fault`."""
        # The upstream service is trusted, and max_answer bounds its answers: elements need not be counted.
        most = self._options.max_answer
        reader: MessageReader
        if mediaType(response.contentType) == "multipart/related":
            reader = MtomReader(response.contentType, most, isCounted=False)
            reader.feed(response.content)
        else:
            reader = EnvelopeReader(most, isCounted=False)
            reader.feed(toUtf8(response.content, response.contentType))
        try:
            return reader.close().root
        except TooLarge:
            raise Fault("the upstream service's answer is larger than max_answer", "Receiver") from None


def _late(value: object, seconds: float) -> None:
    raise Fault(f"the upstream service did not answer within {seconds:g} seconds", "Receiver")


def _relate(root: Any, version: Version, messageId: str) -> None:
    """Adds the RelatesTo, which an answer must have (WS-Addressing Core, 3.4), if the upstream service left it out."""
    header = root.find(version.header)
    if header is None:
        header = etree.Element(version.header, nsmap={"a": WSA})
        root.insert(0, header)
    if header.find(f"{_WSA}RelatesTo") is None:
        etree.SubElement(header, f"{_WSA}RelatesTo").text = messageId


def _faultIn(root: Any, version: Version) -> Fault | None:
    """Returns the fault in an answer, None for none. It has the reason, and the code for the status of HTTP."""
    fault = root.find(f"{version.body}/{version.fault}")
    if fault is None:
        return None
    code = fault.findtext(f"{{{version.namespace}}}Code/{{{version.namespace}}}Value") or ""
    reason = fault.findtext(f"{{{version.namespace}}}Reason/{{{version.namespace}}}Text") or fault.findtext(
        "faultstring"
    )
    return Fault(reason or "", "Sender" if code.endswith("Sender") else "Receiver")


class _BodyReceiver(Protocol):
    """Receives the content of a response. `whole` fires with it, or fails if there are more than `most` bytes."""

    def __init__(self, most: int) -> None:
        self._pieces: list[bytes] = []
        self._left = most
        self.whole: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._isDone = False

    def dataReceived(self, data: bytes) -> None:
        """Called with the next bytes."""
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
        elif not self._isDone:
            self._isDone = True
            self._abort()
            self.whole.errback(Fault("the upstream service's answer is larger than max_answer", "Receiver"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called when the content is complete, or when the connection is lost before that."""
        if self._isDone:
            return
        self._isDone = True
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(reason)

    def _abort(self) -> None:
        self._isDone = True
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()
