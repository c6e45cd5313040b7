"""The log of a connection: each line has its id."""

from __future__ import annotations

import pytest

from tests.logs.test_lines import jsonOf, written
from tests.wire import Daemon
from wsd.protocols.echo import EchoFactory


class TestOfConnections:
    """What a site that is used writes."""

    def test_each_line_has_the_connections_id(self) -> None:
        with written("json") as text:
            client = Daemon({"/echo": EchoFactory}).open("/echo")
            client.close(1000, "bye")
        opened, closed = jsonOf(text())
        assert (opened["event"], closed["event"]) == ("connection.opened", "connection.closed")
        assert opened["id"] == closed["id"]
        assert (opened["route"], closed["code"], closed["cause"]) == ("/echo", 1000, "peer_closed")

    @pytest.mark.parametrize(
        ("route", "target", "path"),
        [("/canvas/*", "/canvas/sunset?delay=1", "/canvas/sunset"), ("/*", "/chat_wsh", "/chat_wsh"),
         ("/*", "/a%0Ab%1B%5B2J", "/a%0Ab%1B%5B2J"), ("/*", f"/{'x' * 1000}", f"/{'x' * 199}...")],
        ids=["below a prefix", "a handler's", "control characters", "a long one"],
    )  # fmt: skip
    def test_the_first_has_the_path_that_was_asked_for(self, route: str, target: str, path: str) -> None:
        with written("text") as text:
            Daemon({route: EchoFactory}).open(target)
        assert f"] opened {path} for 127.0.0.1:" in text()

    def test_payloads_headers_and_queries_are_in_none(self) -> None:
        with written("json", "debug") as text:
            daemon = Daemon({"/echo": EchoFactory})
            client = daemon.open("/echo?x=hidden", headers={"Authorization": "hidden", "Cookie": "hidden"})
            assert client.response is not None
            client = daemon.open("/echo", headers={"Authorization": "hidden", "Cookie": "hidden"})
            client.say("hidden")
            client.say(b"hidden\xff")
            client.protocol.send_text(b"hidden\xff")
            client.exchange()
            daemon.open("/nowhere?token=hidden")
        assert len(jsonOf(text())) >= 4
        assert "hidden" not in text()

    def test_a_request_that_is_turned_away_is_one_line(self) -> None:
        with written("json") as text:
            Daemon({"/echo": EchoFactory}).open("/nowhere?token=1")
        (entry,) = jsonOf(text())
        assert (entry["event"], entry["status"]) == ("request.refused", 404)
        assert entry["line"] == "GET /nowhere?... HTTP/1.1"
        assert entry["id"]
