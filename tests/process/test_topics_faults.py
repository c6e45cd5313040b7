"""Topics in real processes: kills, a Redis that goes and comes back, resumes, and clients that ask for too much."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.daemon import ROOT, RunningDaemon, runningDaemon
from tests.process.topicclients import heard
from tests.process.topicredis import mayHaveHosts
from tests.protocols.topics.redisserver import RedisServer

MIB = 1 << 20
whole = pytest.mark.soak


def module(name: str, *arguments: str) -> None:
    """Run a program of the tests. On a slow machine it may take long; `topicredis` ends when nothing moves any more."""
    command = [sys.executable, "-m", f"tests.process.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
    print(done.stdout)
    assert done.returncode == 0, done.stdout


def test_a_killed_daemon_with_a_file_loses_and_doubles_nothing() -> None:
    """A short run of `make soak`."""
    module("topickills", "--kills", "3")


def test_two_daemons_on_a_redis_that_is_killed_lose_and_double_nothing() -> None:
    """A short run of `make soak`."""
    module("topicredis", "--messages", "3000")


def test_a_client_of_these_runs_ends_when_it_is_cancelled_together_with_a_message() -> None:
    class Socket:
        def __init__(self) -> None:
            self.message = asyncio.get_running_loop().create_future()

        async def recv(self) -> Any:
            return await self.message

    async def cancel() -> None:
        socket: Any = Socket()
        task = asyncio.create_task(heard(socket))
        await asyncio.sleep(0)
        socket.message.set_result("text")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())


def test_so_do_two_hosts() -> None:
    """A short run of `make soak`."""
    reason = mayHaveHosts()
    if reason is not None:
        pytest.skip(f"{reason}; docs/development.md says what this needs")
    module("topicredis", "--messages", "3000", "--hosts")


# -- resuming ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file", "redis"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each kind, as it is configured."""
    if request.param != "redis":
        yield request.param
        return
    server = RedisServer()
    yield server.url
    server.stop()


def topics(**keys: object) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
    return "\n".join(['[route."/topics/*"]', *lines, ""])


def enveloped(daemon: RunningDaemon) -> ClientConnection:
    url = f"ws://127.0.0.1:{daemon.port()}/topics/"
    return connect(url, subprotocols=[Subprotocol("topics.wsd.v1")], compression=None, max_size=None)


def say(socket: ClientConnection, name: str, **fields: Any) -> Any:
    """Send a message, and return the next one."""
    socket.send(json.dumps({name: fields}))
    return json.loads(socket.recv(30))


def post(daemon: RunningDaemon, text: str, topic: str = "a") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port(), timeout=30)
    connection.request("POST", f"/topics/{topic}", text, {"Content-Type": "text/plain"})
    response = connection.getresponse()
    try:
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=whole)])
def test_a_resume_has_no_gap_within_the_retention_and_tells_of_one_beyond(backend: str, seconds: int) -> None:
    with runningDaemon(config=topics(backend=backend, history_count=50)) as daemon:
        while post(daemon, "0")[0] != 202:
            time.sleep(0.05)
        with enveloped(daemon) as socket:
            position = say(socket, "subscribe", topic="a")["subscribed"]["position"]
        for number in range(25):
            post(daemon, str(number))
        time.sleep(seconds)
        for number in range(25, 50):
            post(daemon, str(number))
        with enveloped(daemon) as socket:
            answer = say(socket, "subscribe", topic="a", since=position)["subscribed"]
            assert (answer["recovered"], answer["gap"]) == (50, False)
            texts = [json.loads(socket.recv(30))["message"]["text"] for _ in range(50)]
            assert texts == [str(number) for number in range(50)]
        post(daemon, "50")
        with enveloped(daemon) as socket:
            answer = say(socket, "subscribe", topic="a", since=position)["subscribed"]
            assert (answer["recovered"], answer["gap"]) == (50, True)
        with connect(f"ws://127.0.0.1:{daemon.port()}/topics/a?since={position}") as plain:
            with pytest.raises(ConnectionClosed):
                plain.recv(30)
            assert plain.close_code == 4010


# -- clients that ask for too much ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mebibytes", [120, pytest.param(200, marks=whole)])
def test_clients_that_never_read_take_no_more_than_their_bounds(mebibytes: int) -> None:
    """Ten clients with 100 filters each. What waits is shared, and bounded for each."""
    with runningDaemon(config=topics(slow_size="1 MiB", history_count=10)) as daemon, ExitStack() as clients:
        for _ in range(10):
            socket = clients.enter_context(enveloped(daemon))
            for number in range(100):
                say(socket, "subscribe", topic="#" if number == 0 else f"{'+/' * (number % 7)}{number}")
            # The thread of `websockets` reads no more than this.
            socket.recv_bufsize = 0
            socket.recv_messages.high = 1
            socket.socket.setsockopt(1, 8, 4096)
        before = daemon.memory
        text = "x" * (MIB - 1000)
        for _ in range(mebibytes):
            assert post(daemon, text)[0] == 202
        assert daemon.memory - before < 100 * MIB
        print(f"{(daemon.memory - before) / MIB:.0f} MiB more")


@pytest.mark.parametrize("count", [1000, pytest.param(3000, marks=whole)])
def test_a_stranger_who_names_thousands_of_topics_pushes_out_no_last_value(count: int) -> None:
    with runningDaemon(config=topics(max_topics=100)) as daemon, enveloped(daemon) as socket:
        say(socket, "publish", id=0, topic="kept", data=1, key="k")
        for number in range(count):
            socket.send(json.dumps({"publish": {"id": number, "topic": f"t/{number}", "data": 1}}))
        answers = [json.loads(socket.recv(30)) for _ in range(count)]
        assert all("published" in answer for answer in answers)
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port(), timeout=30)
        connection.request("GET", "/topics/kept")
        assert [each["data"] for each in json.loads(connection.getresponse().read())["last"]] == [1]
        connection.close()


@pytest.mark.parametrize("count", [1000, pytest.param(2000, marks=whole)])
def test_a_storm_of_members_and_direct_messages_ends_who_does_not_read_alone(count: int) -> None:
    with runningDaemon(config=topics(slow_count=100)) as daemon, ExitStack() as clients:
        watcher, deaf, storm = (clients.enter_context(enveloped(daemon)) for _ in range(3))
        say(watcher, "subscribe", topic="a", presence=True)
        member = say(deaf, "enter", topic="a", state="x" * 900)["entered"]["member"]
        assert "presence" in json.loads(watcher.recv(30))
        assert "entered" in say(storm, "enter", topic="a")
        for number in range(count):
            storm.send(json.dumps({"direct": {"id": number, "topic": "a", "to": member, "text": "x" * 20_000}}))
        answers = [json.loads(storm.recv(30)) for _ in range(count)]
        codes = {answer["error"]["code"] if "error" in answer else "directed" for answer in answers}
        assert codes <= {"directed", "no_member"}
        assert post(daemon, "still there")[0] == 202
        events = [json.loads(watcher.recv(30)) for _ in range(2)]
        assert "still there" in json.dumps(events) or "leave" in json.dumps(events)


@pytest.mark.parametrize("query", ["?wait=60", ""], ids=["long polls", "event streams"])
def test_the_stop_waits_for_no_endless_answer(query: str) -> None:
    with runningDaemon(config=f"drain = 30\n{topics()}") as daemon:
        opened = []
        for _ in range(100):
            connection = http.client.HTTPConnection("127.0.0.1", daemon.port(), timeout=30)
            connection.request("GET", f"/topics/a{query}", headers={} if query else {"Accept": "text/event-stream"})
            opened.append(connection)
        responses = [] if query else [connection.getresponse() for connection in opened]
        assert post(daemon, "x", "other")[0] == 202
        begun = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begun < 15
        for response in responses or [connection.getresponse() for connection in opened]:
            assert response.status == 200
            response.read()
