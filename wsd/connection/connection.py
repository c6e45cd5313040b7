"""Connection, the base class of every protocol: calls the hooks for received messages, and for the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from wsd.connection.access import clientFields, logClosed, pathOf
from wsd.connection.moving import Moving
from wsd.frames.codes import CloseCode
from wsd.metrics import Cause

_PIECE = 16384
"""Bytes given to Autobahn at a time. With each frame it copies the rest of its buffer, so it gets little at a time."""

_SMALL = 4096
"""Smaller pieces of a message are joined as they arrive: an object for each would take more memory."""


class Connection(Moving):
    """One WebSocket connection; `wsd.connection.api` says what a protocol overrides and calls."""

    streams = False
    """Whether messages are passed on in pieces, as they arrive."""
    takesWhole = True
    """Whether a message that came in one piece may be passed on as a whole."""
    answers = False
    """Whether the plane calls `answer` instead of `received`, and sends what it returns."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.streams = cls.began is not Connection.began or cls.arrived is not Connection.arrived
        takesAnswers = cls.answer is not Connection.answer
        cls.takesWhole = not cls.streams or takesAnswers or cls.received is not Connection.received
        cls.answers = takesAnswers and cls.received is Connection.received and cls.send is Connection.send

    # -- called by the transport ---------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer."""
        if self.frames is not None:
            self.frames.dataReceived(data)
        elif self._raw is not None:
            self._raw.dataReceived(data)
        else:
            self.readPlain(data)

    def readPlain(self, data: bytes) -> None:
        """Let Autobahn read the data, or buffer it while reading is held."""
        if len(data) <= _PIECE:
            self.__feed(data)
        else:
            start = 0
            while start < len(data):
                end = start + max(_PIECE, self.lacking)
                self.__feed(data[start:end])
                start = end
        if self.held:
            self.onBuffered(len(self.data))

    def __feed(self, data: bytes) -> None:
        if self.state != self.STATE_CLOSED:
            self.data += data
            self.consumeData()

    def consumeData(self) -> None:
        """Let Autobahn read its buffer, and report the bytes that are left in it."""
        super().consumeData()
        isWithin = self.inside_message and not self.streams and self.state == self.STATE_OPEN
        within = self.message_data_total_length if isWithin else 0
        isCompressed = self._isMessageCompressed if isWithin else False
        self.noteReceived(len(self.data), 0 if isCompressed else within, within if isCompressed else 0)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Called when the TCP connection is gone: count it, log it, and call `closed`."""
        factory = self.factory
        factory.timer.cancel(self)
        factory.connections.discard(self)
        wasOpening, self._opening = self._opening, None
        self.state = self.STATE_CLOSED
        if wasOpening is not None:
            wasOpening.cancel()
        if self._raw is not None:
            self.__rawEnded()
            self._raw.connectionLost(reason or Failure(ConnectionLost()))
        elif self._takenAt:
            self.__ended()
        elif wasOpening is not None:
            factory.metrics.handshake("left")
            self.log.info("the client disconnected before the answer", event="connection.left")
        self._letGo()
        self._makeRoom()

    def __rawEnded(self) -> None:
        """Called when a connection that was given to the protocol of `takeRaw` is gone."""
        self.log.info(
            "the bare connection of {path} for {peer} ended; {duration:.3f} s",
            event="connection.raw",
            path=pathOf(self.request.head),
            route=self.factory.route.path,
            **clientFields(self.peer, self.tls, self.user),
            duration=round(self.clock.seconds() - self.openedAt, 3),
        )

    def __ended(self) -> None:
        """Called when a connection that was open is gone."""
        if self.wasClean:
            self.noteCause(Cause.closed if self.closedByMe else Cause.peer_closed)
            # RFC 6455 7.1.5, 7.1.6
            code = CloseCode.NO_STATUS_RECEIVED if self.remoteCloseCode is None else self.remoteCloseCode
            sentence = self.remoteCloseReason or ""
        else:
            self.noteCause(Cause.lost)
            code, sentence = CloseCode.ABNORMAL_CLOSURE, ""
        assert self.cause is not None
        closed = self.factory.counters.closed
        closed[self.cause] = closed.get(self.cause, 0) + 1
        self.factory.counters.countCode(self.localCloseCode if self.closedByMe and self.localCloseCode else code)
        user = self.user or (self.tls.client if self.tls is not None else None)
        if user:
            self.factory.metrics.user(user).add(self.frames)
        logClosed(self, code, sentence)
        self._call(self.closed, code, sentence)

    # -- called by the plane -------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> Any:
        """Called with a complete message: send what `answer` returns."""
        answer = self.answer(payload, isBinary)
        return None if answer is None else self.sendAnswer(answer, isBinary)

    def sendAnswer(self, answer: Any, isBinary: bool) -> Awaitable[None] | None:
        """Send what `answer` returned for a message of this kind. Returns an awaitable if it is not known yet."""
        if isawaitable(answer):
            return self.__sendLater(answer, isBinary)
        self.send(answer, isBinary)
        return None

    async def __sendLater(self, awaited: Awaitable[Any], isBinary: bool) -> None:
        answer = await awaited
        if answer is not None:
            self.send(answer, isBinary)

    def hookReturned(self, result: Any, size: int) -> None:
        """Called when the hook returned `result`. The message counts as memory in use until an awaitable is done."""
        done = self._await(result)
        if done is not None and not done.called:
            self.noteHandled(size)
            done.addBoth(lambda _: self.noteHandled(-size))

    def handleInTurn(self, size: int, handle: Callable[[], Any]) -> None:
        """
        Handle a message of `size` bytes, which takes long, in this connection's turn among all of its route.

        Nothing is read before that. What `handle` returns or raises counts as if `received` had.
        """
        self.hold()
        self.noteHandled(size)

        def step() -> bool:
            try:
                result = handle() if self.state == self.STATE_OPEN else None
            except Exception:
                self.hookFailed()
            else:
                if result is not None:
                    self.hookReturned(result, size)
            self.noteHandled(-size)
            self.release()
            return False

        self.factory.turns.add(step)

    def hookFailed(self) -> None:
        """Called while the exception that the hook raised is being handled."""
        self._failed(Failure())

    def messageBegan(self, isBinary: bool) -> None:
        """Called in a streaming protocol when a message begins."""
        self._call(self.began, isBinary)

    def messageArrived(self, data: bytes) -> None:
        """Called in a streaming protocol with some bytes of the message."""
        self._call(self.arrived, data)

    def messageEnded(self) -> None:
        """Called in a streaming protocol when the message is complete."""
        self._call(self.ended)

    # -- called by Autobahn --------------------------------------------------------------------------------------

    def onMessageBegin(self, isBinary: bool) -> None:
        """Called by Autobahn when a message begins."""
        super().onMessageBegin(isBinary)
        if self.streams and self.state == self.STATE_OPEN:
            self.messageBegan(isBinary)

    def onMessageFrameData(self, payload: bytes) -> None:
        """Called by Autobahn with some bytes of a message, unmasked, inflated and checked."""
        if self.failedByMe or self.state != self.STATE_OPEN or not payload:
            return
        if not self.streams:
            chunks: list[Any] = self.message_data
            if len(payload) >= _SMALL or not chunks:
                chunks.append(payload)
            elif isinstance(chunks[-1], bytearray):
                chunks[-1] += payload
            else:
                chunks.append(bytearray(payload))
        else:
            self.frames.countPiece(len(payload))
            self.messageArrived(payload)

    def onMessageFrameEnd(self) -> None:
        """Called by Autobahn at the end of a frame. Its bytes are part of the message already."""

    def onMessageEnd(self) -> None:
        """Called by Autobahn when a message is complete. Its pieces are freed before the hook is called."""
        chunks, self.message_data = self.message_data, []
        if self.failedByMe or self.state != self.STATE_OPEN:
            return
        if self.streams:
            self.frames.countEnd(self.message_data_total_length)
            self.messageEnded()
            return
        payload = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        del chunks
        self.frames.countIn(len(payload))
        try:
            result = self.received(payload, self.message_is_binary)
        except Exception:
            self.hookFailed()
        else:
            if result is not None:
                self.hookReturned(result, len(payload))
