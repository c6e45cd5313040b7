"""Server-sent events (HTML 9.2): a topic or filter as a stream, for EventSource and for curl."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from wsd.protocols.topics.encoding import jsonOf
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.hub import Hub
from wsd.protocols.topics.messages import line
from wsd.protocols.topics.names import isFilter
from wsd.protocols.topics.outbox import Outboxes
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Item, Loss, Publication, Reached
from wsd.protocols.topics.replay import Beginning, Replay

RETRY = 2000
"""Milliseconds after which a browser connects again."""

ALIVE = 15.0
"""Seconds between two comments, so that no proxy takes the stream for dead."""

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
"""The last one keeps nginx from collecting the answer."""


def encodeEvent(publication: Publication) -> bytes:
    """An event with the payload as its data; a binary payload is in base64, in an event `binary`."""
    return _plain(publication, publication.position)


def encodeFilterEvent(publication: Publication) -> bytes:
    """The same without an id: a position says nothing about the other topics of a filter."""
    return _plain(publication, None)


def _plain(publication: Publication, position: Position | None) -> bytes:
    message = publication.message
    if message.isBinary:
        return _event(position, b64encode(message.payload).decode(), "binary")
    return _event(position, message.payload.decode(), "")


def encodeEnvelopedEvent(publication: Publication) -> bytes:
    """An event with the fields of the enveloped form as its data, in JSON; a binary payload is in base64."""
    return _event(publication.position, f'{{"message":{jsonOf(publication)}}}', "")


def encodeEnvelopedFilterEvent(publication: Publication) -> bytes:
    """The same without an id."""
    return _event(None, f'{{"message":{jsonOf(publication)}}}', "")


def encodeGap(loss: Loss) -> bytes:
    """An event `gap`: messages are lost."""
    return _event(None, line("gap", topic=loss.topic, position=str(loss.position)), "gap")


def encodeSkipped(topic: str, count: int) -> bytes:
    """An event `gap`: so many messages were not sent, since the client is too slow."""
    return _event(None, line("gap", topic=topic, skipped=count), "gap")


def encodeReached(reached: Reached) -> bytes:
    """No event, but the id that the client gives back when it reconnects (HTML 9.2.6)."""
    return f"id: {reached.position}\n\n".encode()


def _orNotice(encode: Callable[[Publication], bytes]) -> Callable[[Any], bytes]:
    def encodeItem(item: Any) -> bytes:
        if isinstance(item, Loss):
            return encodeGap(item)
        return encodeReached(item) if isinstance(item, Reached) else encode(item)

    return encodeItem


_ENCODERS: dict[tuple[bool, bool], Callable[[Any], bytes]] = {
    (False, False): _orNotice(encodeEvent),
    (False, True): _orNotice(encodeFilterEvent),
    (True, False): _orNotice(encodeEnvelopedEvent),
    (True, True): _orNotice(encodeEnvelopedFilterEvent),
}
"""By whether events are enveloped, and whether they are those of a filter."""


def _event(position: Position | None, data: str, name: str) -> bytes:
    lines = [f"event: {name}"] if name else []
    if position is not None:
        lines.append(f"id: {position}")
    # All three line endings end a line of the stream (HTML 9.2.5).
    lines += [f"data: {part}" for part in data.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\n".join([*lines, "", ""]).encode()


@implementer(IPushProducer)
class EventStream:
    """The answer to one EventSource."""

    direct = None

    def __init__(
        self, request: Any, hub: Hub, beginning: Beginning, outboxes: Outboxes, isEnveloped: bool, clock: IReactorTime
    ) -> None:
        self._request = request
        self._hub = hub
        self._beginning = beginning
        encode = _ENCODERS[isEnveloped, isFilter(beginning.topic)]
        self._outbox = outboxes.open(self, encode)
        self._comments = LoopingCall(self._stayAlive)
        self._comments.clock = clock
        self._skipped: dict[str, int] = {}
        """Messages that were skipped and not told of yet, by topic."""
        self._isFull = False
        self._hasBegun = False
        self._isEnding = False
        """Whether it was told to end."""
        self._isOver = False
        self.over: Deferred[None] = Deferred()
        """Fires when the client is gone."""

    async def run(self) -> None:
        """Begin to answer."""
        request = self._request
        # If the client is gone already, `_gone` is called here.
        request.notifyFinish().addBoth(lambda _: self._gone())
        if self.over.called:
            return
        self._outbox.hold()
        await self._hub.subscribe(self, self._beginning.levels)
        recovered = await self._beginning.recover(self._hub.backend)
        if self._isOver:
            return
        if self._isEnding:
            raise TopicError("unavailable", "the stream ended before it began; connect again")
        self._hasBegun = True
        request.setResponseCode(200)
        for name, value in HEADERS.items():
            request.setHeader(name.encode(), value.encode())
        request.write(b"retry: %d\n\n" % RETRY)
        request.registerProducer(self, True)
        if not recovered.isComplete:
            assert recovered.position is not None
            request.write(encodeGap(Loss(self._beginning.topic, recovered.position)))
        self._comments.start(ALIVE, now=False)
        self._outbox.release(self._beginningWith(recovered), recovered.position)

    def _beginningWith(self, recovered: Replay) -> list[Item]:
        """What was recovered, and where the topic is: a client that is lost before the next event resumes there."""
        items: list[Item] = [*recovered.publications]
        position = recovered.position
        if position is not None and (not items or items[-1].position != position):
            items.append(Reached(self._beginning.topic, position))
        return items

    def _stayAlive(self) -> None:
        if not self._isFull:
            self._request.write(b":\n\n")

    def _gone(self) -> None:
        self._isOver = True
        self.over.callback(None)
        self._hub.unsubscribe(self, self._beginning.levels)
        self._outbox.end()
        if self._comments.running:
            self._comments.stop()

    def end(self) -> None:
        """End the answer; the client connects again, and goes on where it was."""
        self._isEnding = True
        if self._hasBegun and not self._isOver:
            self._request.unregisterProducer()
            self._request.finish()

    # -- the hub delivers -----------------------------------------------------------------------------------------

    def take(self, publication: Publication) -> None:
        """A publication of the topic."""
        self._outbox.put(publication)

    def miss(self, loss: Loss) -> None:
        """Messages of the topic are lost."""
        self._outbox.put(loss)

    # -- the outbox's connection ----------------------------------------------------------------------------------

    @property
    def isFull(self) -> bool:
        """Whether the connection has no room."""
        return self._isFull

    def send(self, encoded: bytes, item: Item) -> None:
        """Send an event, and before it what was skipped."""
        self._tellSkipped()
        self._request.write(encoded)

    def _tellSkipped(self) -> None:
        for topic, count in self._skipped.items():
            self._request.write(encodeSkipped(topic, count))
        self._skipped.clear()

    def skipped(self, item: Item) -> None:
        """An event is not sent: the next one tells."""
        self._skipped[item.topic] = self._skipped.get(item.topic, 0) + 1

    def blocked(self) -> None:
        """Events wait from now on."""

    def cleared(self) -> None:
        """Nothing waits any more."""
        self._tellSkipped()

    def tooSlow(self, oldest: Item) -> None:
        """Too much waits: the client connects again, and says how far it got."""
        self.end()

    def relieve(self) -> None:
        """The daemon has no memory left: the client connects again."""
        self.end()

    # -- the transport takes --------------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The high water mark is passed."""
        self._isFull = True
        self._outbox.full()

    def resumeProducing(self) -> None:
        """There is room again."""
        self._isFull = False
        self._outbox.drained()

    def stopProducing(self) -> None:
        """The connection is lost; `notifyFinish` says so too."""
