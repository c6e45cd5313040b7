"""A listener: a bound socket or a Twisted endpoint, from its binding to its end."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory

from wsd.listen.port import Shortage, TCPPort, UNIXPort

_FAIR = 2
"""Connections that a worker accepts in one turn of the reactor, if others accept from the same socket."""


class FrontFactory(Factory):
    """Builds what `inner` builds, which a reload may replace while the port listens."""

    noisy = False

    def __init__(self, inner: IProtocolFactory) -> None:
        self.inner = inner

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The protocol of a connection."""
        return self.inner.buildProtocol(addr)  # type: ignore[arg-type]


@dataclass(eq=False)
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
    number: int | None = None
    """Its number among all listeners of a parent of workers, by which a reload knows it again."""
    path: str | None = None
    """The path of a unix socket that the daemon has bound."""
    mode: int = 0
    """The permissions of this path."""
    ports: list[IListeningPort] = field(default_factory=list)
    front: FrontFactory | None = None
    """What builds the protocols of its connections; None until `adopt`."""

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
        self.front = FrontFactory(factory)
        return maybeDeferred(self._adopt, reactor, self.front, reactor if ring is None else ring, shortage)

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
        port.isSecure = self.secure
        port.startListening()
        self.socket.close()
        self.socket = None
        self.ports.append(port)
        return None

    def become(self, wanted: Listener, factory: IProtocolFactory) -> None:
        """Change to what a new configuration wants here. `factory` builds the layers of new connections."""
        self.url, self.secure, self.proxied = wanted.url, wanted.secure, wanted.proxied
        if self.path is not None and self.mode != wanted.mode:
            self.mode = wanted.mode
            with suppress(OSError):
                os.chmod(self.path, self.mode)
        if self.front is not None:
            self.front.inner = factory
        for port in self.ports:
            if isinstance(port, (TCPPort, UNIXPort)):
                port.isSecure = self.secure

    def acceptRest(self) -> None:
        """Accept the connections that wait, which the kernel resets when the socket is closed."""
        for port in self.ports:
            if isinstance(port, (TCPPort, UNIXPort)):
                port.acceptRest()

    def stop(self) -> list[Deferred[Any]]:
        """Accept no more."""
        ports, self.ports = self.ports, []
        return [maybeDeferred(port.stopListening) for port in ports]

    def close(self) -> None:
        """Close a socket that was bound and never adopted."""
        if self.socket is not None:
            self.socket.close()

    def discard(self) -> None:
        """Close a socket that was bound and never adopted, and remove its path."""
        if self.socket is not None:
            self.socket.close()
            if self.path is not None and not self.inherited:
                with suppress(OSError):
                    os.unlink(self.path)
