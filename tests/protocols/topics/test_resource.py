"""Topics over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.protocols.topics.routes import Answer, Events, ask, at, daemonOf, heard, request
from tests.protocols.topics.test_enveloped import ask as askEnveloped
from tests.protocols.topics.test_enveloped import enveloped
from tests.protocols.topics.test_tokens import SECRET, tokenOf
from tests.wire import Daemon
from wsd.config import Policies

TEXT = "Content-Type: text/plain;charset=UTF-8"
JSON = "Content-Type: application/json"
LINES = "Content-Type: application/x-ndjson"


def post(daemon: Daemon, body: bytes | str, *fields: str, path: str = "/topics/a") -> Answer:
    return ask(daemon, f"POST {path}", *fields, body=body)


def offsetOf(answer: Answer) -> int:
    return int(answer.json["position"].partition("-")[2])


class TestPost:
    @pytest.mark.parametrize(
        ("contentType", "body", "expected"),
        [
            ("text/plain;charset=UTF-8", "größe", "größe"),
            ("application/json", '{"a": 1}', '{"a": 1}'),
            ("application/ld+json", "[1]", "[1]"),
            ("application/x-www-form-urlencoded", "a=1", "a=1"),
            ("image/png", "\x89PNG", "\x89PNG".encode()),
            (None, "bytes", b"bytes"),
            ("text/plain", "", ""),
        ],
    )
    def test_publishes_the_body_unchanged(self, contentType: str | None, body: str, expected: str | bytes) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "a")
        answer = post(daemon, body, *([f"Content-Type: {contentType}"] if contentType else []))
        assert answer.status == 202
        assert offsetOf(answer) == 1
        assert answer.headers["content-type"] == "application/json"
        assert heard(subscriber) == [expected]

    def test_keeps_the_media_type(self) -> None:
        daemon = daemonOf()
        post(daemon, "# a", "Content-Type: text/markdown")
        post(daemon, b"\x89PNG", "Content-Type: image/png")
        post(daemon, "[1]", JSON)
        assert ask(daemon, "GET /topics/a").json["history"] == [
            {"topic": "a", "position": position, "type": "text/markdown", "text": "# a"}
            if number == 0
            else {"topic": "a", "position": position, "type": "image/png", "base64": "iVBORw=="}
            if number == 1
            else {"topic": "a", "position": position, "data": [1]}
            for number, position in enumerate(
                message["position"] for message in ask(daemon, "GET /topics/a").json["history"]
            )
        ]

    def test_publishes_once_for_an_idempotency_key(self) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "a")
        first, second = (post(daemon, "1", TEXT, "Idempotency-Key: k") for _ in range(2))
        assert second.json == {**first.json, "duplicate": True}
        assert heard(subscriber) == ["1"]

    def test_sets_and_removes_a_last_value(self) -> None:
        daemon = daemonOf()
        post(daemon, "1", JSON, path="/topics/a?key=k")
        assert [value["data"] for value in ask(daemon, "GET /topics/a").json["last"]] == [1]
        post(daemon, "null", JSON, path="/topics/a?key=k")
        assert ask(daemon, "GET /topics/a").json["last"] == []

    def test_sets_a_time_to_live(self) -> None:
        daemon = daemonOf()
        post(daemon, "1", TEXT, path="/topics/a?ttl=0.5")
        daemon.pass_(1)
        assert ask(daemon, "GET /topics/a").json["history"] == []

    def test_is_the_beacon_of_a_page(self) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "clicks")
        answer = post(daemon, "click", TEXT, "Origin: http://localhost:9998", path="/topics/clicks")
        assert answer.status == 202
        assert heard(subscriber) == ["click"]

    def test_of_a_beacon_has_its_idempotency_key_in_the_query(self) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "clicks")
        position = post(daemon, "click", TEXT, "Idempotency-Key: a", path="/topics/clicks").json["position"]
        again = post(daemon, "click", TEXT, path="/topics/clicks?once=a")
        assert again.json == {"position": position, "duplicate": True}
        assert heard(subscriber) == ["click"]


class TestSeveralMessages:
    def test_are_published_in_their_order(self) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "a")
        answer = post(daemon, '1\n\n{"n": 2}\r\n"3"', LINES)
        assert answer.status == 202
        assert answer.json["count"] == 3
        assert offsetOf(answer) == 3
        assert heard(subscriber) == ["1", '{"n": 2}', '"3"']

    @pytest.mark.parametrize(
        ("body", "status", "said"),
        [
            ('1\n{"half": ', 400, "line 2 is not JSON"),
            (b"1\n\xff", 400, "line 2 is not UTF-8"),
            ("\n\n", 400, "the body is empty"),
            ("1\n" * 1001, 413, "the body has 1001 messages; 1000 may be published at once"),
        ],
    )
    def test_are_published_all_or_not_at_all(self, body: bytes | str, status: int, said: str) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "a")
        answer = post(daemon, body, LINES)
        assert answer.status == status
        assert said in answer.error[2]
        assert heard(subscriber) == []

    def test_are_published_once_for_an_idempotency_key(self) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "a")
        first, second = (post(daemon, "1\n2", LINES, "Idempotency-Key: k") for _ in range(2))
        assert second.json == {**first.json, "duplicate": True}
        assert heard(subscriber) == ["1", "2"]


class TestABadPost:
    @pytest.mark.parametrize(
        ("path", "fields", "body", "error"),
        [
            ("/topics/a//b", [TEXT], "1", (404, "bad_topic", "has an empty level")),
            ("/topics/%2B", [TEXT], "1", (400, "filter", "only topics can be published to")),
            ("/topics/a?nope", [TEXT], "1", (400, "bad_query", "parameters are key, once, ttl, token")),
            ("/topics/a?ttl=0", [TEXT], "1", (400, "bad_query", "ttl='0' is not a number of seconds")),
            ("/topics/a?ttl=x", [TEXT], "1", (400, "bad_query", "ttl='x' is not a number of seconds")),
            ("/topics/a", [TEXT, f"Idempotency-Key: {'x' * 201}"], "1", (400, "bad_query", "Idempotency-Key must")),
            ("/topics/a?once=", [TEXT], "1", (400, "bad_query", "once must have 1 to 200 characters")),
            ("/topics/a", [TEXT], b"\xff", (400, "bad_message", "the body is not UTF-8")),
            ("/topics/a", [JSON], "{", (400, "bad_message", "the body is not JSON")),
            ("/topics/a", [JSON], "NaN", (400, "bad_message", "the body is not JSON")),
            ("/topics/a", [JSON], "[" * 100_000, (400, "bad_message", "the body is not JSON")),
            ("/topics/a", [f"Content-Type: {'x' * 300}"], "1", (400, "bad_message", "Content-Type is longer")),
        ],
    )
    def test_is_answered_with_a_code_and_a_sentence(
        self, path: str, fields: list[str], body: bytes | str, error: tuple[int, str, str]
    ) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "#")
        status, code, sentence = post(daemon, body, *fields, path=path).error
        assert (status, code) == error[:2]
        assert error[2] in sentence
        assert heard(subscriber) == []

    def test_beyond_the_limit_is_refused_before_all_of_it_is_read(self) -> None:
        daemon = daemonOf(Policies(max_message=1000, max_frame=1000))
        wire = daemon.connect()
        answer = Answer(wire.exchange(request("POST /topics/a", TEXT, body=b"x" * 1001)))
        assert answer.status == 413
        assert b"a message may have at most 1000 bytes" in answer.body


class TestGet:
    def test_shows_history_last_values_and_members(self) -> None:
        daemon = daemonOf()
        member = enveloped(daemon)
        (entered,) = askEnveloped(member, "enter", topic="a", state={"name": "Ann"})
        for number in range(3):
            post(daemon, f"{number}", JSON, path="/topics/a?key=k")
        shown = ask(daemon, "GET /topics/a?history=2").json
        assert shown["topic"] == "a"
        assert shown["position"].endswith("-3")
        assert [message["data"] for message in shown["history"]] == [1, 2]
        assert [(value["key"], value["data"]) for value in shown["last"]] == [("k", 2)]
        assert shown["members"] == [{"member": entered["entered"]["member"], "state": {"name": "Ann"}}]

    def test_shows_what_came_since_a_position(self) -> None:
        daemon = daemonOf(history_count=2)
        for number in range(4):
            post(daemon, f"{number}", JSON)
        epoch = ask(daemon, "GET /topics/a").json["position"].partition("-")[0]
        shown = ask(daemon, f"GET /topics/a?since={epoch}-3").json
        assert ([message["data"] for message in shown["history"]], shown["gap"]) == ([3], False)
        shown = ask(daemon, f"GET /topics/a?since={epoch}-1").json
        assert ([message["data"] for message in shown["history"]], shown["gap"]) == ([2, 3], True)

    def test_of_a_filter_shows_the_last_values(self) -> None:
        daemon = daemonOf()
        for topic in ("q/a", "q/b"):
            post(daemon, f'"{topic}"', JSON, path=f"/topics/{topic}?key=k")
        shown = ask(daemon, "GET /topics/q/%2B").json
        assert shown.keys() == {"topic", "last"}
        assert [value["data"] for value in shown["last"]] == ["q/a", "q/b"]

    def test_may_be_head(self) -> None:
        answer = ask(daemonOf(), "HEAD /topics/a")
        assert (answer.status, answer.body) == (200, b"")

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("/topics/a?since=x", "bad_position"),
            ("/topics/a?history=1&since=a-1", "bad_query"),
            ("/topics/a?wait=0", "bad_query"),
            ("/topics/a?wait=61", "bad_query"),
            ("/topics/%23?wait=1", "filter"),
            ("/topics/%23?history=1", "filter"),
            ("/topics/", "bad_topic"),
        ],
    )
    def test_of_what_is_not_there_says_why(self, path: str, code: str) -> None:
        assert ask(daemonOf(), f"GET {path}").error[1] == code


class TestLines:
    """The history as NDJSON."""

    LINES = "Accept: application/x-ndjson"

    def test_are_the_messages_of_the_history(self) -> None:
        daemon = daemonOf()
        for body in ("1", '{\r\n  "a": "b\\n"\n}', "3"):
            post(daemon, body, JSON)
        answer = ask(daemon, "GET /topics/a", self.LINES)
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.body.decode().splitlines()]
        assert [line["data"] for line in lines] == [1, {"a": "b\n"}, 3]
        assert ask(daemon, "GET /topics/a?history=1", self.LINES).body.count(b"\n") == 1

    def test_begin_after_a_position(self) -> None:
        daemon = daemonOf(history_count=2)
        positions = [post(daemon, f"{number}", JSON).json["position"] for number in range(4)]
        (line,) = ask(daemon, f"GET /topics/a?since={positions[2]}", self.LINES).body.decode().splitlines()
        assert json.loads(line) == {"topic": "a", "position": positions[3], "data": 3}
        assert ask(daemon, f"GET /topics/a?since={positions[0]}", self.LINES).error[:2] == (410, "gap")

    def test_of_an_empty_topic_are_none(self) -> None:
        answer = ask(daemonOf(), "GET /topics/a", self.LINES)
        assert (answer.status, answer.body) == (200, b"")

    def test_of_a_filter_are_refused(self) -> None:
        assert ask(daemonOf(), "GET /topics/%23", self.LINES).error[:2] == (400, "filter")

    def test_need_the_right_to_read_the_history(self) -> None:
        assert ask(daemonOf(history=()), "GET /topics/a", self.LINES).error[:2] == (403, "forbidden")


class TestALongPoll:
    def test_answers_at_once_where_there_is_something(self) -> None:
        daemon = daemonOf()
        first = post(daemon, "1", JSON)
        post(daemon, "2", JSON)
        answer = ask(daemon, f"GET /topics/a?since={first.json['position']}&wait=30").json
        assert [message["data"] for message in answer["messages"]] == [2]
        assert answer["gap"] is False

    def test_waits_for_the_next_message(self) -> None:
        daemon = daemonOf()
        wire = daemon.connect()
        assert wire.exchange(request("GET /topics/a?wait=30")) == b""
        daemon.pass_(10)
        position = post(daemon, "1", JSON).json["position"]
        answer = Answer(wire.exchange(b"")).json
        assert [message["data"] for message in answer["messages"]] == [1]
        assert answer["position"] == position

    def test_answers_with_nothing_in_the_end(self) -> None:
        daemon = daemonOf()
        position = post(daemon, "1", JSON).json["position"]
        wire = daemon.connect()
        assert wire.exchange(request(f"GET /topics/a?since={position}&wait=30")) == b""
        daemon.pass_(31)
        answer = Answer(wire.exchange(b"")).json
        assert (answer["messages"], answer["position"]) == ([], position)
        assert len(daemon.factories["/topics/*"].parts.hub) == 0

    def test_leaves_nothing_behind_when_the_client_goes(self) -> None:
        daemon = daemonOf()
        wire = daemon.connect()
        wire.exchange(request("GET /topics/a?wait=30"))
        wire.reset()
        parts = daemon.factories["/topics/*"].parts
        assert (len(parts.hub), len(parts.streams)) == (0, 0)


class TestJsonThatPythonCannotWrite:
    """It is passed on as it came, and spoils nothing for those who read the topic later."""

    @pytest.mark.parametrize("text", ['"\\ud800"', "1e999", "[" * 600 + "]" * 600])
    def test_is_passed_on_as_it_came(self, text: str) -> None:
        daemon = daemonOf()
        other, events = at(daemon, "a"), Events(daemon, "/topics/a?envelope")
        events.read()
        assert ask(daemon, "POST /topics/a", "Content-Type: application/json", body=text).status == 202
        assert heard(other) == [text]
        assert f'"data":{text}}}' in events.read()
        assert f'"data":{text}}}]' in ask(daemon, "GET /topics/a").body.decode()


class TestDelete:
    def test_clears_where_it_is_allowed(self) -> None:
        daemon = daemonOf(clear=("anyone",))
        position = post(daemon, "1", JSON, path="/topics/a?key=k").json["position"]
        assert ask(daemon, "DELETE /topics/a").status == 204
        shown = ask(daemon, "GET /topics/a").json
        assert (shown["history"], shown["last"], shown["position"]) == ([], [], position)

    def test_is_forbidden_by_default(self) -> None:
        daemon = daemonOf()
        post(daemon, "1", JSON)
        assert ask(daemon, "DELETE /topics/a").error[:2] == (403, "forbidden")
        assert len(ask(daemon, "GET /topics/a").json["history"]) == 1

    def test_of_a_filter_is_refused(self) -> None:
        assert ask(daemonOf(clear=("anyone",)), "DELETE /topics/%23").error[:2] == (400, "filter")


class TestRules:
    @pytest.fixture
    def daemon(self, tmp_path: Path) -> Daemon:
        path = tmp_path / "secret"
        path.write_bytes(SECRET)
        return daemonOf(
            token_key=str(path), publish=("token",), history=("token",), presence=("anyone",), subscribe=("token",)
        )

    def header(self, **claims: Any) -> str:
        return f"Authorization: Bearer {tokenOf(topics=claims)}"

    def test_hold_for_every_method(self, daemon: Daemon) -> None:
        subscriber = at(daemon, "a", f"?token={tokenOf(topics={'subscribe': ['a']})}")
        assert post(daemon, "1", TEXT).error[:2] == (401, "unauthorized")
        assert post(daemon, "1", TEXT).headers["www-authenticate"] == "Bearer"
        assert post(daemon, "1", TEXT, self.header(publish=["b"])).error[:2] == (403, "forbidden")
        assert heard(subscriber) == []
        assert post(daemon, "1", TEXT, self.header(publish=["a"])).status == 202
        assert heard(subscriber) == ["1"]
        for path in ("/topics/a?wait=1", "/topics/a?wait=1&since=a-1"):
            assert ask(daemon, f"GET {path}").error[:2] == (401, "unauthorized")
        events = ask(daemon, "GET /topics/a", "Accept: text/event-stream")
        assert events.error[:2] == (401, "unauthorized")

    def test_leave_out_what_may_not_be_seen(self, daemon: Daemon) -> None:
        assert ask(daemon, "GET /topics/a").json.keys() == {"topic", "members"}
        shown = ask(daemon, "GET /topics/a", self.header(subscribe=["a"])).json
        assert shown.keys() == {"topic", "position", "history", "last", "members"}


class TestPagesOfOtherSites:
    def test_may_ask_where_the_route_lets_them(self) -> None:
        daemon = daemonOf(origins=("https://shop.example",))
        origin = "Origin: https://shop.example"
        asked = ask(daemon, "OPTIONS /topics/a", origin, "Access-Control-Request-Method: POST")
        assert asked.status == 204
        assert asked.headers["access-control-allow-origin"] == "https://shop.example"
        assert "POST" in asked.headers["access-control-allow-methods"]
        assert "Idempotency-Key" in asked.headers["access-control-allow-headers"]
        answer = post(daemon, "1", TEXT, origin)
        assert answer.status == 202
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"

    @pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "OPTIONS"])
    def test_may_not_otherwise(self, method: str) -> None:
        daemon = daemonOf()
        subscriber = at(daemon, "a")
        answer = ask(daemon, f"{method} /topics/a", TEXT, "Origin: https://evil.example")
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
        assert heard(subscriber) == []


def test_other_methods_are_named() -> None:
    answer = ask(daemonOf(), "PUT /topics/a")
    assert answer.status == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST"
