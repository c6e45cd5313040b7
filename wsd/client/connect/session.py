"""One run of `wsd connect`: connects, connects again after a loss, and ends with an exit status."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from math import isinf
from random import random
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from wsd.client.connect.link import SessionConnection, describeClose
from wsd.client.connection import OPENING, connect
from wsd.client.failures import NO_HANDSHAKE, ExitStatus, Unanswered, Unwelcome, withTimeout
from wsd.client.target import Target
from wsd.config.values import printable
from wsd.frames.codes import CloseCode

_CLOSING = 10.0
"""Seconds without a message in which the server has to complete a close."""
_INTERRUPTED = 1.0
"""The same after ^C."""
_FIRST, _LONGEST = 0.5, 30.0
"""Seconds of the first and of the longest pause before a connection is made again."""
_STEADY = 5.0
"""Seconds that a connection must last for the pauses to start anew."""
_NORMAL = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, None)
_TEMPORARY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
"""Refusals of 4xx after which another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """When a session ends, and whether it connects again."""

    messages: int | None = None
    """End after so many messages."""
    wait: float | None = None
    """Seconds to wait for messages after the end of the input; None: a second, without limit for `messages`."""
    reconnect: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a connection ended: the exit status, a sentence for stderr, and whether another attempt may succeed."""

    status: ExitStatus
    sentence: str | None = None
    mayRetry: bool = True


class Front(Protocol):
    """The user's end of a session."""

    def connected(self, connection: SessionConnection) -> None:
        """The handshake is complete, and messages can be sent."""

    def handshake(self, lines: list[str]) -> None:
        """The lines of a handshake, complete or refused."""

    def received(self, payload: bytes, isBinary: bool) -> bool:
        """A message. Returns False if no more should be read until `ClientSession.resume` is called."""

    def frame(self, mark: str, text: str) -> None:
        """A ping, pong or close, described by a text: `<` for one that was received, `>` for one that was sent."""

    def drained(self) -> None:
        """What was sent has left: more can be sent."""

    def retrying(self, sentence: str, seconds: float) -> None:
        """The connection is lost, or could not be made; the next attempt is in so many seconds."""

    def finish(self, interrupted: bool) -> Deferred[None]:
        """The session is over. Fires when everything is shown."""


class ClientSession:
    """One run. `run` returns how it ended."""

    def __init__(self, reactor: Any, target: Target, options: SessionOptions) -> None:
        self.front: Front
        self._reactor = reactor
        self._target = target
        self._options = options
        self._connection: SessionConnection | None = None
        self._pending: Deferred[Any] | None = None
        """What is awaited while there is no connection."""
        self._ending: ExitStatus | None = None
        self._mustClose = False
        """Whether the server has to complete the close for the end to be a normal one."""
        self._pause = _CLOSING
        self._deadline: IDelayedCall | None = None
        self._attempts = 0
        self._count = 0
        self._isHeld = False
        self._isInterrupted = False

    # -- what the front does --------------------------------------------------------------------------------------

    @property
    def canSend(self) -> bool:
        """Whether a message would leave at once."""
        connection = self._connection
        return self._ending is None and connection is not None and connection.isOpen and not connection.isFull

    @property
    def isConnected(self) -> bool:
        """Whether there is an open connection."""
        return self._ending is None and self._connection is not None and self._connection.isOpen

    @property
    def isOver(self) -> bool:
        """Whether the session is ending."""
        return self._ending is not None

    def send(self, payload: bytes, isBinary: bool) -> None:
        """Send a message over the open connection."""
        assert self._connection is not None
        self._connection.sendMessage(payload, isBinary)

    def ping(self, payload: bytes) -> None:
        """Send a ping over the open connection."""
        assert self._connection is not None
        self._connection.sendPing(payload)

    def resume(self) -> None:
        """Read messages again."""
        self._isHeld = False
        if self._connection is not None:
            self._connection.hold(False)

    def inputEnded(self) -> None:
        """Nothing more will be sent: wait for answers, then close."""
        wait = self._options.wait
        if wait is None:
            wait = 1.0 if self._options.messages is None else float("inf")
        if not isinf(wait):
            status = ExitStatus.DONE if self._options.messages is None else ExitStatus.TOO_FEW
            self._reactor.callLater(wait, self.end, status, mustClose=True)

    def end(
        self,
        status: ExitStatus,
        code: int = CloseCode.NORMAL_CLOSURE,
        reason: str = "",
        mustClose: bool = False,
    ) -> None:
        """Close, and end with this status. With `mustClose`, it becomes ABNORMAL if the server does not close too."""
        if self._ending is not None:
            return
        self._ending, self._mustClose = status, mustClose
        if self._connection is not None and self._connection.isOpen:
            self._connection.close(code, reason)
            self.front.frame(">", f"close {describeClose(code, reason)}")
            self._await()
        elif self._pending is not None:
            self._pending.cancel()

    def interrupt(self, status: ExitStatus = ExitStatus.INTERRUPTED) -> None:
        """End because of ^C or SIGTERM, soon."""
        self._isInterrupted = True
        self._pause = _INTERRUPTED
        self.end(status)
        self._await()

    # -- what the connection tells --------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> None:
        """A message of the server's."""
        most = self._options.messages
        if most is not None and self._count >= most:
            return
        self._count += 1
        if self._deadline is not None:
            self._await()
        if not self.front.received(payload, isBinary):
            self._isHeld = True
            if self._connection is not None:
                self._connection.hold(True)
        if self._count == most:
            self.end(ExitStatus.DONE)

    def controlled(self, text: str) -> None:
        """A control frame of the server's."""
        self.front.frame("<", text)

    def drained(self) -> None:
        """The connection has room for more."""
        self.front.drained()

    def failing(self) -> None:
        """The connection is being closed because of a fault of the server's."""
        self._await()

    def _await(self) -> None:
        """The server has to complete the close, or send another message, in a while."""
        self._forget()
        if self._connection is not None:
            self._deadline = self._reactor.callLater(self._pause, self._expire)

    def _expire(self) -> None:
        self._deadline = None
        if self._isHeld and not self._isInterrupted:
            self._await()
        elif self._connection is not None:
            self._connection.abort()

    def _forget(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()

    # -- the run --------------------------------------------------------------------------------------------------

    async def run(self) -> Outcome:
        """Connect until the session is over."""
        while True:
            outcome = await self._once()
            if self._ending is not None or not self._options.reconnect or not outcome.mayRetry:
                break
            seconds = min(_LONGEST, _FIRST * 2.0**self._attempts) * (0.5 + random() / 2)
            self._attempts = min(self._attempts + 1, 10)
            self.front.retrying(outcome.sentence or "the server closed the connection", seconds)
            try:
                await self._awaiting(deferLater(self._reactor, seconds))
            except CancelledError:
                outcome = Outcome(self._ending or ExitStatus.DONE)
                break
        await self.front.finish(self._isInterrupted)
        return outcome

    def _awaiting(self, deferred: Deferred[Any]) -> Deferred[Any]:
        self._pending = deferred
        return deferred

    async def _once(self) -> Outcome:
        """One connection from its beginning to its end."""
        connection: SessionConnection | None = None
        try:
            connection = await self._awaiting(ensureDeferred(connect(self._reactor, self._target, SessionConnection)))
            connection.user = self
            await self._awaiting(withTimeout(connection.opened, self._reactor, OPENING, NO_HANDSHAKE))
        except CancelledError:
            if connection is not None:
                connection.abort()
            return Outcome(self._ending or ExitStatus.DONE)
        except Unanswered as error:
            if connection is not None:
                connection.abort()
                self.front.handshake(connection.heads)
            return Outcome(error.status, str(error), _mayRetry(error))
        self._pending, self._connection = None, connection
        connection.hold(self._isHeld)
        self.front.handshake(connection.heads)
        began = self._reactor.seconds()
        self.front.connected(connection)
        await connection.closed
        self._connection = None
        self._forget()
        if self._reactor.seconds() - began >= _STEADY:
            self._attempts = 0
        return self._judge(connection)

    def _judge(self, connection: SessionConnection) -> Outcome:
        """How a connection ended that was open."""
        said = connection.closing
        if self._ending is not None:
            if self._mustClose and said is None and self._ending is ExitStatus.DONE:
                return Outcome(ExitStatus.ABNORMAL, "the server did not answer the close")
            if self._ending is ExitStatus.TOO_FEW:
                return Outcome(ExitStatus.TOO_FEW, f"{self._missing}, then the wait timed out")
            return Outcome(self._ending)
        if connection.fault is not None:
            return Outcome(
                ExitStatus.ABNORMAL, f"the server violated the WebSocket protocol: {printable(connection.fault)}"
            )
        if said is None:
            return Outcome(ExitStatus.ABNORMAL, "the connection was lost without a close")
        code, reason = said
        text = f"the server closed with {describeClose(code, reason)}"
        if code not in _NORMAL:
            return Outcome(ExitStatus.ABNORMAL, text)
        if self._options.messages is not None:
            return Outcome(ExitStatus.TOO_FEW, f"{self._missing}, then {text}", code != CloseCode.NORMAL_CLOSURE)
        return Outcome(ExitStatus.DONE, None, code == CloseCode.GOING_AWAY)

    @property
    def _missing(self) -> str:
        return f"{self._count} of {self._options.messages} messages received"


def _mayRetry(error: Unanswered) -> bool:
    if isinstance(error, Unwelcome):
        return error.code >= 500 or error.code in _TEMPORARY
    return error.status is not ExitStatus.USAGE
