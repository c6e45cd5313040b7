"""The old side of a conversation with the process that takes over: each question is answered with one message."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from wsd.processes.channel import ChannelMessage, ProcessChannel

_STARTING = 60.0
"""Seconds that the new process may take to check its configuration and to start its routes."""

_ANSWERING = 30.0
"""Seconds that it may take for an answer."""

_KILLED = 5.0
"""Seconds to wait for the end of a process that was killed."""


class NotTakenOver(Exception):
    """The new process cannot take over. The message is one sentence."""


class NewSide:
    """The process that takes over, as the old one sees it. It owns `connected`, its end of the channel."""

    def __init__(self, reactor: Any, connected: socket.socket) -> None:
        self._reactor = reactor
        self._answer: Deferred[ChannelMessage] | None = None
        self._early: ChannelMessage | None = None
        """Its first message, if it came before it was waited for."""
        self._sentence: str | None = None
        """Why it has ended, or is of no use any more."""
        self._refusal: str | None = None
        """Why it is asked nothing more, although it runs."""
        self._stopped: Deferred[None] = Deferred()
        """Fires when it has ended, after it was told to stop."""
        self.ended: Callable[[], object] = lambda: None
        """Called when it has ended."""
        self._channel = ProcessChannel(reactor, connected, self._received, self._lost)

    def ready(self) -> Deferred[ChannelMessage]:
        """Fires with its first message. Fails with `NotTakenOver`."""
        return self._await(_STARTING)

    def ask(
        self, kind: str, fields: dict[str, Any], body: bytes = b"", descriptors: Sequence[int] = ()
    ) -> Deferred[ChannelMessage]:
        """Send a message. Fires with the answer; fails with `NotTakenOver`."""
        if self._refusal is not None:
            return fail(NotTakenOver(self._refusal))
        self._channel.send(kind, fields, body, descriptors)
        return self._await(_ANSWERING)

    def tell(self, kind: str) -> None:
        """Send a message that is not answered."""
        self._channel.send(kind, {})

    @property
    def hasEnded(self) -> bool:
        """Whether it has ended. One that has not answered in time may still run."""
        return self._sentence is not None

    @property
    def isStopping(self) -> bool:
        """Whether it was told to stop."""
        return self._refusal is not None

    def check(self) -> None:
        """Raises `NotTakenOver` if it has ended, or was told to stop."""
        sentence = self._sentence or self._refusal
        if sentence is not None:
            raise NotTakenOver(sentence)

    def stop(self, sentence: str) -> Deferred[None]:
        """
        Let it close in order what it has taken over, and end. Fires when it has ended. `sentence` says why.

        What it was sent before, it still confirms. It is sent nothing more.
        """
        self._refusal = sentence
        self.tell("stop")
        if self.hasEnded:
            self._stopped.callback(None)
        return self._stopped

    def hurry(self) -> None:
        """Let it drop all connections at once, if it was told to stop."""
        if self.isStopping:
            self.tell("now")

    def kill(self, sentence: str = "the upgrade was given up") -> None:
        """End it now, so that it does nothing more to the connections that it was passed. `sentence` says why."""
        # Before the channel is closed: it could take that for the end of this process, and go on by itself.
        self._endProcess()
        self._channel.close()
        self._end(sentence)

    def _endProcess(self) -> None:
        """Kill its process, and wait for its end."""
        raise NotImplementedError

    def _howItEnded(self) -> str:
        """A sentence about why the channel is closed."""
        raise NotImplementedError

    def _await(self, seconds: float) -> Deferred[ChannelMessage]:
        answer: Deferred[ChannelMessage] = Deferred()
        early, self._early = self._early, None
        if early is not None:
            answer.callback(early)
            return answer
        self._answer = answer
        if self._sentence is not None:
            self._fail(self._sentence)
            return answer
        late = self._reactor.callLater(
            seconds, self._fail, f"the new process did not answer within {seconds:g} seconds"
        )

        def cancel(result: Any) -> Any:
            if late.active():
                late.cancel()
            return result

        return answer.addBoth(cancel)

    def _received(self, message: ChannelMessage) -> None:
        if message.kind == "failed":
            message.closeDescriptors()
            self._end(str(message.fields.get("sentence")))
            return
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.callback(message)
        else:
            self._early = message

    def _lost(self, reason: Failure) -> None:
        self._end(self._sentence or self._howItEnded())
        if self.isStopping and not self._stopped.called:
            self._stopped.callback(None)

    def _end(self, sentence: str) -> None:
        """It has ended; only the first reason counts."""
        if self._sentence is None:
            self._sentence = sentence
            self.ended()
        self._fail(self._sentence)

    def _fail(self, sentence: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.errback(NotTakenOver(sentence))


class NewWorker(NewSide):
    """A worker of the new version, which is no child of this process: its first message says which process it is."""

    _process: int | None = None
    """A descriptor of its process (pidfd_open(2)), which stands for no other one."""

    def _received(self, message: ChannelMessage) -> None:
        if self._process is None and "pid" in message.fields:
            with suppress(OSError):
                self._process = os.pidfd_open(message.fields["pid"])
        super()._received(message)

    def _howItEnded(self) -> str:
        return "the new worker has ended; its reason is in the log"

    def _endProcess(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], _KILLED)
        os.close(process)

    def leave(self) -> None:
        """It goes on without this process."""
        process, self._process = self._process, None
        if process is not None:
            os.close(process)
