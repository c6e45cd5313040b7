"""A listener: a bound socket or a Twisted endpoint, from its binding to its end."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from wsd.listen.port import Shortage, TCPPort, UNIXPort

_FAIR = 2
"""Connections that a worker accepts a turn from a socket that others accept from too."""


@dataclass
class Listener:
    """A bound socket or a Twisted endpoint, and its URL for the log."""

    url: str
    secure: bool
    socket: socket.socket | None = None
    endpoint: str | None = None
    wide: bool = False
    """Whether other machines can reach it."""
    inherited: bool = False
    """Whether another process bound it, and has it too: its path is not removed."""
    shared: bool = False
    """Whether other workers accept from the same socket: each takes few at a time, so that all get their share."""
    unitSocket: tuple[int, str] | None = None
    """The number and the name of the socket if systemd holds it for a .socket unit."""
    proxied: bool | None = None
    """Whether connections begin with a PROXY header, by `proxy` in the endpoint string; None if that does not say."""
    ports: list[IListeningPort] = field(default_factory=list)

    @property
    def descriptor(self) -> int | None:
        """The descriptor of the listening socket; None for a Twisted endpoint, and after `stop`."""
        if self.socket is not None:
            return self.socket.fileno()
        port = self.ports[0] if self.ports else None
        return port.fileno() if isinstance(port, (TCPPort, UNIXPort)) else None

    def pause(self, isPaused: bool) -> None:
        """Stop accepting, or go on. Meanwhile clients wait in the kernel's queue."""
        for port in self.ports:
            if isinstance(port, (TCPPort, UNIXPort)):
                port.pause(isPaused)

    def leave(self) -> None:
        """Another process has the socket: `stop` does not remove the path of a unix socket."""
        for port in self.ports:
            if isinstance(port, UNIXPort):
                port.ownsPath = False

    def adopt(
        self, reactor: Any, factory: IProtocolFactory, ring: Any = None, shortage: Shortage | None = None
    ) -> Deferred[Any]:
        """
        Accept connections for `factory`. They are served by `ring`, or by the reactor if there is none.

        `shortage` turns connections away when no descriptor is left. Returns a Deferred that fires when it listens.
        """
        return maybeDeferred(self._adopt, reactor, factory, reactor if ring is None else ring, shortage)

    def _adopt(self, reactor: Any, factory: IProtocolFactory, ring: Any, shortage: Shortage | None) -> Any:
        if self.socket is None:
            assert self.endpoint is not None
            return serverFromString(reactor, self.endpoint).listen(factory).addCallback(self.ports.append)
        descriptor = self.socket.fileno()
        port: TCPPort | UNIXPort
        if self.socket.family == socket.AF_UNIX:
            unixPort = UNIXPort._fromListeningDescriptor(reactor, descriptor, factory)
            unixPort.ownsPath = not self.inherited
            port = unixPort
        else:
            port = TCPPort._fromListeningDescriptor(reactor, descriptor, self.socket.family, factory)
        if self.shared:
            port.batch = _FAIR
        port.ring = ring
        port.shortage = shortage
        if self.secure:
            # A TLS client would not understand an answer in plain HTTP.
            port.answer = b""
        port.startListening()
        self.socket.close()
        self.socket = None
        self.ports.append(port)
        return None

    def stop(self) -> list[Deferred[Any]]:
        """Accept no more."""
        ports, self.ports = self.ports, []
        return [maybeDeferred(port.stopListening) for port in ports]

    def close(self) -> None:
        """Close a socket that was bound and never adopted."""
        if self.socket is not None:
            self.socket.close()
