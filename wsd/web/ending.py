"""
How an HTTP connection ends: its time-outs, its last answer, and the lingering close (RFC 9112 9.6).

WebSockets have time-outs and an end of their own.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from twisted.web.http import datetimeToString

from wsd.connection.request import newId
from wsd.head import Head, Refused
from wsd.logs import ConnectionLog
from wsd.policies.address import Peer
from wsd.web.errorpage import ErrorAnswer, answerTo
from wsd.web.peer import hostOf
from wsd.web.site import Site

_LINGER = 2.0
"""Seconds of a lingering close: bytes of the peer are dropped, so that no reset destroys the answer."""


class Due(Enum):
    """What must come next on an HTTP connection."""

    head = "the head of a request"
    body = "more of a body"
    answer = "our answer"


class Requests(Protocol):
    """The requests of a connection, as `Ending` needs them."""

    @property
    def awaited(self) -> Due:
        """What must come next."""

    @property
    def patience(self) -> float | None:
        """Seconds for which the current answer may stop after the peer has closed its half; None for the default."""

    @property
    def received(self) -> int:
        """Bytes of the current body that have arrived."""

    @property
    def isHeld(self) -> bool:
        """Whether the resource has paused reading of the current body."""

    def peerEnded(self) -> None:
        """Called when the peer has closed its half of the connection."""

    def refused(self, refused: Refused) -> ConnectionLog | None:
        """Called when the current request is refused instead of being answered. Returns its log, if there is one."""


class Ending:
    """
    Ends one HTTP connection, at the latest at a time-out.

    A head must be complete within `opening_timeout` of its first byte, and the next one must begin within
    `http_idle_timeout`. A body must not stop or be too slow, and the peer must take the answers.
    """

    __slots__ = (
        "_acknowledged",
        "_acknowledgedAt",
        "_acknowledgedHalfClosed",
        "_bodySeen",
        "_bodySince",
        "_policies",
        "_site",
        "_transport",
        "due",
        "isBrief",
        "isHalfClosed",
        "isLingering",
        "requests",
    )

    def __init__(self, site: Site, transport: Any) -> None:
        self._site = site
        self._policies = site.policies
        self._transport = transport
        self.due = -1
        self.isLingering = False
        """Whether the last answer has been sent; further bytes of the peer are dropped."""
        self.isHalfClosed = False
        """Whether the peer has closed its half of the connection."""
        self.isBrief = False
        """Whether only a short refusal was sent, for which the connection is not kept longer than `_LINGER`."""
        self.requests: Requests | None = None
        """The requests of the connection; None before the first one, and once it is a WebSocket."""
        self._bodySeen = 0
        self._bodySince = 0.0
        self._acknowledged = self._acknowledgedHalfClosed = -1
        self._acknowledgedAt = 0.0

    # -- waiting for the peer -------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Call `visit` in so many seconds."""
        timer = self._site.timer
        timer.schedule(self, timer.now + seconds)

    def waitForHead(self) -> None:
        """Called with the first bytes of a later head: the rest must come in time."""
        self.wait(self._policies.opening_timeout)

    def waitForBody(self) -> None:
        """Called when a request has begun: its body must come, if it has one."""
        self.wait(self._policies.http_body_timeout)
        self._bodySeen, self._bodySince = 0, self._site.timer.now

    def answered(self) -> None:
        """Called when an answer is complete. The connection may be idle then, unless the daemon stops."""
        if self._site.stopping:
            self.linger()
        elif not self.isLingering:
            self.wait(self._policies.http_idle_timeout)

    def stopWaiting(self) -> None:
        """Called when the connection has become a WebSocket, or is lost."""
        self._site.timer.cancel(self)
        self.requests = None

    # -- ending ---------------------------------------------------------------------------------------------------

    def refuse(
        self, refused: Refused, head: Head | None = None, log: ConnectionLog | None = None, peer: Peer | None = None
    ) -> None:
        """
        Send a status with a page or one sentence, and end the connection. For heads that twisted.web does not get.

        `log` is that of the request, whose id is in the answer.
        """
        if self.isLingering:
            return
        who = peer or hostOf(self._transport.getPeer())
        if log is None and self.requests is not None:
            log = self.requests.refused(refused)
        log = log or ConnectionLog(newId())
        self._site.refused(log, head, who, refused, self._site.tlsOfClient(self._transport))
        answer = answerTo(refused, head, peer, self._site.hasConsole, log.id)
        self._transport.write(_answer(refused, answer, isHead=head is not None and head.method == "HEAD"))
        self.linger()

    def linger(self) -> None:
        """
        Close our half now, and the connection when the peer has closed its half or `_LINGER` is over (RFC 9112 9.6).

        Over TLS, close the connection, which sends all pending bytes first.
        """
        if self.isLingering:
            return
        self.isLingering = True
        transport = self._transport
        transport.unregisterProducer()
        transport.resumeProducing()
        loseWriteConnection = getattr(transport, "loseWriteConnection", None)
        if self.isHalfClosed or loseWriteConnection is None or self._site.tlsOf(transport) is not None:
            transport.loseConnection()
            self.wait(self._policies.closing_timeout)
        else:
            loseWriteConnection()
            self.wait(_LINGER)

    def peerEnded(self) -> None:
        """Called when the peer has closed its half, perhaps repeatedly. Its requests are still answered."""
        before, self.isHalfClosed = self.isHalfClosed, True
        if self.isLingering:
            self._transport.loseConnection()
        elif self.requests is None:
            self.linger()
        else:
            self.requests.peerEnded()
            if not before and not self.isLingering:
                self._waitForAnswer()

    def hasSentAll(self) -> bool:
        """Whether the peer has acknowledged everything that was sent, so that closing loses nothing."""
        wire = getattr(self._transport, "wire", None)
        return wire is None or bool(wire.acknowledged() >= wire.written())

    def awaits(self, due: Due) -> bool:
        """Whether this must come next. Before the first request, that is a head."""
        return due is (Due.head if self.requests is None else self.requests.awaited)

    # -- time-outs ---------------------------------------------------------------------------------------------

    def visit(self, now: float) -> None:
        """Called by the timer: end the connection, unless the peer has done meanwhile what was due."""
        transport = self._transport
        if not getattr(transport, "isOpen", True):
            transport.giveUp(self._policies.closing_timeout if self.isLingering else self._policies.opening_timeout)
            return
        isTaking = self._isTaking(now)
        if self.isLingering and self.isBrief:
            transport.abortConnection()
        elif isTaking is False:
            self._dropStalled()
        elif self.isLingering and isTaking:
            self.wait(_LINGER)
        elif self.isLingering:
            transport.abortConnection()
        elif self.awaits(Due.body):
            self._checkBody(now)
        elif self.awaits(Due.answer) or isTaking:
            self._waitForAnswer()
        else:
            self._refuseHead()

    def _isTaking(self, now: float) -> bool | None:
        """
        Whether the peer has taken unsent bytes within `stall_timeout`; None if there are none.

        While lingering, unacknowledged bytes count as unsent, since they would be lost with the connection.
        """
        wire = getattr(self._transport, "wire", None)
        if wire is None:
            return None
        acknowledged = wire.acknowledged()
        if acknowledged >= wire.written() or not (self.isLingering or wire.unsent):
            return None
        if acknowledged != self._acknowledged:
            self._acknowledged, self._acknowledgedAt = acknowledged, now
        return bool(now - self._acknowledgedAt < self._policies.stall_timeout)

    def _waitForAnswer(self) -> None:
        """Wait on. A half-closed peer may be gone, so it must take a byte of its answer from time to time."""
        patience = None
        if self.isHalfClosed:
            wire = getattr(self._transport, "wire", None)
            acknowledged = -1 if wire is None else wire.acknowledged()
            if wire is not None and acknowledged == self._acknowledgedHalfClosed:
                self._dropStalled()
                return
            self._acknowledgedHalfClosed = acknowledged
            patience = None if self.requests is None else self.requests.patience
        self.wait(self._policies.stall_timeout if patience is None else patience)

    def _dropStalled(self) -> None:
        self._site.metrics.httpDrop("stalled")
        self._transport.abortConnection()

    def _refuseHead(self) -> None:
        """End because the first head was not complete in time (408, RFC 9110 15.5.9), or no other request came."""
        if self.requests is not None:
            self._site.metrics.httpDrop("idle")
            self.linger()
        else:
            self.isBrief = True
            self.refuse(Refused(408, f"no complete request head within {self._policies.opening_timeout:g} seconds"))

    def _checkBody(self, now: float) -> None:
        """Refuse a body that has stopped, or is slower than `http_body_rate` on average."""
        assert self.requests is not None
        if self.requests.isHeld:
            self._bodySince += self._policies.http_body_timeout
            self.wait(self._policies.http_body_timeout)
            return
        seen = self.requests.received
        elapsed = now - self._bodySince
        rate = self._policies.http_body_rate
        if seen == self._bodySeen or seen < rate * (elapsed - self._policies.http_body_timeout):
            self.refuse(Refused(408, f"the body stopped, or was slower than {rate} bytes per second; send it again"))
            return
        self._bodySeen = seen
        self.wait(self._policies.http_body_timeout)


def _answer(refused: Refused, answer: ErrorAnswer, isHead: bool) -> bytes:
    """The bytes of a whole answer, without the content to a HEAD (RFC 9110 9.3.2)."""
    lines = [
        f"HTTP/1.1 {refused.status} {refused.phrase}",
        f"Date: {datetimeToString().decode()}",
        *(f"{name}: {value}" for name, value in (*refused.headers, *answer.fields)),
        "X-Content-Type-Options: nosniff",
        f"Content-Length: {len(answer.content)}",
        "Connection: close" if "Upgrade" not in dict(refused.headers) else "Connection: close, Upgrade",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1", "replace") + (b"" if isHead else answer.content)
