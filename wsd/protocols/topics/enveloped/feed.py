"""What a client of the enveloped form subscribes to, and how it is sent what is published there."""

from __future__ import annotations

from collections.abc import Iterable

from wsd.connection import Prepared
from wsd.metrics import Cause
from wsd.protocols.topics.access import Access
from wsd.protocols.topics.audience import Direct
from wsd.protocols.topics.encoding import encodeEnveloped
from wsd.protocols.topics.enveloped.socket import EnvelopedSocket
from wsd.protocols.topics.errors import SLOW, TopicError
from wsd.protocols.topics.members import PresenceEvent
from wsd.protocols.topics.messages import TopicRequest, line, memberFields
from wsd.protocols.topics.names import checkFilter, checkName, covers, isFilter, matches
from wsd.protocols.topics.parts import TopicsParts
from wsd.protocols.topics.publication import DirectMessage, Item, Loss, Publication
from wsd.protocols.topics.replay import Beginning, Replay
from wsd.protocols.topics.rules import Action, Levels


class EnvelopedFeed:
    """The subscriptions of one client, and what waits for it."""

    def __init__(self, socket: EnvelopedSocket, parts: TopicsParts) -> None:
        self._socket = socket
        self._hub = parts.hub
        self._access: Access = parts.access
        self._most = parts.options.max_subscriptions
        self._outbox = parts.outboxes.open(self, encodeEnveloped)
        self.subscribed: dict[str, Levels] = {}
        self.watched: dict[str, Levels] = {}
        """Those of which it is told who is present."""
        self._skipped: dict[str, int] = {}
        """Messages that were skipped and not told of yet, by topic."""
        self._isGone = False
        self.direct: Direct | None = None

    def begin(self) -> None:
        """The connection is open."""
        self.direct = Direct(self._socket.id, self, self._socket.frames, encodeEnveloped)

    def gone(self) -> None:
        """The connection is closed or lost."""
        self._isGone = True
        for levels in self.subscribed.values():
            self._hub.unsubscribe(self, levels)
        for levels in self.watched.values():
            self._hub.unwatch(self, levels)
        self._hub.unblock(self._socket.id)
        self._outbox.end()

    # -- subscribing ----------------------------------------------------------------------------------------------

    async def subscribe(self, request: TopicRequest) -> None:
        """Answer `subscribe`. Raises TopicError."""
        topic, levels, fields = request.topic, self._checkSubscription(request), request.fields
        subject = self._socket.subject
        await self._access.check(Action.subscribe, topic, levels, subject)
        mayReplay = await self._mayReplay(request, levels)
        if fields.get("presence"):
            await self._access.check(Action.presence, topic, levels, subject)
        if self._isGone:
            return
        last, history, since = fields.get("last", False), fields.get("history", 0), fields.get("since")
        beginning = Beginning(topic, levels, last, history, since, mayReplay)
        isNew = topic not in self.subscribed
        isCovered = any(covers(each, levels) for each in self.subscribed.values())
        # What is awaited below may end after `gone`, which takes back what is noted by then.
        self.subscribed[topic] = levels
        self._outbox.hold()
        replay = members = None
        try:
            await self._hub.subscribe(self, levels)
            replay = await beginning.recover(self._hub.backend)
            if fields.get("presence") and not self._isGone:
                members = await self._watch(topic, levels)
            if not self._isGone:
                self._tellSubscribed(request, replay, members)
        except TopicError:
            if isNew:
                self._drop(topic)
            raise
        finally:
            if replay is None or self._isGone:
                self._outbox.release()
            else:
                # What another subscription brings meanwhile is no less new to it, although it is before this position.
                self._outbox.release(replay.publications, None if isCovered else replay.position)

    async def _mayReplay(self, request: TopicRequest, levels: Levels) -> bool:
        """
        Whether earlier messages may be sent. Raises TopicError if it asks for them and may not.

        Whoever only resumes is not refused, but told whether something is missing.
        """
        fields = request.fields
        try:
            if "since" in fields or fields.get("history") or fields.get("last"):
                await self._access.check(Action.history, request.topic, levels, self._socket.subject)
        except TopicError:
            if "since" not in fields or fields.get("last"):
                raise
            return False
        return True

    def _checkSubscription(self, request: TopicRequest) -> Levels:
        topic = request.topic
        levels = _levelsOf(topic)
        if topic not in self.subscribed and len(self.subscribed) >= self._most:
            raise TopicError("too_many", f"this connection has {self._most} subscriptions, which is the limit")
        if isFilter(topic) and ("since" in request.fields or "history" in request.fields):
            raise TopicError("filter", "a filter has no history of its own; use a topic, or ask for last")
        return levels

    async def _watch(self, topic: str, levels: Levels) -> list[dict[str, object]] | None:
        self.watched[topic] = levels
        await self._hub.watch(self, levels)
        return None if isFilter(topic) else [memberFields(member) for member in await self._hub.backend.members(topic)]

    def _tellSubscribed(self, request: TopicRequest, replay: Replay, members: list[dict[str, object]] | None) -> None:
        fields: dict[str, object] = {"position": None if replay.position is None else str(replay.position)}
        if request.fields.keys() & {"since", "history", "last"}:
            fields["replayed"] = len(replay.publications)
        if "since" in request.fields:
            fields["recovered"] = replay.recovered
            fields["gap"] = not replay.isComplete
        self._socket.send(line("subscribed", id=request.id, topic=request.topic, **fields, members=members))

    def unsubscribe(self, request: TopicRequest) -> None:
        """Answer `unsubscribe`. Raises TopicError."""
        if request.topic not in self.subscribed:
            raise TopicError("not_subscribed", f"this connection is not subscribed to {request.topic[:80]!r}")
        self._drop(request.topic)
        self._socket.send(line("unsubscribed", id=request.id, topic=request.topic))

    def _drop(self, topic: str) -> None:
        levels = self.subscribed.pop(topic)
        self._hub.unsubscribe(self, levels)
        if self.watched.pop(topic, None) is not None:
            self._hub.unwatch(self, levels)
        self._outbox.forget(self._isUnwanted)
        for each in [each for each in self._skipped if not _isAmong(self.subscribed, each)]:
            del self._skipped[each]

    def _isUnwanted(self, item: Item) -> bool:
        """Whether an item is of a topic that is not subscribed to, or watched, any more."""
        if isinstance(item, DirectMessage):
            return False
        return not _isAmong(self.watched if isinstance(item, PresenceEvent) else self.subscribed, item.topic)

    # -- moving to a new process ----------------------------------------------------------------------------------

    @property
    def canMove(self) -> bool:
        """Whether nothing waits for the client."""
        return not len(self._outbox)

    def save(self) -> dict[str, object]:
        """What it subscribes to, and watches."""
        return {"subscribed": list(self.subscribed), "watched": list(self.watched), "skipped": self._skipped}

    def resume(self, subscribed: Iterable[str], watched: Iterable[str], skipped: dict[str, int]) -> None:
        """Subscribe again, in another process."""
        self.begin()
        self._skipped = skipped
        for topic in subscribed:
            self.subscribed[topic] = levels = _levelsOf(topic)
            self._hub.subscribe(self, levels)
        for topic in watched:
            self.watched[topic] = levels = _levelsOf(topic)
            self._hub.watch(self, levels)

    # -- the hub delivers -----------------------------------------------------------------------------------------

    def take(self, publication: Publication) -> None:
        """A publication of a topic that it subscribes to, while something waits."""
        if publication.message.sender != self._socket.id:
            self._outbox.put(publication)

    def miss(self, loss: Loss) -> None:
        """Messages of a topic that it subscribes to are lost."""
        self._outbox.put(loss)

    def takePresence(self, event: PresenceEvent) -> None:
        """A member has come, gone, or changed its state."""
        self._outbox.put(event)

    def takeDirect(self, direct: DirectMessage) -> None:
        """A message for this member alone."""
        self._outbox.put(direct)

    def full(self) -> None:
        """The connection has no room."""
        self._outbox.full()

    def drained(self) -> None:
        """The connection has room again."""
        self._outbox.drained()

    # -- the outbox's connection ----------------------------------------------------------------------------------

    @property
    def isFull(self) -> bool:
        """Whether the connection has no room."""
        return self._socket.isFull

    def send(self, encoded: tuple[Prepared, ...], item: Item) -> None:
        """Send an item, and before it what was skipped."""
        self._tellSkipped()
        for message in encoded:
            self._socket.send(message)

    def _tellSkipped(self) -> None:
        for topic, count in self._skipped.items():
            self._socket.send(line("gap", topic=topic, skipped=count))
        self._skipped.clear()

    def blocked(self) -> None:
        """Items wait from now on."""
        self._hub.block(self._socket.id, self)

    def cleared(self) -> None:
        """Nothing waits any more."""
        self._tellSkipped()
        self._hub.unblock(self._socket.id)

    def skipped(self, item: Item) -> None:
        """An item is not sent: the next one tells."""
        self._skipped[item.topic] = self._skipped.get(item.topic, 0) + 1

    def tooSlow(self, oldest: Item) -> None:
        """Too much waits: close."""
        sentence = "this client reads too slowly; resume each topic from its last position"
        self._socket.close(SLOW, sentence, Cause.slow)

    def relieve(self) -> None:
        """The daemon has no memory left: close."""
        self._socket.closeForMemory()


def _isAmong(patterns: dict[str, Levels], topic: str) -> bool:
    """Whether one of these topics and filters matches a topic."""
    levels = tuple(topic.split("/"))
    return any(matches(each, levels) for each in patterns.values())


def _levelsOf(topic: str) -> Levels:
    """The levels of a topic or filter. Raises TopicError."""
    return checkFilter(topic) if isFilter(topic) else checkName(topic)
