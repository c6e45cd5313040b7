"""
Gateway: envelopes that come over a WebSocket go by HTTP POST to a service that exists, and its answers come back.

SOAP 1.1 (6) and SOAP 1.2 part 2 (7) over HTTP. The URL is the configuration's alone; nothing is asked twice.
"""

from __future__ import annotations

import re
from importlib import import_module
from io import BytesIO
from typing import Any

from lxml import etree
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from wsd.config import ConfigError
from wsd.protocols.soap.charset import toUtf8
from wsd.protocols.soap.envelope import Addressing, answerVersion, glance, writeFault
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import SOAP11, WSA, Version
from wsd.protocols.soap.node import Answer
from wsd.protocols.soap.options import SoapOptions
from wsd.protocols.soap.reader import Reader
from wsd.protocols.soap.service import Link

_ACTION = re.compile(r"[!#-\[\]-~]*")
_WSA = f"{{{WSA}}}"


class Gateway:
    """Answers requests by asking the service behind; it takes the place of a `Node`."""

    log = Logger(namespace="wsd")

    def __init__(self, reactor: Any, options: SoapOptions, route: str) -> None:
        assert options.upstream is not None
        self._url = options.upstream.encode("ascii")
        self._options = options
        self._clock = reactor
        self._route = route
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = options.upstream_calls
        # What was asked once may have been done, though the connection was lost.
        self._pool.retryAutomatically = False
        if options.upstream.startswith("https:"):
            try:
                import_module("twisted.internet.ssl")
            except ImportError as error:
                raise ConfigError(f'upstream: needs {error.name}, which is missing; pip install "wsd[tls]"') from error
        self._agent = Agent(reactor, connectTimeout=options.upstream_timeout, pool=self._pool)

    def stop(self) -> Deferred[Any]:
        """Close what is kept open to the service behind."""
        closed: Deferred[Any] = self._pool.closeCachedConnections()
        return closed

    def process(
        self, reader: Reader, spoken: Version, link: Link, action: str = "", addressing: Addressing | None = None
    ) -> Answer | Deferred[Answer]:
        """The answer to the message that `reader` was fed, from the service behind or, when it gives none, a fault."""
        addressing = addressing or Addressing()
        version = spoken
        try:
            root = reader.close()
            version = answerVersion(root, spoken)
            glance(root, spoken, addressing)
            headers = self._headers(version, addressing.Action or action, link)
        except Fault as fault:
            return Answer(writeFault(version, fault, addressing), version, fault)
        body = etree.tostring(root, encoding="utf-8")
        return Deferred.fromCoroutine(self._ask(body, version, headers, addressing, link))

    def _headers(self, version: Version, action: str, link: Link) -> Headers:
        """What goes with the envelope: nothing of the client's but the headers that the route lets pass."""
        if not _ACTION.fullmatch(action):
            raise Fault("the Action is no URI; it is passed on in a header of HTTP", subcode="InvalidAddressingHeader")
        headers = Headers({"Accept": [version.contentType]})
        kind = f"{version.contentType}; charset=utf-8"
        if version is SOAP11:
            headers.setRawHeaders("SOAPAction", [f'"{action}"'])
        elif action:
            kind += f'; action="{action}"'
        headers.setRawHeaders("Content-Type", [kind])
        for name in self._options.upstream_headers:
            value = link.header(name)
            if value is not None:
                headers.setRawHeaders(name, [value])
        return headers

    async def _ask(self, body: bytes, version: Version, headers: Headers, addressing: Addressing, link: Link) -> Answer:
        asked = Deferred.fromCoroutine(self._exchange(body, headers))
        asked.addTimeout(self._options.upstream_timeout, self._clock, _late)
        try:
            return self._read(await asked, version, addressing)
        except Fault as error:
            fault = error
        except Exception as error:
            if not link.isOpen:
                # It was called off, since nobody is there to hear it.
                return Answer("", version)
            self._tell(error)
            fault = Fault("the service behind cannot be reached", "Receiver")
        return Answer(writeFault(version, fault, addressing), version, fault)

    def _tell(self, error: Exception) -> None:
        if isinstance(error, (ConnectError, ConnectionLost)):
            reason = str(error)
        else:
            reasons = getattr(error, "reasons", None)
            reason = "; ".join(each.getErrorMessage() for each in reasons) if reasons else repr(error)
        self.log.warn(
            "{route}: the service behind cannot be reached: {reason}",
            event="soap.upstream",
            route=self._route,
            reason=reason[:400],
        )

    async def _exchange(self, body: bytes, headers: Headers) -> tuple[int, str, bytes]:
        """The status, the content type and the content that the service behind gives."""
        response: Any = await self._agent.request(b"POST", self._url, headers, FileBodyProducer(BytesIO(body)))
        kind = (response.headers.getRawHeaders("Content-Type") or [""])[0]
        gathered = _Gathered(self._options.max_answer)
        response.deliverBody(gathered)
        return response.code, kind, await gathered.whole

    def _read(self, answer: tuple[int, str, bytes], version: Version, addressing: Addressing) -> Answer:
        """The answer as it goes on. Raises `Fault` (Receiver) for what a client could not read."""
        status, kind, content = answer
        if status in (202, 204) or (status == 200 and not content):
            return Answer("", version)
        if kind.lower().startswith("multipart/"):
            raise Fault("the service behind answers with MTOM, which is not passed on", "Receiver")
        # The configuration names who wrote it, and max_answer bounds it.
        reader = Reader(self._options.max_answer, isCounted=False)
        reader.feed(toUtf8(content, kind))
        try:
            root = reader.close()
        except Fault as wrong:
            told = f"{kind.partition(';')[0][:80] or 'no content type'}): {wrong.reason}"
            raise Fault(f"the service behind answered {status} with what is no SOAP ({told}", "Receiver") from None
        if root.tag != f"{{{version.namespace}}}Envelope":
            raise Fault(
                f"the service behind answered {status} with {root.tag[:200]}, where an Envelope of SOAP "
                f"{version.number} was due",
                "Receiver",
            )
        if addressing.MessageID:
            _relate(root, version, addressing.MessageID)
        return Answer(etree.tostring(root, encoding="unicode"), version, _faultIn(root, version))


def _late(value: object, seconds: float) -> None:
    raise Fault(f"the service behind did not answer within {seconds:g} seconds", "Receiver")


def _relate(root: Any, version: Version, name: str) -> None:
    """Say which request this answers, where the service behind has left it out."""
    header = root.find(f"{{{version.namespace}}}Header")
    if header is None:
        header = etree.Element(f"{{{version.namespace}}}Header", nsmap={"a": WSA})
        root.insert(0, header)
    if header.find(f"{_WSA}RelatesTo") is None:
        etree.SubElement(header, f"{_WSA}RelatesTo").text = name


def _faultIn(root: Any, version: Version) -> Fault | None:
    """The fault that an answer tells, as far as its status over HTTP asks for it."""
    fault = root.find(f"{{{version.namespace}}}Body/{{{version.namespace}}}Fault")
    if fault is None:
        return None
    code = fault.findtext(f"{{{version.namespace}}}Code/{{{version.namespace}}}Value") or ""
    return Fault("", "Sender" if code.endswith("Sender") else "Receiver")


class _Gathered(Protocol):
    """The content of an answer, up to a bound."""

    def __init__(self, most: int) -> None:
        self._pieces: list[bytes] = []
        self._left = most
        self.whole: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._isDone = False

    def dataReceived(self, data: bytes) -> None:
        """Some of it."""
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
        elif not self._isDone:
            self._isDone = True
            self._abort()
            self.whole.errback(Fault("the service behind answers more than is taken here (max_answer)", "Receiver"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is whole, or will never be."""
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
