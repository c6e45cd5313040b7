"""A TCP connection through an HTTP proxy, by CONNECT (RFC 9110 9.3.6)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from wsd.client.failures import Unanswered
from wsd.client.url import basicCredentials
from wsd.config.values import asciiName, printable

_MAX_HEAD = 16384
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})([^\r\n]*)")
_PLACE = "write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT"


class Proxy:
    """An HTTP proxy: its host, its port, and the credentials for it."""

    def __init__(self, text: str) -> None:
        """Read a URL; the scheme may be left out. Raises ValueError with a sentence."""
        parts = urlsplit(text if "://" in text else f"http://{text}")
        if parts.scheme != "http":
            raise ValueError(f'"{printable(parts.scheme)}" is not a supported kind of proxy; {_PLACE}')
        if not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(f"this is not the URL of a proxy; {_PLACE}")
        self.host = asciiName(parts.hostname)
        self.port = parts.port or 80
        user, at, _ = parts.netloc.rpartition("@")
        self.credentials = basicCredentials(user) if at else None

    def __str__(self) -> str:
        return f"the proxy {printable(self.host)} port {self.port}"


@implementer(IStreamClientEndpoint)
class ProxyEndpoint:
    """Connects to a host and port through a proxy, which `endpoint` connects to."""

    def __init__(self, endpoint: Any, proxy: Proxy, host: str, port: int) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
        self._authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def connect(self, factory: Any) -> Deferred[Any]:
        """Returns a Deferred of the protocol, as every endpoint does. Fails with `Unanswered` if the proxy refuses."""
        tunnels = Factory.forProtocol(lambda: _Tunnel(self._proxy, self._authority, factory))
        connected: Deferred[Any] = self._endpoint.connect(tunnels)
        return connected.addCallback(lambda tunnel: tunnel.established)


class _Tunnel(Protocol):
    """Asks the proxy, and then hands all bytes to the protocol behind it."""

    transport: Any

    def __init__(self, proxy: Proxy, authority: str, factory: Any) -> None:
        self.established: Deferred[Any] = Deferred(lambda _: self.transport.abortConnection())
        """Fires with the protocol once the proxy has connected."""
        self._proxy = proxy
        self._authority = authority
        self._inner = factory
        self._protocol: Any = None
        self._head = b""

    def connectionMade(self) -> None:
        """The proxy is connected: ask for the host."""
        lines = [f"CONNECT {self._authority} HTTP/1.1", f"Host: {self._authority}"]
        if self._proxy.credentials is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.credentials}")
        self.transport.write("\r\n".join([*lines, "", ""]).encode())

    def dataReceived(self, data: bytes) -> None:
        """The proxy's answer, then what the server sends."""
        if self._protocol is not None:
            self._protocol.dataReceived(data)
            return
        if self.established.called:
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end and len(head) <= _MAX_HEAD:
            return
        status = _STATUS.match(head)
        if not end or status is None:
            self._fail(f"{self._proxy} is not an HTTP proxy")
        elif not status[1].startswith(b"2"):
            words = printable((status[1] + status[2]).decode("latin-1"))
            hint = "; --proxy http://USER:PASSWORD@HOST:PORT sends credentials" if status[1] == b"407" else ""
            self._fail(f"{self._proxy} refused with {words}{hint}")
        else:
            self._protocol = self._inner.buildProtocol(self.transport.getPeer())
            self._protocol.makeConnection(self.transport)
            self.established.callback(self._protocol)
            if rest:
                self._protocol.dataReceived(rest)

    def _fail(self, sentence: str) -> None:
        self.established.errback(Unanswered(sentence))
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self._protocol is not None:
            self._protocol.connectionLost(reason)
        elif not self.established.called:
            self._fail(f"{self._proxy} closed the connection without an answer")
