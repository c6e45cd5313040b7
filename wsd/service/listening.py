"""The daemon's listeners: bound at once, started after the routes, replaced by a reload, and stopped at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.config import Config
from wsd.config.prepared import PreparedChange
from wsd.listen.bind import bind
from wsd.listen.endpoints import CannotListen
from wsd.listen.handed import HandedSockets
from wsd.listen.listener import Listener
from wsd.listen.port import Shortage
from wsd.listen.proxy import ProxyFactory
from wsd.listen.rebinding import Rebound, rebind
from wsd.listen.ring import Ring, ringOf
from wsd.metrics import Metrics, TlsHandshakes
from wsd.policies.address import TlsInfo
from wsd.web.door import Doors
from wsd.web.site import Site

if TYPE_CHECKING:
    from wsd.listen.tls import Certificates

TlsOf = Callable[[Any], TlsInfo | None]
"""Returns what the TLS handshake of a transport agreed on, or None without TLS."""


def loadTls(config: Config, environ: MutableMapping[str, str]) -> tuple[Certificates | None, TlsOf]:
    """Returns the certificates, or None if nothing listens with TLS, and the `TlsOf` for the site."""
    if not _hasTls(config):
        return None, lambda transport: None
    # A daemon without TLS does not load its libraries.
    from wsd.listen.tls import Certificates, tlsOf

    return Certificates(config.tls, environ), tlsOf


def _hasTls(config: Config) -> bool:
    return config.tls.port is not None or bool(config.tls.listen)


def _bindOrTake(
    config: Config, environ: MutableMapping[str, str], handed: HandedSockets | None
) -> tuple[list[Listener], list[str]]:
    """Bind all listeners, on sockets of another process where there are any, and close the rest of these."""
    handed = HandedSockets.of(environ) if handed is None else handed
    bound = bind(config, environ, handed)
    # At the addresses of these, nothing listens any more.
    handed.closeRest()
    return bound


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
        self._environ = environ
        self._site = site
        self._metrics = metrics
        self.certificates = certificates
        """The certificates, None if no listener is for TLS."""
        self.handshakes = TlsHandshakes() if certificates is None else certificates.handshakes
        """The TLS handshakes that have ended."""
        self._proxyProtocol = config.proxy_protocol
        self._openingTimeout = config.policies.opening_timeout
        self._proxies: WeakSet[ProxyFactory] = WeakSet()
        self._ring: Any = None
        self._isStarted = False
        self._shortage = Shortage(reactor.seconds, metrics.acceptFailure)
        self._isBoundElsewhere = bound is not None
        self.offered: Sequence[Listener] = ()
        """If another process binds the listeners: those that it wants after the reload that is being prepared."""
        self.wrapTlsOf: Callable[[TlsOf], TlsOf] = lambda tlsOf: tlsOf
        """Changes the `TlsOf` for the site."""
        self.changed: Callable[[Sequence[Listener]], object] = lambda added: None
        """Called after a reload has changed the listeners, with those that are new."""
        if bound is None:
            self.listeners, self.notices = _bindOrTake(config, environ, handed)
        else:
            self.listeners, self.notices = list(bound), []
        self._listenAt(self.listeners, certificates, config.proxy_protocol)

    def _listenAt(self, listeners: Iterable[Listener], certificates: Certificates | None, proxyProtocol: bool) -> None:
        """Start Twisted's own endpoints, so that a port in use is reported at once. Raises `CannotListen`."""
        for listener in listeners:
            if listener.endpoint is not None:
                failed: list[Failure] = []
                factory = self._composed(listener, certificates, proxyProtocol)
                listener.adopt(self._reactor, factory).addErrback(failed.append)
                if failed:
                    raise CannotListen(f"listen {listener.endpoint!r}: {failed[0].getErrorMessage()}")

    def compose(self, listener: Listener) -> Any:
        """The factory of a listener: PROXY, then TLS, then the door, which is the order in which proxies send them."""
        return self._composed(listener, self.certificates, self._proxyProtocol)

    def _composed(self, listener: Listener, certificates: Certificates | None, proxyProtocol: bool) -> Any:
        factory: Any = Doors(self._site)
        if listener.secure:
            assert certificates is not None
            factory = certificates.wrap(factory)
        if proxyProtocol if listener.proxied is None else listener.proxied:
            factory = ProxyFactory(self._reactor, factory, self._site.trust.trusts, self._openingTimeout)
            self._proxies.add(factory)
        return factory

    # -- reloading ------------------------------------------------------------------------------------------------

    def prepareReload(self, config: Config) -> PreparedChange:
        """Bind the listeners that a configuration adds, and read its certificates. Raises as `bind`, or ConfigError."""
        certificates, commitTls = self._prepareTls(config)
        rebound = rebind(config, self.listeners) if not self._isBoundElsewhere else self._fromOffered()
        try:
            self._listenAt(rebound.added, certificates, config.proxy_protocol)
        except CannotListen:
            self._drop(rebound)
            raise
        return PreparedChange(lambda: self._commit(config, rebound, commitTls), lambda: self._drop(rebound))

    def _fromOffered(self) -> Rebound:
        """What another process has bound for the reload; the listeners of now are known by their numbers."""
        known = {each.number: each for each in self.listeners}
        for each in self.offered:
            if each.number in known:
                each.close()
        listeners = [known.get(each.number, each) for each in self.offered]
        added = [each for each in self.offered if each.number not in known]
        return Rebound(listeners, list(self.offered), added, [each for each in self.listeners if each not in listeners])

    def _prepareTls(self, config: Config) -> tuple[Certificates | None, Callable[[], object]]:
        """Read the certificates. Returns them, and what puts them in use. Raises ConfigError."""
        if not _hasTls(config):
            return None, lambda: setattr(self, "certificates", None)
        if self.certificates is not None:
            return self.certificates, self.certificates.prepare(config.tls)
        certificates, tlsOf = loadTls(config, self._environ)
        assert certificates is not None
        certificates.handshakes = self.handshakes

        def commit() -> None:
            self.certificates = certificates
            self._site.tlsOf = self.wrapTlsOf(tlsOf)

        return certificates, commit

    def _drop(self, rebound: Rebound) -> None:
        self._stop(rebound.added)
        rebound.close()

    def _commit(self, config: Config, rebound: Rebound, commitTls: Callable[[], object]) -> None:
        commitTls()
        self._proxyProtocol, self._openingTimeout = config.proxy_protocol, config.policies.opening_timeout
        added = set(rebound.added)
        for listener, wanted in zip(rebound.listeners, rebound.wanted, strict=True):
            if listener not in added:
                listener.become(wanted, self.compose(wanted))
        self.listeners = rebound.listeners
        if self._isStarted:
            self._start(rebound.added).addErrback(
                lambda failure: self.log.failure("a listener did not start", failure, event="reload.error")
            )
        for listener in rebound.removed:
            listener.acceptRest()
        self._stop(rebound.removed)
        for listener in rebound.removed:
            listener.discard()
        for notice in rebound.notices:
            self.log.warn("{notice}", event="listener.skipped", notice=notice)
        if rebound.added or rebound.removed:
            self.changed(rebound.added)

    def configure(self) -> None:
        """Read the PROXY headers of the proxies that the site trusts now, also at listeners that have not changed."""
        for proxies in self._proxies:
            proxies.trusts, proxies.timeout = self._site.trust.trusts, self._openingTimeout

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
        self._isStarted = True
        return self._start(self.listeners)

    def _start(self, listeners: Iterable[Listener]) -> Deferred[Any]:
        return gatherResults(
            [
                listener.adopt(self._reactor, self.compose(listener), self.ring, self._shortage)
                for listener in listeners
                if listener.endpoint is None
            ],
            consumeErrors=True,
        )

    async def stop(self) -> None:
        """Stop accepting connections. On a socket that systemd or a parent holds, clients wait for the next process."""
        await self._stop(self.listeners)

    def _stop(self, listeners: Iterable[Listener]) -> Deferred[Any]:
        """Returns a Deferred that fires when they have stopped. A failure is logged."""
        stopped = gatherResults([done for listener in listeners for done in listener.stop()], consumeErrors=True)
        return stopped.addErrback(lambda failure: self.log.failure("a listener did not stop", failure))

    def close(self) -> None:
        """Free the remaining resources once all connections have ended."""
        for listener in self.listeners:
            listener.close()
        if isinstance(self._ring, Ring):
            self._ring.stop()
        self._shortage.close()
