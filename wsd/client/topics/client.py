"""A client of topics: subscriptions that are resumed, publishes that are sent until they are acknowledged, presence."""

from __future__ import annotations

import secrets
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.client.topics.link import Link, Token
from wsd.client.topics.requests import TopicsError
from wsd.client.topics.subscription import Gap, ReceivedMessage, Subscription, SubscriptionOptions, given, messageOf

_AGAIN = frozenset(("busy", "unavailable"))
"""Refusals of a subscription that may be over soon."""
_AGAIN_AFTER = 1.0
"""Seconds until such a subscription is tried again."""


class TopicsClient:
    """
    A client of a route of topics, on one connection that is made again whenever it is lost.

    `onOpened()` is called for each connection; `onClosed(code, sentence, retry)` for each that ended or could not be
    made, with the seconds until the next try, or None at the end; `onDirect(message)` for a message to this member
    alone; `onFailed(error)` for an error that no Deferred tells, which is logged otherwise.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        url: str,
        token: Token = None,
        *,
        onOpened: Callable[[], object] | None = None,
        onClosed: Callable[[int | None, str, float | None], object] | None = None,
        onDirect: Callable[[ReceivedMessage], object] | None = None,
        onFailed: Callable[[Exception], object] | None = None,
        ca: str | None = None,
        insecure: bool = False,
    ) -> None:
        self._onOpened = onOpened
        self._onClosed = onClosed
        self._onDirect = onDirect
        self._onFailed = onFailed
        self._subscriptions: dict[str, Subscription] = {}
        self._present: dict[str, Any] = {}
        """The state where this client is present, by topic."""
        self._entering: dict[str, list[Deferred[str]]] = {}
        self._link = Link(reactor, Namespace(url=url, ca=ca, insecure=insecure), token, self)

    @property
    def isOpen(self) -> bool:
        """Whether there is a connection."""
        return self._link.isOpen

    def subscribe(
        self,
        topic: str,
        onMessage: Callable[[ReceivedMessage], object],
        *,
        since: str | None = None,
        history: int = 0,
        last: bool = False,
        onGap: Callable[[Gap], object] | None = None,
        onPresence: Callable[[dict[str, Any]], object] | None = None,
        onMembers: Callable[[list[dict[str, Any]]], object] | None = None,
    ) -> Subscription:
        """Subscribe to a topic or a filter. `onMembers` is called for each connection, `onPresence` for each change."""
        if topic in self._subscriptions:
            raise ValueError(f"this client is already subscribed to {topic}")
        options = SubscriptionOptions(onMessage, since, history, last, onGap, onPresence, onMembers)
        subscription = Subscription(topic, options, self.unsubscribe)
        self._subscriptions[topic] = subscription
        if self._link.isOpen:
            self._begin(subscription)
        elif self._link.isOver:
            self._refused(Failure(TopicsError("closed", "this client is closed")), subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        if self._subscriptions.get(subscription.topic) is subscription:
            del self._subscriptions[subscription.topic]
            if self._link.isOpen:
                self._link.ask("unsubscribe", {"topic": subscription.topic}).addErrback(_forgive)

    def publish(
        self,
        topic: str,
        payload: Any,
        *,
        form: str | None = None,
        mediaType: str | None = None,
        key: str | None = None,
        ttl: float | None = None,
        once: str | None = None,
        echo: bool = False,
    ) -> Deferred[str]:
        """
        Publish now, or when there is a connection again: the position. It is published once, however often it is sent.

        Bytes are binary; anything else is JSON, unless the `form` of a str is "text".
        """
        fields, content = _envelope(payload, form, mediaType)
        options = given(key=key, ttl=ttl, once=once or secrets.token_hex(16), echo=echo or None)
        done: Deferred[Any] = self._link.ask("publish", {"topic": topic, **options, **fields}, content, survives=True)
        return done.addCallback(self._published, topic, echo)

    def _published(self, answer: dict[str, Any], topic: str, echo: bool) -> str:
        position: str = answer["position"]
        if topic in self._subscriptions and not echo:
            self._subscriptions[topic].published(position)
        return position

    def direct(
        self, topic: str, to: str, payload: Any, *, form: str | None = None, mediaType: str | None = None
    ) -> Deferred[None]:
        """Send to one member of a topic. It is not sent again: after its next connection the member is another one."""
        fields, content = _envelope(payload, form, mediaType)
        done: Deferred[Any] = self._link.ask("direct", {"topic": topic, "to": to, **fields}, content)
        return done.addCallback(_nothing)

    def enter(self, topic: str, state: Any = None) -> Deferred[str]:
        """Be present at a topic, or change the state there: our id there, for this connection."""
        if self._link.isOver:
            return fail(TopicsError("closed", "this client is closed"))
        entered: Deferred[str] = Deferred()
        self._present[topic] = state
        self._entering.setdefault(topic, []).append(entered)
        if self._link.isOpen:
            self._enter(topic)
        return entered

    def leave(self, topic: str) -> Deferred[None]:
        """Be present no longer."""
        wasPresent = topic in self._present
        self._present.pop(topic, None)
        if not wasPresent or not self._link.isOpen:
            return succeed(None)
        done: Deferred[Any] = self._link.ask("leave", {"topic": topic})
        return done.addCallback(_nothing)

    def members(self, topic: str) -> Deferred[list[dict[str, Any]]]:
        """Who is present: `member`, `state`, and `user` where it is known."""
        done: Deferred[Any] = self._link.ask("members", {"topic": topic}, survives=True)
        return done.addCallback(lambda answer: answer["members"])

    def close(self) -> None:
        """End it. What is not acknowledged yet fails."""
        self._link.end(TopicsError("closed", "this client was closed"))

    # -- the link tells -------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """Resume. Topics first: what a filter brings meanwhile would come again when its topic is resumed."""
        for subscription in sorted(self._subscriptions.values(), key=lambda each: each.isFilter):
            self._begin(subscription)
        for topic in self._present:
            self._enter(topic)
        self._call(self._onOpened)

    def closed(self, code: int | None, sentence: str, retry: float | None) -> None:
        """Tell; at the end, nothing waits any more."""
        if retry is None:
            over = Failure(TopicsError("closed", sentence))
            for subscription in list(self._subscriptions.values()):
                if not subscription.ready.called:
                    self._refused(over, subscription)
            for entered in [each for waiting in self._entering.values() for each in waiting]:
                entered.errback(over)
            self._subscriptions.clear()
            self._entering.clear()
        self._call(self._onClosed, code, sentence, retry)

    def failed(self, error: Exception) -> None:
        """Tell, or log."""
        if self._onFailed is None:
            self.log.warn("topics: {error}", error=error)
        self._call(self._onFailed, error)

    def noticed(self, name: str, fields: dict[str, Any], payload: bytes | None) -> None:
        """Deliver."""
        topic = fields["topic"]
        if name == "direct":
            self._call(self._onDirect, messageOf(fields, payload))
            return
        matching = [each for each in self._subscriptions.values() if each.topic == topic or each.matches(topic)]
        for subscription in matching:
            if name == "message":
                message = messageOf(fields, payload)
                if subscription.took(message):
                    self._call(subscription.options.onMessage, message)
            elif name == "gap":
                self._call(subscription.options.onGap, Gap(topic, fields.get("position"), fields.get("skipped")))
            else:
                self._call(subscription.options.onPresence, fields)

    def _call(self, callback: Callable[..., object] | None, *arguments: object) -> None:
        """Call the application; what it raises is logged, and disturbs nothing here."""
        with self.log.failuresHandled("a callback of the application failed"):
            if callback is not None:
                callback(*arguments)

    # -- subscribing and entering ---------------------------------------------------------------------------------

    def _begin(self, subscription: Subscription) -> None:
        fields = subscription.fields
        done = self._link.ask("subscribe", {"topic": subscription.topic, **fields})
        done.addCallback(self._granted, subscription, fields)
        done.addErrback(self._refused, subscription)

    def _granted(self, answer: dict[str, Any], subscription: Subscription, fields: dict[str, Any]) -> None:
        topic, position = subscription.topic, answer.get("position")
        isGap = answer.get("gap", False)
        if isGap or (subscription.isFilter and subscription.ready.called):
            self._call(subscription.options.onGap, Gap(topic, position))
        if "members" in answer:
            self._call(subscription.options.onMembers, answer["members"])
        # With messages to come, they say how far it is: the connection may be lost between them.
        if position and answer.get("recovered"):
            subscription.resumed(position)
        elif position and not (fields.get("history") and answer.get("replayed")):
            subscription.advance(position)
        if not subscription.ready.called:
            subscription.ready.callback(None)
        if isGap and subscription.options.last:
            self._link.ask("subscribe", {"topic": topic, "last": True}).addErrback(_forgive)

    def _refused(self, failure: Failure, subscription: Subscription) -> None:
        error = failure.value
        assert isinstance(error, TopicsError)
        if error.code == "lost" or self._subscriptions.get(subscription.topic) is not subscription:
            return
        if error.code in _AGAIN:
            self._link.later(f"subscribe {subscription.topic}", _AGAIN_AFTER, lambda: self._begin(subscription))
            return
        del self._subscriptions[subscription.topic]
        if subscription.ready.called:
            self.failed(error)
        else:
            subscription.ready.errback(failure)

    def _enter(self, topic: str) -> None:
        done = self._link.ask("enter", {"topic": topic, "state": self._present[topic]})
        done.addCallbacks(self._entered, self._kept, callbackArgs=(topic,), errbackArgs=(topic,))

    def _entered(self, answer: dict[str, Any], topic: str) -> None:
        for entered in self._entering.pop(topic, []):
            entered.callback(answer["member"])

    def _kept(self, failure: Failure, topic: str) -> None:
        """This client was kept out."""
        error = failure.value
        assert isinstance(error, TopicsError)
        if error.code == "lost":
            return
        self._present.pop(topic, None)
        waiting = self._entering.pop(topic, [])
        for entered in waiting:
            entered.errback(failure)
        if not waiting and error.code != "closed":
            self.failed(error)


def _envelope(payload: Any, form: str | None, mediaType: str | None) -> tuple[dict[str, Any], bytes | None]:
    """The fields of a payload, and the bytes that follow its envelope."""
    if isinstance(payload, bytes | bytearray | memoryview):
        return {"binary": True, **given(type=mediaType)}, bytes(payload)
    if form == "text":
        return {"text": payload, **given(type=mediaType)}, None
    return {"data": payload}, None


def _nothing(_: object) -> None:
    """The answer says no more than that it was done."""


def _forgive(failure: Failure) -> None:
    """The connection was lost, and with it what this was about."""
    failure.trap(TopicsError)
