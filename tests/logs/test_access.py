"""Access lines: what each says, where it goes, a sample of them, and what a flood of them leaves."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.protocol import Protocol
from twisted.logger import LogEvent, LogLevel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.every import EveryFactory
from tests.logs.test_lines import NASTY, jsonOf, written
from tests.wire import Daemon
from wsd.config import Config, Policies
from wsd.connection import Accept, Connection, Factory, Request
from wsd.logs import ALIKE, AccessSettings, DaemonObserver, LineObserver, observer
from wsd.protocols.describe import DescribeFactory
from wsd.protocols.echo import EchoFactory
from wsd.why.records import recordOf

BEHIND = Config(trusted_proxies=("127.0.0.1", "::1"))
FORWARDED = {"X-Forwarded-For": "192.0.2.7"}


def get(daemon: Daemon, path: str, *lines: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: localhost", *lines, ""))
    return daemon.connect().exchange(head.encode())


class TestOfAWebSocket:
    """A line at its end, which says everything that is known of it."""

    def end(self, daemon: Daemon, **arguments: Any) -> dict[str, Any]:
        with written("json") as text:
            client = daemon.open("/?token=hidden", **arguments)
            client.say("hello")
            client.say(b"x" * 200)
            daemon.pass_(2)
            client.close(4000, "enough")
        (line,) = [entry for entry in jsonOf(text()) if entry["event"] == "connection.closed"]
        assert "hidden" not in text()
        return line

    def test_it_has_the_same_id_and_peer_as_that_of_its_beginning(self) -> None:
        with written("json") as text:
            Daemon({"/echo": EchoFactory}).open("/echo").close()
        opened, closed = jsonOf(text())
        assert {name: opened[name] for name in ("id", "peer", "path", "route")} == {
            name: closed[name] for name in ("id", "peer", "path", "route")
        }

    def test_it_has_what_went_each_way_and_how_long_it_took(self) -> None:
        line = self.end(Daemon({"/": EveryFactory}))
        assert (line["messages_received"], line["bytes_received"]) == (2, 205)
        assert (line["messages_sent"], line["bytes_sent"]) == (2, 206)
        assert line["duration"] == pytest.approx(2.25)

    def test_it_has_the_true_address_and_the_proxys(self) -> None:
        line = self.end(Daemon({"/": EveryFactory}, config=BEHIND), headers=FORWARDED)
        assert (line["peer"], line["via"]) == ("192.0.2.7", "127.0.0.1")

    def test_it_has_what_was_negotiated(self) -> None:
        line = self.end(Daemon({"/": EveryFactory}), subprotocols=["two"])
        assert line["subprotocol"] == "two"

    def test_it_has_the_extension(self) -> None:
        deflate = [ClientPerMessageDeflateFactory()]
        line = self.end(Daemon({"/": EveryFactory}), extensions=deflate)
        assert line["extensions"].startswith("permessage-deflate")

    def test_it_has_the_user_that_the_protocol_knows(self) -> None:
        with written("json") as text:
            Daemon({"/": NamedFactory}).open("/").close()
        assert jsonOf(text())[-1]["user"] == "anna"

    @pytest.mark.parametrize(
        ("say", "by", "cause", "code", "sent"),
        [
            (lambda client: client.close(1000, "bye"), "client", "peer_closed", 1000, 1000),
            (lambda client: client.wire.reset(), "network", "lost", 1006, None),
            (lambda client: client.say("close 4000"), "server", "closed", 4000, 4000),
            (lambda client: client.say(b"x" * 101), "server", "too_big", 1009, 1009),
        ],
        ids=["the client", "the network", "the protocol", "a limit"],
    )
    def test_it_has_who_ended_it_and_why(self, say: Any, by: str, cause: str, code: int, sent: int | None) -> None:
        daemon = Daemon({"/": EveryFactory}, replace(Policies(), max_message=100))
        with written("json") as text:
            client = daemon.open("/")
            say(client)
            client.wire.serve()
            daemon.pass_(10)
        line = jsonOf(text())[-1]
        assert line["event"] == "connection.closed"
        assert (line["by"], line["cause"], line["code"], line.get("sent")) == (by, cause, code, sent)

    def test_for_people_it_begins_as_ever_and_the_clients_words_come_last(self) -> None:
        with written() as text:
            client = Daemon({"/echo": EchoFactory}).open("/echo")
            client.say("hello")
            client.close(1000, "bye; user root")
        line = text().splitlines()[-1]
        assert "] closed: peer_closed, 1000, by the client; /echo for 127.0.0.1:" in line
        assert "; messages received 1 (5 bytes), sent 1 (5 bytes)" in line
        assert line.endswith("; reason: bye; user root")

    def test_it_has_what_the_client_was_told(self) -> None:
        with written() as text:
            client = Daemon({"/": EveryFactory}).open("/")
            (connection,) = client.wire.daemon.connections
            connection.close(4001, "the token has expired")
            client.exchange()
            client.wire.serve()
        line = text().splitlines()[-1]
        assert "; told: the token has expired; reason: the token has expired [" in line

    def test_it_has_the_code_that_was_sent_if_the_client_answers_with_another(self) -> None:
        with written() as text:
            client = Daemon({"/": EveryFactory}).open("/")
            (connection,) = client.wire.daemon.connections
            connection.close(4001, "the token has expired")
            client.wire.serve()
            client.wire.send(b"\x88\x82\0\0\0\0\x03\xe8")
            client.wire.serve()
        line = text().splitlines()[-1]
        assert "] closed: closed, 1000, by the server; " in line
        assert line.endswith("; sent code 4001; told: the token has expired")
        record = recordOf(line, line.partition("[")[2][:10])
        assert record is not None
        assert (record.fields["sent"], record.fields["told"]) == (4001, "the token has expired")

    def test_it_has_no_words_of_the_query(self) -> None:
        with written() as text:
            client = Daemon({"/echo": EchoFactory}).open("/echo?close=4321&reason=hidden")
            client.exchange()
            client.wire.serve()
        line = text().splitlines()[-1]
        assert "] closed: closed, " in line
        assert "told" not in line

    def test_nobody_writes_lines_of_his_own(self) -> None:
        with written() as text:
            client = Daemon({"/echo": EchoFactory}).open("/echo")
            client.close(1000, NASTY.replace("\ud800", ""))
        assert text().count("\n") == len(text().splitlines()) == 2

    def test_a_connection_whose_protocol_took_the_stream_has_one_too(self) -> None:
        with written("json") as text:
            wire = Daemon({"/": RawFactory}).open("/").wire
            wire.reset()
            wire.serve()
        (line,) = jsonOf(text())
        assert (line["event"], line["path"]) == ("connection.raw", "/")


class Named(Connection):
    """Knows its user."""

    async def opening(self, request: Request) -> Accept:
        self.user = "anna"
        return Accept()


class NamedFactory(Factory):
    connection = Named


class Raw(Connection):
    """Takes the stream."""

    async def opening(self, request: Request) -> None:
        request.takeRaw(Protocol())


class RawFactory(Factory):
    connection = Raw


class Waiting(Resource):
    """A page whose answer is never complete."""

    isLeaf = True

    def render_GET(self, request: Any) -> int:
        return NOT_DONE_YET


class WaitingFactory(Factory):
    def resource(self) -> Waiting:
        return Waiting()


class TestOfARequest:
    """A line at its end, of an HTTP request."""

    @pytest.fixture
    def daemon(self) -> Daemon:
        return Daemon({"/describe": DescribeFactory}, config=BEHIND)

    def test_it_has_what_was_asked_and_answered(self, daemon: Daemon) -> None:
        with written("json") as text:
            answer = get(daemon, "/describe?token=hidden", "X-Forwarded-For: 192.0.2.7")
        (line,) = jsonOf(text())
        assert "hidden" not in text()
        assert (line["event"], line["method"], line["path"], line["status"]) == (
            "request.answered",
            "GET",
            "/describe",
            200,
        )
        assert (line["peer"], line["via"]) == ("192.0.2.7", "127.0.0.1")
        assert line["bytes_sent"] == len(answer.partition(b"\r\n\r\n")[2])

    def test_each_of_a_connection_has_its_own(self, daemon: Daemon) -> None:
        with written("json") as text:
            wire = daemon.connect()
            for _ in range(2):
                wire.exchange(b"GET /describe HTTP/1.1\r\nHost: localhost\r\n\r\n")
        first, second = jsonOf(text())
        assert first["id"] != second["id"]

    def test_a_refused_one_has_one_line_alone(self, daemon: Daemon) -> None:
        with written("json") as text:
            get(daemon, "/nowhere")
        (line,) = jsonOf(text())
        assert (line["event"], line["status"], line["path"], line["method"]) == (
            "request.refused",
            404,
            "/nowhere",
            "GET",
        )

    def test_a_refused_handshake_has_the_true_address(self, daemon: Daemon) -> None:
        with written("json") as text:
            daemon.open("/nowhere", headers=FORWARDED)
        (line,) = jsonOf(text())
        assert (line["event"], line["peer"], line["via"]) == ("request.refused", "192.0.2.7", "127.0.0.1")

    def test_one_whose_client_left_says_so(self) -> None:
        daemon = Daemon({"/": WaitingFactory})
        with written("json") as text:
            wire = daemon.connect()
            wire.exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wire.reset()
            wire.serve()
        (line,) = jsonOf(text())
        assert line["event"] == "request.left"


def event(name: str = "connection.closed", at: float = 5000.0, **more: Any) -> LogEvent:
    return {
        "event": name,
        "id": "0000000000",
        "peer": "192.0.2.1:1",
        "log_format": "{event} {peer}",
        "log_level": LogLevel.info,
        "log_namespace": "wsd",
        "log_time": at,
        **more,
    }


class Written:
    """An observer of the daemon's log, and what it writes to the log and to the access file."""

    def __init__(self, level: str = "info", own: bool = False, **settings: Any) -> None:
        self._log, self._access = io.StringIO(), io.StringIO()
        accessLines = LineObserver("json", stream=self._access) if own else None
        lines = LineObserver("json", stream=self._log)
        self.observe: DaemonObserver = observer(lines, level, AccessSettings(**settings), accessLines)

    @property
    def log(self) -> list[dict[str, Any]]:
        return jsonOf(self._log.getvalue())

    @property
    def access(self) -> list[dict[str, Any]]:
        return jsonOf(self._access.getvalue())

    def events(self, own: bool = False) -> list[str]:
        return [entry["event"] for entry in (self.access if own else self.log)]


class TestWhereTheyGo:
    def test_to_the_log_by_default(self) -> None:
        here = Written()
        here.observe(event())
        assert here.events() == ["connection.closed"]

    def test_to_their_own_file_alone_whatever_the_level_of_the_log(self) -> None:
        here = Written("error", own=True)
        here.observe(event())
        here.observe(event("daemon.unusable", log_level=LogLevel.critical))
        assert (here.events(), here.events(own=True)) == (["daemon.unusable"], ["connection.closed"])

    def test_what_was_refused_to_both(self) -> None:
        here = Written(own=True)
        here.observe(event("request.refused", status=404))
        assert here.events() == here.events(own=True) == ["request.refused"]

    def test_nowhere_when_they_are_off_except_what_was_refused(self) -> None:
        here = Written(isEnabled=False)
        for name in ("connection.opened", "connection.closed", "request.answered", "request.refused"):
            here.observe(event(name, status=404))
        here.observe(event("connection.error", log_level=LogLevel.critical))
        assert here.events() == ["request.refused", "connection.error"]


class TestTheSample:
    def test_has_its_share_of_the_connections_and_both_lines_of_each(self) -> None:
        here = Written(sample=0.25, perMinute=0)
        for number in range(256):
            name = f"{number:02x}00000000"
            for kind in ("connection.opened", "connection.closed"):
                here.observe(event(kind, id=name, cause="peer_closed", code=number))
        opened = [entry["id"] for entry in here.log if entry["event"] == "connection.opened"]
        closed = [entry["id"] for entry in here.log if entry["event"] == "connection.closed"]
        assert closed == [f"{number:02x}00000000" for number in range(64)]
        assert opened == closed
        assert {entry["sample"] for entry in here.log} == {0.25}

    @pytest.mark.parametrize(
        "failure",
        [event(cause="too_big", code=1009), event(cause="internal_error"), event("request.answered", status=500)],
        ids=["a limit", "an error", "an answer"],
    )
    def test_has_every_failure(self, failure: LogEvent) -> None:
        here = Written(sample=0.0)
        here.observe({**failure, "id": "ffffffffff"})
        here.observe(event(cause="peer_closed", id="0000000001"))
        assert len(here.log) == 1


class TestAFlood:
    """So many lines of a kind in a minute, and so many in all; the others are counted."""

    def test_of_lines_alike_is_told_by_the_last_one_when_the_minute_is_over(self) -> None:
        here = Written()
        for number in range(ALIKE + 1205):
            here.observe(event(peer=f"192.0.2.1:{number}", cause="lost", id=f"{number:010x}"))
        here.observe.flush(5030.0)
        assert len(here.log) == ALIKE
        here.observe.flush(5060.0)
        last = here.log[-1]
        assert last["message"] == f"connection.closed 192.0.2.1:{ALIKE + 1204}; and 1,204 like it"
        assert (last["repeats"], last["id"], len(here.log)) == (1204, f"{ALIKE + 1204:010x}", ALIKE + 1)

    def test_one_that_was_left_out_alone_is_written_as_it_is(self) -> None:
        here = Written()
        for _ in range(ALIKE + 1):
            here.observe(event())
        here.observe.flush(5060.0)
        assert "repeats" not in here.log[-1]
        assert len(here.log) == ALIKE + 1

    def test_is_told_by_the_next_event_too(self) -> None:
        here = Written()
        for _ in range(ALIKE + 3):
            here.observe(event())
        here.observe(event("reload.done", at=5061.0))
        assert (here.log[-2]["repeats"], here.log[-1]["event"]) == (2, "reload.done")

    @pytest.mark.parametrize(
        "other",
        [{"peer": "192.0.2.2:1"}, {"cause": "too_big"}, {"code": 4000}, {"route": "/other"},
         {"event": "connection.opened"}, {"peer": "[2001:db8:0:1::1]:1"}],
        ids=["another address", "another cause", "another code", "another route", "another event", "another network"],
    )  # fmt: skip
    def test_does_not_hide_a_line_of_another_kind(self, other: dict[str, Any]) -> None:
        here = Written()
        for _ in range(ALIKE + 5):
            here.observe(event())
        here.observe(event(**{"name": other.pop("event", "connection.closed"), **other}))
        assert len(here.log) == ALIKE + 1

    @pytest.mark.parametrize("peer", ["[{}]:1", "[{}]", "{}"])
    def test_of_addresses_of_one_network_counts_as_one(self, peer: str) -> None:
        here = Written()
        for number in range(ALIKE + 5):
            here.observe(event(peer=peer.format(f"2001:db8::{number:x}")))
        assert len(here.log) == ALIKE

    def test_of_paths_counts_as_one(self) -> None:
        here = Written()
        for number in range(ALIKE + 5):
            here.observe(event("request.refused", status=404, path=f"/{number}"))
        assert len(here.log) == ALIKE

    def test_from_many_addresses_ends_at_the_limit_and_is_counted(self) -> None:
        here = Written(perMinute=100)
        for number in range(5000):
            here.observe(event(peer=f"10.0.{number % 250}.{number // 250}:1"))
        assert len(here.log) == 100
        here.observe.flush(5060.0)
        omitted = here.log[-1]
        assert (omitted["event"], omitted["count"], omitted["level"]) == ("log.omitted", 4900, "warn")
        assert "access.per_minute" in omitted["message"]

    def test_has_no_limit_in_all_with_zero(self) -> None:
        here = Written(perMinute=0)
        for number in range(9000):
            here.observe(event(peer=f"10.0.{number % 250}.{number // 250}:1"))
        assert len(here.log) == 9000

    @pytest.mark.parametrize(
        "name",
        ["tls.refused", "handler.refused", "proxy.dropped", "soap.unanswered", "soap.unauthenticated", "soap.user"],
    )
    def test_of_other_lines_that_strangers_cause_is_limited_as_well(self, name: str) -> None:
        here = Written(own=True)
        for _ in range(1000):
            here.observe(event(name, peer="192.0.2.1"))
        assert len(here.log) == ALIKE

    def test_keeps_nothing_else_out(self) -> None:
        here = Written(perMinute=10)
        for _ in range(1000):
            here.observe(event("request.refused", status=404))
        for _ in range(1000):
            here.observe(event("connection.failed"))
        assert here.events().count("connection.failed") == 1000

    def test_is_not_kept_out_by_a_clock_that_goes_back(self) -> None:
        here = Written()
        for at in (5000.0, 1000.0):
            for _ in range(ALIKE):
                here.observe(event(at=at))
        assert len(here.log) == 2 * ALIKE
