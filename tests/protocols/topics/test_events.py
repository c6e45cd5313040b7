"""Topics as server-sent events."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.protocols.topics.routes import Events, at, daemonOf
from tests.protocols.topics.test_tokens import SECRET, tokenOf
from wsd.config import Policies

RETRY = "retry: 2000\n\n"
POLICIES = Policies(high_water=4096, low_water=1024, stall_timeout=3600)
SKIPPED = re.compile(r'^event: gap\ndata: {"gap":{"topic":"a","skipped":(\d+)}}\n\n', re.MULTILINE)


class TestAStream:
    def test_has_a_head_that_proxies_understand(self) -> None:
        events = Events(daemonOf(), "/topics/a")
        assert events.answer.status == 200
        assert events.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.answer.headers["cache-control"] == "no-store"
        assert events.answer.headers["x-accel-buffering"] == "no"
        assert events.read().startswith(RETRY)

    def test_brings_messages_with_their_positions(self) -> None:
        daemon = daemonOf()
        events = Events(daemon, "/topics/a")
        position = daemon.factories["/topics/*"].parts.hub.backend
        sender = at(daemon, "a")
        sender.say("one")
        sender.say("two\nlines\r\nand\rmore")
        sender.say(b"\0\1")
        epoch = position._topics["a"].epoch
        assert events.read() == (
            f"{RETRY}id: {epoch}-0\n\nid: {epoch}-1\ndata: one\n\n"
            f"id: {epoch}-2\ndata: two\ndata: lines\ndata: and\ndata: more\n\n"
            f"event: binary\nid: {epoch}-3\ndata: AAE=\n\n"
        )

    def test_of_a_filter_has_no_ids(self) -> None:
        daemon = daemonOf()
        events = Events(daemon, "/topics/%23")
        at(daemon, "a").say("1")
        assert events.read() == f"{RETRY}data: 1\n\n"

    def test_may_be_enveloped(self) -> None:
        daemon = daemonOf()
        events = Events(daemon, "/topics/%23?envelope")
        at(daemon, "a").say("1")
        epoch = daemon.factories["/topics/*"].parts.hub.backend._topics["a"].epoch
        envelope = f'{{"message":{{"topic":"a","position":"{epoch}-1","text":"1"}}}}'
        assert events.read() == f"{RETRY}data: {envelope}\n\n"

    def test_is_kept_alive_by_comments(self) -> None:
        daemon = daemonOf(Policies(http_idle_timeout=20, stall_timeout=20, opening_timeout=10))
        events = Events(daemon, "/topics/a")
        for _ in range(6):
            daemon.pass_(15)
        at(daemon, "a").say("1")
        text = events.read()
        assert text.count(":\n\n") >= 6
        assert "data: 1" in text

    def test_leaves_nothing_behind_when_the_client_goes(self) -> None:
        daemon = daemonOf()
        Events(daemon, "/topics/a").wire.reset()
        parts = daemon.factories["/topics/*"].parts
        assert (len(parts.hub), len(parts.streams)) == (0, 0)
        assert [
            call for call in daemon.reactor.getDelayedCalls() if call.getTime() - daemon.reactor.seconds() > 5
        ] == []

    def test_ends_with_its_token(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_bytes(SECRET)
        daemon = daemonOf(token_key=str(path), subscribe=("token",))
        token = tokenOf(exp=int(time.time()) + 60, topics={"subscribe": ["a"]})
        events = Events(daemon, "/topics/a", f"Authorization: Bearer {token}")
        assert events.read().startswith(RETRY)
        daemon.reactor.advance(61)
        events.wire.exchange(b"")
        assert events.wire.received.endswith(b"0\r\n\r\n")

    def test_ends_when_the_route_stops(self) -> None:
        daemon = daemonOf()
        events = Events(daemon, "/topics/a")
        events.read()
        daemon.factories["/topics/*"].retired()
        assert events.wire.exchange(b"").endswith(b"0\r\n\r\n")


class TestGoingOn:
    def test_is_possible_before_the_first_event(self) -> None:
        daemon = daemonOf()
        at(daemon, "a").say("1")
        text = Events(daemon, "/topics/a").read()
        found = re.fullmatch(r"retry: 2000\n\nid: (\w+-1)\n\n", text)
        assert found is not None
        at(daemon, "a").say("2")
        assert "data: 2" in Events(daemon, "/topics/a", f"Last-Event-ID: {found[1]}").read()

    def test_without_the_history_tells_of_a_gap_if_something_was_missed(self) -> None:
        daemon = daemonOf(history=())
        (position,) = re.findall(r"id: (.*)", Events(daemon, "/topics/a").read())
        assert Events(daemon, "/topics/a", f"Last-Event-ID: {position}").read() == f"{RETRY}id: {position}\n\n"
        at(daemon, "a").say("1")
        text = Events(daemon, "/topics/a", f"Last-Event-ID: {position}").read()
        assert "event: gap" in text
        assert "data: 1" not in text
        assert Events(daemon, f"/topics/a?since={position}").answer.error[1] == "forbidden"

    def test_after_last_values_is_from_where_the_topic_was(self) -> None:
        daemon = daemonOf()
        at(daemon, "a", "?key=k").say("1")
        at(daemon, "a").say("2")
        text = Events(daemon, "/topics/a?last").read()
        assert re.findall(r"id: \w+-(\d)", text) == ["1", "2"]
        assert "data: 2" not in text

    def test_begins_behind_the_last_event(self) -> None:
        daemon = daemonOf()
        sender = at(daemon, "a")
        for text in "123":
            sender.say(text)
        epoch = daemon.factories["/topics/*"].parts.hub.backend._topics["a"].epoch
        events = Events(daemon, "/topics/a", f"Last-Event-ID: {epoch}-1")
        sender.say("4")
        assert [line for line in events.read().split("\n") if line.startswith("data")] == [
            "data: 2",
            "data: 3",
            "data: 4",
        ]

    def test_tells_a_gap(self) -> None:
        daemon = daemonOf(history_count=1)
        sender = at(daemon, "a")
        for text in "123":
            sender.say(text)
        epoch = daemon.factories["/topics/*"].parts.hub.backend._topics["a"].epoch
        events = Events(daemon, "/topics/a", f"Last-Event-ID: {epoch}-1")
        assert events.read() == (
            f'{RETRY}event: gap\ndata: {{"gap":{{"topic":"a","position":"{epoch}-3"}}}}\n\nid: {epoch}-3\ndata: 3\n\n'
        )

    def test_may_begin_with_history_and_last_values(self) -> None:
        daemon = daemonOf()
        sender = at(daemon, "a", "?key=k")
        for text in "123":
            sender.say(text)
        text = Events(daemon, "/topics/a?history=2&last").read()
        assert [line for line in text.split("\n") if line.startswith("data")] == ["data: 2", "data: 3"]


class TestASlowClient:
    def test_is_cut_off_and_goes_on_where_it_was(self) -> None:
        daemon = daemonOf(POLICIES, slow_count=3, history_size=1 << 25)
        events = Events(daemon, "/topics/a")
        sender = at(daemon, "a")
        for number in range(60):
            sender.say(f"{number:02}" * 131072)
        events.wire.exchange(b"")
        assert events.wire.received.endswith(b"0\r\n\r\n")
        last = [line for line in unescaped(events.wire.received) if line.startswith("id: ")][-1]
        resumed = Events(daemon, "/topics/a", f"Last-Event-ID: {last.removeprefix('id: ')}")
        numbers = [line[6:8] for line in (unescaped(events.wire.received) + resumed.read().split("\n"))]
        shown = [number for number in numbers if number.isdigit()]
        assert shown[-1] == "59"

    @pytest.mark.parametrize("topic", ["a", "%2B"])
    def test_may_lose_the_oldest_which_is_counted_and_told(self, topic: str) -> None:
        daemon = daemonOf(POLICIES, slow="drop-oldest", slow_count=3)
        events = Events(daemon, f"/topics/{topic}")
        sender = at(daemon, "a")
        for number in range(60):
            sender.say(f"{number:02}" * 131072)
        text = events.read()
        shown = [int(number) for number in re.findall(r"^data: (\d\d)", text, re.MULTILINE)]
        skipped = [int(count) for count in SKIPPED.findall(text)]
        assert shown[-3:] == [57, 58, 59]
        assert len(skipped) == 1
        assert shown == [*range(60 - 3 - skipped[0]), 57, 58, 59]
        assert daemon.factories["/topics/*"].counters.skipped == skipped[0]

    def test_may_be_sent_the_newest_of_each_key(self) -> None:
        daemon = daemonOf(POLICIES, slow="latest")
        events = Events(daemon, "/topics/a")
        sender = at(daemon, "a", "?key=k")
        for number in range(60):
            sender.say(f"{number:02}" * 131072)
        text = events.read()
        shown = re.findall(r"^data: (\d\d)", text, re.MULTILINE)
        assert shown[-1] == "59"
        assert "event: gap" not in text
        assert daemon.factories["/topics/*"].counters.skipped == 60 - len(shown) > 0


def unescaped(data: bytes) -> list[str]:
    """The lines of a chunked answer, chunks' sizes among them."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
