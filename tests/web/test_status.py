"""The status page, for those who may read the metrics."""

from __future__ import annotations

import json

from tests.wire import Daemon
from wsd.protocols.echo import EchoFactory
from wsd.web.console import addConsole
from wsd.web.status import RouteStatus, Status, addStatus

STATUS = Status(
    ready=True,
    reasons=[],
    version="1.2.3",
    plane="plain",
    reactor="EPollReactor",
    uptime=60.0,
    connections=1,
    max_connections=100,
    websockets=1,
    memory=0,
    memory_max=1024,
    routes=[RouteStatus("/echo", ["echo"], 1, 2, 3, 4)],
)


def ask(path: str, *fields: str, allowed: bool = True) -> tuple[str, str]:
    daemon = Daemon({"/": EchoFactory})
    addStatus(daemon.site, addConsole(daemon.site), lambda: STATUS, lambda request: allowed)
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    head, _, content = daemon.connect().exchange("\r\n".join(lines).encode()).decode().partition("\r\n\r\n")
    return head, content


def test_the_page_has_the_strict_policy() -> None:
    head, content = ask("/_wsd/status")
    assert "text/html" in head
    assert "Content-Security-Policy: default-src 'none'" in head
    assert 'src="/_wsd/status.js"' in content


def test_the_data_are_what_the_daemon_says_now() -> None:
    head, content = ask("/_wsd/status.json")
    assert "Cache-Control: no-store" in head
    assert "Cross-Origin-Resource-Policy: same-origin" in head
    data = json.loads(content)
    assert (data["version"], data["uptime"], data["max_connections"]) == ("1.2.3", 60.0, 100)
    assert data["routes"] == [
        {"path": "/echo", "protocols": ["echo"], "connections": 1, "opened": 2, "messages": 3, "size": 4}
    ]


def test_others_are_refused_both() -> None:
    for path in ("/_wsd/status", "/_wsd/status.json"):
        head, content = ask(path, allowed=False)
        assert head.startswith("HTTP/1.1 403 ")
        assert "metrics_allow" in content
        assert "1.2.3" not in content


def test_the_page_is_not_served_as_a_file() -> None:
    assert ask("/_wsd/status.html")[0].startswith("HTTP/1.1 404 ")
