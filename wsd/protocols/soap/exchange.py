"""
Exchange: one request and its answer, as the transports see them (SOAP 1.2 part 2, 6.2).

A transport, the WebSocket or HTTP, is a `Requester`. A node, which is a `Responder`, answers its request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from wsd.auth.outcome import AuthenticatedUser
from wsd.head import Head
from wsd.policies.address import Peer, TlsInfo
from wsd.protocols.soap.encodings.encoding import Encoding
from wsd.protocols.soap.envelope import Addressing, Envelope, writeFault
from wsd.protocols.soap.faults import Fault
from wsd.protocols.soap.names import Version
from wsd.protocols.soap.reader import Document

if TYPE_CHECKING:
    from wsd.traces.tracer import Span


class Requester(Protocol):
    """The peer that a request comes from: a WebSocket connection or an HTTP request."""

    peer: Peer
    user: str | None
    encoding: Encoding
    """The encoding of its messages."""
    canPush: bool
    """Whether it can be sent messages that are not answers."""

    @property
    def clock(self) -> IReactorTime:
        """The clock to use."""

    @property
    def isOpen(self) -> bool:
        """Whether the peer is still connected."""

    @property
    def isFull(self) -> bool:
        """Whether the peer reads too slowly."""

    @property
    def head(self) -> Head:
        """The head of the HTTP request or of the opening handshake."""

    @property
    def tls(self) -> TlsInfo | None:
        """What the TLS handshake agreed on; None without TLS."""

    def header(self, name: str) -> str | None:
        """Returns a header of the HTTP request or of the opening handshake, None if it is missing."""

    def deliver(self, text: str) -> None:
        """Sends an envelope."""

    def whenClosed(self, call: Callable[[], None]) -> Callable[[], None]:
        """Calls a function when the connection ends. Returns a function that cancels this."""

    def authenticated(self, user: AuthenticatedUser) -> None:
        """Called with the sender of a message, who has logged in by the message itself."""

    def traced(self, url: str) -> Span | None:
        """Returns the span of a POST to a URL that its request causes, None without traces."""


@dataclass(slots=True)
class Answer:
    """An envelope to send, "" for none. `fault` is the fault in it, if there is one."""

    text: str
    version: Version
    fault: Fault | None = None


def isOneWay(addressing: Addressing, requester: Requester) -> bool:
    """
    Returns whether a message has an Action and no MessageID: its sender expects nothing back (WS-Addressing Core, 3.1).

    On a WebSocket a fault could then not be told from any other message, and WCF ends the channel. Over HTTP the answer
    to a request is clear.
    """
    return bool(addressing.Action) and not addressing.MessageID and requester.canPush


def logUnanswered(log: Logger, route: str, requester: Requester, fault: Fault) -> None:
    """Logs a fault that is not sent, since its request was one-way. The log limits these lines."""
    log.warn(
        "{route}: a one-way message of {peer} gets no fault: {sentence}",
        event="soap.unanswered",
        route=route,
        peer=str(requester.peer),
        sentence=fault.reason[:400],
    )


@dataclass(slots=True)
class PendingAnswer:
    """An answer that is not known yet, and the MessageID of its request, "" if it has none."""

    result: Deferred[Answer]
    messageId: str


class Responder(Protocol):
    """Answers requests: the node of a service, the gateway to an upstream service, or the guard before one of them."""

    def process(
        self, document: Document, spoken: Version, requester: Requester, action: str = ""
    ) -> Answer | PendingAnswer:
        """Answers a request, with a fault if it fails. `action` is the Action in the HTTP headers, "" for none."""

    def refuse(self, envelope: Envelope, fault: Fault, requester: Requester) -> Answer:
        """Returns the answer with a fault to a request that is not processed, an empty one if it expects none."""

    def stop(self) -> Deferred[Any]:
        """Fires when all connections of the node are closed."""


def faultAnswer(fault: Fault, version: Version, addressing: Addressing | None = None) -> Answer:
    """Returns the answer with a fault. It is addressed if the request was. Malformed XML has no addressing."""
    return Answer(writeFault(version, fault, addressing or Addressing()), version, fault)
