"""The hub: what comes from a backend that takes its time, and subscribers that fail or go meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from tests import wire
from tests.protocols.topics.routes import Events, ask, at, closing, daemonOf, heard
from tests.protocols.topics.test_enveloped import ask as say
from tests.protocols.topics.test_enveloped import enveloped, error, subscribed, told
from tests.wire import Client, Daemon
from wsd.frames import PLANES
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.hub import Hub
from wsd.protocols.topics.memory import MemoryBackend
from wsd.protocols.topics.position import Position
from wsd.protocols.topics.publication import Publication, TopicMessage


class Slow:
    """A backend that answers these methods when the test says so."""

    def __init__(self, daemon: Daemon, *names: str) -> None:
        self.hub: Hub = daemon.factories["/topics/*"].parts.hub
        backend: Any = self.hub.backend
        assert isinstance(backend, MemoryBackend)
        self.waiting: list[tuple[Any, tuple[Any, ...], Deferred[Any]]] = []
        for name in names:
            setattr(backend, name, self._waits(getattr(backend, name)))

    def _waits(self, method: Any) -> Any:
        def wait(*arguments: Any) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            self.waiting.append((method, arguments, done))
            return done

        return wait

    def answer(self) -> None:
        waiting, self.waiting = self.waiting, []
        for method, arguments, done in waiting:
            method(*arguments).chainDeferred(done)

    def fail(self) -> None:
        waiting, self.waiting = self.waiting, []
        for _, _, done in waiting:
            done.errback(TopicError("unavailable", "not now"))


def isForgotten(daemon: Daemon) -> bool:
    """Whether nobody subscribes, watches or is present any more."""
    hub: Any = daemon.factories["/topics/*"].parts.hub
    backend: Any = hub.backend
    nobody = hub._subscriptions.isEmpty and hub._watches.isEmpty
    return nobody and not (hub._listening or hub._present or backend._members._topics)


def bare(daemon: Daemon, name: str, **fields: Any) -> Client:
    """A client that has sent a message, whose answer has not come."""
    client = enveloped(daemon)
    assert say(client, name, **fields) == []
    return client


def lose(daemon: Daemon, client: Client) -> None:
    """The connection is lost, though nothing is read from it at present."""
    (connection,) = daemon.connections
    connection.transport.abortConnection()
    client.wire.serve()
    assert daemon.connections == []


class TestASubscriberThatFails:
    def test_keeps_nothing_from_the_others(self) -> None:
        class Broken:
            direct = None

            def take(self, publication: Publication) -> None:
                raise ZeroDivisionError

            takePresence = take

        daemon = daemonOf()
        hub: Hub = daemon.factories["/topics/*"].parts.hub
        broken: Any = Broken()
        hub.subscribe(broken, ("a",))
        hub.watch(broken, ("a",))
        other, watcher = at(daemon, "a"), enveloped(daemon)
        say(watcher, "subscribe", topic="a", presence=True)
        with capturedLogs() as logged:
            at(daemon, "a").say("1")
            say(enveloped(daemon), "enter", topic="a")
        assert heard(other) == ["1"]
        assert [next(iter(each)) for each in told(watcher)] == ["message", "presence"]
        assert [event.get("event") for event in logged].count("topics.delivery") == 2


class TestASubscriberBehindTheFirst:
    def test_waits_as_well_until_nothing_is_missed(self) -> None:
        daemon = daemonOf()
        slow = Slow(daemon, "listen")
        clients = [bare(daemon, "subscribe", topic="a") for _ in range(2)]
        assert [told(client) for client in clients] == [[], []]
        slow.answer()
        assert [next(iter(answer)) for client in clients for answer in told(client)] == ["subscribed"] * 2


class TestAConnectionThatEnds:
    @pytest.mark.parametrize("method", ["listen", "newest", "members"])
    def test_while_it_subscribes_leaves_nothing(self, method: str) -> None:
        daemon = daemonOf()
        slow = Slow(daemon, method)
        client = bare(daemon, "subscribe", topic="a", presence=True)
        lose(daemon, client)
        while slow.waiting:
            slow.answer()
        assert isForgotten(daemon)

    @pytest.mark.parametrize("action", ["subscribe", "presence", "history"])
    @pytest.mark.parametrize("name", ["subscribe", "enter"])
    def test_while_the_rules_decide_leaves_nothing(self, name: str, action: str) -> None:
        daemon = daemonOf(**{action: (f"{__name__}:decideLater",)})
        client = enveloped(daemon)
        fields = {"presence": True, "history": 1} if name == "subscribe" else {}
        say(client, name, topic="a", **fields)
        lose(daemon, client)
        decide()
        assert isForgotten(daemon)

    def test_of_the_plain_form_while_it_is_replayed_leaves_nothing(self) -> None:
        daemon = daemonOf()
        slow = Slow(daemon, "newest")
        client = at(daemon, "a", "?history=3")
        lose(daemon, client)
        slow.answer()
        assert isForgotten(daemon)

    @pytest.mark.parametrize("isEarly", [True, False], ids=["before it subscribes", "while it subscribes"])
    def test_of_events_leaves_nothing(self, isEarly: bool) -> None:
        daemon = daemonOf(subscribe=(f"{__name__}:decideLater",) if isEarly else ("anyone",))
        slow = Slow(daemon, "listen")
        wire = daemon.connect()
        wire.exchange(b"GET /topics/a HTTP/1.1\r\nHost: localhost:9998\r\nAccept: text/event-stream\r\n\r\n")
        wire.reset()
        decide()
        slow.answer()
        assert isForgotten(daemon)
        assert len(daemon.factories["/topics/*"].parts.streams) == 0

    def test_of_a_long_poll_ends_the_wait(self) -> None:
        daemon = daemonOf()
        slow = Slow(daemon, "newest")
        wire = daemon.connect()
        wire.exchange(b"GET /topics/a?wait=50 HTTP/1.1\r\nHost: localhost:9998\r\n\r\n")
        wire.reset()
        slow.answer()
        assert isForgotten(daemon)


_decisions: list[Deferred[bool]] = []


def decideLater(action: str, topic: str, subject: object) -> Deferred[bool]:
    """A rule that waits for the test."""
    decision: Deferred[bool] = Deferred()
    _decisions.append(decision)
    return decision


def decide() -> None:
    """Everything that is asked, and what is asked then, is allowed."""
    while _decisions:
        decision = _decisions.pop()
        if not decision.called:
            decision.callback(True)


class TestASubscriptionThatFails:
    def test_is_none(self) -> None:
        daemon = daemonOf()
        slow = Slow(daemon, "newest")
        client = bare(daemon, "subscribe", id=1, topic="a", presence=True)
        slow.fail()
        assert error(told(client)) == (1, "unavailable", "not now")
        assert isForgotten(daemon)

    def test_leaves_the_one_of_before(self) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        say(client, "subscribe", topic="a")
        slow = Slow(daemon, "newest")
        say(client, "subscribe", id=2, topic="a")
        slow.fail()
        assert error(told(client)) == (2, "unavailable", "not now")
        at(daemon, "a").say("1")
        assert [answer["message"]["text"] for answer in told(client)] == ["1"]


class TestASubscriptionWithLastValues:
    @pytest.mark.parametrize("topic", ["a", "#"])
    @pytest.mark.parametrize("key", [None, "k"])
    def test_brings_what_comes_while_they_are_read_once(self, topic: str, key: str | None) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        slow = Slow(daemon, "last")
        say(client, "subscribe", topic=topic, last=True)
        hub: Any = daemon.factories["/topics/*"].parts.hub
        hub.backend.publish("a", TopicMessage(b"1", isBinary=False, key=key))
        slow.answer()
        if topic == "a" and slow.waiting:
            slow.answer()
        _, *messages = told(client)
        assert [each["message"]["text"] for each in messages] == ["1"]

    def test_brings_what_comes_between_them_and_the_position(self) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        slow = Slow(daemon, "last", "newest")
        say(client, "subscribe", topic="a", last=True)
        hub: Any = daemon.factories["/topics/*"].parts.hub
        for text in (b"1", b"2"):
            slow.answer()
            hub.backend.publish("a", TopicMessage(text, isBinary=False))
        assert slow.waiting == []
        answer, *messages = told(client)
        position = int(answer["subscribed"]["position"].rpartition("-")[2])
        assert [each["message"]["text"] for each in messages] == ["1", "2"][position:]


class TestAMemberThatCannotEnter:
    def test_is_not_there(self) -> None:
        daemon = daemonOf(max_members=1)
        first, second = enveloped(daemon), enveloped(daemon)
        say(first, "enter", topic="a")
        assert error(say(second, "enter", id=1, topic="a"))[1] == "too_many"
        hub: Any = daemon.factories["/topics/*"].parts.hub
        assert len(hub._present) == 1

    def test_anew_is_there_as_before_and_leaves_with_its_connection(self) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        say(client, "enter", topic="a", state=1)
        slow = Slow(daemon, "enter")
        say(client, "enter", id=2, topic="a", state=2)
        slow.fail()
        assert error(told(client))[1] == "unavailable"
        client.close()
        assert isForgotten(daemon)


class TestMessagesThatTheBackendHasLost:
    """As after a failover of Redis: whoever subscribes is told, live."""

    def lose(self, daemon: Daemon, topic: str) -> None:
        daemon.factories["/topics/*"].parts.hub.lost(topic, Position("e", 7))

    def test_are_a_gap_in_the_enveloped_form(self) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        for topic in ("a", "#", "b"):
            say(client, "subscribe", topic=topic)
        self.lose(daemon, "a")
        assert told(client) == [{"gap": {"topic": "a", "position": "e-7"}}]

    def test_close_the_plain_form_with_4010(self) -> None:
        daemon = daemonOf()
        clients = [at(daemon, topic) for topic in ("a", "+", "b")]
        self.lose(daemon, "a")
        for client in clients:
            client.exchange()
        assert [client.closeCode for client in clients] == [4010, 4010, None]
        assert closing(clients[0]) == (4010, "messages are lost; the topic is at e-7")
        clients[2].close()
        assert isForgotten(daemon)

    def test_are_an_event_of_a_stream(self) -> None:
        daemon = daemonOf()
        events = Events(daemon, "/topics/a")
        events.read()
        self.lose(daemon, "a")
        assert events.read() == 'event: gap\ndata: {"gap":{"topic":"a","position":"e-7"}}\n\n'

    def test_end_a_long_poll(self) -> None:
        daemon = daemonOf()
        wire = daemon.connect()
        wire.exchange(b"GET /topics/a?wait=50 HTTP/1.1\r\nHost: localhost:9998\r\n\r\n")
        self.lose(daemon, "a")
        assert b'"messages":[]' in wire.exchange(b"")


class TestALongPoll:
    def test_hears_what_comes_while_the_history_is_read(self) -> None:
        daemon = daemonOf()
        slow = Slow(daemon, "newest")
        wire = daemon.connect()
        wire.exchange(b"GET /topics/a?wait=50 HTTP/1.1\r\nHost: localhost:9998\r\n\r\n")
        # The backend has read the position; its answer comes after the news.
        ((method, arguments, done),) = slow.waiting
        found: list[Any] = []
        method(*arguments).addCallback(found.append)
        ask(daemon, "POST /topics/a", "Content-Type: text/plain", body="1")
        done.callback(found[0])
        answer = wire.exchange(b"").decode()
        assert [each["text"] for each in json.loads(answer.rpartition("\r\n")[2])["messages"]] == ["1"]


class TestAStream:
    def test_that_is_told_to_end_before_it_has_begun_is_refused(self) -> None:
        daemon = daemonOf()
        slow = Slow(daemon, "listen")
        wire = daemon.connect()
        wire.exchange(b"GET /topics/a HTTP/1.1\r\nHost: localhost:9998\r\nAccept: text/event-stream\r\n\r\n")
        daemon.factories["/topics/*"].retired()
        slow.answer()
        assert wire.exchange(b"").startswith(b"HTTP/1.1 503 ")
        assert isForgotten(daemon)

    def test_that_comes_late_ends_at_once(self) -> None:
        daemon = daemonOf()
        daemon.factories["/topics/*"].retired()
        assert Events(daemon, "/topics/a").answer.status == 503


def test_what_was_encoded_is_forgotten() -> None:
    """A history keeps payloads alone, whoever was sent it."""
    daemon = daemonOf(history_size=100 << 20, history_count=1000, max_kept=200 << 20)
    hub: Any = daemon.factories["/topics/*"].parts.hub
    for _ in range(20):
        hub.backend.publish("a", TopicMessage(bytes(1 << 20)))
    client = at(daemon, "a", "?history=1000")
    assert len(heard(client)) == 20
    kept = hub.backend._topics["a"]._history
    assert sum(publication._encoded is not None for publication in kept) <= 4
    assert kept[0].position == Position(kept[0].position.epoch, 1)


@pytest.mark.parametrize("form", ["plain", "enveloped"])
def test_what_is_said_together_leaves_as_one_write_in_either_form(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender in the plain form, which also subscribes, does not keep the messages of others from being gathered."""
    monkeypatch.setattr(wire, "PLANE", PLANES["_fast"])
    daemon = daemonOf()
    sender = at(daemon, "a")
    [sending] = daemon.connections
    clients = [at(daemon, "a") if form == "plain" else subscribed(daemon, "a") for _ in range(3)]
    for text in "12345":
        sender.protocol.send_text(text.encode())
    others = [each.frames for each in daemon.connections if each is not sending]
    hub = daemon.factories["/topics/*"].parts.hub
    published, sent = hub.published, []

    def publishAndLook(publication: Publication) -> None:
        published(publication)
        sent.append(sum(each.sent for each in others) - before)

    monkeypatch.setattr(hub, "published", publishAndLook)
    before = sum(each.sent for each in others)
    sender.exchange()
    assert sent[:-1] == [0] * 4
    assert sent[-1] > 0
    assert [len(heard(client)) for client in clients] == [5] * 3


def test_what_is_published_together_leaves_as_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of the daemon's own publishes many messages at once, and each subscriber costs one system call."""
    monkeypatch.setattr(wire, "PLANE", PLANES["_fast"])
    daemon = daemonOf()
    clients = [enveloped(daemon) for _ in range(3)]
    for client in clients:
        say(client, "subscribe", topic="a")
    frames = [each.frames for each in daemon.connections]
    hub = daemon.factories["/topics/*"].parts.hub
    sent = []
    published = hub.published

    def publishAndLook(publication: Publication) -> None:
        published(publication)
        sent.append(sum(each.sent for each in frames) - before)

    monkeypatch.setattr(hub, "published", publishAndLook)
    before = sum(each.sent for each in frames)
    daemon.factories["/topics/*"].publishJson("a", [(None, number) for number in range(5)])
    assert sent == [0] * 5
    for client in clients:
        client.exchange()
        assert [json.loads(each)["message"]["data"] for each in client.messages()[-5:]] == [0, 1, 2, 3, 4]
