"""The TLS handshake of an accepted connection, sans I/O (RFC 8446 4). A bad ClientHello never reaches OpenSSL."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from wsd.connection.request import newId
from wsd.listen.clienthello import ClientHello, ClientHelloReader, HelloTooLong
from wsd.listen.records import Records, reasonOf
from wsd.metrics import TlsHandshakes
from wsd.policies.address import TlsInfo

ALPN = "http/1.1"
"""The only application protocol (RFC 7301). WebSockets over HTTP/2 (RFC 8441) are not supported."""

_NO_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"
"""The fatal alert no_application_protocol (RFC 7301 3.2)."""

_TOO_LONG = b"\x15\x03\x03\x00\x02\x02\x2f"
"""The fatal alert illegal_parameter (RFC 8446 6.2), which OpenSSL also sends for an excessively long message."""

_SENTENCE = b"this port uses TLS; use wss:// or https://\n"
_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"X-Request-Id: %b\r\nConnection: close\r\n\r\n%b"
)
"""The answer to a client that speaks HTTP without TLS."""

ChooseContext = Callable[[ClientHello], ssl.SSLContext]
"""Returns the context for a client, by its ClientHello."""


def _found() -> type[Records]:
    try:
        from wsd.listen import _openssl
    except ImportError:
        return Records
    return _openssl.Records


newRecords = _found()
"""The records of a connection: by OpenSSL's interface in C where that is built and fits, else by Python's."""


class HandshakeFailed(Exception):
    """
    The handshake cannot be completed. `answer` is sent to the client before the connection ends.

    `id` is in the log, and in an answer over HTTP.
    """

    def __init__(self, reason: str, answer: bytes, connectionId: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer
        self.id = connectionId or newId()


class Handshake:
    """
    The server's side of one handshake.

    `records` is None until the ClientHello is complete and accepted. `serverName` is its server name (RFC 6066 3).
    """

    def __init__(self, choose: ChooseContext, counted: TlsHandshakes) -> None:
        """The handshake is counted there at its end."""
        self._choose = choose
        self._began: float | None = None
        self._counted = counted
        self._hello: ClientHelloReader | None = ClientHelloReader()
        self.records: Any = None
        self.serverName: str | None = None

    @property
    def hasBegun(self) -> bool:
        """Whether the client has sent anything."""
        return self._hello is None or bool(self._hello.received)

    @property
    def endsWithTicket(self) -> bool:
        """Whether the last bytes are only a session ticket, as in TLS 1.3. They are sent with the first answer."""
        return bool(self.records.version() == "TLSv1.3")

    def feed(self, data: bytes) -> bytes | None:
        """
        Continue with the bytes that were read. Returns the bytes after the handshake, or None if it is not complete.

        Raises `HandshakeFailed`.
        """
        if self._began is None:
            self._began = monotonic()
        try:
            rest = self._feed(data)
        except HandshakeFailed:
            self._counted.count("failed")
            raise
        if rest is not None:
            records = self.records
            self._counted.complete(records.version(), monotonic() - self._began, isResumed=records.isResumed())
        return rest

    def _feed(self, data: bytes) -> bytes | None:
        if self._hello is not None:
            received = self._readHello(self._hello, data)
            if received is None:
                return None
            data = received
        try:
            rest: bytes | None = self.records.handshake(data)
        except ssl.SSLError as error:
            connectionId = newId()
            answer = _plainAnswer(connectionId) if error.reason == "HTTP_REQUEST" else self.records.takePending()
            raise HandshakeFailed(reasonOf(error), answer, connectionId) from None
        if rest is not None and self.records.isResumed() and _hasExpired(self.records.certificate()):
            raise HandshakeFailed("certificate verify failed: certificate has expired", self.records.closeNotify())
        return rest

    def _readHello(self, reader: ClientHelloReader, data: bytes) -> bytes | None:
        """Returns all received bytes once the ClientHello is complete, else None. Raises `HandshakeFailed`."""
        try:
            hello = reader.feed(data)
        except HelloTooLong as fault:
            raise HandshakeFailed(str(fault), _TOO_LONG) from None
        if hello is None:
            return None
        if hello.protocols is not None and ALPN.encode() not in hello.protocols:
            raise HandshakeFailed(f"no common application protocol; only {ALPN} is supported", _NO_PROTOCOL)
        self.serverName = hello.name
        self.records = newRecords(self._choose(hello))
        self._hello = None
        return bytes(reader.received)


def _hasExpired(der: bytes | None) -> bool:
    """Whether a client's certificate has expired. OpenSSL checks that only where a session begins."""
    return der is not None and x509.load_der_x509_certificate(der).not_valid_after_utc < datetime.now(UTC)


def _plainAnswer(connectionId: str) -> bytes:
    return _PLAIN % (len(_SENTENCE), connectionId.encode(), _SENTENCE)


def tlsInfoOf(records: Records, serverName: str | None) -> TlsInfo:
    """What a complete handshake agreed on."""
    der = records.certificate()
    certificate = x509.load_der_x509_certificate(der) if der else None
    return TlsInfo(
        records.version(),
        records.cipher(),
        serverName,
        records.protocol(),
        certificate.subject.rfc4514_string() if certificate is not None else None,
        certificate.public_bytes(serialization.Encoding.PEM) if certificate is not None else None,
    )
