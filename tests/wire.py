"""
A daemon's site behind a real loopback connection, driven by hand.

The transport, the door and the protocol are the real ones, and the kernel's buffers too; only the reactor is Twisted's
MemoryReactorClock, so that time passes when a test says so.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.pool import PoolAtOnce
from wsd.auth.authenticator import Authenticators
from wsd.config import Config, Policies, Route
from wsd.connection import Factory
from wsd.frames import choose
from wsd.listen.transport import TCPTransport
from wsd.metrics import Metrics
from wsd.policies.address import Trust
from wsd.policies.admission import Admission
from wsd.policies.budget import Budget
from wsd.policies.rates import Rates
from wsd.policies.timer import GRAIN, Timer
from wsd.traces.tracing import Tracing
from wsd.web.door import Door, Doors
from wsd.web.route import SiteRoute
from wsd.web.site import Site

DEFAULTS = Config()

PLANE = choose("auto")
"""The plane that frames are read and written by; tests/connection has a fixture that goes through all."""

_UNSENT, _RECEIVED, _SENT = (
    partial(struct.unpack_from, kind, offset=at) for kind, at in (("I", 144), ("Q", 128), ("Q", 200))
)
"""Of Linux's struct tcp_info: bytes not sent yet, received, sent."""


class Daemon:
    """A site with routes, on a clock, without listeners."""

    def __init__(
        self,
        routes: Mapping[str, type[Factory]] | None = None,
        policies: Policies = DEFAULTS.policies,
        config: Config = DEFAULTS,
        origins: tuple[str, ...] = ("same-host",),
        options: Any = None,
        tracing: Tracing | None = None,
        **route: Any,
    ) -> None:
        self.reactor = MemoryReactorClock()
        self.timer = Timer(self.reactor)
        self.timer.start()
        self.metrics = Metrics(PLANE.traffic)
        self.admission = Admission(policies, self.timer)
        self.budget = Budget(policies, self.reactor)
        self.pool = PoolAtOnce(self.reactor)
        self.rates = Rates(self.timer)
        self.factories: dict[str, Any] = {}
        built = []
        for path, factory in (routes or {}).items():
            settings = Route(
                path=path.removesuffix("/*"),
                prefix=path.endswith("/*"),
                single="test",
                origins=origins,
                policies=policies,
                **route,
            )
            self.factories[path] = factory(
                settings,
                options or factory.Options(),
                self.reactor,
                self.timer,
                self.metrics,
                plane=PLANE,
                budget=self.budget,
                pool=self.pool,
                rates=self.rates,
                tracing=tracing,
            )
            authenticator = Authenticators(self.reactor, self.pool, self.metrics).of(settings.auth)
            built.append(SiteRoute(settings, {None: self.factories[path]}, authenticator))
        self.site = Site(
            built,
            policies,
            config.hosts,
            Trust(config.trusted_proxies, config.proxy_header),
            self.reactor,
            self.timer,
            self.admission,
            self.metrics,
            lambda transport: None,
            tracing,
            self.budget,
        )

    def connect(self, chunk: int | None = None, at: IAddress | None = None) -> Wire:
        """A client's bare connection; `at` is where it seems to have come in."""
        wire = Wire(self, chunk)
        if at is not None:
            wire.transport.getHost = lambda: at  # type: ignore[method-assign]
        return wire

    def open(self, path: str = "/", **arguments: Any) -> Client:
        """A client whose opening handshake is done."""
        client = Client(self.connect(arguments.pop("chunk", None)), path, **arguments)
        client.handshake()
        return client

    def pass_(self, seconds: float) -> None:
        """Let time pass, as the coarse timer sees it."""
        for _ in range(int(seconds / GRAIN) + 1):
            self.reactor.advance(GRAIN)

    @property
    def connections(self) -> list[Any]:
        return [connection for factory in self.factories.values() for connection in factory.connections]


class Wire:
    """One TCP connection over loopback: the daemon's transport at one end, a bare socket at the other."""

    def __init__(self, daemon: Daemon, chunk: int | None = None, factory: Any = None) -> None:
        """`factory` builds what answers, where that is not the site's door."""
        self.daemon = daemon
        self.chunk = chunk
        self.received = b""
        self.ended = False
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = socket.create_connection(listening.getsockname())
            accepted, address = listening.accept()
        self._ends = (self.socket, accepted)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.door: Door = (factory or Doors(daemon.site)).buildProtocol(None)
        self.transport = TCPTransport(accepted, self.door, address, None, 0, daemon.reactor)
        self.door.makeConnection(self.transport)

    def serve(self) -> None:
        """Let the daemon do all it can with what is in the kernel's buffers."""
        reactor, transport = self.daemon.reactor, self.transport
        for _ in range(100_000):
            reactor.advance(0)
            if transport.disconnected:
                return
            reading = [transport] if transport in reactor.readers else []
            writing = [transport] if transport in reactor.writers else []
            if not reading and not writing and not self._isCalled():
                return
            readable, writable, _failed = select.select(reading, writing, [], 0 if self._isThere() else 0.002)
            if not readable and not writable and not self._isCalled():
                return
            for ready, do in ((readable, transport.doRead), (writable, transport.doWrite)):
                why = do() if ready and not transport.disconnected else None
                if why is not None:
                    reactor.removeReader(transport)
                    half = ready is readable and isinstance(why, ConnectionDone)
                    transport.readConnectionLost(Failure(why)) if half else transport.connectionLost(Failure(why))
        raise AssertionError("the daemon has more to do than any test asks for")

    def _isCalled(self) -> bool:
        """Whether a call of the reactor's is due."""
        now = self.daemon.reactor.seconds()
        return any(call.getTime() <= now for call in self.daemon.reactor.getDelayedCalls())

    def _isThere(self) -> bool:
        """Whether all that the client sent has come to the daemon's kernel, so that nothing need be waited for."""
        try:
            client, server = (end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256) for end in self._ends)
        except OSError:
            return False
        return _SENT(client) == _RECEIVED(server) and _UNSENT(client) == (0,)

    def send(self, data: bytes) -> None:
        """Send all of it, the daemon serving between pieces."""
        size = self.chunk or 65536
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            while piece:
                try:
                    piece = piece[self.socket.send(piece) :]
                except BlockingIOError:
                    self.serve()
                    self.read()
                except (BrokenPipeError, ConnectionResetError):
                    return
            if self.chunk:
                self.serve()
        self.serve()

    def push(self, data: bytes) -> int:
        """Send until the daemon takes no more: how many bytes it took."""
        taken, idle = 0, 0
        while taken < len(data) and idle < 3:
            try:
                taken += self.socket.send(data[taken : taken + 262144])
                idle = 0
            except BlockingIOError:
                idle += 1
                self.serve()
        return taken

    def take(self, most: int) -> None:
        """Take up to so many bytes and forget them; the daemon serves until it sees that some were taken."""
        before = self.transport.acknowledged()
        while most > 0:
            try:
                most -= len(self.socket.recv(most))
            except BlockingIOError:
                break
        end = time.monotonic() + 2
        while self.transport.acknowledged() == before and time.monotonic() < end:
            # Acknowledgements may be delayed by the kernel's own timer, which is no clock of the test's.
            self.serve()

    def read(self) -> bytes:
        """All that has come, since the beginning."""
        while not self.ended:
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            if not data:
                self.ended = True
            self.received += data
        return self.received

    def exchange(self, data: bytes) -> bytes:
        """Send, let the daemon answer, and return what has come since the last exchange."""
        self.received = b""
        self.send(data)
        while True:
            before = len(self.received)
            self.read()
            self.serve()
            if len(self.read()) == before:
                return self.received

    def close(self) -> None:
        self.socket.close()
        self.serve()

    def endHalf(self) -> None:
        """Send nothing more, and wait for what comes."""
        self.socket.shutdown(socket.SHUT_WR)
        self.serve()

    def reset(self) -> None:
        """Go without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Client:
    """The sans-I/O client of the `websockets` package at the bare end of a wire."""

    def __init__(self, wire: Wire, path: str = "/", host: str = "localhost:9998", **arguments: Any) -> None:
        self.wire = wire
        headers = arguments.pop("headers", {})
        self.protocol = ClientProtocol(parse_uri(f"ws://{host}{path}"), max_size=None, **arguments)
        self.request = self.protocol.connect()
        for name, value in headers.items():
            self.request.headers[name] = value
        self.response: Response | None = None
        self.frames: list[Frame] = []

    def handshake(self) -> Client:
        self.protocol.send_request(self.request)
        self.exchange()
        return self

    def exchange(self) -> list[Frame]:
        """Move bytes both ways until nothing moves: the frames that came."""
        frames: list[Frame] = []
        for _ in range(10_000):
            out = b"".join(self.protocol.data_to_send())
            self.wire.received = b""
            if out:
                self.wire.send(out)
            self.wire.serve()
            data = self.wire.read()
            if data:
                self.protocol.receive_data(data)
            if self.wire.ended and self.protocol.state is not State.CLOSED:
                self.protocol.receive_eof()
            for event in self.protocol.events_received():
                if isinstance(event, Response):
                    self.response = event
                elif isinstance(event, Frame):
                    frames.append(event)
            if not out and not data:
                break
        self.frames += frames
        return frames

    def say(self, message: str | bytes) -> list[Frame]:
        """Send a message: the frames that came in answer."""
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        return self.exchange()

    def messages(self, frames: list[Frame] | None = None) -> list[str | bytes]:
        """The whole messages among frames (all that came, by default)."""
        messages: list[str | bytes] = []
        for frame in self.frames if frames is None else frames:
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                opcode, data = frame.opcode, bytes(frame.data)
            elif frame.opcode is Opcode.CONT:
                data += bytes(frame.data)
            else:
                continue
            if frame.fin:
                messages.append(data.decode() if opcode is Opcode.TEXT else data)
        return messages

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.protocol.send_close(code, reason)
        self.exchange()

    @property
    def closeReason(self) -> str:
        """The daemon's reason, without the id of the connection that follows it."""
        return re.sub(r" ?\[[0-9a-f]{10}\]\Z", "", self.protocol.close_reason or "")

    @property
    def closeCode(self) -> int | None:
        """The code that the daemon closed with, once it has; 1006 when it ended without one."""
        self.exchange()
        received = self.protocol.close_rcvd
        return self.protocol.close_code if received is None else received.code
