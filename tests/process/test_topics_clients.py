"""Topics by clients that nobody here wrote: npm's eventsource and reconnecting-websocket, curl, Python's websockets."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection

from tests.commands import PATIENCE
from tests.topics import TopicsServer, asked, scripted, tell

SCRIPT = Path(__file__).parent / "topics.mjs"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TopicsServer]:
    server = TopicsServer(tmp_path)
    server.start()
    yield server
    server.kill()


class Client:
    """A client in a process of its own, which says lines."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line(self) -> str:
        """The next line."""
        return self._lines.get(timeout=PATIENCE)

    def said(self) -> Any:
        """The next line, of JSON."""
        return json.loads(self.line())

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()


@contextmanager
def running(*command: str) -> Iterator[Client]:
    client = Client(command)
    try:
        yield client
    finally:
        client.process.kill()
        client.process.communicate()


def node(kind: str, url: str) -> Any:
    return running("node", str(SCRIPT), kind, url)


def curl(*arguments: str, stdin: str = "") -> str:
    """What curl prints; it fails for a status of 400 and above."""
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", "--max-time", "30", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def post(server: TopicsServer, topic: str, text: str) -> str:
    """Publish a text by curl: its position."""
    answer = curl("-H", "Content-Type: text/plain", "--data-binary", "@-", server.url(topic, "http"), stdin=text)
    position: str = json.loads(answer)["position"]
    return position


class TestCurl:
    def test_publishes_and_reads(self, server: TopicsServer) -> None:
        first = post(server, "quotes/ACME", "größer")
        answer = json.loads(curl("--json", '{"price": 17.5}', server.url("quotes/ACME", "http") + "?key=ACME"))
        found = json.loads(curl(server.url("quotes/ACME", "http")))
        assert found["history"] == [
            {"topic": "quotes/ACME", "position": first, "type": "text/plain", "text": "größer"},
            {"topic": "quotes/ACME", "position": answer["position"], "key": "ACME", "data": {"price": 17.5}},
        ]
        assert found["last"] == found["history"][1:]

    def test_publishes_many_lines_all_or_none(self, server: TopicsServer) -> None:
        ndjson = ("-H", "Content-Type: application/x-ndjson", "--data-binary", "@-", server.url("many", "http"))
        answer = json.loads(curl(*ndjson, stdin='{"n": 1}\n{"n": 2}\n{"n": 3}\n'))
        assert (answer["count"], answer["position"].partition("-")[2]) == (3, "3")
        refused = subprocess.run(
            ["curl", "-sS", "-w", "%{http_code}", *ndjson], input='{"n": 4}\n{"n":', capture_output=True, text=True
        )
        body, _, status = refused.stdout.rpartition("\n")
        assert (status, json.loads(body)["error"]) == ("400", {"code": "bad_message", "message": "line 2 is not JSON"})
        found = json.loads(curl(server.url("many", "http")))
        assert [message["data"]["n"] for message in found["history"]] == [1, 2, 3]

    def test_publishes_once(self, server: TopicsServer) -> None:
        once = ("-H", "Idempotency-Key: k", "--json", "1", server.url("once", "http"))
        first, second = json.loads(curl(*once)), json.loads(curl(*once))
        assert second == {**first, "duplicate": True}

    def test_streams_events(self, server: TopicsServer) -> None:
        post(server, "events", "before")
        with running(
            "curl", "-sSN", "-H", "Accept: text/event-stream", f"{server.url('events', 'http')}?history=1"
        ) as events:
            assert [events.line(), events.line()] == ["retry: 2000", ""]
            assert [events.line() for _ in range(3)][1:] == ["data: before", ""]
            position = post(server, "events", "two\nlines")
            assert [events.line() for _ in range(4)] == [f"id: {position}", "data: two", "data: lines", ""]

    def test_polls(self, server: TopicsServer) -> None:
        position = post(server, "polled", "1")
        with running("curl", "-sS", f"{server.url('polled', 'http')}?wait=30&since={position}") as poll:
            second = post(server, "polled", "2")
            answer = poll.said()
        assert (answer["position"], [message["text"] for message in answer["messages"]]) == (second, ["2"])


class TestNpmEventsource:
    def test_goes_on_where_it_was_when_the_daemon_was_killed(self, server: TopicsServer) -> None:
        with node("eventsource", server.url("events", "http")) as source:
            assert source.said() == {"open": True}
            first = post(server, "events", "1")
            assert source.said() == {"data": "1", "lastEventId": first}
            server.kill()
            server.start()
            second = post(server, "events", "2")
            heard = [source.said(), source.said()]
            assert heard == [{"open": True}, {"data": "2", "lastEventId": second}]
            third = post(server, "events", "3")
            assert source.said() == {"data": "3", "lastEventId": third}


class TestNpmReconnectingWebsocket:
    def test_speaks_the_plain_form_again_when_the_daemon_was_killed(self, server: TopicsServer) -> None:
        url = server.url("plain")
        with (
            node("reconnecting-websocket", f"{url}?role=publisher") as publisher,
            node("reconnecting-websocket", f"{url}?role=subscriber") as subscriber,
        ):
            for text in ("1", "2"):
                assert publisher.said() == subscriber.said() == {"open": True}
                publisher.say(text)
                assert subscriber.said() == {"data": text}
                if text == "1":
                    server.kill()
                    server.start()


class TestTheModuleInNode:
    def test_resumes_and_publishes_what_waits_when_the_daemon_was_killed(self, server: TopicsServer) -> None:
        with node("module", server.url()) as client:
            assert client.said() == {"open": True}
            client.say("!1")
            heard = [client.said() for _ in range(2)]
            assert {"data": "!1"} in heard
            epoch = next(message["position"] for message in heard if "position" in message).partition("-")[0]
            server.kill()
            client.say("!2")
            server.start()
            heard = [client.said() for _ in range(3)]
            assert {"open": True} in heard
            assert {"data": "!2"} in heard
            assert {"position": f"{epoch}-2"} in heard

    def test_resumes_from_the_last_position_when_it_was_too_slow(self) -> None:
        resumed: queue.Queue[Any] = queue.Queue()

        def slow(connection: ServerConnection) -> None:
            _, fields = asked(connection)
            tell(connection, "subscribed", id=fields["id"], topic="module", position="e-5")
            tell(connection, "message", topic="module", position="e-6", text="1")
            connection.close(4008, "this client reads too slowly")

        def resumes(connection: ServerConnection) -> None:
            _, fields = asked(connection)
            resumed.put(fields)
            tell(connection, "subscribed", id=fields["id"], topic="module", position="e-8", recovered=0, gap=True)
            tell(connection, "gap", topic="module", skipped=2)

        with scripted(slow, resumes) as url, node("module", url) as client:
            heard = [client.said() for _ in range(5)]
        assert resumed.get(timeout=PATIENCE) == {"id": 1, "topic": "module", "since": "e-6"}
        assert heard == [
            {"open": True},
            {"data": "1"},
            {"open": True},
            {"gap": {"topic": "module", "position": "e-8"}},
            {"gap": {"topic": "module", "skipped": 2}},
        ]

    def test_sends_a_publish_again_and_resumes_behind_its_own(self) -> None:
        requests: queue.Queue[Any] = queue.Queue()

        def publishes(connection: ServerConnection) -> None:
            _, fields = asked(connection)
            tell(connection, "subscribed", id=fields["id"], topic="module", position="e-1")
            for offset in (2, 4):
                _, fields = asked(connection)
                tell(connection, "published", id=fields["id"], topic="module", position=f"e-{offset}")
            requests.put(asked(connection))
            connection.socket.close()

        def resumes(connection: ServerConnection) -> None:
            requests.put(asked(connection))
            tell(connection, "published", id=4, topic="module", position="e-5", duplicate=True)
            _, fields = asked(connection)
            requests.put(fields["since"])
            end = {"position": "e-5", "replayed": 3, "recovered": 3, "gap": False}
            tell(connection, "subscribed", id=fields["id"], topic="module", **end)
            for offset in (3, 4, 5):
                tell(connection, "message", topic="module", position=f"e-{offset}", data=offset)
            tell(connection, "message", topic="module", position="e-6", data=6)

        with scripted(publishes, resumes) as url, node("module", url) as client:
            assert client.said() == {"open": True}
            for line, offset in (("1", 2), ("2", 4)):
                client.say(line)
                assert client.said() == {"position": f"e-{offset}"}
            client.say("3")
            heard = [client.said() for _ in range(4)]
        assert [message for message in heard if "data" in message] == [{"data": 3}, {"data": 6}]
        assert {"position": "e-5"} in heard
        first, second, since = (requests.get(timeout=PATIENCE) for _ in range(3))
        assert (since, first) == ("e-2", second)
        assert re.fullmatch(r"(\d+-){3}\d+", first[1]["once"])


class TestPythonWebsockets:
    def test_speaks_the_plain_form(self, server: TopicsServer) -> None:
        url = server.url("plain")
        with connect(url) as one, connect(url) as other:
            for message in ("größer", b"\0\1"):
                one.send(message)
                assert other.recv(PATIENCE) == message
        with connect(f"{url}?history=1") as late:
            assert late.recv(PATIENCE) == b"\0\1"

    def test_speaks_the_enveloped_form(self, server: TopicsServer) -> None:
        with connect(server.url(), subprotocols=["topics.wsd.v1"]) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == "topics.wsd.v1"
            for request in (
                {"subscribe": {"id": 1, "topic": "a/+"}},
                {"publish": {"id": 2, "topic": "a/b", "data": {"n": 1}, "echo": True}},
            ):
                socket.send(json.dumps(request))
            heard = [json.loads(socket.recv(PATIENCE)) for _ in range(3)]
            assert heard[0] == {"subscribed": {"id": 1, "topic": "a/+"}}
            published, message = sorted(heard[1:], key=lambda each: "message" in each)
            assert message["message"]["data"] == {"n": 1}
            assert published["published"]["position"] == message["message"]["position"]
