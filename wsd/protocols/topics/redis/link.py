"""The link to Redis: one connection for commands and one that listens. Both are made again whenever one is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import sha1
from typing import Any, Protocol

import hiredis
from twisted.internet.defer import Deferred, FirstError, fail, gatherResults, succeed
from twisted.python.failure import Failure
from txredisapi import ConnectionError as RedisConnectionError
from txredisapi import RedisFactory, RedisProtocol, ResponseError, ScriptDoesNotExist, SubscriberProtocol

from wsd.protocols.topics.redis.address import RedisAddress
from wsd.protocols.topics.redis.endpoint import endpointOf, reasonOf

__all__ = ["LinkLost", "RedisLink", "ResponseError"]

assert hiredis, "txredisapi reads bytes as bytes with hiredis alone"

_NOT_SERVING = ("LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS")
"""Errors of a server that is starting, or is no master any more: another connection is to be made."""

_SILENT = "the server does not answer; only one with TLS is written rediss://"

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

    def notLinked(self, reason: str) -> None:
        """A try to connect has failed."""

    def hearing(self) -> AbstractContextManager[None]:
        """A context in which the messages that came in one piece are heard."""

    def heard(self, pattern: bytes | None, channel: bytes, data: bytes) -> None:
        """A message on a channel, by the pattern that it matched, or by its name."""


class _Connection(RedisProtocol):
    isReady = False
    """Whether Redis has let it in."""

    def connectionLost(self, why: Any) -> None:
        """Tell the factory, if this connection was never ready."""
        if not self.isReady:
            self.factory.notReady(why)
        super().connectionLost(why)
        # What is said of the commands that were lost with it is no refusal.
        self.factory.refusal = None


class _Listener(_Connection, SubscriberProtocol):
    def dataReceived(self, data: bytes) -> None:
        """Some messages, or parts of them."""
        with self.factory.hearing():
            super().dataReceived(data)

    def messageReceived(self, pattern: bytes | None, channel: bytes, data: bytes) -> None:
        """A message on a channel."""
        self.factory.heard(pattern, channel, data)


class _Commands(RedisFactory):
    """One connection, which tells when it is there and when it is lost."""

    protocol = _Connection
    initialDelay = 0.1
    maxDelay = 2.0

    def __init__(self, address: RedisAddress, changed: Callable[[Any], None], failed: Callable[[str], None]) -> None:
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
        self._changed = changed
        self._failed = failed
        self.refusal: str | None = None
        """Why Redis did not let the present connection in."""

    def buildProtocol(self, addr: Any) -> Any:
        connection = super().buildProtocol(addr)
        connection.whenConnected().addCallback(self._letIn)
        return connection

    def _letIn(self, connection: Any) -> None:
        connection.isReady = True

    def connectionError(self, why: str) -> None:
        """Redis does not let this connection in: the password or the database is wrong, or no answer comes."""
        isSilent = "Not received Redis response" in why
        self.refusal = _SILENT if isSilent else why.removeprefix("Redis error: ")

    def stopTrying(self) -> Deferred[None]:
        """Try on: what Redis refuses may be mended there."""
        return succeed(None)

    def notReady(self, why: Failure) -> None:
        """A connection was lost before it could be used."""
        if not self.disconnectCalled:
            self._failed(self.refusal or reasonOf(why))

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
        self,
        address: RedisAddress,
        changed: Callable[[Any], None],
        failed: Callable[[str], None],
        heard: Callable[[bytes | None, bytes, bytes], None],
        hearing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__(address, changed, failed)
        self.heard = heard
        self.hearing = hearing


class RedisLink:
    """Two connections to the same Redis."""

    def __init__(self, address: RedisAddress, events: LinkEvents, reactor: Any) -> None:
        self._events = events
        self._commands: Any = None
        self._listener: Any = None
        self.isUp = False
        self._isStopped = False
        self._factories = (
            _Commands(address, self._commandsChanged, self._failed),
            _Listening(address, self._listenerChanged, self._failed, self._heard, events.hearing),
        )
        self._hasSentinels = address.name is not None
        self._endpoint = endpointOf(address, reactor, self._failed)

    def start(self) -> None:
        """Connect, and keep connected."""
        for factory in self._factories:
            factory.startConnecting(self._endpoint)

    async def stop(self) -> None:
        """Disconnect for good."""
        self._isStopped, self.isUp = True, False
        for factory in self._factories:
            await factory.disconnect()
        await self._endpoint.close()

    def _failed(self, reason: str) -> None:
        if not self._isStopped:
            self._events.notLinked(reason)

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
        if isUp and self._hasSentinels and not self._isOneServer:
            # The Sentinels have named another master meanwhile.
            self.abort()
            return
        self.isUp = isUp
        if isUp:
            self._events.linked()
            return
        # Whatever was lost with one connection is made good when both are there again.
        self.abort()
        self._events.unlinked()

    @property
    def _isOneServer(self) -> bool:
        """Whether both connections lead to the same server."""
        return bool(self._commands.transport.getPeer() == self._listener.transport.getPeer())

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
        """
        A command's answer. Fails with LinkLost, or with ResponseError.

        Nothing is asked before both connections are there: a position that was read earlier would be before that from
        which topics are followed, and what is published between the two would be missed.
        """
        return self._run(self._commands if self.isUp else None, *command)

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
        first = self._run(listener, command, *channels)
        if first.called:
            # Redis is away.
            return first
        # Redis confirms each channel on its own, but txredisapi takes the second confirmation for the answer to the
        # next command.
        others = [listener.replyQueue.get() for _ in channels[1:]]
        return gatherResults([first, *others], consumeErrors=True).addErrback(_firstError)

    def _run(self, connection: Any, *command: Any) -> Deferred[Any]:
        if connection is None:
            return fail(LinkLost("Redis is not connected"))
        try:
            done: Deferred[Any] = connection.execute_command(*command)
        except RedisConnectionError as error:
            return fail(LinkLost(str(error)))
        return done.addErrback(self._lost, connection)

    def _lost(self, failure: Failure, connection: Any) -> Failure:
        if failure.check(RedisConnectionError):
            raise LinkLost(str(failure.value))
        if failure.check(ResponseError) and str(failure.value).startswith(_NOT_SERVING):
            self._failed(f"Redis does not serve now: {failure.value}")
            connection.transport.abortConnection()
            raise LinkLost(str(failure.value))
        return failure

    async def ping(self) -> None:
        """Ask both connections for an answer; one that gives none is ended. Raises LinkLost."""
        await self._run(self._commands, "PING")
        await self.settled()

    async def settled(self) -> None:
        """Everything has been heard that was published before. Raises LinkLost."""
        await self._run(self._listener, "PING")


class Script:
    """A Lua script, and its name in Redis."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


def _firstError(failure: Failure) -> None:
    """The error itself, without what `gatherResults` says of it."""
    assert isinstance(failure.value, FirstError)
    failure.value.subFailure.raiseException()
