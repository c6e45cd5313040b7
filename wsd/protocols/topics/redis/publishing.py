"""Publishes on their way to Redis: those that come while it answers share one call, and some wait while it is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from wsd.connection import newId
from wsd.protocols.topics.backend import Acknowledgement
from wsd.protocols.topics.position import newEpoch, readPosition
from wsd.protocols.topics.publication import TopicMessage
from wsd.protocols.topics.redis import scripts
from wsd.protocols.topics.redis.limits import RedisLimits, errorOf, unavailable
from wsd.protocols.topics.redis.link import LinkLost, RedisLink, Script
from wsd.protocols.topics.redis.names import RedisNames
from wsd.protocols.topics.redis.wire import bodyOf, marker

if TYPE_CHECKING:
    from wsd.traces.tracer import Span

_PUBLISH = Script(scripts.PUBLISH)

_MOST_WAITING = 1000
"""Publishes that may wait while Redis is away."""

_PATIENCE = 30.0
"""Seconds that a publish may wait for Redis."""

_CALL_COUNT = 100
"""Messages of several publishes that one call takes, so that Redis soon serves others."""

_CALL_SIZE = 1 << 20
"""Bytes of these messages."""


class _Publish:
    """Messages that are published in one step."""

    __slots__ = ("done", "isRetry", "messages", "since", "size", "topic", "uids")

    def __init__(self, topic: str, messages: list[TopicMessage], since: float) -> None:
        self.topic = topic
        self.messages = messages
        self.uids = [newId() for _ in messages]
        self.size = sum(message.size for message in messages)
        self.since = since
        self.isRetry = False
        """Whether Redis may have published it already."""
        self.done: Deferred[list[Acknowledgement]] = Deferred()

    @property
    def isAlone(self) -> bool:
        """Whether it has a call of its own: Redis may refuse last values, and then refuses the whole call."""
        return self.isRetry or any(message.key is not None for message in self.messages)


class RedisPublishing:
    """
    The publishes of this daemon.

    The first one is sent at once. While Redis answers, the next ones gather, and then are sent together: one call for
    each topic.
    """

    def __init__(
        self,
        link: RedisLink,
        names: RedisNames,
        limits: RedisLimits,
        now: Callable[[], float],
        beginSpan: Callable[[int], Span | None] = lambda count: None,
    ) -> None:
        """`beginSpan` begins the span of a call that publishes so many messages; it returns None without traces."""
        self._beginSpan = beginSpan
        self._link = link
        self._names = names
        self._limits = limits
        self._now = now
        self._isReady = False
        self._waiting: deque[_Publish] = deque()
        """Publishes that wait for Redis to come back."""
        self._gathered: list[_Publish] = []
        """Publishes that wait for the answer to an earlier call."""
        self._underWay = 0
        """Calls that are not answered yet."""

    def publish(self, topic: str, messages: list[TopicMessage]) -> Deferred[list[Acknowledgement]]:
        """Publish several messages in one step. While Redis is away a bounded number of publishes waits."""
        publish = _Publish(topic, messages, self._now())
        if self._isReady:
            self._gathered.append(publish)
            if not self._underWay:
                self._sendGathered()
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting.append(publish)
        else:
            return fail(unavailable())
        return publish.done

    def resume(self) -> None:
        """Redis is there: send what waits."""
        self._isReady = True
        self._gathered = [*self._waiting, *self._gathered]
        self._waiting.clear()
        self._sendGathered()

    def suspend(self) -> None:
        """Redis is away: what comes waits."""
        self._isReady = False
        self._waiting.extend(self._gathered)
        self._gathered.clear()

    def refuseLate(self) -> None:
        """Refuse what has waited for too long."""
        now = self._now()
        self._refuse(lambda publish: now - publish.since >= _PATIENCE)

    def refuseAll(self) -> None:
        """Refuse everything that waits."""
        self._refuse(lambda publish: True)

    def _refuse(self, isRefused: Callable[[_Publish], bool]) -> None:
        refused = [publish for publish in self._waiting if isRefused(publish)]
        if refused:
            self._waiting = deque(publish for publish in self._waiting if publish not in refused)
        for publish in refused:
            publish.done.errback(unavailable())

    def _sendGathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        topics: dict[str, list[_Publish]] = {}
        for publish in gathered:
            topics.setdefault(publish.topic, []).append(publish)
        for publishes in topics.values():
            for call in _calls(publishes):
                self._send(call)

    def _send(self, call: Sequence[_Publish]) -> None:
        now, keep, bounds, names = self._now(), self._limits.keep, self._limits.bounds, self._names
        topic = call[0].topic
        messages: list[Any] = []
        for publish in call:
            for message, uid in zip(publish.messages, publish.uids, strict=True):
                body = bodyOf(message, now, uid)
                key, once = message.key or "", message.once or ""
                messages += [body, message.size, key, int(message.isRemoval), once, marker(uid)]
        self._underWay += 1
        span = self._beginSpan(sum(len(publish.messages) for publish in call))
        done = self._link.script(
            _PUBLISH,
            [*names.ofTopic(topic, "msloq"), names.topics, names.lasts, names.generation],
            repr(now),
            newEpoch(),
            keep.count,
            keep.size,
            repr(keep.age),
            keep.keys,
            repr(bounds.onceAge),
            bounds.onceCount,
            names.channel(topic),
            topic,
            scripts.IDLE,
            int(call[0].isRetry),
            bounds.topics,
            names.prefix,
            *messages,
        )
        if span is not None:
            done.addBoth(_endSpan, span)
        done.addCallbacks(self._published, self._notPublished, callbackArgs=(call,), errbackArgs=(call,))
        done.addBoth(self._answered)

    def _answered(self, _: object) -> None:
        self._underWay -= 1
        if not self._underWay and self._isReady and self._gathered:
            self._sendGathered()

    def _published(self, answers: list[list[Any]], call: Sequence[_Publish]) -> None:
        acknowledged = [Acknowledgement(readPosition(place.decode()), bool(known)) for place, known in answers]
        end = 0
        for publish in call:
            begin, end = end, end + len(publish.messages)
            publish.done.callback(acknowledged[begin:end])

    def _notPublished(self, failure: Failure, call: Sequence[_Publish]) -> None:
        assert isinstance(failure.value, Exception)
        if failure.check(LinkLost):
            for publish in call:
                publish.isRetry = True
            # The answers that are lost come in their order. What may be published already goes before what is not.
            known = [publish for publish in self._waiting if publish.isRetry]
            rest = [publish for publish in self._waiting if not publish.isRetry]
            self._waiting = deque([*known, *call, *rest])
            return
        for publish in call:
            publish.done.errback(errorOf(failure.value, self._limits))


def _endSpan(result: Any, span: Span) -> Any:
    span.end(type(result.value).__name__ if isinstance(result, Failure) else None)
    return result


def _calls(publishes: Iterable[_Publish]) -> list[list[_Publish]]:
    """The publishes of a topic as they are sent, in their order."""
    calls: list[list[_Publish]] = []
    count = size = 0
    isOpen = False
    for publish in publishes:
        count, size = count + len(publish.messages), size + publish.size
        if not isOpen or publish.isAlone or count > _CALL_COUNT or size > _CALL_SIZE:
            calls.append([])
            count, size = len(publish.messages), publish.size
        calls[-1].append(publish)
        isOpen = not publish.isAlone
    return calls
