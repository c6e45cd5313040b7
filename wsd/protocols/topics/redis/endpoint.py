"""Where Redis is reached: at its host, or at the master that the Sentinels name; and why it could not be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import defer, error
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from txredisapi import Sentinel
from zope.interface import implementer

from wsd.protocols.topics.redis.address import RedisAddress

_PATIENCE = 5.0
"""Seconds in which a host must take a connection, and a Sentinel must answer."""


class Endpoint(Protocol):
    """What `RedisLink` connects to."""

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect."""

    async def close(self) -> None:
        """Ask no more."""


def endpointOf(address: RedisAddress, reactor: Any, failed: Callable[[str], None]) -> Endpoint:
    """The endpoint of an address. `failed` is told why it could not be connected to, in words for the log."""
    return _Sentinels(address, reactor, failed) if address.name is not None else _Host(address, reactor, failed)


@implementer(IStreamClientEndpoint)
class _Host:
    """The one host of an address."""

    def __init__(self, address: RedisAddress, reactor: Any, failed: Callable[[str], None]) -> None:
        self._address = address
        self._reactor = reactor
        self._failed = failed

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect to it."""
        return self._connect(self._address.hosts[0], protocolFactory).addErrback(self._tell)

    def _connect(self, place: tuple[str, int], protocolFactory: Any) -> Deferred[IProtocol]:
        host, port = place
        endpoint: Any = HostnameEndpoint(self._reactor, host, port, timeout=_PATIENCE)
        if self._address.isSecure:
            endpoint = wrapClientTLS(optionsForClientTLS(host), endpoint)
        connected: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        return connected

    def _tell(self, failure: Failure) -> Failure:
        self._failed(reasonOf(failure))
        return failure

    async def close(self) -> None:
        """There is nobody to ask."""


class _NoMaster(Exception):
    """The Sentinels name no master; the sentence says why."""


class _Sentinels(_Host):
    """The master, for which the Sentinels are asked before each try."""

    _sentinel: Sentinel | None = None

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect to the master."""
        found = Deferred.fromCoroutine(self._master()).addCallback(self._connect, protocolFactory)
        return found.addErrback(self._tell)

    async def _master(self) -> tuple[str, int]:
        """The host and port that the first Sentinel gives which knows a master that is up."""
        if self._sentinel is None:
            self._sentinel = Sentinel(self._address.hosts)
        asked = [each.sentinel_masters().addCallback(self._placeIn) for each in self._sentinel.sentinels]
        first: Deferred[Any] = DeferredList(asked, fireOnOneCallback=True, consumeErrors=True)
        try:
            answer = await first.addTimeout(_PATIENCE, self._reactor)
        except defer.TimeoutError:
            raise _NoMaster(self._why([each.result for each in asked if each.called])) from None
        if isinstance(answer, tuple):
            place: tuple[str, int] = answer[0]
            return place
        raise _NoMaster(self._why([result for _, result in answer]))

    def _placeIn(self, masters: dict[str, Any]) -> tuple[str, int]:
        """The place of the master among those that a Sentinel knows."""
        state = masters.get(self._address.name or "")
        if state is None:
            raise _NoMaster(f"the Sentinels know no master {self._address.name!r}")
        if not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            raise _NoMaster(f"the Sentinels say that the master {self._address.name!r} is down")
        return state["ip"], int(state["port"])

    @staticmethod
    def _why(results: list[Any]) -> str:
        """What the Sentinels that have answered said."""
        said = [str(result.value) for result in results if isinstance(result, Failure) and result.check(_NoMaster)]
        return said[0] if said else "no Sentinel answers"

    async def close(self) -> None:
        """Ask no more."""
        if self._sentinel is not None:
            await self._sentinel.disconnect()


def reasonOf(failure: Failure) -> str:
    """Why a connection could not be made, or was lost before it could be used."""
    found = failure.value
    if isinstance(found, _NoMaster):
        return str(found)
    if isinstance(found, error.ConnectionRefusedError):
        return "the connection is refused"
    if isinstance(found, error.DNSLookupError):
        return "the host's name is not found"
    if isinstance(found, error.TimeoutError):
        return f"the host did not answer within {_PATIENCE:g} s"
    if isinstance(found, VerificationError):
        return "the TLS certificate is for another host"
    if isinstance(found, SSL.Error):
        said = [part[-1] for part in found.args[0] if part[-1]] if found.args and found.args[0] else []
        return f"TLS fails: {said[0] if said else 'the server ends the handshake'}"
    if isinstance(found, error.ConnectError):
        return str(found.osError or found).rstrip(".")
    return "the server ends the connection at once; one that wants TLS is written rediss://"
