"""How long a connection may take until it is open: `opening_timeout` in all, whatever stands in front of the door."""

from __future__ import annotations

import select
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from tests.certificates import Authority
from tests.wire import DEFAULTS, Daemon
from wsd.config import Tls
from wsd.listen.proxy import ProxyFactory
from wsd.listen.tls import Certificates
from wsd.listen.transport import TCPTransport, UNIXTransport
from wsd.policies.timer import GRAIN
from wsd.web.door import Doors

OPENING = DEFAULTS.policies.opening_timeout
GRACE = DEFAULTS.policies.closing_timeout + 1
"""Seconds more in which an answer may be taken, or TLS be ended."""

PROXY = b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class Caller:
    """Somebody who connects by TCP or a unix socket, and never reads."""

    def __init__(self, daemon: Daemon, kind: str, certificates: Certificates | None, proxied: bool) -> None:
        self.daemon = daemon
        factory: Any = Doors(daemon.site)
        if certificates is not None:
            factory = certificates.wrap(factory)
        if proxied:
            factory = ProxyFactory(daemon.reactor, factory, lambda address: True, OPENING)
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        if kind == "tcp":
            with socket.create_server(("127.0.0.1", 0)) as listening:
                self.socket = socket.create_connection(listening.getsockname())
                accepted, address = listening.accept()
            self.transport: Any = TCPTransport(accepted, protocol, address, None, 0, daemon.reactor)
        else:
            ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            self.transport = UNIXTransport(ours, protocol, "", None, 0, daemon.reactor)
        protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)
        while not self.serve(1.0):
            pass

    def serve(self, patience: float = 0.0) -> bool:
        """A turn of the reactor: whether something had come."""
        transport = self.transport
        if transport.disconnected or not select.select([transport], [], [], patience)[0]:
            return False
        why = transport.doRead()
        if isinstance(why, ConnectionDone):
            transport.readConnectionLost(Failure(why))
        return True

    def lives(self, most: float = 200.0) -> float:
        """Seconds until it is dropped, in which it does nothing."""
        passed = 0.0
        while not self.transport.disconnected and passed < most:
            self.daemon.reactor.advance(GRAIN)
            passed += GRAIN
            self.serve()
        return passed


def hello() -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return tls, incoming, outgoing


@pytest.fixture(params=["tcp", "unix"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder: Path = tmp_path_factory.mktemp("certificates")
    return Certificates(Tls(certificate=(Authority(folder).server("a", "a.test"),)), {})


class TestWithoutTls:
    """A request head."""

    @pytest.mark.parametrize("proxied", [False, True])
    @pytest.mark.parametrize("sent", [b"", b"G", HEAD])
    def test_that_does_not_come_whole(self, kind: str, proxied: bool, sent: bytes) -> None:
        caller = Caller(Daemon(), kind, None, proxied)
        if (PROXY + sent if proxied else sent) != b"":
            caller.send(PROXY + sent if proxied else sent)
        assert OPENING - 1 <= caller.lives() <= OPENING + GRACE

    @pytest.mark.parametrize("sent", [b"", b"P", PROXY[:-1]])
    def test_behind_a_proxy_header_that_does_not_come_whole(self, kind: str, sent: bytes) -> None:
        caller = Caller(Daemon(), kind, None, True)
        if sent:
            caller.send(sent)
        assert OPENING <= caller.lives() <= OPENING + 1

    def test_behind_a_proxy_header_that_came_late(self, kind: str) -> None:
        caller = Caller(Daemon(), kind, None, True)
        caller.lives(OPENING - 1)
        caller.send(PROXY + HEAD)
        assert caller.lives() <= 1 + GRACE

    def test_of_one_who_has_no_place(self, kind: str) -> None:
        daemon = Daemon()
        daemon.admission.connections = DEFAULTS.policies.max_connections
        assert Caller(daemon, kind, None, False).lives() <= GRACE


class TestWithTls:
    """A handshake, and then a request head."""

    @pytest.mark.parametrize("proxied", [False, True])
    @pytest.mark.parametrize("part", [0, 1, 50, None])
    def test_that_is_not_done(self, kind: str, certificates: Certificates, proxied: bool, part: int | None) -> None:
        caller = Caller(Daemon(), kind, certificates, proxied)
        sent = (PROXY if proxied else b"") + hello()[2].read()[:part]
        if sent:
            caller.send(sent)
        with capturedLogs() as events:
            assert OPENING - 1 <= caller.lives() <= OPENING + 1
        assert [event["reason"] for event in events if event.get("event") == "tls.refused"] == [
            "no complete handshake within 10 seconds"
        ]

    @pytest.mark.parametrize("waited", [0.0, OPENING - 1])
    def test_that_is_done_and_nothing_follows(self, kind: str, certificates: Certificates, waited: float) -> None:
        caller = Caller(Daemon(), kind, certificates, False)
        if waited:
            caller.lives(waited)
        tls, incoming, outgoing = hello()
        caller.send(outgoing.read())
        incoming.write(caller.socket.recv(65536))
        tls.do_handshake()
        caller.send(outgoing.read())
        assert OPENING - waited - 1 <= caller.lives() <= OPENING - waited + GRACE

    def test_of_one_who_has_no_place(self, kind: str, certificates: Certificates) -> None:
        daemon = Daemon()
        daemon.admission.connections = DEFAULTS.policies.max_connections
        assert Caller(daemon, kind, certificates, False).lives() <= GRACE
