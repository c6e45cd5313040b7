"""What each command tells and does."""

from __future__ import annotations

import os
import re
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from tests.control.controlled import Controlled
from wsd import __version__
from wsd.connection import CannotStart
from wsd.head import Refused
from wsd.protocols.echo import EchoFactory
from wsd.service.multiprocess import UpgradeRefused


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


class TestStatus:
    def test_has_the_daemon_and_its_routes(self, controlled: Controlled) -> None:
        controlled.open().say("hello")
        controlled.pass_(3)
        items, status = controlled.ask("status")
        assert items == []
        assert (status["ok"], status["state"], status["ready"], status["reasons"]) == (True, "serving", True, [])
        assert (status["version"], status["pid"], status["log_level"]) == (__version__, os.getpid(), "info")
        assert (status["connections"], status["websockets"], status["uptime"]) == (1, 1, 3.0)
        assert [url.partition(":")[0] for url in status["listeners"]] == ["ws"]
        route = {"path": "/echo", "protocols": ["echo"], "connections": 1, "opened": 1, "messages": 2, "size": 10}
        assert status["routes"][0] == route


class TestConnections:
    def test_has_a_row_for_each(self, controlled: Controlled) -> None:
        client = controlled.open("/other/side?delay=0", subprotocols=["a"])
        client.say("hello")
        controlled.pass_(2)
        items, last = controlled.ask("connections")
        assert last == {"ok": True, "count": 1, "total": 1}
        (row,) = items
        port = client.wire.socket.getsockname()[1]
        assert row == {
            "id": controlled.connections[0].id,
            "route": "/other/*",
            "path": "/other/side",
            "address": "127.0.0.1",
            "port": port,
            "via": None,
            "user": None,
            "subprotocol": None,
            "state": "open",
            "age": 2.0,
            "messages_received": 1,
            "messages_sent": 1,
            "bytes_received": 5,
            "bytes_sent": 5,
            "unsent": 0,
            "full": False,
            "round_trip": None,
        }

    def test_are_filtered(self, controlled: Controlled) -> None:
        first = controlled.connection(controlled.open())
        first.user = "alice"
        controlled.pass_(10)
        second = controlled.connection(client := controlled.open("/other/x"))
        client.say("x" * 100)

        def chosen(**filters: object) -> list[str]:
            return sorted(ids(controlled.ask("connections", **filters)[0]))

        both = sorted([first.id, second.id])
        assert chosen() == both
        assert chosen(route="/echo") == [first.id]
        assert chosen(route="/other/*") == chosen(route="/other") == [second.id]
        assert chosen(route="/ech") == []
        assert chosen(user="alice") == [first.id]
        assert chosen(address="127.0.0.1") == chosen(address="127.0.0.0/8") == both
        assert chosen(address="192.0.2.1") == chosen(address="::/0") == chosen(address="unix") == []
        assert chosen(older=5) == [first.id]
        assert chosen(younger=5) == [second.id]
        assert chosen(bytes=200) == [second.id]
        assert chosen(bytes=201) == []
        assert chosen(ids=second.id) == [second.id]
        assert chosen(ids=[first.id, "none"]) == [first.id]
        assert chosen(route="/echo", user="bob") == []

    def test_are_sorted_and_limited(self, controlled: Controlled) -> None:
        clients = [controlled.open(path) for path in ("/echo", "/other/a", "/echo")]
        for client, size in zip(clients, (20, 30, 10), strict=True):
            client.say("x" * size)
        low, high, middle = (controlled.connection(clients[number]).id for number in (2, 1, 0))

        def order(**fields: object) -> list[str]:
            return ids(controlled.ask("connections", **fields)[0])

        assert order(sort="bytes") == [high, middle, low]
        assert order(sort="bytes", reverse=True) == [low, middle, high]
        assert order(sort="bytes", limit=2) == [high, middle]
        assert order(sort="route")[-1] == high
        assert order(limit=0) == order(sort="bytes", limit=0) == []
        assert len(order(limit=2)) == 2

    def test_that_are_many_are_all_there_in_order(
        self, controlled: Controlled, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = controlled.connection(controlled.open())
        many = [connection] * 2345
        monkeypatch.setattr(type(controlled.steering), "connections", property(lambda steering: many))
        for sort in (None, "age", "address"):
            items, last = controlled.ask("connections", sort=sort)
            assert (len(items), last["count"]) == (2345, 2345)
            assert controlled.ask("connections", sort=sort, limit=1234)[1]["count"] == 1234

    def test_that_are_being_opened_are_there_too(self, controlled: Controlled) -> None:
        connection = controlled.connection(controlled.open())
        connection._Engine__state = connection.STATE_CONNECTING
        assert [(row["state"], row["age"]) for row in controlled.ask("connections")[0]] == [("opening", 0.0)]
        connection._Engine__state = connection.STATE_OPEN

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"sort": "size"}, 'sort: "size" is not one of "age", "bytes", '),
            ({"limit": -1}, "limit: -1 is not a number from 0 on"),
            ({"limit": 1.5}, "limit: 1.5 is not a whole number"),
            ({"older": "1h"}, 'older: "1h" is not a number from 0 on'),
            ({"older": True}, "older: true is not a number from 0 on"),
            ({"reverse": "yes"}, 'reverse: "yes" is not true or false'),
            ({"address": "10.0.0.0/33"}, 'address: "10.0.0.0/33" is not an address or a network ('),
            ({"ids": [1]}, "ids: 1 is not a string"),
            ({"route": 1}, "route: 1 is not a string"),
            ({"rout": "/"}, 'there is no field "rout" in this command; did you mean "route"?'),
        ],
        ids=str,
    )
    def test_a_filter_that_is_wrong_is_refused(
        self, controlled: Controlled, fields: dict[str, object], sentence: str
    ) -> None:
        assert controlled.refusal("connections", **fields).startswith(sentence)


class TestShow:
    def test_has_everything_that_is_not_secret(self, controlled: Controlled) -> None:
        headers = {"Cookie": "secret=1", "User-Agent": "a\x85b", "Authorization": "Bearer secret"}
        client = controlled.open("/echo?delay=0", headers=headers)
        client.say("hello")
        controlled.pass_(1)
        connection = controlled.connection(client)
        told = controlled.ask("show", id=connection.id)[1]["connection"]
        assert not {"secret", "delay"} & set(re.findall(r"[a-z]+", str(told)))
        assert told["handshake"]["headers"] == {"Host": "localhost:9998", "User-Agent": "a\\x85b"}
        assert told["handshake"]["extensions"] == ""
        assert told["tls"] is None
        assert told["cause"] is None
        kernel = told["buffers"].pop("kernel")
        assert 0 <= kernel < 1000, "what the client's kernel has not acknowledged yet"
        assert told["buffers"] == {"unsent": 0, "memory": 0}
        policies = connection.factory.policies
        assert told["limits"] == {
            "max_message": policies.max_message,
            "high_water": policies.high_water,
            "max_unsent": policies.max_unsent,
            "full": False,
            "times_full": 0,
            "reading_held": False,
        }
        assert 0 < told["round_trip_tcp"] < 1
        assert told["opened"].endswith("+00:00")

    def test_has_the_round_trip_of_the_latest_ping(self, controlled: Controlled) -> None:
        client = controlled.open()
        connection = controlled.connection(client)
        for _ in range(60):
            # The client answers in the next step of the clock.
            controlled.pass_(0.5, 0.5)
        assert controlled.ask("show", id=connection.id)[1]["connection"]["round_trip"] == pytest.approx(0.0, abs=0.6)
        assert connection.roundTrip is not None

    def test_has_the_limits_that_were_reached(self, controlled: Controlled) -> None:
        client = controlled.open()
        connection = controlled.connection(client)
        connection.pauseProducing()
        connection.hold()
        limits = controlled.ask("show", id=connection.id)[1]["connection"]["limits"]
        assert (limits["full"], limits["times_full"], limits["reading_held"]) == (True, 1, True)
        connection.release()
        connection.resumeProducing()
        limits = controlled.ask("show", id=connection.id)[1]["connection"]["limits"]
        assert (limits["full"], limits["times_full"], limits["reading_held"]) == (False, 1, False)

    def test_of_an_unknown_one_says_so(self, controlled: Controlled) -> None:
        assert controlled.refusal("show", id="0123456789") == (
            'there is no open connection with the id "0123456789"; "wsd ctl connections" lists them'
        )
        assert controlled.refusal("show").startswith("show needs the id of a connection")


class TestClose:
    def test_by_id_closes_that_one_with_its_code_and_reason(self, controlled: Controlled) -> None:
        one, other = controlled.open(), controlled.open()
        connection = controlled.connection(one)
        assert controlled.ask("close", ids=[connection.id], code=4000, reason="bye")[1] == {"ok": True, "closed": 1}
        assert (one.closeCode, one.protocol.close_reason) == (4000, f"bye [{connection.id}]")
        assert connection.cause == "operator"
        assert controlled.daemon.metrics.routes["/echo"].closed == {"operator": 1}
        assert other.protocol.state.name == "OPEN"

    def test_by_filters_closes_all_that_match(self, controlled: Controlled) -> None:
        clients = [controlled.open(path) for path in ("/echo", "/echo", "/other/x")]
        assert controlled.ask("close", route="/echo")[1]["closed"] == 2
        assert [client.closeCode for client in clients[:2]] == [1001, 1001]
        assert str(clients[0].protocol.close_reason).startswith("the operator closed this connection [")
        assert controlled.ask("close", all=True)[1]["closed"] == 1
        assert clients[2].closeCode == 1001

    def test_counts_none_that_closes_already(self, controlled: Controlled) -> None:
        controlled.open()
        assert controlled.ask("close", all=True)[1]["closed"] == 1
        assert controlled.ask("close", all=True)[1]["closed"] == 0

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({}, "close needs to know which connections: name ids, a filter such as route, or all"),
            ({"code": 4000}, "close needs to know which connections: "),
            ({"all": True, "code": 1005}, "code: 1005 is not a close code that may be sent; use 1000 to 1003, "),
            ({"all": True, "reason": "é" * 62}, "reason: a close frame has room for only 123 bytes of UTF-8 "),
            ({"ids": ["none"]}, 'there is no open connection with the id "none"; '),
        ],
        ids=str,
    )
    def test_that_is_wrong_closes_nothing(
        self, controlled: Controlled, fields: dict[str, object], sentence: str
    ) -> None:
        client = controlled.open()
        assert controlled.refusal("close", **fields).startswith(sentence)
        assert client.exchange() == []


class TestDrain:
    def test_closes_all_and_refuses_new_ones_until_it_is_undone(self, controlled: Controlled) -> None:
        client = controlled.open()
        control = controlled.control()
        control.send(b'{"command": "drain"}\n')
        assert controlled.ask("status")[1]["state"] == "draining"
        assert controlled.daemon.readiness()[3] == ["the daemon is draining"]
        with pytest.raises(Refused):
            controlled.daemon.site.checkServing()
        controlled.pass_(1)
        assert client.closeCode == 1001
        assert str(client.protocol.close_reason).startswith("the server is shutting down [")
        (last,) = control.lines
        assert (last["ok"], last["closed"]) == (True, 1)
        assert controlled.ask("resume")[1] == {"ok": True}
        assert controlled.daemon.readiness()[0]
        assert controlled.open().say("again")

    def test_waits_for_pending_answers_and_tells_how_many_are_left(self, controlled: Controlled) -> None:
        client = controlled.open()
        controlled.connection(client).hold()
        control = controlled.control()
        control.send(b'{"command": "drain", "timeout": 3}\n')
        controlled.pass_(2.5)
        assert control.lines == [{"left": 1}, {"left": 1}]
        assert client.protocol.state.name == "OPEN"
        controlled.pass_(2)
        assert client.closeCode == 1001
        assert control.lines[-1] == {"ok": True, "closed": 1, "seconds": pytest.approx(3.1, abs=0.2)}

    def test_that_is_undone_ends_and_keeps_what_is_left(self, controlled: Controlled) -> None:
        client = controlled.open()
        controlled.connection(client).hold()
        control = controlled.control()
        control.send(b'{"command": "drain", "timeout": 30}\n')
        controlled.pass_(1.5)
        assert controlled.ask("resume")[1]["ok"]
        assert control.lines[-1] == {"ok": False, "error": "the drain was ended by resume"}
        controlled.pass_(35, 0.5)
        assert client.protocol.state.name == "OPEN"
        controlled.connection(client).release()

    def test_goes_on_without_the_client_that_asked_for_it(self, controlled: Controlled) -> None:
        client = controlled.open()
        control = controlled.control()
        control.send(b'{"command": "drain"}\n')
        control.protocol.connectionLost()
        controlled.pass_(3)
        assert client.closeCode == 1001
        assert controlled.connections == []

    def test_twice_or_of_nothing_is_refused(self, controlled: Controlled) -> None:
        assert controlled.refusal("resume") == "the daemon is not draining; there is nothing to resume"
        controlled.ask("drain", timeout=0)
        assert controlled.refusal("drain") == "the daemon is draining; there is nothing else to drain"

    def test_is_followed_by_a_stop_as_always(self, controlled: Controlled) -> None:
        controlled.ask("drain", timeout=0)
        controlled.daemon.stopService()
        controlled.pass_(10, 0.2)
        assert controlled.refusal("drain") == "the daemon is stopping; there is nothing else to drain"
        assert controlled.refusal("resume") == "the daemon is not draining; there is nothing to resume"


class TestReload:
    def test_tells_what_has_changed(self, controlled: Controlled) -> None:
        controlled.text = controlled.text.replace("drain = 2", "drain = 3")
        assert controlled.ask("reload")[1] == {"ok": True, "changed": ["drain"], "warnings": []}
        assert controlled.ask("reload")[1]["changed"] == []

    def test_that_is_refused_says_why(self, controlled: Controlled) -> None:
        controlled.text += "max_message = 0\n"
        assert controlled.refusal("reload") == (
            'not reloaded, the old configuration stays in use: route."/other/*".max_message: '
            "0 is too small; the minimum is 1"
        )

    def test_waits_for_its_new_routes_and_tells_those_that_cannot_start(
        self, controlled: Controlled, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        starting: Deferred[None] = Deferred()
        monkeypatch.setattr(EchoFactory, "started", lambda factory: starting)
        controlled.text += '[route."/new"]\nprotocol = "echo"\n'
        control = controlled.control()
        control.send(b'{"command": "reload"}\n')
        assert control.lines == []
        starting.errback(CannotStart("the disk is full"))
        (last,) = control.lines
        assert last["changed"] == ['route."/new"']
        assert last["warnings"] == ["/new: it could not be started: the disk is full"]

    def test_while_the_daemon_stops_is_refused(self, controlled: Controlled) -> None:
        controlled.daemon.stopService()
        assert controlled.refusal("reload").endswith(": the daemon is not running")


class TestUpgrade:
    def test_tells_its_outcome(self, controlled: Controlled) -> None:
        controlled.daemon.upgrades = lambda: succeed("process 7 serves now")
        assert controlled.ask("upgrade")[1] == {"ok": True, "outcome": "process 7 serves now"}

    def test_that_fails_says_why(self, controlled: Controlled) -> None:
        controlled.daemon.upgrades = lambda: fail(UpgradeRefused("it is broken"))
        assert controlled.refusal("upgrade") == "not upgraded, this process serves on: it is broken"

    def test_is_refused_while_the_daemon_stops(self, controlled: Controlled) -> None:
        controlled.daemon.upgrades = lambda: succeed("done")
        controlled.daemon.stopService()
        assert controlled.refusal("upgrade") == "not upgraded, this process serves on: the daemon is stopping"

    def test_refuses_a_reload_and_a_drain_meanwhile(self, controlled: Controlled) -> None:
        controlled.daemon.successor = SimpleNamespace(abort=int)
        assert "an upgrade is under way" in controlled.refusal("reload")
        assert controlled.refusal("drain") == "the daemon is being upgraded; drain the new process instead"


class TestLogLevel:
    def test_is_told_and_changed(self, controlled: Controlled) -> None:
        assert controlled.ask("log-level")[1] == {"ok": True, "level": "info", "before": "info"}
        assert controlled.ask("log-level", level="debug")[1] == {"ok": True, "level": "debug", "before": "info"}
        assert controlled.threshold is not None
        assert controlled.threshold.level == "debug"
        assert controlled.refusal("log-level", level="loud").startswith('level: "loud" is not one of "debug", "info"')

    def test_that_others_decide_cannot_be_changed(self, controlled: Controlled) -> None:
        controlled.steering._threshold = None
        assert controlled.refusal("log-level").startswith("syslog or a logger of your own decides the level")
        assert controlled.ask("status")[1]["log_level"] is None
