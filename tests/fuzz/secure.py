"""
TLS records: whatever happens to a client's on their way, what is delivered is what the client said, or its beginning.

It is what the daemon puts below its protocols, as compiled and as its Python sources, and both deliver the same.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from tests.certificates import Authority
from tests.fuzz.memory import MemoryTransport
from tests.listen.test_secure import pythonHandshake, pythonSecure
from wsd.config import Tls
from wsd.listen import tls
from wsd.listen.secure import SecureTransport

TWINS = {"compiled": SecureTransport, "python": pythonSecure.SecureTransport}

INSTRUMENTED = (pythonSecure.SecureTransport, pythonSecure.Sealer, pythonHandshake.Records, pythonHandshake.Handshake)
"""Classes whose coverage leads the fuzzer. Python imports the compiled modules instead of their sources."""

_MOST_STEPS = 40
_MOST_PIECES = 500
_HEAD = 5
"""Bytes of a record's header; the last two are its length."""


@cache
def _contexts() -> tuple[tls.Certificates, ssl.SSLContext]:
    """The daemon's certificates, and a client's context."""
    with TemporaryDirectory(prefix="wsd-fuzz-") as folder:
        issuer = Authority(Path(folder))
        certificates = tls.Certificates(Tls(certificate=(issuer.server("a", "a.test"),)), {})
        return certificates, ssl.create_default_context(cafile=issuer.path)


class _Behind(Protocol):
    """The protocol above TLS: it answers in one byte, and notes what it gets."""

    transport: Any

    def __init__(self) -> None:
        self.got = b""
        self.isLost = False

    def dataReceived(self, data: bytes) -> None:
        assert not self.isLost
        self.got += data
        self.transport.write(b"!")

    def connectionLost(self, reason: Any = None) -> None:
        assert not self.isLost
        self.isLost = True


class _Behinds(Factory):
    def buildProtocol(self, address: Any) -> _Behind:
        return _Behind()


class _Talk:
    """A client, the records that it has made and not sent, and the daemon's end of the connection."""

    def __init__(self, size: int) -> None:
        certificates, context = _contexts()
        self.size = size
        """Bytes of the pieces in which records arrive; 0 for all at once."""
        self.said = b""
        self.isSound = True
        """Whether the records have arrived as they were made."""
        self.records = bytearray()
        factory: Any = certificates.wrap(_Behinds())
        self.secure: Any = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        self.behind: _Behind = self.secure.protocol
        self.transport = MemoryTransport(IPv4Address("TCP", "127.0.0.1", 2), IPv4Address("TCP", "127.0.0.1", 1))
        self.secure.makeConnection(self.transport)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="a.test")
        self._isShaken = self._isOver = False
        self._shake()

    def _shake(self) -> None:
        """Continue the client's handshake."""
        try:
            self._tls.do_handshake()
            self._isShaken = True
        except ssl.SSLError:
            # It wants to read, or what it has got is wrong.
            pass
        self.records += self._outgoing.read()

    def shakeHands(self) -> None:
        """The whole handshake, undisturbed."""
        while not self._isShaken:
            self.deliver()
        self.deliver()

    @property
    def isCut(self) -> bool:
        """Whether the daemon has ended the connection."""
        return self.transport.disconnecting or self.transport.aborted

    def write(self, size: int) -> None:
        """The client says so many bytes."""
        if self._isShaken and not self._isOver and size:
            data = bytes([len(self.said) % 251]) * size
            self._tls.write(data)
            self.said += data
            self.records += self._outgoing.read()

    def goodbye(self) -> None:
        """The client sends its close_notify."""
        if self._isShaken and not self._isOver:
            self._isOver = True
            # It raises if the daemon has not sent its own.
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            self.records += self._outgoing.read()

    def deliver(self) -> None:
        """What the client has made arrives, and the daemon's answer as well."""
        data = bytes(self.records)
        self.records.clear()
        step = max(self.size or len(data), len(data) // _MOST_PIECES, 1)
        for start in range(0, len(data), step):
            if self.isCut:
                break
            self.secure.dataReceived(data[start : start + step])
        self._incoming.write(self.transport.value())
        self.transport.clear()
        if not self._isShaken:
            self._shake()

    def change(self, kind: int, one: int, other: int) -> None:
        """Change what the client has made and not sent."""
        if not self.records:
            return
        self.isSound = False
        at = (one << 8 | other) % len(self.records)
        if kind == 0:
            self.records[at] ^= one or 1
        elif kind == 1:
            del self.records[at:]
        elif kind == 2:
            self.records[at:at] = bytes([one]) * other
        elif kind == 3:
            parts = _recordsIn(bytes(self.records))
            first, second = one % len(parts), other % len(parts)
            parts[first], parts[second] = parts[second], parts[first]
            self.records[:] = b"".join(parts)
        else:
            parts = _recordsIn(bytes(self.records))
            self.records += parts[one % len(parts)]

    def end(self) -> None:
        """The connection is lost."""
        if self.secure.connected:
            self.secure.connectionLost(Failure(ConnectionDone()))


def _recordsIn(data: bytes) -> list[bytes]:
    """Records; the last one may be incomplete."""
    found = []
    while data:
        size = _HEAD + int.from_bytes(data[3:_HEAD])
        found.append(data[:size])
        data = data[size:]
    return found


def check(data: bytes) -> None:
    """Takes the size of the pieces, whether the handshake is left alone, and steps of three bytes each."""
    outcomes = []
    for transport in TWINS.values():
        with patch.object(tls, "SecureTransport", transport), capturedLogs() as events:
            outcomes.append(_outcome(data))
        failures = [event["log_failure"].getTraceback() for event in events if "log_failure" in event]
        assert not failures, failures[0]
    first, *others = outcomes
    assert all(other == first for other in others), outcomes


def _outcome(data: bytes) -> tuple[int, bool]:
    """How many bytes were delivered, and whether the daemon ended a connection on which nothing was changed."""
    talk = _Talk(data[0] if data else 0)
    if data[1:2] < b"\x80":
        talk.shakeHands()
    for start in range(2, min(len(data) - 2, 2 + 3 * _MOST_STEPS), 3):
        _take(talk, *data[start : start + 3])
    talk.deliver()
    assert talk.said.startswith(talk.behind.got)
    if talk.isSound and not talk.isCut and not talk.secure.disconnecting:
        assert talk.behind.got == talk.said
    isCut = talk.isCut
    talk.end()
    assert talk.behind.isLost
    # A changed length lets random bytes decide whether more is awaited, so nobody knows who ends first.
    return len(talk.behind.got), talk.isSound and isCut


def _take(talk: _Talk, kind: int, one: int, other: int) -> None:
    """One step."""
    kind %= 12
    if kind < 3:
        talk.write((one << 8 | other) % 40_000)
    elif kind < 6:
        talk.deliver()
    elif kind == 6:
        talk.goodbye()
    elif kind == 7 and not talk.isCut:
        (talk.secure.loseConnection, talk.secure.leave, talk.secure.pauseProducing)[one % 3]()
    elif kind > 7:
        talk.change(kind - 8, one, other)
