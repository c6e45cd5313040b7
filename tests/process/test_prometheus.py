"""Alert rules and the dashboard in conf/, with Prometheus itself: promtool, and a server that scrapes a daemon."""

from __future__ import annotations

import json
import math
import re
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.certificates import Authority
from tests.commands import until
from tests.daemon import PATIENCE, ROOT, RunningDaemon, runningDaemon
from tests.ports import freePort
from tests.process.xmpp import OPEN, SASL
from tests.threadedtls import trusting

RULES = ROOT / "conf" / "prometheus-alerts.yml"
CASES = Path(__file__).with_name("alerts.test.yml")
DASHBOARD = json.loads((ROOT / "conf" / "grafana-dashboard.json").read_text("utf-8"))
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]

_SCRAPES = """
scrape_configs:
  - job_name: wsd
    scrape_interval: 500ms
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


_CALL = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><Add xmlns="urn:wsd:demonstration">'
    b"<a>2</a><b>3</b></Add></s:Body></s:Envelope>"
)


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestTheAlerts:
    NAMES = re.findall(r"- alert: (\w+)", RULES.read_text("utf-8"))

    def test_are_valid(self) -> None:
        assert f"{len(self.NAMES)} rules found" in promtool("check", "rules", str(RULES))

    def test_fire_when_they_should_and_not_before(self, tmp_path: Path) -> None:
        cases = tmp_path / "alerts.test.yml"
        cases.write_text(CASES.read_text("utf-8").replace("{RULES}", str(RULES)), encoding="utf-8")
        assert "SUCCESS" in promtool("test", "rules", str(cases))

    def test_are_all_seen_to_fire(self) -> None:
        fired = re.findall(r"alertname: (\w+)\n +exp_alerts:\n", CASES.read_text("utf-8"))
        assert set(fired) == set(self.NAMES)

    def test_are_explained(self) -> None:
        page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
        assert re.findall(r"^\| `(Wsd\w+)` \|", page, re.MULTILINE) == self.NAMES


class Place:
    """A daemon with clients of every kind, and a Prometheus that scrapes it."""

    def __init__(self, daemon: RunningDaemon, prometheus: int, trust: ssl.SSLContext) -> None:
        self.daemon = daemon
        self._prometheus = prometheus
        self._trust = trust
        self.plain, self.secure = f"127.0.0.1:{daemon.port()}", f"127.0.0.1:{daemon.port('wss')}"

    def use(self) -> None:
        """Do what the metrics are about."""
        with connect(f"wss://{self.secure}/echo", ssl=self._trust, server_hostname="localhost") as client:
            client.send("compressed " * 100)
            client.recv(10)
        with suppress(OSError):
            urllib.request.urlopen(f"http://{self.plain}/nowhere", timeout=10)
        asked = urllib.request.Request(f"http://{self.plain}/soap", _CALL, {"Content-Type": "text/xml"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert b"<n:sum>5</n:sum>" in answer.read()
        with suppress(InvalidStatus):
            connect(f"ws://{self.plain}/echo", origin=Origin("https://elsewhere.example"))
        with connect(f"ws://{self.plain}/xmpp", subprotocols=[Subprotocol("xmpp")]) as client:
            for stanza, answer in (
                (OPEN, "features"),
                (f"<auth xmlns='{SASL}' mechanism='NONE'/>", "failure"),
                (f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>", "success"),
            ):
                client.send(stanza)
                while answer not in client.recv(10):
                    pass

    def values(self, query: str) -> list[float]:
        """The values of an instant query now."""
        asked = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"http://127.0.0.1:{self._prometheus}/api/v1/query?{asked}", timeout=10) as answer:
            told: Any = json.load(answer)
        return [float(each["value"][1]) for each in told["data"]["result"]]


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[int]:
    """Returns the port of a Prometheus that scrapes this one."""
    own = freePort()
    (folder / "prometheus.yml").write_text(_SCRAPES.format(port=port))
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{own}",
        "--log.level=warn",
    ]
    process = subprocess.Popen(command)
    try:
        until(lambda: _isReady(own), "Prometheus is ready")
        yield own
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _isReady(port: int) -> bool:
    with suppress(OSError), closing(urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5)) as answer:
        return bool(answer.status == 200)
    return False


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("prometheus")
    authority = Authority(folder, "authority")
    server, client = authority.server("localhost", "localhost"), authority.client("ada")
    config = (
        '[route."/echo"]\nprotocol = "echo"\nping_interval = 1\n'
        f'[tls]\nport = 0\nclient_auth = "optional"\nclient_ca = "{authority.path}"\n'
        f'[[tls.certificate]]\ncert = "{server.cert}"\nkey = "{server.key}"\n'
    )
    trust = trusting(authority.path)
    trust.load_cert_chain(client.cert, client.key)
    with runningDaemon(config=config) as daemon, prometheus(folder, daemon.port()) as port:
        used = Place(daemon, port, trust)
        # This one stays, so that it is pinged.
        with connect(f"ws://127.0.0.1:{daemon.port()}/echo"):
            end = time.monotonic() + 2 * PATIENCE
            lacking = {str(each.values[0]) for each in QUERIES}
            while lacking and time.monotonic() < end:
                used.use()
                time.sleep(0.5)
                lacking = {query for query in lacking if not hasData(used, query)}
            yield used


def hasData(place: Place, query: str) -> bool:
    asked = query.replace("$instance", ".*").replace("$__rate_interval", "1m")
    assert "$" not in asked
    return any(not math.isnan(value) for value in place.values(asked))


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_of_the_dashboard_gives_data(place: Place, query: str) -> None:
    assert hasData(place, query)


def test_what_is_scraped_is_sound(place: Place) -> None:
    """Also by the linter of Prometheus."""
    with urllib.request.urlopen(f"http://{place.plain}/metrics", timeout=10) as answer:
        text = answer.read()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, timeout=PATIENCE, check=False
    )
    ours = [line for line in done.stderr.decode().splitlines() if line.startswith("wsd_")]
    assert ours == []
    assert b"error while linting" not in done.stderr
