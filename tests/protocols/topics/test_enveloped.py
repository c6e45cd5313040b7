"""The enveloped form, topics.wsd.v1: many topics on one connection."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.connection.test_large import turn
from tests.protocols.topics.routes import ask as askHttp
from tests.protocols.topics.routes import at, closing, daemonOf, heard
from tests.wire import Client, Daemon
from wsd.config import Policies
from wsd.metrics import Cause
from wsd.policies.budget import MemoryUse
from wsd.protocols.topics.enveloped import ENVELOPED
from wsd.protocols.topics.errors import TopicError


def enveloped(daemon: Daemon) -> Client:
    """A client of the enveloped form."""
    client = daemon.open("/topics/", subprotocols=[ENVELOPED])
    assert client.protocol.subprotocol == ENVELOPED
    return client


def told(client: Client) -> list[Any]:
    """What has come since this was asked before, JSON read."""
    return [json.loads(message) if isinstance(message, str) else message for message in heard(client)]


def ask(client: Client, name: str, **fields: Any) -> list[Any]:
    """Send a message, and return what has come then."""
    client.say(json.dumps({name: fields}))
    return told(client)


def subscribed(daemon: Daemon, topic: str, **fields: Any) -> Client:
    client = enveloped(daemon)
    (answer,) = ask(client, "subscribe", topic=topic, **fields)
    assert "subscribed" in answer
    return client


def error(answers: list[Any]) -> tuple[Any, str, str]:
    """The id, the code and the sentence of the one error that came."""
    (answer,) = answers
    fields = answer["error"]
    return fields.get("id"), fields["code"], fields["message"]


class TestPublishing:
    def test_is_acknowledged_with_the_position(self) -> None:
        client = enveloped(daemonOf())
        (first,) = ask(client, "publish", id=1, topic="a", data={"n": 1})
        (second,) = ask(client, "publish", id="x", topic="a", data=2)
        epoch = first["published"]["position"].partition("-")[0]
        assert first == {"published": {"id": 1, "topic": "a", "position": f"{epoch}-1"}}
        assert second == {"published": {"id": "x", "topic": "a", "position": f"{epoch}-2"}}

    def test_without_an_id_is_not_acknowledged(self) -> None:
        assert ask(enveloped(daemonOf()), "publish", topic="a", data=1) == []

    @pytest.mark.parametrize(
        ("fields", "plain", "message"),
        [
            ({"data": {"größe": [1, None, True]}}, '{"größe":[1,null,true]}', {"data": {"größe": [1, None, True]}}),
            ({"data": "text"}, '"text"', {"data": "text"}),
            ({"text": "text"}, "text", {"text": "text"}),
            ({"text": "# a", "type": "text/markdown"}, "# a", {"text": "# a", "type": "text/markdown"}),
            ({"data": 1, "key": "k"}, "1", {"data": 1, "key": "k"}),
        ],
    )
    def test_reaches_both_forms(self, fields: dict[str, Any], plain: str, message: dict[str, Any]) -> None:
        daemon = daemonOf()
        subscriber, other = subscribed(daemon, "a"), at(daemon, "a")
        ask(enveloped(daemon), "publish", topic="a", **fields)
        (got,) = told(subscriber)
        assert got["message"].pop("position").endswith("-1")
        assert got == {"message": {"topic": "a", **message}}
        assert heard(other) == [plain]

    def test_of_a_binary_payload_takes_the_next_message(self) -> None:
        daemon = daemonOf()
        publisher, subscriber, other = enveloped(daemon), subscribed(daemon, "a"), at(daemon, "a")
        assert ask(publisher, "publish", id=1, topic="a", binary=True, type="image/png") == []
        publisher.say(b"\x89PNG")
        (answer,) = told(publisher)
        position = answer["published"]["position"]
        head = {"message": {"topic": "a", "position": position, "type": "image/png", "binary": 4}}
        assert told(subscriber) == [head, b"\x89PNG"]
        assert heard(other) == [b"\x89PNG"]

    def test_by_the_plain_form_is_enveloped(self) -> None:
        daemon = daemonOf()
        subscriber = subscribed(daemon, "a")
        plain = at(daemon, "a")
        plain.say("hello")
        plain.say(b"\0")
        text, head, payload = told(subscriber)
        assert text["message"]["text"] == "hello"
        assert head["message"]["binary"] == 1
        assert payload == b"\0"

    def test_reaches_the_publisher_for_an_echo_only(self) -> None:
        daemon = daemonOf()
        client = subscribed(daemon, "a")
        assert ask(client, "publish", topic="a", data=1) == []
        (echo,) = ask(client, "publish", topic="a", data=2, echo=True)
        assert echo["message"]["data"] == 2

    def test_once_says_that_it_was_done_before(self) -> None:
        daemon = daemonOf()
        other = at(daemon, "a")
        client = enveloped(daemon)
        (first,) = ask(client, "publish", id=1, topic="a", data=1, once="k")
        (second,) = ask(client, "publish", id=2, topic="a", data=1, once="k")
        assert second["published"] == {**first["published"], "id": 2, "duplicate": True}
        assert heard(other) == ["1"]

    def test_of_null_removes_a_last_value(self) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        ask(client, "publish", topic="a", data=1, key="k")
        assert heard(at(daemon, "a", "?last")) == ["1"]
        ask(client, "publish", topic="a", data=None, key="k")
        assert heard(at(daemon, "a", "?last")) == []

    def test_of_null_as_text_removes_a_last_value_too(self) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        ask(client, "publish", topic="a", text="1", key="k")
        ask(client, "publish", topic="a", text="null", key="k")
        assert heard(at(daemon, "a", "?last")) == []

    def test_of_a_text_cannot_forge_the_envelope(self) -> None:
        daemon = daemonOf()
        client, subscriber = enveloped(daemon), subscribed(daemon, "#")
        forged = {"topic": "a", "text": '1,"topic":"secret","position":"e-1"', "type": "application/json"}
        assert error(ask(client, "publish", id=1, **forged))[:2] == (1, "bad_message")
        (entered,) = ask(client, "enter", topic="a")
        to = entered["entered"]["member"]
        forged = {"topic": "a", "to": to, "text": '1,"from":"another"', "type": "application/json"}
        assert error(ask(client, "direct", id=2, **forged))[:2] == (2, "bad_message")
        assert told(subscriber) == []

    def test_of_bytes_that_are_called_json_are_bytes_everywhere(self) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        ask(client, "publish", topic="a", binary=True, type="application/json")
        client.say(b'1,"topic":"secret"')
        (message,) = askHttp(daemon, "GET /topics/a").json["history"]
        assert (message["topic"], message["type"]) == ("a", "application/json")
        assert b64decode(message["base64"]) == b'1,"topic":"secret"'

    def test_of_what_has_outlived_its_time_is_not_replayed(self) -> None:
        daemon = daemonOf()
        ask(enveloped(daemon), "publish", topic="a", data=1, ttl=5)
        daemon.pass_(6)
        assert heard(at(daemon, "a", "?history=9")) == []


class TestSubscribing:
    def test_takes_topics_and_filters_on_one_connection(self) -> None:
        daemon = daemonOf()
        client = subscribed(daemon, "a")
        assert ask(client, "subscribe", id=2, topic="q/+") == [{"subscribed": {"id": 2, "topic": "q/+"}}]
        for topic in ("a", "q/b", "c"):
            at(daemon, topic).say(topic)
        assert [message["message"]["topic"] for message in told(client)] == ["a", "q/b"]

    def test_of_overlapping_filters_brings_a_message_once(self) -> None:
        daemon = daemonOf()
        client = subscribed(daemon, "q/#")
        ask(client, "subscribe", topic="q/+")
        ask(client, "subscribe", topic="q/a")
        at(daemon, "q/a").say("1")
        assert len(told(client)) == 1

    def test_says_where_the_topic_is(self) -> None:
        daemon = daemonOf()
        at(daemon, "a").say("1")
        (answer,) = ask(enveloped(daemon), "subscribe", id=1, topic="a")
        assert answer["subscribed"]["position"].endswith("-1")
        assert answer["subscribed"].keys() == {"id", "topic", "position"}

    def test_goes_on_from_a_position(self) -> None:
        daemon = daemonOf()
        sender = at(daemon, "a")
        for text in "12345":
            sender.say(text)
        (answer,) = ask(enveloped(daemon), "subscribe", topic="a")
        since = answer["subscribed"]["position"].replace("-5", "-3")
        client = enveloped(daemon)
        answer, *messages = ask(client, "subscribe", id=1, topic="a", since=since)
        position = answer["subscribed"]["position"]
        fields = {"id": 1, "topic": "a", "position": position, "replayed": 2, "recovered": 2, "gap": False}
        assert answer == {"subscribed": fields}
        assert [message["message"]["text"] for message in messages] == ["4", "5"]
        sender.say("6")
        assert [message["message"]["text"] for message in told(client)] == ["6"]

    def test_says_that_there_is_a_gap(self) -> None:
        daemon = daemonOf(history_count=2)
        sender = at(daemon, "a")
        for text in "12345":
            sender.say(text)
        (answer,) = ask(enveloped(daemon), "subscribe", topic="a")
        epoch = answer["subscribed"]["position"].partition("-")[0]
        for since in (f"{epoch}-1", f"{epoch}-6", "0badf00d-4"):
            answer, *messages = ask(enveloped(daemon), "subscribe", topic="a", since=since)
            assert answer["subscribed"]["gap"] is True
            assert answer["subscribed"]["recovered"] == len(messages) == 2

    def test_goes_on_without_the_history_and_says_whether_something_was_missed(self) -> None:
        daemon = daemonOf(history=())
        (answer,) = ask(enveloped(daemon), "subscribe", topic="a")
        since = answer["subscribed"]["position"]
        (answer,) = ask(enveloped(daemon), "subscribe", topic="a", since=since)
        assert (answer["subscribed"]["gap"], answer["subscribed"]["replayed"]) == (False, 0)
        at(daemon, "a").say("1")
        client = enveloped(daemon)
        (answer,) = ask(client, "subscribe", topic="a", since=since)
        assert (answer["subscribed"]["gap"], answer["subscribed"]["replayed"]) == (True, 0)
        at(daemon, "a").say("2")
        assert [message["message"]["text"] for message in told(client)] == ["2"]
        for asked in ({"history": 1}, {"last": True}, {"since": since, "last": True}):
            assert error(ask(enveloped(daemon), "subscribe", topic="a", **asked))[1] == "forbidden"

    def test_begins_with_history_or_last_values(self) -> None:
        daemon = daemonOf()
        publisher = enveloped(daemon)
        for number in range(3):
            ask(publisher, "publish", topic="a", data=number, **({"key": "k"} if number == 1 else {}))
        answer, *messages = ask(enveloped(daemon), "subscribe", topic="a", history=2)
        assert [message["message"]["data"] for message in messages] == [1, 2]
        assert answer["subscribed"]["replayed"] == 2
        (answer,) = ask(enveloped(daemon), "subscribe", topic="b", history=2)
        assert answer["subscribed"]["replayed"] == 0
        answer, *messages = ask(enveloped(daemon), "subscribe", topic="#", last=True)
        assert answer["subscribed"]["replayed"] == 1
        assert [message["message"]["data"] for message in messages] == [1]

    def test_is_replayed_in_the_order_of_positions(self) -> None:
        daemon = daemonOf(history_count=3)
        publisher = enveloped(daemon)
        for number, key in enumerate([{"key": "k"}, {}, {}, {"key": "l"}, {}], 1):
            ask(publisher, "publish", topic="a", data=number, **key)
        answer, *messages = ask(enveloped(daemon), "subscribe", topic="a", history=3, last=True)
        assert [message["message"]["data"] for message in messages] == [1, 3, 4, 5]
        assert answer["subscribed"]["replayed"] == 4

    def test_is_answered_after_the_publishes_before_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = daemonOf()
        client = enveloped(daemon)
        backend = daemon.factories["/topics/*"].parts.hub.backend
        publish, waiting = backend.publish, Deferred[None]()
        monkeypatch.setattr(
            backend, "publish", lambda *given: waiting.addCallback(lambda _: publish(*given)) and waiting
        )
        client.say('{"publish": {"id": 1, "topic": "a", "data": 1}}')
        assert ask(client, "subscribe", id=2, topic="a", since="0badf00d-1") == []
        waiting.callback(None)
        assert [next(iter(message)) for message in told(client)] == ["published", "subscribed", "message"]

    def test_keeps_what_a_filter_brings_meanwhile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = daemonOf()
        client, sender = subscribed(daemon, "#"), at(daemon, "a")
        backend = daemon.factories["/topics/*"].parts.hub.backend
        newest, waiting = backend.newest, Deferred[Any]()
        monkeypatch.setattr(backend, "newest", lambda *_: waiting)
        assert ask(client, "subscribe", id=1, topic="a") == []
        sender.say("1")
        assert told(client) == []
        newest("a", 0).chainDeferred(waiting)
        answer, message = told(client)
        assert answer["subscribed"]["position"] == message["message"]["position"]

    def test_that_fails_brings_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = daemonOf()
        client, sender = subscribed(daemon, "b"), at(daemon, "a")
        waiting = Deferred[Any]()
        monkeypatch.setattr(daemon.factories["/topics/*"].parts.hub.backend, "newest", lambda *_: waiting)
        assert ask(client, "subscribe", id=1, topic="a") == []
        sender.say("1")
        at(daemon, "b").say("2")
        waiting.errback(TopicError("unavailable", "try again later"))
        message, refused = told(client)
        assert message["message"]["topic"] == "b"
        assert refused["error"]["code"] == "unavailable"

    def test_ends_with_unsubscribe(self) -> None:
        daemon = daemonOf()
        client = subscribed(daemon, "a")
        assert ask(client, "unsubscribe", id=3, topic="a") == [{"unsubscribed": {"id": 3, "topic": "a"}}]
        at(daemon, "a").say("1")
        assert told(client) == []
        assert error(ask(client, "unsubscribe", id=4, topic="a"))[:2] == (4, "not_subscribed")

    def test_is_bounded(self) -> None:
        client = subscribed(daemonOf(max_subscriptions=1), "a")
        assert "subscribed" in ask(client, "subscribe", topic="a")[0]
        assert error(ask(client, "subscribe", id=2, topic="b")) == (
            2,
            "too_many",
            "this connection has 1 subscriptions, which is the limit",
        )


class TestPresence:
    def test_is_told_to_those_who_watch(self) -> None:
        daemon = daemonOf()
        watcher = subscribed(daemon, "room", presence=True)
        other = subscribed(daemon, "room")
        ann = enveloped(daemon)
        (entered,) = ask(ann, "enter", id=1, topic="room", state={"name": "Ann"})
        member = entered["entered"].pop("member")
        assert entered == {"entered": {"id": 1, "topic": "room"}}
        ask(ann, "enter", topic="room", state={"name": "Ann", "typing": True})
        ask(ann, "leave", id=2, topic="room")
        events = [event["presence"] for event in told(watcher)]
        assert [(event["change"], event["member"], event["state"]) for event in events] == [
            ("join", member, {"name": "Ann"}),
            ("update", member, {"name": "Ann", "typing": True}),
            ("leave", member, {"name": "Ann", "typing": True}),
        ]
        assert told(other) == []

    def test_begins_with_the_members(self) -> None:
        daemon = daemonOf()
        ann = enveloped(daemon)
        (entered,) = ask(ann, "enter", topic="room")
        (answer,) = ask(enveloped(daemon), "subscribe", topic="room", presence=True)
        expected = [{"member": entered["entered"]["member"], "state": None}]
        assert answer["subscribed"]["members"] == expected
        assert ask(ann, "members", id=5, topic="room") == [{"members": {"id": 5, "topic": "room", "members": expected}}]

    def test_ends_with_the_connection(self) -> None:
        daemon = daemonOf()
        watcher = subscribed(daemon, "#", presence=True)
        ann = enveloped(daemon)
        ask(ann, "enter", topic="room")
        ann.wire.reset()
        assert [event["presence"]["change"] for event in told(watcher)] == ["join", "leave"]

    def test_is_bounded(self) -> None:
        daemon = daemonOf(max_members=1)
        ask(enveloped(daemon), "enter", topic="room")
        client = enveloped(daemon)
        assert error(ask(client, "enter", id=1, topic="room"))[:2] == (1, "too_many")
        assert error(ask(client, "leave", id=2, topic="room"))[:2] == (2, "no_member")

    def test_has_small_states(self) -> None:
        answer = error(ask(enveloped(daemonOf()), "enter", id=1, topic="room", state="x" * 1023))
        assert answer == (1, "too_large", "the state has 1025 bytes of JSON; the limit is 1024")


class TestADirectMessage:
    def test_reaches_one_member(self) -> None:
        daemon = daemonOf()
        ann, bob, eve = (subscribed(daemon, "room") for _ in range(3))
        (entered,) = ask(ann, "enter", topic="room")
        (from_,) = ask(bob, "enter", topic="room")
        ask(eve, "enter", topic="room")
        to = entered["entered"]["member"]
        assert ask(bob, "direct", id=1, topic="room", to=to, data="hi") == [{"directed": {"id": 1, "topic": "room"}}]
        assert told(ann) == [{"direct": {"topic": "room", "from": from_["entered"]["member"], "data": "hi"}}]
        assert told(eve) == []

    def test_may_be_binary(self) -> None:
        daemon = daemonOf()
        ann, bob = enveloped(daemon), enveloped(daemon)
        (entered,) = ask(ann, "enter", topic="room")
        ask(bob, "direct", topic="room", to=entered["entered"]["member"], binary=True)
        bob.say(b"123")
        head, payload = told(ann)
        assert head["direct"]["binary"] == 3
        assert payload == b"123"

    def test_to_nobody_is_an_error(self) -> None:
        answer = error(ask(enveloped(daemonOf()), "direct", id=1, topic="room", to="nobody", data=1))
        assert answer == (1, "no_member", "no member 'nobody' is present at this topic")


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "this is not JSON"),
            ("[" * 100_000, "this is not JSON"),
            ('{"publish": {"topic": "a", "data": NaN}}', "this is not JSON"),
            ("[]", "a message is an object with one key, its name"),
            ('{"publish": {}, "subscribe": {}}', "a message is an object with one key, its name"),
            (
                '{"shout": {}}',
                "'shout' is not one of subscribe, unsubscribe, publish, enter, leave, members, direct, token",
            ),
            ('{"publish": 1}', "'publish' is not one of"),
            ('{"publish": {"data": 1}}', "the field topic is missing in publish"),
            (
                '{"publish": {"topic": "a"}}',
                "publish needs exactly one payload: data (any JSON), text (a string), or binary",
            ),
            ('{"publish": {"topic": "a", "data": 1, "text": "a"}}', "publish needs exactly one payload"),
            (
                '{"publish": {"topic": "a", "binary": false}}',
                "binary must be true, and the payload is the next message",
            ),
            ('{"publish": {"topic": "a", "text": 1}}', "text is not a Unicode string; use data for other JSON"),
            ('{"publish": {"topic": "a", "text": "\\ud800"}}', "text is not a Unicode string"),
            (
                '{"publish": {"topic": "a", "data": 1, "once": "\\udfff"}}',
                "once must be a string of 1 to 200 characters",
            ),
            ('{"publish": {"topic": "a", "data": 1e999}}', "a number beyond a double's"),
            ('{"publish": {"topic": "a", "data": "\\ud800"}}', "half a surrogate pair"),
            ('{"publish": {"topic": "a", "data": 1, "loud": true}}', "publish has no field 'loud'; it has id, topic"),
            ('{"publish": {"topic": "a", "data": 1, "ttl": 0}}', "ttl is not a number of seconds above 0"),
            ('{"publish": {"topic": "a", "data": 1, "once": ""}}', "once must be a string of 1 to 200 characters"),
            ('{"publish": {"topic": "a", "data": 1, "echo": 1}}', "echo must be true or false"),
            ('{"publish": {"topic": 1, "data": 1}}', "topic must be a string"),
            ('{"publish": {"id": {}, "topic": "a", "data": 1}}', "id is neither an integer nor a string"),
            ('{"publish": {"id": true, "topic": "a", "data": 1}}', "id is neither an integer nor a string"),
            ('{"subscribe": {"topic": "a", "history": -1}}', "history is not a number of messages"),
            ('{"subscribe": {"topic": "a", "history": 1, "since": "a-1"}}', "use either since or history"),
            ('{"direct": {"topic": "a", "data": 1}}', "the field to is missing in direct"),
        ],
    )
    def test_is_answered_with_a_sentence_and_loses_nothing(self, text: str, said: str) -> None:
        daemon = daemonOf()
        client = subscribed(daemon, "a")
        client.say(text)
        _, code, sentence = error(told(client))
        assert code == "bad_message"
        assert said in sentence
        at(daemon, "a").say("still here")
        assert told(client)[0]["message"]["text"] == "still here"

    @pytest.mark.parametrize(
        ("name", "fields", "code"),
        [
            ("publish", {"topic": "a//b", "data": 1}, "bad_topic"),
            ("publish", {"topic": "a/+", "data": 1}, "bad_topic"),
            ("publish", {"topic": "a", "data": 1, "key": ""}, "bad_query"),
            ("subscribe", {"topic": "a/#/b"}, "bad_filter"),
            ("subscribe", {"topic": "a/#", "history": 1}, "filter"),
            ("subscribe", {"topic": "a", "since": "now"}, "bad_position"),
            ("subscribe", {"topic": "a", "since": 17}, "bad_position"),
            ("enter", {"topic": "+"}, "bad_topic"),
            ("members", {"topic": "#"}, "bad_topic"),
        ],
    )
    def test_is_answered_with_the_id_of_what_was_asked(self, name: str, fields: dict[str, Any], code: str) -> None:
        assert error(ask(enveloped(daemonOf()), name, id=7, **fields))[:2] == (7, code)

    def test_of_a_binary_message_without_its_envelope(self) -> None:
        client = enveloped(daemonOf())
        client.say(b"1")
        assert error(told(client))[1] == "bad_message"

    def test_of_an_envelope_without_its_binary_message(self) -> None:
        client = enveloped(daemonOf())
        ask(client, "publish", id=1, topic="a", binary=True)
        client.say('{"publish": {"id": 2, "topic": "a", "data": 1}}')
        assert error(told(client)) == (1, "bad_message", "the payload, a binary message, is missing")


LARGE = 262144
POLICIES = Policies(high_water=4096, low_water=1024, stall_timeout=3600)


class TestASlowSubscriber:
    def test_is_told_of_its_gap(self) -> None:
        daemon = daemonOf(POLICIES, slow="drop-oldest", slow_count=3)
        slow, sender = subscribed(daemon, "a"), at(daemon, "a")
        for number in range(40):
            sender.say(f"{number:02}" * (LARGE // 2))
        offsets: list[int] = []
        gaps = 0
        for message in told(slow):
            if "gap" in message:
                assert message["gap"]["topic"] == "a"
                gaps += message["gap"]["skipped"]
            else:
                offset = int(message["message"]["position"].partition("-")[2])
                assert offset == len(offsets) + gaps + 1
                offsets.append(offset)
        assert gaps
        assert offsets[-1] == 40

    def test_is_closed_by_default(self) -> None:
        daemon = daemonOf(POLICIES, slow_count=3)
        slow, sender = subscribed(daemon, "a"), at(daemon, "a")
        for _ in range(40):
            sender.say("x" * LARGE)
        told(slow)
        assert closing(slow) == (4008, "this client reads too slowly; resume each topic from its last position")

    def test_receives_a_replay_in_one_piece(self) -> None:
        daemon = daemonOf(POLICIES, history_size=1 << 28, max_kept=1 << 28)
        for topic in "ab":
            sender = at(daemon, topic)
            for number in range(40):
                sender.say(str(number % 10) * LARGE)
        slow = enveloped(daemon)
        for topic in "ab":
            slow.protocol.send_text(json.dumps({"subscribe": {"topic": topic, "history": 40}}).encode())
        kinds = [next(iter(message)) for message in told(slow)]
        assert kinds == (["subscribed"] + ["message"] * 40) * 2

    def test_is_told_of_a_gap_even_if_nothing_waits_any_more(self) -> None:
        daemon = daemonOf(POLICIES, slow="drop-oldest", slow_size=1024)
        slow, sender = subscribed(daemon, "a"), at(daemon, "a")
        for _ in range(40):
            sender.say(b"x" * LARGE)
        messages = told(slow)
        skipped = sum(
            message["gap"]["skipped"] for message in messages if isinstance(message, dict) and "gap" in message
        )
        assert skipped == daemon.factories["/topics/*"].counters.skipped > 0
        sender.say("small")
        assert told(slow)[-1]["message"]["text"] == "small"


def arrive(client: Client) -> None:
    """Let the daemon read what was sent, without a turn of the reactor."""
    for _ in range(10):
        client.wire.transport.doRead()


class TestALargeEnvelope:
    """Parsing takes some milliseconds, so only one is parsed in each turn of the reactor."""

    LARGE = "x" * 100_000

    def test_is_handled_before_what_follows_it(self) -> None:
        client = enveloped(daemonOf())
        for number, text in enumerate((self.LARGE, "small", self.LARGE)):
            client.protocol.send_text(json.dumps({"publish": {"id": number, "topic": "a", "text": text}}).encode())
        client.wire.send(b"".join(client.protocol.data_to_send()))
        assert [answer["published"]["id"] for answer in told(client)] == [0, 1, 2]

    def test_of_several_clients_one_is_handled_in_each_turn(self) -> None:
        daemon = daemonOf()
        clients = [enveloped(daemon) for _ in range(3)]
        for client in clients:
            client.protocol.send_text(json.dumps({"publish": {"topic": "a", "text": self.LARGE}}).encode())
            client.wire.socket.send(b"".join(client.protocol.data_to_send()))
            arrive(client)
        held = [sum(connection.held for connection in daemon.connections)]
        while held[-1]:
            turn(daemon)
            held.append(sum(connection.held for connection in daemon.connections))
        assert held == [3, 2, 1, 0]
        assert daemon.budget.byUse[MemoryUse.handling] == 0

    def test_that_is_wrong_is_answered(self) -> None:
        client = enveloped(daemonOf())
        client.say("[" * 100_000)
        assert error(told(client))[1] == "bad_message"

    def test_is_not_handled_when_the_client_has_gone(self) -> None:
        daemon = daemonOf()
        client, watching = enveloped(daemon), subscribed(daemon, "a")
        client.protocol.send_text(json.dumps({"publish": {"topic": "a", "text": self.LARGE}}).encode())
        client.wire.socket.send(b"".join(client.protocol.data_to_send()))
        arrive(client)
        (connection,) = [each for each in daemon.connections if each.held]
        connection.drop(Cause.operator)
        daemon.reactor.advance(0)
        assert told(watching) == []
        assert daemon.budget.used == daemon.budget.byUse[MemoryUse.histories]
