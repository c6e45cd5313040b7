"""The daemon's listeners: bound at once, started after the routes, and stopped before them."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config import Config
from wsd.listen.bind import bind
from wsd.listen.endpoints import CannotListen
from wsd.listen.handed import HandedSockets
from wsd.listen.listener import Listener
from wsd.listen.port import Shortage
from wsd.listen.proxy import ProxyFactory
from wsd.listen.ring import Ring, ringOf
from wsd.metrics import Metrics
from wsd.policies.address import TlsInfo, Trust
from wsd.web.door import Doors
from wsd.web.site import Site

if TYPE_CHECKING:
    from wsd.listen.tls import Certificates

TlsOf = Callable[[Any], TlsInfo | None]
"""Returns what the TLS handshake of a transport agreed on, or None without TLS."""


def loadTls(config: Config, environ: MutableMapping[str, str]) -> tuple[Certificates | None, TlsOf]:
    """Returns the certificates, or None if nothing listens with TLS, and the `TlsOf` for the site."""
    if config.tls.port is None and not config.tls.listen:
        return None, lambda transport: None
    # A daemon without TLS does not load its libraries.
    from wsd.listen.tls import Certificates, tlsOf

    return Certificates(config.tls, environ), tlsOf


class Listening:
    """
    All listeners, with the layers that each puts on a connection. `bound` are those that the parent of workers bound.

    Raises `CannotListen` if a listener cannot be bound.
    """

    log = Logger(namespace="wsd")

    def __init__(
        self,
        config: Config,
        reactor: Any,
        environ: MutableMapping[str, str],
        site: Site,
        certificates: Certificates | None,
        metrics: Metrics,
        bound: Sequence[Listener] | None = None,
        handed: HandedSockets | None = None,
    ) -> None:
        """`handed` has listening sockets from another process; by default those that systemd passes."""
        self._reactor = reactor
        self._site = site
        self.certificates = certificates
        self._proxyProtocol = config.proxy_protocol
        self._openingTimeout = config.policies.opening_timeout
        self._proxies: list[ProxyFactory] = []
        self._ring: Any = None
        self._shortage = Shortage(reactor.seconds, metrics.acceptFailure)
        if bound is None:
            handed = HandedSockets.of(environ) if handed is None else handed
            self.listeners, self.notices = bind(config, environ, handed)
            # At the addresses of these, nothing listens any more.
            handed.closeRest()
        else:
            self.listeners, self.notices = list(bound), []
        self._bindEndpoints()

    def _bindEndpoints(self) -> None:
        """Start Twisted's own endpoints, so that a port in use is reported before the daemon detaches."""
        for listener in self.listeners:
            if listener.endpoint is not None:
                failed: list[Failure] = []
                listener.adopt(self._reactor, self.compose(listener)).addErrback(failed.append)
                if failed:
                    raise CannotListen(f"listen {listener.endpoint!r}: {failed[0].getErrorMessage()}")

    def compose(self, listener: Listener) -> Any:
        """The factory of a listener: PROXY, then TLS, then the door, which is the order in which proxies send them."""
        factory: Any = Doors(self._site)
        if listener.secure:
            assert self.certificates is not None
            factory = self.certificates.wrap(factory)
        if self._proxyProtocol if listener.proxied is None else listener.proxied:
            factory = ProxyFactory(self._reactor, factory, self._site.trust.trusts, self._openingTimeout)
            self._proxies.append(factory)
        return factory

    def configure(self, trust: Trust, openingTimeout: float) -> None:
        """Apply a reload to new connections."""
        self._openingTimeout = openingTimeout
        for proxies in self._proxies:
            proxies.trusts, proxies.timeout = trust.trusts, openingTimeout

    @property
    def urls(self) -> list[str]:
        """The URLs of all listeners."""
        return [listener.url for listener in self.listeners]

    @property
    def ring(self) -> Any:
        """The ring that serves the connections. It is made before the first of them."""
        if self._ring is None:
            self._ring = ringOf(self._reactor)
        return self._ring

    def prepare(self) -> None:
        """Reserve the spare descriptor with which connections are turned away when no other is left."""
        self._shortage.prepare()

    @property
    def bound(self) -> list[tuple[int, bool]]:
        """The descriptors of the sockets that the daemon has bound itself, and whether each is for TLS."""
        found = [(each.descriptor, each.secure) for each in self.listeners if not each.inherited]
        return [(descriptor, secure) for descriptor, secure in found if descriptor is not None]

    def pause(self, isPaused: bool) -> None:
        """Stop accepting, or go on. Meanwhile clients wait in the kernel's queues."""
        for listener in self.listeners:
            listener.pause(isPaused)

    def leave(self) -> None:
        """Another process has the sockets."""
        for listener in self.listeners:
            listener.leave()

    def start(self) -> Deferred[Any]:
        """Accept connections."""
        return gatherResults(
            [
                listener.adopt(self._reactor, self.compose(listener), self.ring, self._shortage)
                for listener in self.listeners
                if listener.endpoint is None
            ],
            consumeErrors=True,
        )

    async def stop(self) -> None:
        """Stop accepting connections. On a socket that systemd or a parent holds, clients wait for the next process."""
        stopped = gatherResults([done for listener in self.listeners for done in listener.stop()], consumeErrors=True)
        await stopped.addErrback(lambda failure: self.log.failure("a listener did not stop", failure))

    def close(self) -> None:
        """Free the remaining resources once all connections have ended."""
        for listener in self.listeners:
            listener.close()
        if isinstance(self._ring, Ring):
            self._ring.stop()
        self._shortage.close()
