"""docs/auth.md with a real daemon and real clients: curl, htpasswd, `wsd connect`, and Python's websockets."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.certificates import Authority
from tests.commands import environment, until
from tests.daemon import ROOT, RunningDaemon, runningDaemon

PAGE = (ROOT / "docs" / "auth.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TOML = [text for language, text in BLOCKS if language == "toml"]
CONSOLE = "".join(text for language, text in BLOCKS if language == "console")
COMMANDS = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", CONSOLE, re.MULTILINE)
SECRET = "a secret that is long enough for HS256"


def run(command: str, daemon: RunningDaemon, folder: Path) -> str:
    """What a command of the page writes, with the ports of the daemon that runs here."""
    tool = folder / "bin" / "wsd"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wsd "$@"\n')
    tool.chmod(0o755)
    command = command.replace("9998", str(daemon.port()))
    env = {**environment(XDG_STATE_HOME=str(folder)), "PYTHONPATH": str(ROOT)}
    env["PATH"] = f"{tool.parent}:{env['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def textOf(daemon: RunningDaemon) -> str:
    """The log so far."""
    return "\n".join(daemon.lines)


def block(key: str) -> str:
    """The block of the configuration on the page that has this text."""
    found: list[str] = [text for text in TOML if key in text]
    assert len(found) == 1
    return found[0]


class TestPasswords:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        subprocess.run(
            ["htpasswd", "-B", "-c", "-b", "users.htpasswd", "ann", "secret"], cwd=tmp_path, check=True, timeout=60
        )
        return tmp_path

    def test_every_command_of_the_page_does_what_is_shown(self, folder: Path) -> None:
        config = block('auth.methods = ["basic"]\nauth.htpasswd').replace("users.", f"{folder}/users.")
        shown = {command: output for command, output in COMMANDS if "ann:" in command}
        assert len(shown) == 3
        with runningDaemon(config=config) as daemon:
            for command, output in shown.items():
                found = run(command, daemon, folder)
                assert (output == "...\n" and '"peer"' in found) or found == output, f"{command}\n{found}"
            daemon.waitFor("user ann")
            assert "secret" not in textOf(daemon)
            assert "YW5u" not in textOf(daemon)

    def test_a_client_in_python_is_let_in_and_the_password_may_change(self, folder: Path) -> None:
        config = block('auth.methods = ["basic"]\nauth.htpasswd').replace("users.", f"{folder}/users.")
        config = config.replace("/describe", "/echo")

        async def talk(port: int, password: str) -> str:
            async with connect(f"ws://ann:{password}@localhost:{port}/echo") as client:
                await client.send("hi")
                return str(await client.recv())

        with runningDaemon(config=config) as daemon:
            assert asyncio.run(talk(daemon.port(), "secret")) == "hi"
            with pytest.raises(InvalidStatus) as refused:
                asyncio.run(talk(daemon.port(), "wrong"))
            assert refused.value.response.status_code == 401
            subprocess.run(
                ["htpasswd", "-B", "-b", "users.htpasswd", "ann", "other"], cwd=folder, check=True, timeout=60
            )
            with pytest.raises(InvalidStatus):
                asyncio.run(talk(daemon.port(), "secret"))
            assert asyncio.run(talk(daemon.port(), "other")) == "hi"


class TestTokens:
    def test_curl_and_a_client_in_python_send_them(self, tmp_path: Path) -> None:
        (tmp_path / "token.key").write_text(SECRET)
        config = block('auth.methods = ["bearer"]').replace("token.key", str(tmp_path / "token.key"))
        token = jwt.encode({"sub": "ann", "aud": "wsd", "exp": time.time() + 60}, SECRET, "HS256")
        with runningDaemon(config=config) as daemon:
            ((command, output),) = [each for each in COMMANDS if "Bearer nonsense" in each[0]]
            assert run(command, daemon, tmp_path) == output
            assert json.loads(run(command.replace("nonsense", token), daemon, tmp_path))["peer"]
            connected = f"echo | wsd connect --bearer {token} ws://localhost:9998/describe"
            assert '"peer"' in run(connected, daemon, tmp_path)
            daemon.waitFor("user ann")
            assert token not in textOf(daemon)

    def test_a_connection_ends_with_its_token(self, tmp_path: Path) -> None:
        (tmp_path / "token.key").write_text(SECRET)
        config = block('auth.methods = ["bearer"]').replace("token.key", str(tmp_path / "token.key"))
        token = jwt.encode({"sub": "ann", "aud": "wsd", "exp": time.time() + 2}, SECRET, "HS256")

        async def wait(port: int) -> int | None:
            url = f"ws://localhost:{port}/describe"
            async with connect(url, subprotocols=[f"bearer.{token}"]) as client:  # type: ignore[list-item]
                assert client.subprotocol is None
                await client.recv()
                await asyncio.wait_for(client.wait_closed(), 60)
                return client.close_code

        with runningDaemon(config=config) as daemon:
            assert asyncio.run(wait(daemon.port())) == 4001


class TestClientCertificates:
    def test_name_the_user(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path, "clients")
        client, server = authority.client("ann"), authority.server("localhost", "localhost")
        config = block('methods = ["mtls"]').replace("port = 9999", "port = 0")
        pair = f'certificate = [{{ cert = "{server.cert}", key = "{server.key}" }}]'
        config = config.replace("self_signed = true", pair).replace("clients-ca.pem", str(authority.path))
        with runningDaemon(config=config) as daemon:
            ((command, _),) = [each for each in COMMANDS if "--cert" in each[0]]
            command = command.replace("9999", str(daemon.port("wss"))).replace("ann.pem", str(client.cert))
            command = command.replace("ann.key", str(client.key)).replace("ca.pem", str(authority.path))
            assert run(f"echo hello | {command}", daemon, tmp_path) == "hello\n"
            daemon.waitFor("user ann")


@contextmanager
def service() -> Iterator[tuple[str, list[str]]]:
    """A service that lets the cookie `session=1` in as ann. Yields its URL and the URIs that it was asked about."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["X-Original-URI"])
            isKnown = self.headers.get("Cookie") == "session=1"
            self.send_response(200 if isKnown else 403)
            if isKnown:
                self.send_header("X-User", "ann")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/auth", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestAHook:
    def test_a_service_decides(self, tmp_path: Path) -> None:
        with service() as (url, asked):
            config = block("hook_cache = 10").replace("http://127.0.0.1:8080/auth", url)
            with runningDaemon(config=config) as daemon:
                curl = "curl -s -H 'Cookie: session={}' http://localhost:9998/describe?a=b"
                assert '"peer"' in run(curl.format(1), daemon, tmp_path)
                assert '"peer"' in run(curl.format(1), daemon, tmp_path)
                assert run(curl.format(2), daemon, tmp_path).startswith(
                    "the authentication hook of this route does not"
                )
                assert asked == ["/describe?a=b"] * 2
                daemon.waitFor("user ann")

    def test_the_function_of_the_page_decides(self, tmp_path: Path) -> None:
        (code,) = [text for language, text in BLOCKS if language == "python"]
        (tmp_path / "auth.py").write_text(code)
        config = block('hook = "auth.py:decide"').replace("auth.py", str(tmp_path / "auth.py"))
        with runningDaemon(config=config) as daemon:
            curl = "curl -s -H 'X-Api-Key: {}' http://localhost:9998/describe"
            assert '"peer"' in run(curl.format("k3y"), daemon, tmp_path)
            assert run(curl.format("other"), daemon, tmp_path).startswith("the authentication hook")


def test_workers_and_relays_find_out_who_it_is(tmp_path: Path) -> None:
    """`/topics` belongs to one of two workers, which the connections of the other are passed on to."""
    subprocess.run(
        ["htpasswd", "-B", "-c", "-b", "users.htpasswd", "ann", "secret"], cwd=tmp_path, check=True, timeout=60
    )
    config = f'workers = 2\n[auth]\nmethods = ["basic"]\nhtpasswd = "{tmp_path}/users.htpasswd"\n'
    with runningDaemon(config=config) as daemon:
        for _ in range(6):
            shown = run("curl -s -u ann:secret http://localhost:9998/topics/a", daemon, tmp_path)
            assert json.loads(shown)["topic"] == "a"
        assert run("curl -s http://localhost:9998/topics/a", daemon, tmp_path).startswith("this route needs")
        users = until(lambda: set(re.findall(r"; user (\w+)", textOf(daemon))), "a user in the log")
        assert users == {"ann"}


def test_the_page_has_no_example_that_is_not_run() -> None:
    run = [each for each in COMMANDS if not each[0].startswith("htpasswd")]
    assert len(run) == 5
    assert len(TOML) == 7
    assert os.path.exists("/usr/bin/htpasswd")
