"""`wsd config`: the default file, the variables, and what is in force."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.commands import PATIENCE, environment, running
from wsd.config import defaultText, parse
from wsd.protocols import optionsOf


def config(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wsd", "config", *arguments],
        cwd=folder,
        env=environment(STATE_DIRECTORY=str(folder), **environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


class TestEffective:
    def test_is_a_file_that_says_the_same(self, tmp_path: Path) -> None:
        done = config(tmp_path, "--effective", "--port", "8080", WSD_USES_ENABLED="false", WSD_POLICIES_MAX_FRAME="7")
        assert done.stderr == ""
        again = parse(done.stdout, optionsOf)
        assert again == parse("", optionsOf, {"port": 8080, "uses.enabled": False, "policies.max_frame": 7})

    def test_tells_where_each_value_came_from(self, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('drain = 3\nframes = "plain"\n[route."/echo"]\nmax_delay = 5\n')
        (tmp_path / "secret").write_text("redis://:pw@host/")
        done = config(
            tmp_path,
            *("--effective", "-H", "127.0.0.1", "--route", "/own=echo"),
            WSD_CONFIG="wsd.toml",
            WSD_FRAMES="fast",
            WSD_ROUTE_TOPICS_BACKEND_FILE="secret",
            WSD_ROUTE_CANVAS_MAX_CANVASES="3",
        )
        assert done.stderr == ""
        top = done.stdout.partition("[policies]")[0].splitlines()
        lines = {line.partition(" = ")[0]: line.rpartition(" # ")[2] for line in top}
        file = f"{tmp_path}/wsd.toml"
        assert {name: lines[name] for name in ("port", "drain", "frames", "host")} == {
            "port": "default",
            "drain": file,
            "frames": "WSD_FRAMES",
            "host": "--host",
        }
        routes = dict(re.findall(r'^\[route\."(.*?)"\]\n((?:[^\n]+\n)+)', done.stdout, re.MULTILINE))
        assert re.search(rf"^max_delay = 5 +# {file}$", routes["/echo"], re.MULTILINE)
        assert re.search(r"^protocol = \"echo\" +# built-in route$", routes["/echo"], re.MULTILINE)
        assert re.search(r"^protocol = \"echo\" +# --route /own$", routes["/own"], re.MULTILINE)
        assert re.search(r"^max_canvases = 3 +# WSD_ROUTE_CANVAS_MAX_CANVASES$", routes["/canvas/*"], re.MULTILINE)
        backend = r'^backend = "\(hidden\)" +# WSD_ROUTE_TOPICS_BACKEND_FILE$'
        assert re.search(backend, routes["/topics/*"], re.MULTILINE)
        assert "pw" not in done.stdout

    def test_hides_passwords(self, tmp_path: Path) -> None:
        done = config(tmp_path, "--effective", WSD_ROUTE_TOPICS_BACKEND="redis://me:pass@host/")
        assert 'backend = "redis://me:***@host/"' in done.stdout

    def test_fails_as_the_daemon_would(self, tmp_path: Path) -> None:
        done = config(tmp_path, "--effective", WSD_PORT="x")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == 'wsd: WSD_PORT: "x" is not a port; write a number from 0 to 65535\n'


class TestEnv:
    def test_lists_every_variable_and_those_that_are_set(self, tmp_path: Path) -> None:
        done = config(tmp_path, "--env", WSD_PORT="8080")
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        assert "WSD_PORT=8080" in lines
        assert "#WSD_POLICIES_MAX_MESSAGE=1048576" in lines
        assert "#WSD_ROUTE_ECHO_PATH=/echo" in lines
        assert [line for line in lines if re.match(r"[^#]", line)] == ["WSD_PORT=8080"]

    @pytest.mark.parametrize("file", ["", '[route."/mine"]\nprotocol = "canvas"\n'])
    def test_what_it_lists_is_read(self, tmp_path: Path, file: str) -> None:
        (tmp_path / "wsd.toml").write_text(file)
        listed = config(tmp_path, "--env", "-c", "wsd.toml").stdout.splitlines()
        environ = dict(line[1:].split("=", 1) for line in listed if line.startswith("#WSD_"))
        assert "WSD_TLS_LISTEN" in environ
        assert ("WSD_ROUTE_MINE_MAX_CANVASES" in environ) == bool(file)
        assert parse(file, optionsOf, environ=environ) == parse(file, optionsOf)


class TestWithoutEither:
    def test_is_the_default_file(self, tmp_path: Path) -> None:
        assert config(tmp_path).stdout == defaultText()
        assert tomllib.loads(defaultText())["port"] == 9998
        assert config(tmp_path, "--port", "1").stderr.startswith("wsd: options need --effective; ")


def test_a_daemon_is_configured_by_its_environment_alone(tmp_path: Path) -> None:
    environ = {"WSD_PORT": "0", "WSD_HOST": "127.0.0.1", "WSD_LOG_FORMAT": "json", "WSD_VERSION": "1"}
    with running(tmp_path, "wsd serve", **environ) as daemon:
        assert '"event": "config.unknown"' in daemon.logged(".*WSD_VERSION.*")[0]
        daemon.logged('"event": "listener.listening"')
