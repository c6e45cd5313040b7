"""What a service answers to Twisted's HTTP client, without a socket."""

from __future__ import annotations

from typing import Any

from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers


class Response:
    """An answer. `body` is what the service sends after its head."""

    def __init__(self, code: int, fields: dict[str, list[str]] | None = None, body: bytes = b"") -> None:
        self.code = code
        self.headers = Headers(fields or {})
        self._body = body

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))
