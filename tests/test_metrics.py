"""The counters, and their exposition for Prometheus."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as readOpenMetrics
from prometheus_client.parser import text_string_to_metric_families as readText
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.every import EveryFactory
from tests.wire import Daemon
from wsd.config import Policies
from wsd.metrics import MOST_USERS, OTHER, Cause, MemoryLevels, Metrics, TlsHandshakes
from wsd.processes.merging import workerFamilies
from wsd.protocols.echo import EchoFactory

PAGE = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OF_PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of the text format, by its name and labels."""
    text = metrics.render("")[1].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in readText(text)
        for sample in family.samples
    }


def value(metrics: Metrics, metric: str, /, **labels: str) -> float:
    return samples(metrics)[metric, frozenset(labels.items())]


class TestTheFormat:
    """The response to a scrape."""

    @pytest.mark.parametrize(
        ("accept", "answered"),
        [
            ("", TEXT),
            ("*/*", TEXT),
            ("text/html, text/plain;version=0.0.4", TEXT),
            (OF_PROMETHEUS, OPEN),
            ("Application/OpenMetrics-Text", OPEN),
            ("application/openmetrics-text; version=abc; escaping=none", OPEN),
            ("application/openmetrics-textual", TEXT),
            (",;=,,;q", TEXT),
        ],
    )
    def test_follows_accept_whatever_that_says(self, accept: str, answered: str) -> None:
        contentType, text = Metrics().render(accept)
        assert contentType == answered
        assert text.endswith(b"# EOF\n") == (answered == OPEN)

    def test_is_the_same_numbers_in_both(self) -> None:
        metrics = Metrics()
        metrics.route("/echo").traffic.messagesIn += 7
        families = {family.name: family for family in readOpenMetrics(metrics.render(OPEN)[1].decode())}
        assert families["wsd_messages_received"].samples[0].value == 7
        assert value(metrics, "wsd_messages_received_total", route="/echo") == 7

    def test_has_room_for_any_route(self) -> None:
        metrics = Metrics()
        metrics.route('/a"b\\c\nd').opened += 1
        assert value(metrics, "wsd_connections_opened_total", route='/a"b\\c\nd') == 1

    def test_has_no_series_of_another_daemon_in_the_same_process(self) -> None:
        one, other = Metrics(), Metrics()
        one.route("/echo").opened += 1
        assert not [name for name, labels in samples(other) if ("route", "/echo") in labels]


class TestTheNumbers:
    """Gauges are read when they are requested."""

    def test_of_a_share_of_the_pool_are_those_of_now(self) -> None:
        metrics = Metrics()
        counters = metrics.share("blob", "/blob")
        assert metrics.share("blob", "/blob") is counters
        counters.threads, counters.waiting, counters.timeouts = 3, 5, 7
        for name, number in (("threads", 3), ("waiting", 5), ("timeouts_total", 7)):
            assert value(metrics, f"wsd_pool_{name}", user="blob", route="/blob") == number

    def test_of_the_gauges_are_those_of_now(self) -> None:
        metrics, depths = Metrics(), [3, 5]
        metrics.setConnections(lambda: len(depths))
        metrics.setSendBuffers(lambda: depths)
        metrics.setLag(lambda: 0.25)
        metrics.setThreads("/*", lambda: 7)
        metrics.setCertificates(lambda: {"localhost": 1.8e9})
        metrics.info("1.0", "plain", "zlib", "EPollReactor")
        assert value(metrics, "wsd_connections") == 2
        assert value(metrics, "wsd_send_buffer_bytes") == 8
        assert value(metrics, "wsd_send_buffer_bytes_max") == 5
        assert value(metrics, "wsd_handler_threads", route="/*") == 7
        assert value(metrics, "wsd_reactor_lag_seconds") == 0.25
        assert value(metrics, "wsd_certificate_expiry_seconds", name="localhost") == 1.8e9
        assert value(metrics, "wsd_info", version="1.0", plane="plain", deflate="zlib", reactor="EPollReactor") == 1
        depths.clear()
        assert value(metrics, "wsd_send_buffer_bytes_max") == 0

    def test_of_a_route_are_kept_however_often_it_is_made(self) -> None:
        metrics = Metrics()
        metrics.route("/echo").opened += 1
        metrics.route("/echo").opened += 1
        assert value(metrics, "wsd_connections_opened_total", route="/echo") == 2

    def test_begin_at_nought_for_every_cause(self) -> None:
        metrics = Metrics()
        metrics.route("/echo")
        for name in ("wsd_connections_closed_total", "wsd_drops_total"):
            assert {value(metrics, name, route="/echo", cause=cause.value) for cause in Cause} == {0}

    def test_of_a_histogram_are_those_up_to_each_bound(self) -> None:
        metrics = Metrics()
        for seconds in (0.001, 0.002, 0.3, 60):
            metrics.route("/echo").openings.observe(seconds)
        found = {
            le: value(metrics, "wsd_opening_seconds_bucket", route="/echo", le=le) for le in ("0.001", "0.5", "+Inf")
        }
        assert found == {"0.001": 1, "0.5": 3, "+Inf": 4}
        assert value(metrics, "wsd_opening_seconds_count", route="/echo") == 4
        assert value(metrics, "wsd_opening_seconds_sum", route="/echo") == pytest.approx(60.303)

    @pytest.mark.parametrize("accept", [OPEN, ""])
    def test_of_histograms_are_read_by_prometheus_own_parser(self, accept: str) -> None:
        metrics = Metrics()
        metrics.route("/echo").roundTrips.observe(0.02)
        text = metrics.render(accept)[1].decode()
        families = list((readOpenMetrics if accept else readText)(text))
        assert {family.type for family in families if family.name == "wsd_ping_seconds"} == {"histogram"}

    def test_of_close_codes_are_few_whatever_clients_send(self) -> None:
        counters = Metrics().route("/echo")
        for code in (1000, 1001, *range(3000, 5000)):
            counters.countCode(code)
        assert counters.codes == {"1000": 1, "1001": 1, "3xxx": 1000, "4xxx": 1000}

    def test_of_users_are_few_however_many_there_are(self) -> None:
        metrics = Metrics()
        for number in range(2 * MOST_USERS):
            metrics.user(f"user{number}").connections += 1
        assert len(metrics.users) == MOST_USERS + 1
        assert value(metrics, "wsd_user_connections_closed_total", user="user0") == 1
        assert value(metrics, "wsd_user_connections_closed_total", user=OTHER) == MOST_USERS
        assert metrics.user("user0") is metrics.user("user0")
        assert metrics.user("a new one") is metrics.user(OTHER)

    def test_of_reloads_tell_the_last_one(self) -> None:
        metrics = Metrics()
        for isAccepted in (True, False, False):
            metrics.reloads.count(isAccepted)
        assert value(metrics, "wsd_last_reload_successful") == 0
        assert value(metrics, "wsd_reloads_total", result="refused") == 2
        metrics.reloads.count(True)
        assert value(metrics, "wsd_last_reload_successful") == 1

    def test_of_the_process_are_there(self) -> None:
        assert value(Metrics(), "process_resident_memory_bytes") > 1 << 20
        assert value(Metrics(), "process_max_fds") > 0


class TestWhatIsCounted:
    """The metrics of a site that is in use."""

    @pytest.mark.parametrize(
        ("end", "code"),
        [(lambda client: client.close(4001), "4xxx"), (lambda client: client.say("close 4000"), "4xxx"),
         (lambda client: client.close(1000), "1000"), (lambda client: client.wire.reset(), "1006")],
        ids=["the client's", "the protocol's", "a normal one", "none"],
    )  # fmt: skip
    def test_the_code_that_came_first(self, end: Any, code: str) -> None:
        daemon = Daemon({"/every": EveryFactory})
        client = daemon.open("/every")
        end(client)
        client.wire.serve()
        daemon.pass_(10)
        assert daemon.metrics.route("/every").codes == {code: 1}

    def test_how_long_it_took_to_open(self) -> None:
        daemon = Daemon({"/every": EveryFactory})
        daemon.open("/every")
        assert value(daemon.metrics, "wsd_opening_seconds_count", route="/every") == 1

    def test_the_round_trip_of_a_ping(self) -> None:
        daemon = Daemon({"/every": EveryFactory})
        client = daemon.open("/every")
        (connection,) = daemon.connections
        assert connection.roundTrip is None
        daemon.pass_(25)
        client.wire.serve()
        daemon.reactor.advance(0.125)
        client.exchange()
        client.exchange()
        assert connection.roundTrip == pytest.approx(0.125, abs=0.3)
        assert value(daemon.metrics, "wsd_ping_seconds_count", route="/every") == 1
        client.protocol.send_pong(b"unasked")
        client.exchange()
        assert value(daemon.metrics, "wsd_ping_seconds_count", route="/every") == 1

    @pytest.mark.parametrize("size", [1000, 600_000], ids=["at once", "in steps"])
    def test_bytes_with_and_without_compression(self, size: int) -> None:
        daemon = Daemon({"/echo": EchoFactory}, replace(Policies(), max_message=1 << 20, max_unsent=1 << 24))
        client = daemon.open("/echo", extensions=[ClientPerMessageDeflateFactory()])
        client.say(b"a" * size)
        for _ in range(10):
            daemon.reactor.advance(0)
            client.exchange()
        assert client.messages() == [b"a" * size]
        sizes = {
            (direction, form): value(
                daemon.metrics, "wsd_compressed_bytes_total", route="/echo", direction=direction, form=form
            )
            for direction in ("received", "sent")
            for form in ("plain", "compressed")
        }
        assert sizes["received", "plain"] == sizes["sent", "plain"] == size
        assert 0 < sizes["received", "compressed"] < size / 50
        assert 0 < sizes["sent", "compressed"] < size / 50

    def test_messages_and_bytes_of_a_route(self) -> None:
        daemon = Daemon({"/echo": EchoFactory, "/every": EveryFactory})
        client = daemon.open("/echo")
        client.say("hello")
        client.say(bytes(1000))
        for direction in ("received", "sent"):
            assert value(daemon.metrics, f"wsd_messages_{direction}_total", route="/echo") == 2
            assert value(daemon.metrics, f"wsd_bytes_{direction}_total", route="/echo") == 1005
            assert value(daemon.metrics, f"wsd_messages_{direction}_total", route="/every") == 0

    def test_opens_and_closes_by_cause(self) -> None:
        daemon = Daemon({"/echo": EchoFactory}, policies=Policies(max_message=10))
        daemon.open("/echo").close()
        daemon.open("/echo").say(bytes(11))
        daemon.open("/echo").wire.close()
        metrics = daemon.metrics
        assert value(metrics, "wsd_connections_opened_total", route="/echo") == 3
        for cause in ("peer_closed", "too_big", "lost"):
            assert value(metrics, "wsd_connections_closed_total", route="/echo", cause=cause) == 1

    def test_handshakes_by_result(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        daemon.open("/echo")
        daemon.open("/nowhere")
        daemon.open("/echo", headers={"Origin": "https://example.com"})
        for result in ("accepted", "404", "403"):
            assert value(daemon.metrics, "wsd_handshakes_total", result=result) == 1

    def test_http_requests_by_status_and_duration(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        for path in ("/echo", "/nowhere", "/nowhere"):
            daemon.connect().exchange(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert value(daemon.metrics, "wsd_http_requests_total", status="426") == 1
        assert value(daemon.metrics, "wsd_http_requests_total", status="404") == 2
        assert value(daemon.metrics, "wsd_http_request_seconds_count") == 3

    def test_what_a_user_has_sent_and_received_when_the_connection_ends(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        clients = [daemon.open("/echo"), daemon.open("/echo")]
        (one, _) = daemon.site.routes[0].distinct()[0].connections
        one.user = "ada"
        for client in clients:
            client.say("four")
        assert daemon.metrics.users == {}
        for client in clients:
            client.close()
            client.wire.close()
        assert value(daemon.metrics, "wsd_user_connections_closed_total", user="ada") == 1
        for direction in ("received", "sent"):
            assert value(daemon.metrics, "wsd_user_messages_total", user="ada", direction=direction) == 1
            assert value(daemon.metrics, "wsd_user_bytes_total", user="ada", direction=direction) == 4
        assert list(daemon.metrics.users) == ["ada"]

    def test_what_is_turned_away_by_status(self) -> None:
        daemon = Daemon({"/echo": EchoFactory})
        daemon.open("/nowhere")
        daemon.connect().exchange(b"nonsense\r\n\r\n")
        daemon.connect().exchange(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for status in ("404", "400", "426"):
            assert value(daemon.metrics, "wsd_refusals_total", status=status) == 1

    def test_a_reader_that_falls_behind(self) -> None:
        daemon = Daemon({"/echo": EchoFactory}, policies=Policies(high_water=65536, low_water=16384))
        client = daemon.open("/echo")
        client.protocol.send_binary(bytes(1 << 20))
        data = b"".join(client.protocol.data_to_send())
        for _ in range(20):
            if client.wire.push(data) < len(data):
                break
        assert value(daemon.metrics, "wsd_send_buffer_full_total", route="/echo") >= 1
        assert value(daemon.metrics, "wsd_reading_pauses_total", route="/echo") >= 1


class TestThePage:
    """docs/metrics.md."""

    def test_names_every_metric_with_its_labels_and_no_other(self) -> None:
        metrics = Metrics()
        metrics.info("1.0", "plain", "zlib", "EPollReactor")
        metrics.route("/echo")
        metrics.handshake("accepted")
        metrics.refusal(404)
        metrics.httpDrop("idle")
        metrics.authentication("basic", "accepted")
        metrics.setUsers(lambda: {"ann": 1})
        metrics.setCertificates(lambda: {"localhost": 1.8e9})
        metrics.setRevoked(lambda: 1.8e9)
        metrics.setThreads("/*", lambda: 3)
        metrics.share("blob", "/blob")
        handshakes = TlsHandshakes()
        handshakes.complete("TLSv1.3", 0.01, isResumed=True)
        metrics.setTlsHandshakes(lambda: handshakes)
        metrics.setMemory(lambda: MemoryLevels(kinds={"reading": 1}, shed={"large": 1}))
        metrics.route("/echo").countCode(1000)
        metrics.route("/echo").countLogin(True)
        metrics.user("ada")
        metrics.http.count(200, 0.1)
        exposed = {
            # The page has the name of a histogram, without its three kinds of series.
            (
                re.sub(r"(_seconds|_message_bytes)_(bucket|count|sum)$", r"\1", name),
                tuple(sorted({label for label, _ in labels} - {"le"})),
            )
            for name, labels in samples(metrics)
            if name.startswith("wsd_")
        }
        exposed |= {(sample.name, ()) for family in workerFamilies(2, 1) for sample in family.samples}
        rows = re.findall(r"^\| `(wsd_\w+)(?:\{([\w, ]+)\})?` \|", PAGE, re.MULTILINE)
        assert {(name, tuple(sorted(labels.split(", "))) if labels else ()) for name, labels in rows} == exposed

    def test_explains_every_cause(self) -> None:
        assert set(re.findall(r"^\| `([a-z_]+)` \| ", PAGE.split("## Causes")[1].split("\n## ")[0], re.MULTILINE)) == {
            cause.value for cause in Cause
        }

    def test_explains_every_event_of_the_log(self) -> None:
        sources = Path(__file__).parent.parent.joinpath("wsd").rglob("*.py")
        event = re.compile(r'(?:event=|"event": )"([a-z.]+)"')
        events = {name for source in sources for name in event.findall(source.read_text())}
        section = PAGE.split("## Events")[1].split("\n## ")[0]
        assert set(re.findall(r"^\| `([a-z.]+)` \| ", section, re.MULTILINE)) == events
