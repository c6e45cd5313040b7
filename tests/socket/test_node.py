"""The daemon as JavaScript outside a browser sees it: the npm package `ws`, in Node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import PATIENCE, RunningDaemon, runningDaemon

CLIENT = Path(__file__).with_name("client.mjs")
MESSAGES = [{"text": ""}, {"text": "你好 \U0001f600"}, {"hex": ""}, {"hex": "00ff80"}, {"hex": bytes(70_000).hex()}]
BYE = {"code": 4001, "reason": "done"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[RunningDaemon]:
    with runningDaemon("--tls-port", "0", "--tls-self-signed") as daemon:
        yield daemon


def node(daemon: RunningDaemon, path: str, scheme: str = "ws", **plan: object) -> dict[str, Any]:
    """What the client saw: `protocol`, `extensions`, `messages`, `pings`, `error`, `code` and `reason`."""
    plan["url"] = f"{scheme}://localhost:{daemon.port(scheme)}{path}"
    done = subprocess.run(
        ["node", CLIENT], input=json.dumps(plan), stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize("deflate", [True, False], ids=["deflated", "plain"])
class TestMessages:
    def test_come_back_unchanged_and_in_order(self, daemon: RunningDaemon, deflate: bool) -> None:
        seen = node(daemon, "/echo", deflate=deflate, messages=MESSAGES, bye=BYE)
        assert seen["messages"] == MESSAGES
        assert seen["extensions"] == ("permessage-deflate" if deflate else "")

    def test_come_back_over_tls_with_the_certificate_checked(self, daemon: RunningDaemon, deflate: bool) -> None:
        authority = str(daemon.folder / "wsd/tls/authority.crt")
        seen = node(daemon, "/echo", "wss", authority=authority, deflate=deflate, messages=MESSAGES, bye=BYE)
        assert seen["messages"] == MESSAGES


class TestTheHandshake:
    @pytest.mark.parametrize("offered", [["soap", "xmpp"], ["xmpp", "soap"], ["mqtt", "xmpp"]], ids=" ".join)
    def test_chooses_the_first_subprotocol_that_both_know(self, daemon: RunningDaemon, offered: list[str]) -> None:
        seen = node(daemon, "/echo?close=1000", subprotocols=offered)
        assert seen["protocol"] == next(name for name in offered if name in ("soap", "xmpp"))

    def test_is_refused_where_nothing_answers(self, daemon: RunningDaemon) -> None:
        assert node(daemon, "/nowhere")["error"] == "Unexpected server response: 404"

    def test_fails_over_tls_when_the_authority_is_not_trusted(self, daemon: RunningDaemon) -> None:
        assert "certificate" in node(daemon, "/echo", "wss")["error"]


class TestTheClose:
    def test_of_the_client_is_answered_with_its_own_code(self, daemon: RunningDaemon) -> None:
        seen = node(daemon, "/echo", messages=[{"text": "x"}], bye=BYE)
        assert (seen["code"], seen["error"]) == (4001, None)

    def test_of_the_server_tells_its_code_and_reason(self, daemon: RunningDaemon) -> None:
        seen = node(daemon, "/echo?close=4000&reason=enough")
        assert (seen["code"], seen["reason"]) == (4000, "enough")


class TestPings:
    def test_of_the_server_arrive(self, daemon: RunningDaemon) -> None:
        seen = node(daemon, "/echo?ping=3", messages=[{"text": "x"}], bye=BYE)
        assert seen["pings"] == 3
