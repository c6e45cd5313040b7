"""Whether there are the pages of uses: only where nobody else can come, unless the file says otherwise."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from wsd.config import Config, ConfigError, parse
from wsd.protocols import optionsOf
from wsd.uses import NEEDED, offerOf, routesOf


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"STATE_DIRECTORY": str(tmp_path)}


def read(text: str, environ: dict[str, str], byDefault: bool = True) -> Config:
    return parse(text, optionsOf, offer=offerOf(environ, byDefault))


HERE = [
    "",
    'host = "127.0.0.2"',
    'host = ["localhost", "[::1]"]',
    'listen = "tcp:9997:interface=127.0.0.1"',
    r"listen = 'tcp6:9997:interface=\:\:1:backlog=7'",
    "[tls]\nport = 9999\nself_signed = true",
]
BEYOND = [
    'host = "0.0.0.0"',
    'host = ["127.0.0.1", "192.0.2.1"]',
    'host = "example.com"',
    'listen = "tcp:9997"',
    'listen = "tcp:9997:interface=192.0.2.1"',
    'listen = "unix:/run/wsd.sock"',
    'listen = "systemd:index=0"',
    '[tls]\nlisten = "tcp:9999"\nself_signed = true',
    'trusted_proxies = "127.0.0.1"',
    "proxy_protocol = true",
]


class TestByDefault:
    @pytest.mark.parametrize("text", HERE)
    def test_there_are_uses_where_only_this_machine_comes(self, environ: dict[str, str], text: str) -> None:
        assert set(routesOf(environ)) <= set(read(text, environ).routes)

    @pytest.mark.parametrize("text", BEYOND)
    def test_there_are_none_where_others_may_come(self, environ: dict[str, str], text: str) -> None:
        assert not [path for path in read(text, environ).routes if path.startswith("/uses")]

    def test_there_are_none_without_the_built_in_routes(self, environ: dict[str, str]) -> None:
        assert list(read('built_in = false\n[route."/one"]\nprotocol = "echo"', environ).routes) == ["/one"]

    def test_there_are_none_on_sockets_of_systemd(self, environ: dict[str, str]) -> None:
        assert "/uses/*" not in read("", environ, byDefault=False).routes

    def test_there_are_none_for_tools_without_them(self) -> None:
        assert "/uses/*" not in parse("", optionsOf).routes


class TestEnabled:
    @pytest.mark.parametrize("text", BEYOND)
    def test_true_brings_them_anywhere(self, environ: dict[str, str], text: str) -> None:
        text = f"{text}\n[uses]\nenabled = true"
        assert "/uses/*" in read(text, environ, byDefault=False).routes

    def test_true_brings_the_routes_that_they_need(self, environ: dict[str, str]) -> None:
        config = read("built_in = false\n[uses]\nenabled = true", environ)
        assert set(config.routes) == {*routesOf(environ), *NEEDED}

    def test_false_removes_them_and_their_routes(self, environ: dict[str, str]) -> None:
        config = read("[uses]\nenabled = false", environ)
        assert config.routes == parse("", optionsOf).routes

    def test_is_true_or_false(self, environ: dict[str, str]) -> None:
        with pytest.raises(ConfigError, match=r'^uses.enabled: "yes" is neither true nor false'):
            read('[uses]\nenabled = "yes"', environ)

    def test_a_route_of_theirs_can_be_changed(self, environ: dict[str, str]) -> None:
        config = read('[route."/uses/topics/*"]\nmax_topics = 7', environ)
        options = config.routes["/uses/topics/*"].options["topics"]
        assert vars(options)["max_topics"] == 7
        assert vars(options)["backend"] == "file"

    def test_nobody_is_warned_of_them(self, environ: dict[str, str]) -> None:
        routes = read('host = "0.0.0.0"\n[uses]\nenabled = true', environ).routes
        assert not any(routes[path].builtIn for path in routesOf(environ))

    def test_what_they_keep_is_in_the_state_folder(self, environ: dict[str, str]) -> None:
        options = read("", environ).routes["/uses/topics/*"].options["topics"]
        assert vars(options)["store"] == f"{environ['STATE_DIRECTORY']}/uses-topics.sqlite"


def test_the_page_shows_the_routes_as_they_are(environ: dict[str, str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "uses.md").read_text("utf-8")
    shown: dict[str, Any] = {}
    for block in re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        shown |= tomllib.loads(block)["route"]
    routes = {path: dict(keys) for path, keys in routesOf(environ).items() if keys["protocol"] == "topics"}
    routes["/uses/topics/*"]["store"] = "uses-topics.sqlite"
    assert {path: shown[path] for path in routes} == routes
