"""The plain form: a WebSocket at the path of a topic, and no library."""

from __future__ import annotations

import re

import pytest

from tests.protocols.topics.routes import at, closing, daemonOf, heard, refusal
from wsd.config import Policies
from wsd.metrics import Cause


class TestAMessage:
    def test_reaches_everyone_else_at_that_topic_unchanged(self) -> None:
        daemon = daemonOf()
        sender, one, two, other = (at(daemon, topic) for topic in ("a", "a", "a", "b"))
        sender.say("größe")
        sender.say(b"\0\xff")
        assert heard(one) == heard(two) == ["größe", b"\0\xff"]
        assert heard(other) == heard(sender) == []

    def test_reaches_its_sender_for_an_echo(self) -> None:
        daemon = daemonOf()
        sender = at(daemon, "a", "?echo")
        sender.say("1")
        assert heard(sender) == ["1"]

    def test_reaches_filters(self) -> None:
        daemon = daemonOf()
        everything, quotes, others = (at(daemon, pattern) for pattern in ("#", "quotes/+", "scores/#"))
        at(daemon, "quotes/ACME").say("1")
        assert heard(everything) == heard(quotes) == ["1"]
        assert heard(others) == []

    def test_may_be_empty(self) -> None:
        daemon = daemonOf()
        sender, other = at(daemon, "a"), at(daemon, "a")
        sender.say("")
        sender.say(b"")
        assert heard(other) == ["", b""]

    def test_reaches_nobody_who_has_left(self) -> None:
        daemon = daemonOf()
        sender, other = at(daemon, "a"), at(daemon, "a")
        other.close()
        sender.say("1")
        assert len(daemon.factories["/topics/*"].parts.hub) == 1

    def test_is_not_delivered_to_a_publisher_nor_taken_from_a_subscriber(self) -> None:
        daemon = daemonOf()
        publisher, subscriber = at(daemon, "a", "?role=publisher"), at(daemon, "a", "?role=subscriber")
        other = at(daemon, "a")
        other.say("1")
        publisher.say("2")
        assert heard(publisher) == []
        assert heard(subscriber) == ["1", "2"]
        subscriber.say("3")
        code, sentence = closing(subscriber)
        assert code == 1008
        assert "it connected as a subscriber" in sentence
        assert heard(other) == ["2"]


class TestABeginning:
    def test_is_the_newest_messages(self) -> None:
        daemon = daemonOf()
        sender = at(daemon, "a")
        for text in "123":
            sender.say(text)
        late = at(daemon, "a", "?history=2")
        sender.say("4")
        assert heard(late) == ["2", "3", "4"]

    def test_is_everything_behind_a_position(self) -> None:
        daemon = daemonOf()
        sender = at(daemon, "a")
        for text in "123":
            sender.say(text)
        position = daemon.factories["/topics/*"].parts.hub.backend._topics["a"].position
        assert heard(at(daemon, "a", f"?since={position.epoch}-1")) == ["2", "3"]

    def test_is_refused_where_messages_are_lost(self) -> None:
        daemon = daemonOf(history_count=1)
        sender = at(daemon, "a")
        for text in "123":
            sender.say(text)
        position = daemon.factories["/topics/*"].parts.hub.backend._topics["a"].position
        late = at(daemon, "a", f"?since={position.epoch}-1")
        assert heard(late) == []
        code, sentence = closing(late)
        assert code == 4010
        assert sentence == f"messages since {position.epoch}-1 are lost; the topic is at {position}"

    def test_is_the_last_value_of_each_key(self) -> None:
        daemon = daemonOf()
        at(daemon, "q/a", "?key=price").say("1")
        at(daemon, "q/a", "?key=price").say("2")
        at(daemon, "q/b", "?key=price").say("3")
        assert heard(at(daemon, "q/+", "?last")) == ["2", "3"]
        assert heard(at(daemon, "q/a", "?last")) == ["2"]

    def test_has_no_last_value_that_was_removed(self) -> None:
        daemon = daemonOf()
        sender, other = at(daemon, "a", "?key=x"), at(daemon, "a")
        sender.say("1")
        sender.say("null")
        assert heard(other) == ["1", "null"]
        assert heard(at(daemon, "a", "?last")) == []

    def test_has_no_message_twice(self) -> None:
        daemon = daemonOf()
        sender = at(daemon, "a", "?key=x")
        for text in "12":
            sender.say(text)
        assert heard(at(daemon, "a", "?last&history=2")) == ["1", "2"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/topics/a//b", 404, "has an empty level"),
        ("/topics/" + "x" * 201, 404, "is too long; a topic has at most 200 bytes"),
        ("/topics/a/b%23", 404, "has a wildcard beside other characters"),
        ("/topics/%0a", 404, "has a control character"),
        ("/topics/%ff", 404, "is not percent-encoded UTF-8"),
        ("/topics/a?nope", 400, "'nope' is unknown; the parameters are echo, history, since, key, last, role, token"),
        ("/topics/a?role=boss", 400, "role='boss' is not a role"),
        ("/topics/a?history=-1", 400, "history='-1' is not a number of messages"),
        ("/topics/a?since=now", 400, "'now' is not a position; use one from the server"),
        ("/topics/a?since=a-1&history=2", 400, "use either since or history"),
        ("/topics/a?key=", 400, "'' is not a key"),
        ("/topics/a?key=" + "x" * 201, 400, "is not a key"),
        ("/topics/a?key=%0a", 400, "is not a key"),
        ("/topics/a?echo=maybe", 400, "echo='maybe' takes no value"),
        ("/topics/a?role=subscriber&key=x", 400, "key is only for publishers"),
        ("/topics/a?role=publisher&last", 400, "a publisher receives nothing"),
        ("/topics/%2B?history=2", 400, "a filter has no history"),
        ("/topics/%2B?role=publisher", 400, "only topics can be published to"),
        ("/topics/%2B?role=both", 400, "only topics can be published to"),
    ],
)
def test_what_cannot_be_granted_is_refused_with_a_sentence(path: str, status: int, said: str) -> None:
    answered, sentence = refusal(daemonOf(), path)
    assert answered == status
    assert said in sentence


class TestAMessageThatCannotBePublished:
    def test_ends_the_connection_with_a_sentence(self) -> None:
        daemon = daemonOf(max_keys=0)
        sender, other = at(daemon, "a", "?key=x"), at(daemon, "a")
        sender.say("1")
        assert closing(sender) == (1013, "this topic has 0 last values, which is the limit; remove a key")
        assert heard(other) == []


POLICIES = Policies(high_water=4096, low_water=1024, stall_timeout=3600)
LARGE = 262144


class TestASlowSubscriber:
    def test_is_closed_with_the_position_that_resumes_it(self) -> None:
        daemon = daemonOf(POLICIES, slow_count=3, history_count=100, history_size=100 * LARGE)
        sender, slow, fast = at(daemon, "a"), at(daemon, "a"), at(daemon, "a")
        for number in range(40):
            sender.say(bytes([number]) * LARGE)
            assert heard(fast) == [bytes([number]) * LARGE]
        received = [message[0] for message in heard(slow)]
        code, sentence = closing(slow)
        assert code == 4008
        assert daemon.factories["/topics/*"].counters.closed == {Cause.slow: 1}
        position = re.fullmatch(r"this client reads too slowly; continue with \?since=(\S+)", sentence)
        assert position is not None
        rest = [message[0] for message in heard(at(daemon, "a", f"?since={position[1]}"))]
        assert [int(number) for number in received + rest] == list(range(40))

    def test_may_lose_the_oldest_instead(self) -> None:
        daemon = daemonOf(POLICIES, slow="drop-oldest", slow_count=3)
        sender, slow = at(daemon, "a"), at(daemon, "a")
        for number in range(40):
            sender.say(bytes([number]) * LARGE)
        received = [int(message[0]) for message in heard(slow)]
        assert received[-3:] == [37, 38, 39]
        assert received == sorted(set(received))
        assert len(received) < 40
        assert daemon.factories["/topics/*"].counters.skipped == 40 - len(received)

    def test_may_be_sent_the_newest_of_each_key(self) -> None:
        daemon = daemonOf(POLICIES, slow="latest")
        slow = at(daemon, "a")
        one, two = at(daemon, "a", "?key=1"), at(daemon, "a", "?key=2")
        for number in range(40):
            (two if number % 2 else one).say(bytes([number]) * LARGE)
        assert [int(message[0]) for message in heard(slow)][-2:] == [38, 39]

    def test_is_bounded_in_bytes(self) -> None:
        daemon = daemonOf(POLICIES, slow="drop-oldest", slow_size=3 * LARGE)
        sender, slow = at(daemon, "a"), at(daemon, "a")
        for number in range(40):
            sender.say(bytes([number]) * LARGE)
        assert len(heard(slow)) < 40
