"""The link to Redis: one connection for commands and one that listens. Both are made again whenever one is lost."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from typing import Any, Protocol

import hiredis
from twisted.internet.defer import Deferred, FirstError, fail, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from txredisapi import ConnectionError as RedisConnectionError
from txredisapi import RedisFactory, ResponseError, ScriptDoesNotExist, Sentinel, SubscriberProtocol
from zope.interface import implementer

from wsd.protocols.topics.redis.address import RedisAddress

__all__ = ["LinkLost", "RedisLink", "ResponseError"]

assert hiredis, "txredisapi reads bytes as bytes with hiredis alone"

_NOT_SERVING = ("LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS")
"""Errors of a server that is starting, or is no master any more: another connection is to be made."""

REPLY_TIMEOUT = 10.0
"""Seconds in which Redis must answer a command."""


class LinkLost(Exception):
    """The link is not there, or was lost before the answer came: whether the command was done is not known."""


class LinkEvents(Protocol):
    """What a link tells."""

    def linked(self) -> None:
        """Both connections are there."""

    def unlinked(self) -> None:
        """One of them is lost; the other one is ended."""

    def heard(self, pattern: bytes | None, channel: bytes, data: bytes) -> None:
        """A message on a channel, by the pattern that it matched, or by its name."""


class _Listener(SubscriberProtocol):
    def messageReceived(self, pattern: bytes | None, channel: bytes, data: bytes) -> None:
        """A message on a channel."""
        self.factory.heard(pattern, channel, data)


class _Commands(RedisFactory):
    """One connection, which tells when it is there and when it is lost."""

    initialDelay = 0.1
    maxDelay = 2.0

    def __init__(self, address: RedisAddress, changed: Callable[[Any], None]) -> None:
        super().__init__(
            None,
            address.database,
            1,
            charset=None,
            username=address.user,
            password=address.password,
            replyTimeout=REPLY_TIMEOUT,
            convertNumbers=False,
        )
        self.isLazy = True
        # It fails with the first connection that is lost before it is ready; the next one is made all the same.
        self.deferred.addErrback(lambda _: None)
        self._changed = changed

    def addConnection(self, connection: Any) -> None:
        super().addConnection(connection)
        if connection in self.pool:
            self._changed(connection)

    def delConnection(self, connection: Any) -> None:
        super().delConnection(connection)
        self._changed(None)


class _Listening(_Commands):
    protocol = _Listener

    def __init__(
        self, address: RedisAddress, changed: Callable[[Any], None], heard: Callable[[bytes | None, bytes, bytes], None]
    ) -> None:
        super().__init__(address, changed)
        self.heard = heard


class RedisLink:
    """Two connections to the same Redis."""

    def __init__(self, address: RedisAddress, events: LinkEvents, reactor: Any) -> None:
        self._events = events
        self._commands: Any = None
        self._listener: Any = None
        self.isUp = False
        self._isStopped = False
        self._factories = (
            _Commands(address, self._commandsChanged),
            _Listening(address, self._listenerChanged, self._heard),
        )
        self._endpoint = _endpointOf(address, reactor)

    def start(self) -> None:
        """Connect, and keep connected."""
        for factory in self._factories:
            factory.startConnecting(self._endpoint)

    async def stop(self) -> None:
        """Disconnect for good."""
        self._isStopped, self.isUp = True, False
        for factory in self._factories:
            await factory.disconnect()
        if isinstance(self._endpoint, _SentinelEndpoint):
            await self._endpoint.close()

    def _commandsChanged(self, connection: Any) -> None:
        self._commands = connection
        self._check()

    def _listenerChanged(self, connection: Any) -> None:
        self._listener = connection
        self._check()

    def _check(self) -> None:
        isUp = self._commands is not None and self._listener is not None
        if isUp == self.isUp or self._isStopped:
            return
        self.isUp = isUp
        if isUp:
            self._events.linked()
            return
        # Whatever was lost with one connection is made good when both are there again.
        self.abort()
        self._events.unlinked()

    def abort(self) -> None:
        """End both connections, and make them again."""
        for connection in (self._commands, self._listener):
            if connection is not None:
                connection.transport.abortConnection()

    def _heard(self, pattern: bytes | None, channel: bytes, data: bytes) -> None:
        if not self._isStopped:
            self._events.heard(pattern, channel, data)

    # -- commands -------------------------------------------------------------------------------------------------

    def run(self, *command: Any) -> Deferred[Any]:
        """A command's answer. Fails with LinkLost, or with ResponseError."""
        return _run(self._commands, *command)

    def script(self, script: Script, keys: list[str], *arguments: Any) -> Deferred[Any]:
        """A script's answer; Redis is sent the script where it does not know it yet."""
        done = self.run("EVALSHA", script.digest, len(keys), *keys, *arguments)
        done.addErrback(self._unknown, script, keys, arguments)
        return done

    def _unknown(self, failure: Any, script: Script, keys: list[str], arguments: Any) -> Any:
        if failure.check(ScriptDoesNotExist) or (
            failure.check(ResponseError) and str(failure.value).startswith("NOSCRIPT")
        ):
            return self.run("EVAL", script.text, len(keys), *keys, *arguments)
        return failure

    def listen(self, command: str, *channels: bytes) -> Deferred[Any]:
        """SUBSCRIBE or PSUBSCRIBE, or their opposites; fires when Redis has confirmed each channel."""
        listener = self._listener
        first = _run(listener, command, *channels)
        if first.called:
            # Redis is away.
            return first
        # Redis confirms each channel on its own, but txredisapi takes the second confirmation for the answer to the
        # next command.
        others = [listener.replyQueue.get() for _ in channels[1:]]
        return gatherResults([first, *others], consumeErrors=True).addErrback(_firstError)

    async def ping(self) -> None:
        """Ask both connections for an answer; one that gives none is ended. Raises LinkLost."""
        await _run(self._commands, "PING")
        await _run(self._listener, "PING")


class Script:
    """A Lua script, and its name in Redis."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


def _run(connection: Any, *command: Any) -> Deferred[Any]:
    if connection is None:
        return fail(LinkLost("Redis is not connected"))
    try:
        done: Deferred[Any] = connection.execute_command(*command)
    except RedisConnectionError as error:
        return fail(LinkLost(str(error)))
    return done.addErrback(_lost, connection)


def _firstError(failure: Failure) -> None:
    """The error itself, without what `gatherResults` says of it."""
    assert isinstance(failure.value, FirstError)
    failure.value.subFailure.raiseException()


def _lost(failure: Any, connection: Any) -> Any:
    if failure.check(RedisConnectionError):
        raise LinkLost(str(failure.value))
    if failure.check(ResponseError) and str(failure.value).startswith(_NOT_SERVING):
        connection.transport.abortConnection()
        raise LinkLost(str(failure.value))
    return failure


# -- where Redis is ---------------------------------------------------------------------------------------------------


def _endpointOf(address: RedisAddress, reactor: Any) -> Any:
    if address.name is not None:
        return _SentinelEndpoint(address, reactor)
    return _serverEndpoint(*address.hosts[0], address, reactor)


def _serverEndpoint(host: str, port: int, address: RedisAddress, reactor: Any) -> Any:
    endpoint = HostnameEndpoint(reactor, host, port, timeout=5)
    return wrapClientTLS(optionsForClientTLS(host), endpoint) if address.isSecure else endpoint


@implementer(IStreamClientEndpoint)
class _SentinelEndpoint:
    """Asks the Sentinels for the master before each attempt."""

    def __init__(self, address: RedisAddress, reactor: Any) -> None:
        self._address = address
        self._reactor = reactor
        self._sentinel: Sentinel | None = None

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect to the master."""
        if self._sentinel is None:
            self._sentinel = Sentinel(self._address.hosts)
        found = self._sentinel.discover_master(self._address.name)
        return found.addCallback(self._connect, protocolFactory)  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Ask no more."""
        if self._sentinel is not None:
            await self._sentinel.disconnect()

    def _connect(self, place: tuple[str, int], protocolFactory: Any) -> Deferred[IProtocol]:
        endpoint = _serverEndpoint(*place, self._address, self._reactor)
        return endpoint.connect(protocolFactory)  # type: ignore[no-any-return]
