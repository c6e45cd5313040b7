"""
twisted.web's Request without what nobody asks for.

Most resources read the head, which `wsd.head` has parsed, and write one complete answer. The dictionaries, cookies and
byte strings of twisted.web's Request are made only when a resource uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from time import time
from typing import Any, Protocol

from twisted.python.components import Componentized
from twisted.web.http import NO_BODY_CODES, datetimeToString, parse_qs
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from wsd.web.admitted import Admitted


class AnswerChannel(Protocol):
    """The channel of a request, as answers need it."""

    transport: Any

    def requestDone(self, request: Any) -> None:
        """Called when the answer is complete."""


class _Lazily:
    """An attribute that is made when it is first read."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, request: Any, owner: type | None = None) -> Any:
        if request is None:
            return self
        value = request.__dict__[self._name] = self._make(request)
        return value


def lazily(make: Callable[[Any], Any]) -> Any:
    """An attribute of a request that `make` makes when it is first read."""
    return _Lazily(make)


def _requestHeaders(request: LazyRequest) -> Headers:
    headers = Headers()
    for name, value in request.head.headers:
        headers.addRawHeader(name.encode("latin-1"), value.encode("latin-1"))
    return headers


def _answerHeaders(request: LazyRequest) -> Headers:
    headers = Headers()
    headers.setRawHeaders(b"Date", [datetimeToString()])
    headers.setRawHeaders(b"X-Content-Type-Options", [b"nosniff"])
    for name, value in request.fields.items():
        headers.setRawHeaders(name, [value])
    return headers


def _receivedCookies(request: LazyRequest) -> dict[bytes, bytes]:
    cookies: dict[bytes, bytes] = {}
    request.__dict__["received_cookies"] = cookies
    request.parseCookies()
    return cookies


@lru_cache(128)
def _canonical(name: bytes | str) -> bytes:
    """The name of a field as twisted.web writes it. Raises `InvalidHeaderName`."""
    headers = Headers()
    headers.setRawHeaders(name, [b""])
    ((canonical, _),) = headers.getAllRawHeaders()
    return canonical


@lru_cache(1)
def _fieldsAt(second: int) -> bytes:
    """The fields of every answer."""
    return b"Date: %b\r\nX-Content-Type-Options: nosniff\r\n" % datetimeToString(second)


class LazyRequest(Request):
    """A request whose attributes are made when a resource reads them, with the header fields of its answer."""

    channel: Any
    transport: Any

    requestHeaders = lazily(_requestHeaders)
    responseHeaders = lazily(_answerHeaders)
    received_cookies = lazily(_receivedCookies)
    cookies = lazily(lambda request: [])
    notifications = lazily(lambda request: [])
    args = lazily(lambda request: parse_qs(request.head.query.encode("latin-1"), True))
    client = lazily(lambda request: request.transport.getPeer())
    host = lazily(lambda request: request.transport.getHost())
    content = lazily(lambda request: BytesIO())
    """Empty: the resource reads the body while it arrives."""
    uri = lazily(lambda request: request.head.target.encode("latin-1"))
    path = lazily(lambda request: request.head.path.encode("latin-1"))

    def __init__(self, channel: AnswerChannel, admitted: Admitted) -> None:
        # Not that of twisted.web's Request, which makes most of the above.
        Componentized.__init__(self)
        self.channel = channel
        self.transport = channel.transport
        self.admitted = admitted
        self.head, self.peer, self.tls = admitted.head, admitted.peer, admitted.tls
        self.method, self.clientproto = admitted.method, admitted.protocol
        self.prepath: list[bytes] = []
        self.postpath = list(admitted.parts)
        self.fields: dict[bytes, bytes] = {}
        """The header fields of the answer besides those of every answer, until a resource uses `responseHeaders`."""

    # -- the answer -----------------------------------------------------------------------------------------------

    def setHeader(self, name: Any, value: Any) -> None:
        """Set a header field of the answer, in place of earlier ones with this name."""
        if (
            "responseHeaders" not in self.__dict__
            and isinstance(value, bytes)
            and b"\n" not in value
            and b"\r" not in value
        ):
            self.fields[_canonical(name)] = value
        else:
            self.responseHeaders.setRawHeaders(name, [value])

    def write(self, data: bytes) -> None:
        """Send some of the answer, at first its head."""
        if not self.startedWriting and self._isPlain:
            self.startedWriting = 1
            self.sentLength = len(data)
            fields = b"".join([b"%b: %b\r\n" % field for field in self.fields.items()])
            line = b"%b %d %b\r\n" % (self.clientproto, self.code, self.code_message)
            self.transport.write(b"".join((line, _fieldsAt(int(time())), fields, b"\r\n", data)))
        else:
            super().write(data)

    @property
    def _isPlain(self) -> bool:
        """Whether twisted.web would add nothing to the answer's head, and leave out nothing of the content."""
        fields = self.fields
        isUsual = b"Content-Length" in fields and b"Content-Type" in fields and fields.keys().isdisjoint(_OF_ALL)
        isBare = self.etag is None and self.lastModified is None and self.__dict__.keys().isdisjoint(_MORE)
        return isUsual and isBare and self.method != b"HEAD" and self.code not in NO_BODY_CODES

    def finish(self) -> None:
        """Called when the answer is complete."""
        if self.finished or self.producer is not None:
            # It says what is wrong.
            super().finish()
            return
        if not self.startedWriting:
            self.write(b"")
        if self.chunked:
            self.transport.write(b"0\r\n\r\n")
        self.finished = 1
        self.channel.requestDone(self)
        self.channel = None
        for notified in self.__dict__.pop("notifications", ()):
            notified.callback(None)


_OF_ALL = (b"Date", b"X-Content-Type-Options")
_MORE = ("responseHeaders", "cookies")
"""What a resource may have added to an answer."""
