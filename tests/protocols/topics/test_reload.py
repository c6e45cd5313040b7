"""A reload that changes a route of topics: its keys hold, and its topics, subscribers and members stay."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from tests.pool import PoolAtOnce
from tests.protocols.topics.routes import Answer, Events, at, heard, request
from tests.protocols.topics.test_enveloped import ask, enveloped
from tests.protocols.topics.test_tokens import SECRET
from tests.wire import Client, Wire
from wsd.config import parse
from wsd.protocols import optionsOf
from wsd.protocols.topics.options import TopicsOptions
from wsd.protocols.topics.protocol import TopicsFactory
from wsd.service import Daemon

KEYS: dict[str, object] = {
    "publish": "user",
    "subscribe": "user",
    "history": "user",
    "presence": "user",
    "direct": "user",
    "clear": "anyone",
    "token_key": "{folder}/key",
    "token_audience": "x",
    "token_issuer": "x",
    "backend": "file",
    "store": "{folder}/topics.sqlite",
    "redis_prefix": "x",
    "slow": "latest",
}
"""Other values than the default; a number is one more."""


def other(name: str, folder: Path) -> object:
    default: Any = getattr(TopicsOptions(), name)
    value = KEYS[name] if name in KEYS else default + 1
    return value.replace("{folder}", str(folder)) if isinstance(value, str) else value


class Reloaded:
    """A daemon in memory with topics, whose configuration is written anew."""

    def __init__(self, folder: Path, keys: str = "") -> None:
        self.text = self._text(keys)
        self.daemon: Any = Daemon(self.read(), MemoryReactorClock(), self.read, {"STATE_DIRECTORY": str(folder)})
        pool = PoolAtOnce(self.daemon.reactor)
        object.__setattr__(self.daemon._parts, "pool", pool)
        factory: Any
        for factory in self.daemon.routes.factories:
            factory.pool = pool
            factory.parts.hub.backend.__dict__["_thread"] = pool.share("topics", "/topics", threads=1)
        self.daemon.startService()
        self.daemon.reactor.run()
        self.daemon.reactor.advance(0)

    @staticmethod
    def _text(keys: str) -> str:
        head = 'port = 0\nhost = "127.0.0.1"\nbuilt_in = false\n'
        return f'{head}[route."/topics/*"]\nprotocol = "topics"\n{keys}\n'

    def read(self) -> Any:
        return parse(self.text, optionsOf)

    def reload(self, keys: str) -> None:
        self.text = self._text(keys)
        self.daemon.reload()
        self.daemon.reactor.advance(0)

    @property
    def factory(self) -> Any:
        (factory,) = self.daemon.site.routeFor("/topics/a").distinct()
        assert isinstance(factory, TopicsFactory)
        return factory

    @property
    def backend(self) -> Any:
        return self.factory.parts.hub.backend

    # -- as tests.wire.Daemon -------------------------------------------------------------------------------------

    @property
    def site(self) -> Any:
        return self.daemon.site

    @property
    def reactor(self) -> Any:
        return self.daemon.reactor

    def connect(self, chunk: int | None = None) -> Wire:
        return Wire(self.daemon, chunk)

    def open(self, path: str, **arguments: Any) -> Client:
        return Client(self.connect(), path, **arguments).handshake()

    def post(self, text: str) -> Answer:
        return Answer(self.connect().exchange(request("POST /topics/a", "Content-Type: text/plain", body=text)))

    def stop(self) -> None:
        self.daemon.stopService()
        self.reactor.pump([0.1] * 300)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    begun: list[Reloaded] = []

    def begin(keys: str = "") -> Reloaded:
        begun.append(Reloaded(tmp_path, keys))
        return begun[-1]

    yield begin
    for each in begun:
        each.stop()


@pytest.mark.parametrize("name", [each.name for each in fields(TopicsOptions)])
def test_every_key_is_taken_up(start: Callable[..., Any], tmp_path: Path, name: str) -> None:
    (tmp_path / "key").write_bytes(SECRET)
    daemon, value = start(), other(name, tmp_path)
    daemon.reload(f"{name} = {json.dumps(value)}")
    taken = getattr(daemon.factory.options, name)
    assert taken == ((value,) if isinstance(taken, tuple) else value)
    assert daemon.factory.unusable is None
    assert daemon.post("1").status == (401 if name == "publish" else 202)


@pytest.mark.parametrize("backend", ["memory", "file"])
def test_topics_and_their_subscribers_stay(start: Callable[..., Any], backend: str) -> None:
    keys = f'backend = "{backend}"\n'
    daemon = start(keys)
    plain, watcher = at(daemon, "a"), enveloped(daemon)
    ask(watcher, "subscribe", topic="a", presence=True)
    ask(watcher, "enter", topic="a", state=1)
    first = daemon.post("1").json["position"]
    daemon.reload(f"{keys}max_members = 5\nhistory_count = 2")
    new = enveloped(daemon)
    (answer,) = ask(new, "members", topic="a")
    assert len(answer["members"]["members"]) == 1
    epoch = first.partition("-")[0]
    assert [daemon.post(text).json["position"] for text in "234"] == [f"{epoch}-{offset}" for offset in (2, 3, 4)]
    assert heard(plain) == ["1", "2", "3", "4"]
    assert heard(at(daemon, "a", "?history=9")) == ["3", "4"]
    plain.close()
    watcher.close()
    daemon.reactor.pump([1.0] * 10)
    assert daemon.daemon.routes.retired == []
    assert daemon.post("5").json["position"] == f"{epoch}-5"


def test_event_streams_and_long_polls_end_and_find_the_route_of_now(start: Callable[..., Any]) -> None:
    daemon = start()
    keeper = at(daemon, "a")
    events, poll = Events(daemon, "/topics/a"), daemon.connect()
    poll.exchange(request("GET /topics/a?wait=50"))
    daemon.reload("max_topics = 7")
    assert events.wire.exchange(b"").endswith(b"0\r\n\r\n")
    assert Answer(poll.exchange(b"")).json["messages"] == []
    again = Events(daemon, "/topics/a")
    daemon.post("1")
    assert "data: 1" in again.read()
    assert heard(keeper) == ["1"]


def test_the_stop_ends_event_streams_and_long_polls_at_once(start: Callable[..., Any]) -> None:
    daemon = start()
    events, poll = Events(daemon, "/topics/a"), daemon.connect()
    poll.exchange(request("GET /topics/a?wait=50"))
    daemon.daemon.stopService()
    events.wire.serve()
    poll.serve()
    assert events.wire.read().endswith(b"0\r\n\r\n")
    assert Answer(poll.read()).json["messages"] == []


def test_two_routes_with_one_file_are_one(start: Callable[..., Any]) -> None:
    daemon = start('backend = "file"\n[route."/more/*"]\nprotocol = "topics"\nbackend = "file"')
    one, two = (daemon.site.routeFor(path).distinct()[0] for path in ("/topics/a", "/more/a"))
    assert one.parts.hub is two.parts.hub
    client = daemon.open("/more/a")
    assert daemon.post("1").status == 202
    assert heard(client) == ["1"]
