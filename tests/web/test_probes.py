"""The probes: health, readiness and metrics, over the site's own HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire import Daemon
from wsd.config import Config
from wsd.policies.address import inNetworks
from wsd.web.probes import Health, MetricsPage, Readiness, Ready

NETWORKS = ("192.0.2.0/24",)


class Probed:
    """A site with the three pages, and a readiness that a test may change."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.daemon = Daemon(config=Config(trusted_proxies=("127.0.0.1",)))
        pages = self.daemon.site.pages
        pages["/healthz"] = Health()
        pages["/readyz"] = Ready(lambda: Readiness(not self.reasons, "plain", ["/", "/echo"], self.reasons, []))
        pages["/metrics"] = MetricsPage(
            self.daemon.metrics,
            lambda request: request.peer.direct or inNetworks(request.peer.address, NETWORKS),
        )

    def ask(self, path: str, *fields: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Status, header fields by lower-cased name, content."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
        head, _, content = self.daemon.connect().exchange("\r\n".join(lines).encode()).partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in rest)
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}, content

    def json(self, path: str) -> Any:
        return json.loads(self.ask(path)[2])


class TestEach:
    """What the three have in common."""

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
    def test_is_not_kept_by_any_cache(self, path: str) -> None:
        status, headers, content = Probed().ask(path)
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert headers["content-length"] == str(len(content))

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
    def test_answers_head_without_content(self, path: str) -> None:
        status, headers, content = Probed().ask(path, method="HEAD")
        assert (status, content) == (200, b"")
        assert int(headers["content-length"]) > 0

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_is_for_get_and_head_alone(self, path: str, method: str) -> None:
        status, headers, _ = Probed().ask(path, method=method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")

    @pytest.mark.parametrize("path", ["/healthz/", "/readyz/x", "/metricsx", "/Metrics"])
    def test_is_at_its_own_path_alone(self, path: str) -> None:
        assert Probed().ask(path)[0] == 404


class TestHealth:
    """/healthz."""

    def test_says_ok(self) -> None:
        status, headers, content = Probed().ask("/healthz")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(content) == {"status": "ok"}

    def test_is_well_while_it_is_not_ready(self) -> None:
        probed = Probed()
        probed.reasons.append("not yet")
        assert probed.json("/healthz") == {"status": "ok"}


class TestReady:
    """/readyz."""

    def test_names_the_plane_and_the_routes(self) -> None:
        told = {"ready": True, "plane": "plain", "routes": ["/", "/echo"], "reasons": [], "warnings": []}
        assert Probed().json("/readyz") == told

    def test_is_503_with_the_reasons(self) -> None:
        probed = Probed()
        probed.reasons += ["/canvas: its store is not read yet", "the daemon stops"]
        status, headers, content = probed.ask("/readyz")
        assert (status, headers["content-type"]) == (503, "application/json")
        answer = json.loads(content)
        assert (answer["ready"], answer["reasons"]) == (False, probed.reasons)

    def test_is_ready_again_when_the_reasons_are_gone(self) -> None:
        probed = Probed()
        probed.reasons.append("not yet")
        assert probed.json("/readyz")["ready"] is False
        probed.reasons.clear()
        assert probed.json("/readyz")["ready"] is True


class TestMetrics:
    """/metrics."""

    def test_are_for_this_machine(self) -> None:
        status, headers, content = Probed().ask("/metrics")
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b"# TYPE wsd_connections gauge\n" in content

    def test_are_openmetrics_when_that_is_asked_for(self) -> None:
        _, headers, content = Probed().ask("/metrics", "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1")
        assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert content.endswith(b"# EOF\n")

    def test_are_for_the_networks_that_may_have_them(self) -> None:
        assert Probed().ask("/metrics", "X-Forwarded-For: 192.0.2.7")[0] == 200

    @pytest.mark.parametrize(
        "field",
        [
            "X-Forwarded-For: 198.51.100.7",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-For: 192.0.2.7, 198.51.100.7",
            "Forwarded: for=192.0.2.7",
            "X-Real-IP: 127.0.0.1",
            "Via: 1.1 proxy",
        ],
    )
    def test_are_not_for_who_comes_through_a_proxy(self, field: str) -> None:
        status, _, content = Probed().ask("/metrics", field)
        assert status == 403
        assert (
            content == b"only this machine and the networks in `metrics_allow` may read the metrics; add yours there\n"
        )
