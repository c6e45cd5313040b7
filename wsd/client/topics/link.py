"""
The connection of a client of topics.wsd.v1: it is made again whenever it is lost, renews its token, and matches answers
to requests. Requests that survive a lost connection are sent again on the next one.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from random import random
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from wsd.client.connection import OPENING, connect
from wsd.client.failures import Unanswered, withTimeout
from wsd.client.target import Target
from wsd.client.topics.connection import SUBPROTOCOL, TopicsConnection
from wsd.client.topics.requests import PendingRequest, TopicsError, expiryOf
from wsd.client.trust import trustOf

Token = str | Callable[[], "str | Awaitable[str]"] | None
"""A token, or a callable that returns one, or an awaitable of one: for each connection, and to renew it."""

_FIRST = 0.5
"""Seconds of back-off at the first try, doubled at each further one."""
_LONGEST = 30.0
_STEADY = 5.0
"""Seconds that a connection must last for the back-off to start anew."""
_PATIENCE = 30.0
"""Seconds in which an answer has to come; else the connection is dead."""
_ONCE = 300.0
"""Seconds for which the server recognizes a publish that comes again (its key once_age)."""
_MOST = 10_000
"""Requests that may wait."""
_TOO_BIG = 1009
_UNAUTHORIZED = 4001


class LinkUser(Protocol):
    """What a link tells."""

    def opened(self) -> None:
        """There is a connection; what waits is sent behind what is asked here."""

    def noticed(self, name: str, fields: dict[str, Any], payload: bytes | None) -> None:
        """A message that answers nothing, and its binary payload."""

    def closed(self, code: int | None, sentence: str, retry: float | None) -> None:
        """The connection is lost, or could not be made. The next try is in `retry` seconds; None: there is none."""

    def failed(self, error: Exception) -> None:
        """An error that no request tells."""


class Link:
    """Requests and answers, over one WebSocket after the other."""

    def __init__(self, reactor: Any, arguments: Namespace, token: Token, user: LinkUser) -> None:
        """`arguments` has the url, and whose certificates are trusted."""
        self._reactor = reactor
        self._arguments = arguments
        self._token = token
        self._user = user
        self._connection: TopicsConnection | None = None
        self._asked: dict[int, PendingRequest] = {}
        self._number = 0
        self._envelope: tuple[str, dict[str, Any]] | None = None
        """A message whose payload is the next one."""
        self._isOpen = False
        self._unsettled = 0
        """Requests of an earlier connection that are not answered yet."""
        self._attempt = 0
        self._timers: dict[str, IDelayedCall] = {}
        self._end: TopicsError | None = None
        self._pause: Deferred[None] = deferLater(reactor, 0)
        """The wait for the next try."""
        ensureDeferred(self._run())

    @property
    def isOpen(self) -> bool:
        """Whether requests are sent at once."""
        return self._isOpen

    @property
    def isOver(self) -> bool:
        """Whether there will be no further connection."""
        return self._end is not None

    def ask(
        self, name: str, fields: dict[str, Any], payload: bytes | None = None, survives: bool = False
    ) -> Deferred[Any]:
        """Send a request, now or later: the fields of its answer, or `TopicsError`."""
        if self._end is not None:
            return fail(TopicsError("closed", "this client is closed"))
        if survives and len(self._asked) >= _MOST:
            return fail(TopicsError("full", f"{_MOST} requests are already waiting"))
        self._number += 1
        text = json.dumps({name: {"id": self._number, **fields}}, ensure_ascii=False).encode()
        request = PendingRequest(self._number, text, payload, survives)
        self._asked[request.id] = request
        if self._isOpen:
            self._send(request)
        return request.done

    def later(self, name: str, seconds: float, run: Callable[[], object]) -> None:
        """Run this unless the connection is lost before; one of each name."""
        self._forget(name)
        self._timers[name] = self._reactor.callLater(seconds, lambda: (self._timers.pop(name), run()))

    def end(self, error: TopicsError, code: int | None = 1000) -> None:
        """Fail what waits with this, and never connect again."""
        if self._end is not None:
            return
        self._end = error
        self._drop()
        asked, self._asked = self._asked, {}
        for request in asked.values():
            request.done.errback(error)
        self._user.closed(code, error.sentence, None)
        self._pause.cancel()

    # -- the connection -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while True:
                await self._pause
                code, sentence = await self._once()
                if self.isOver:
                    return
                self._pause = deferLater(self._reactor, self._lost(code, sentence))
        except CancelledError:
            """It is over."""

    async def _once(self) -> tuple[int | None, str]:
        """One connection from its beginning to its end: the close code, and a sentence."""
        try:
            token = await self._newToken()
            offer = [SUBPROTOCOL] if token is None else [SUBPROTOCOL, f"bearer.{token}"]
            target = Target(self._arguments.url, tuple(offer), trust=trustOf(self._arguments))
            connection = await connect(self._reactor, target, TopicsConnection)
            assert isinstance(connection, TopicsConnection)
            connection.link = self
            await withTimeout(
                connection.opened, self._reactor, OPENING, "did not answer the handshake within {:g} seconds"
            )
        except Unanswered as error:
            return None, str(error)
        if connection.websocket_protocol_in_use != SUBPROTOCOL:
            self.end(TopicsError("subprotocol", f"does not support {SUBPROTOCOL}; is this a topics route?"))
        if self.isOver:
            connection.sendClose(1000)
            return None, ""
        self._opened(connection, token)
        sentence = await connection.closed
        return connection.code, sentence

    async def _newToken(self) -> str | None:
        """The token for the next connection. Raises `Unanswered` when there is none to be had."""
        if not callable(self._token):
            return self._token
        try:
            found = self._token()
            return found if isinstance(found, str) else await found
        except Exception as error:
            self._user.failed(error)
            raise Unanswered("no token could be obtained") from None

    def _opened(self, connection: TopicsConnection, token: str | None) -> None:
        self._connection = connection
        self.later("steady", _STEADY, self._steadied)
        self._renewLater(token)
        # What was sent before is answered first: whoever resumes then knows which messages are its own.
        sent = [request for request in self._asked.values() if request.sentAt is not None]
        self._unsettled = len(sent)
        for request in sent:
            self._send(request)
        if not self._unsettled:
            self._begin()

    def _steadied(self) -> None:
        """The connection has held for a while: the next loss is followed by a short delay again."""
        self._attempt = 0

    def _begin(self) -> None:
        self._isOpen = True
        waiting = list(self._asked.values())
        self._user.opened()
        for request in waiting:
            self._send(request)

    def _lost(self, code: int | None, sentence: str) -> float:
        """The connection is lost, or could not be made. Returns the seconds until the next try."""
        self._drop()
        sent = [request for request in self._asked.values() if request.sentAt is not None]
        if code == _TOO_BIG and sent:
            # The largest that is not answered is too large, if one is.
            self._fail(max(sent, key=lambda request: request.size), TopicsError("too_large", sentence))
        for request in sent:
            if not request.survives and request.id in self._asked:
                self._fail(request, TopicsError("lost", "the connection was lost before the answer"))
        retry: float = min(_LONGEST, _FIRST * 2**self._attempt) * (0.5 + random() / 2)
        self._attempt = min(self._attempt + 1, 10)
        if code == _UNAUTHORIZED and not callable(self._token):
            self.end(TopicsError("unauthorized", sentence), code)
        else:
            self._user.closed(code, sentence, retry)
        return retry

    def _drop(self) -> None:
        connection, self._connection, self._envelope = self._connection, None, None
        self._isOpen = False
        for name in list(self._timers):
            self._forget(name)
        if connection is not None and not connection.closed.called:
            connection.sendClose(1000)

    def _forget(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _renewLater(self, token: str | None) -> None:
        """Get a new token when a fifth of the time that this one is valid for is left."""
        expires = expiryOf(token) if callable(self._token) and token else None
        if expires is not None:
            self.later("renew", max(1.0, (expires - time.time()) * 0.8), lambda: ensureDeferred(self._renew()))

    async def _renew(self) -> None:
        try:
            token = await self._newToken()
            await self.ask("token", {"token": token})
        except Unanswered:
            return
        except TopicsError as error:
            # The connection ends with 4001, and the next one asks for a token again.
            if error.code not in ("lost", "closed"):
                self._user.failed(error)
            return
        self._renewLater(token)

    # -- requests and answers -------------------------------------------------------------------------------------

    def _fail(self, request: PendingRequest, error: TopicsError) -> None:
        del self._asked[request.id]
        request.done.errback(error)

    def _send(self, request: PendingRequest) -> None:
        assert self._connection is not None
        now = self._reactor.seconds()
        if request.sentAt is not None and now - request.sentAt > _ONCE:
            self._fail(
                request, TopicsError("lost", "it may have been published, but too long ago to be retried safely")
            )
            self._unsettled -= 1
            return
        request.sentAt = request.sentAt or now
        self._connection.sendMessage(request.text)
        if request.payload is not None:
            self._connection.sendMessage(request.payload, True)
        if "answer" not in self._timers:
            self._awaitAnswer()

    def _awaitAnswer(self) -> None:
        """A connection that answers nothing for so long is dead, though nobody says so."""
        transport: Any = self._connection and self._connection.transport
        self.later("answer", _PATIENCE, transport.abortConnection)

    def received(self, payload: bytes, isBinary: bool) -> None:
        """A message of the server's."""
        if isBinary:
            assert self._envelope is not None
            (name, fields), self._envelope = self._envelope, None
            self._user.noticed(name, fields, payload)
            return
        ((name, fields),) = json.loads(payload).items()
        if name not in ("message", "direct", "presence", "gap"):
            self._answered(name, fields)
        elif "binary" in fields:
            self._envelope = name, fields
        else:
            self._user.noticed(name, fields, None)

    def _answered(self, name: str, fields: dict[str, Any]) -> None:
        request = self._asked.pop(fields.get("id", 0), None)
        self._forget("answer")
        if self._asked:
            self._awaitAnswer()
        error = TopicsError(fields["code"], fields["message"]) if name == "error" else None
        if request is None:
            if error is not None:
                self._user.failed(error)
            return
        if error is not None:
            request.done.errback(error)
        else:
            request.done.callback(fields)
        self._unsettled -= 1
        if not self._isOpen and not self._unsettled:
            self._begin()
