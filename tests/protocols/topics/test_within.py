"""Topics for other protocols of the same daemon, which find the route by `meet`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.protocols.topics.routes import ask, at, daemonOf, heard
from wsd.protocols.topics.errors import TopicError


def test_what_they_publish_comes_to_every_subscriber_and_stays_as_the_last_value() -> None:
    daemon = daemonOf()
    client = at(daemon, "market")
    factory: Any = daemon.factories["/topics/*"]
    acknowledged = factory.publishJson("market", [("A", {"price": 1.5}), ("B", 2), (None, "free")])
    assert [each.position.offset for each in acknowledged.result] == [1, 2, 3]
    assert heard(client) == ['{"price":1.5}', "2", '"free"']
    last = ask(daemon, "GET /topics/market").json["last"]
    assert [(each["key"], each["data"]) for each in last] == [("A", {"price": 1.5}), ("B", 2)]


def test_null_removes_the_last_value_of_its_key() -> None:
    daemon = daemonOf()
    factory: Any = daemon.factories["/topics/*"]
    factory.publishJson("market", [("A", 1), ("B", 2)])
    factory.publishJson("market", [("A", None)])
    assert [each["key"] for each in ask(daemon, "GET /topics/market").json["last"]] == ["B"]


@pytest.mark.parametrize("topic", ["", "a//b", "a/+", "#"])
def test_a_topic_must_be_a_name(topic: str) -> None:
    factory: Any = daemonOf().factories["/topics/*"]
    with pytest.raises(TopicError):
        factory.publishJson(topic, [(None, 1)])


def test_they_learn_whether_anybody_subscribes() -> None:
    daemon = daemonOf()
    factory: Any = daemon.factories["/topics/*"]
    assert factory.subscribers("market") == 0
    clients = [at(daemon, "market") for _ in range(2)]
    assert factory.subscribers("market") == 2
    assert factory.subscribers("other") == 0
    clients[0].wire.close()
    assert factory.subscribers("market") == 1
    assert json.loads(ask(daemon, "GET /topics/market").body)["history"] == []
