"""The plain form: what a client sends is published as it is, and what others publish is sent as it is."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from twisted.python.failure import Failure

from wsd.connection import Closed, Prepared
from wsd.frames.codes import CloseCode
from wsd.logs import ConnectionLog
from wsd.metrics import Cause
from wsd.protocols.topics.audience import Direct
from wsd.protocols.topics.encoding import encodePlain
from wsd.protocols.topics.errors import GAP, SLOW, TopicError
from wsd.protocols.topics.hub import Hub
from wsd.protocols.topics.inflight import InFlight
from wsd.protocols.topics.names import isFilter
from wsd.protocols.topics.outbox import Outboxes
from wsd.protocols.topics.publication import Item, Loss, Publication, TopicMessage
from wsd.protocols.topics.query import Query
from wsd.protocols.topics.replay import Beginning

PLAIN = "plain.topics.wsd.v1"
"""The plain form by name: for browsers, which offer it beside a `bearer.` entry, since one of the offered is chosen."""

NULL = b"null"
"""As the whole text of a message with a key: the key's last value is removed."""


class PlainSocket(Protocol):
    """The connection that speaks the plain form."""

    id: str
    frames: Any
    log: ConnectionLog

    @property
    def isFull(self) -> bool:
        """Whether there is no room to send."""

    def send(self, payload: Prepared) -> None:
        """Send a message."""

    def hold(self) -> None:
        """Read nothing."""

    def release(self) -> None:
        """Read on."""

    def close(self, code: int, sentence: str, cause: Cause = Cause.closed) -> None:
        """Begin the closing handshake."""

    def closeForMemory(self) -> None:
        """Begin the closing handshake, since the daemon has no memory left."""


class PlainForm:
    """One client of the plain form."""

    def __init__(
        self, socket: PlainSocket, hub: Hub, topic: str, levels: tuple[str, ...], query: Query, outboxes: Outboxes
    ) -> None:
        self._socket = socket
        self._hub = hub
        self._topic = topic
        self._levels = levels
        self._query = query
        self._outbox = outboxes.open(self, encodePlain)
        self._inFlight = InFlight(socket)
        self.direct: Direct | None = None

    # -- subscribing ----------------------------------------------------------------------------------------------

    def begin(self) -> Awaitable[None] | None:
        """Subscribe, and send first what was asked for."""
        query = self._query
        self.direct = Direct(self._socket.id, self, self._socket.frames, encodePlain)
        if not query.subscribes:
            return None
        if not query.replays:
            return self._hub.subscribe(self, self._levels)
        # What is published meanwhile waits behind what is replayed.
        self._outbox.hold()
        return self._replay()

    async def _replay(self) -> None:
        await self._hub.subscribe(self, self._levels)
        query = self._query
        beginning = Beginning(self._topic, self._levels, query.last, query.history, query.since)
        try:
            replay = await beginning.recover(self._hub.backend)
        except TopicError as error:
            raise Closed(error.closeCode, error.sentence) from None
        if not replay.isComplete:
            raise Closed(GAP, f"messages since {query.since} are lost; the topic is at {replay.position}")
        self._outbox.release(replay.publications, replay.position)

    def take(self, publication: Publication) -> None:
        """A publication for this client, for whom something waits."""
        if publication.message.sender != self._socket.id:
            self._outbox.put(publication)

    def miss(self, loss: Loss) -> None:
        """Messages are lost: close, since the plain form cannot tell otherwise."""
        self._hub.unsubscribe(self, self._levels)
        self._outbox.end()
        self._socket.close(GAP, f"messages are lost; the topic is at {loss.position}")

    def full(self) -> None:
        """The connection has no room."""
        self._outbox.full()

    def drained(self) -> None:
        """The connection has room again."""
        self._outbox.drained()

    def gone(self) -> None:
        """The connection is closed or lost."""
        self._hub.unsubscribe(self, self._levels)
        self._hub.unblock(self._socket.id)
        self._outbox.end()

    # -- the outbox's connection ----------------------------------------------------------------------------------

    @property
    def isFull(self) -> bool:
        """Whether the connection has no room."""
        return self._socket.isFull

    def send(self, encoded: tuple[Prepared, ...], item: Item) -> None:
        """Send a publication."""
        for message in encoded:
            self._socket.send(message)

    def blocked(self) -> None:
        """Publications wait from now on."""
        self._hub.block(self._socket.id, self)

    def cleared(self) -> None:
        """Nothing waits any more."""
        self._hub.unblock(self._socket.id)

    def skipped(self, item: Item) -> None:
        """A publication is not sent; the plain form cannot tell."""

    def tooSlow(self, oldest: Item) -> None:
        """Too much waits: close, and tell where to go on."""
        sentence = "this client reads too slowly"
        position = oldest.position
        if position is not None and not isFilter(self._topic):
            sentence += f"; continue with ?since={position.before}"
        self._hub.unsubscribe(self, self._levels)
        self._socket.close(SLOW, sentence, Cause.slow)

    def relieve(self) -> None:
        """The daemon has no memory left: close."""
        self._hub.unsubscribe(self, self._levels)
        self._socket.closeForMemory()

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether nothing waits for the client, or is on its way."""
        return not len(self._outbox) and not len(self._inFlight)

    def save(self) -> dict[str, object]:
        """What its query does not say: the role that the rules have left it."""
        return {"role": self._query.role}

    def resume(self) -> None:
        """Subscribe again, in another process. What was asked for at first has been sent."""
        self.direct = Direct(self._socket.id, self, self._socket.frames, encodePlain)
        if self._query.subscribes:
            self._hub.subscribe(self, self._levels)

    # -- publishing -----------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> None:
        """A message is published."""
        query = self._query
        if not query.publishes:
            raise Closed(CloseCode.POLICY_VIOLATION, "this client cannot publish, because it connected as a subscriber")
        isRemoval = query.key is not None and not isBinary and payload == NULL
        sender = None if query.echo else self._socket.id
        message = TopicMessage(payload, isBinary, query.key, isRemoval, sender=sender)
        done = self._hub.backend.publish(self._topic, message)
        self._inFlight.add(done)
        done.addErrback(self._notPublished)

    def _notPublished(self, failure: Failure) -> None:
        """A message that was not published ends the connection, since the plain form has no other answer."""
        error = failure.value
        if isinstance(error, TopicError):
            self._socket.close(error.closeCode, error.sentence)
            return
        self._socket.log.failure("a publish failed", failure, event="connection.error")
        self._socket.close(CloseCode.INTERNAL_ERROR, "an internal error occurred; see the server's log")
