"""describe: the request as the server saw it."""

from __future__ import annotations

import json

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.wire import Daemon
from wsd.protocols.describe import DescribeFactory


def test_over_http_it_is_json_with_every_field() -> None:
    wire = Daemon({"/describe": DescribeFactory}).connect()
    answer = wire.exchange(b"GET /describe?a=b HTTP/1.1\r\nHost: localhost\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: application/json; charset=utf-8\r\n" in head
    told = json.loads(body)
    assert set(told) == {"id", "line", "headers", "peer", "tls", "subprotocol", "extensions"}
    assert told["line"] == "GET /describe?a=b HTTP/1.1"
    assert told["headers"] == [["Host", "localhost"], ["X-Twice", "1"], ["x-twice", "2"]]
    assert told["peer"]["address"] == "127.0.0.1"
    assert told["peer"]["direct"] is True
    assert told["tls"] is None


def test_over_a_websocket_it_is_the_first_message_and_the_answer_to_each() -> None:
    daemon = Daemon({"/describe": DescribeFactory}, subprotocols=("one",))
    client = daemon.open("/describe", subprotocols=["one"], extensions=[ClientPerMessageDeflateFactory()])
    client.say("again")
    first, second = (json.loads(message) for message in client.messages())
    assert first == second
    assert first["subprotocol"] == "one"
    assert first["extensions"] == "permessage-deflate"
    (connection,) = daemon.connections
    assert first["id"] == connection.id
