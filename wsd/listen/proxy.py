"""
The PROXY header, version 1 or 2 of HAProxy's PROXY protocol. It comes before anything else, TLS included.

It has the address of the client behind a proxy. It is read only from trusted proxies; any other peer's bytes are passed
on unchanged.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16
"""Bytes of a version 2 header before its addresses."""
_MAX_V1 = 107
"""The longest version 1 header, with its CRLF."""
_MAX_V2 = _FIXED + 4096
"""The specification allows 64 KiB of addresses and TLVs; no proxy sends more than a few hundred bytes."""
_TCP4, _TCP6, _UNIX_STREAM = 0x11, 0x21, 0x31
"""Address families, each with its transport protocol, of a version 2 header."""
_UNIX_PATH = 108
"""Bytes of a unix socket's path in a version 2 header."""
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")


class Malformed(Exception):
    """Raised with one sentence if a connection does not begin with a valid PROXY header."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """The client's address, and the one it connected to. Both are None if the proxy itself is the client."""

    peer: IAddress | None
    host: IAddress | None


def readHeader(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Returns the header at the beginning of `data` and its length, None if it is incomplete. Raises `Malformed`."""
    if data[:1] == b"\r":
        return _readV2(data)
    return _readV1(data)


def _readV1(data: bytes) -> tuple[ProxyHeader, int] | None:
    """PROXY TCP4|TCP6|UNKNOWN peer host peerPort hostPort CRLF, at most 107 bytes."""
    end = data.find(b"\r\n", 0, _MAX_V1)
    if not data.startswith(b"PROXY "[: len(data)]) or (end < 0 and len(data) >= _MAX_V1):
        raise Malformed(
            "the connection does not begin with a PROXY header; configure the proxy to send one (send-proxy)"
        )
    if end < 0:
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return ProxyHeader(None, None), end + 2
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise Malformed(f"the PROXY header {ascii(data[:end])[:80]} is not PROXY TCP4 PEER HOST PORT PORT")
    version = 4 if words[1] == "TCP4" else 6
    try:
        return ProxyHeader(_address(words[2], words[4], version), _address(words[3], words[5], version)), end + 2
    except ValueError as error:
        raise Malformed(f"the PROXY header has a bad address: {error}") from None


def _address(text: str, port: str, version: int) -> IAddress:
    parsed = ip_address(text)
    if parsed.version != version or "%" in text or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(f"{text!r} port {port!r} is not an IPv{version} address")
    made: IAddress = (IPv4Address if version == 4 else IPv6Address)("TCP", str(parsed), int(port))
    return made


def _readV2(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Signature, version and command, family, length, addresses, TLVs (which are skipped)."""
    if not data.startswith(_SIGNATURE[: len(data)]):
        raise Malformed(
            "the connection does not begin with a PROXY header; configure the proxy to send one (send-proxy-v2)"
        )
    if len(data) < _FIXED:
        return None
    command, family, length = struct.unpack_from("!BBH", data, len(_SIGNATURE))
    if command >> 4 != 2 or command & 15 > 1 or _FIXED + length > _MAX_V2:
        raise Malformed("the PROXY header has an unknown version or command, or is too long")
    if len(data) < _FIXED + length:
        return None
    body = data[_FIXED : _FIXED + length]
    header = ProxyHeader(None, None) if command & 15 == 0 else _addresses(family, body)
    return header, _FIXED + length


def _addresses(family: int, body: bytes) -> ProxyHeader:
    if family == 0:
        return ProxyHeader(None, None)
    size = {_TCP4: 4, _TCP6: 16, _UNIX_STREAM: _UNIX_PATH}.get(family)
    if size is None or len(body) < 2 * size + (0 if family == _UNIX_STREAM else 4):
        raise Malformed(
            f"the PROXY header has addresses of an unknown kind (0x{family:02x}), or too few bytes for them"
        )
    if family == _UNIX_STREAM:
        return ProxyHeader(_unix(body[:size]), _unix(body[size : 2 * size]))
    ports = struct.unpack_from("!HH", body, 2 * size)
    made = IPv4Address if family == _TCP4 else IPv6Address
    peer, host = (
        made("TCP", str(ip_address(body[start : start + size])), port)
        for start, port in ((0, ports[0]), (size, ports[1]))
    )
    return ProxyHeader(peer, host)


def _unix(path: bytes) -> UNIXAddress:
    """An address from a padded path: it ends at its first zero byte, or begins with one for an abstract socket."""
    return UNIXAddress(path.rstrip(b"\0") if path[:1] == b"\0" else path.partition(b"\0")[0])


class ProxiedTransport:
    """
    A transport with the addresses of a PROXY header. Everything else is the real transport's.

    `via` is the proxy's address: a client behind a proxy is never treated as one on this machine. It is None if another
    worker has accepted the connection of a client without a proxy. `waited` is the number of seconds that the header
    took, which count towards `opening_timeout`.
    """

    def __init__(self, transport: Any, header: ProxyHeader, via: str | None, waited: float) -> None:
        self._transport = transport
        self._header = header
        self.via = via
        self.waited = waited
        directlyProvides(self, providedBy(transport))
        # These are called often, and __getattr__ is slow.
        self.write, self.writeSequence = transport.write, transport.writeSequence

    def getPeer(self) -> IAddress:
        """The address of the client."""
        peer: IAddress = self._header.peer or self._transport.getPeer()
        return peer

    def getHost(self) -> IAddress:
        """The address that the client connected to."""
        host: IAddress = self._header.host or self._transport.getHost()
        return host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _textOf(address: Any) -> str:
    """An address in the form that `trusted_proxies` uses."""
    return "unix" if isinstance(address, UNIXAddress) else str(address.host)


class ProxyProtocol(Protocol):
    """Reads the header, and passes on what follows to the inner protocol."""

    log = Logger(namespace="wsd")
    transport: Any

    def __init__(self, factory: ProxyFactory) -> None:
        self._factory = factory
        self._buffer = b""
        self._inner: IProtocol | None = None
        self._isDropped = False
        self._timeout: IDelayedCall | None = None
        self._since = factory.clock.seconds()

    def connectionMade(self) -> None:
        """Wait for the header of a trusted proxy. Any other peer is connected to the inner protocol at once."""
        peer = self.transport.getPeer()
        if self._factory.trusts(_textOf(peer)):
            self._timeout = self._factory.clock.callLater(self._factory.timeout, self._overdue)
        else:
            self._begin(self.transport, peer)

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer: first the header, then the inner protocol's."""
        if self._isDropped:
            return
        if self._inner is not None:
            self._inner.dataReceived(data)
            return
        self._buffer += data
        try:
            read = readHeader(self._buffer)
        except Malformed as error:
            self._drop(str(error))
            return
        if read is None:
            return
        header, length = read
        rest, self._buffer = self._buffer[length:], b""
        self._waitNoMore()
        waited = self._factory.clock.seconds() - self._since
        proxied = ProxiedTransport(self.transport, header, _textOf(self.transport.getPeer()), waited)
        inner = self._begin(proxied, proxied.getPeer())
        if rest and inner is not None:
            inner.dataReceived(rest)

    def _begin(self, transport: Any, peer: IAddress) -> IProtocol | None:
        self._inner = inner = self._factory.inner.buildProtocol(peer)
        if inner is None:
            self.transport.abortConnection()
        else:
            inner.makeConnection(transport)
        return inner

    def __conform__(self, interface: Any) -> Any:
        """Half-closing is offered if the inner protocol offers it, which is then told of it."""
        if interface is not IHalfCloseableProtocol or self._inner is None:
            return None
        return IHalfCloseableProtocol(self._inner, None)

    def _overdue(self) -> None:
        self._timeout = None
        self._drop(f"no PROXY header within {self._factory.timeout:g} seconds")

    def _waitNoMore(self) -> None:
        timeout, self._timeout = self._timeout, None
        if timeout is not None:
            timeout.cancel()

    def _drop(self, sentence: str) -> None:
        self.log.info(
            "dropped {peer}: {sentence}",
            event="proxy.dropped",
            peer=_textOf(self.transport.getPeer()),
            sentence=sentence,
        )
        self._waitNoMore()
        self._isDropped = True
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._waitNoMore()
        if self._inner is not None:
            self._inner.connectionLost(reason)


class ProxyFactory(Factory):
    """Builds protocols that read the header, each before one that `inner` builds."""

    noisy = False

    def __init__(
        self, clock: IReactorTime, inner: IProtocolFactory, trusts: Callable[[str], bool], timeout: float
    ) -> None:
        self.clock = clock
        self.inner = inner
        self.trusts = trusts
        self.timeout = timeout

    def buildProtocol(self, addr: IAddress | None) -> ProxyProtocol:
        """Returns the protocol of an accepted connection."""
        return ProxyProtocol(self)

    def doStart(self) -> None:
        """Start the inner factory."""
        self.inner.doStart()

    def doStop(self) -> None:
        """Stop the inner factory."""
        self.inner.doStop()
