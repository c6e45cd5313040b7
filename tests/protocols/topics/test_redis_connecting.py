"""Why Redis cannot be connected to: the log says it once, and /readyz until it is over."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs

from tests.certificates import Authority
from tests.ports import freePort
from tests.protocols.topics.redisserver import RedisServer
from tests.protocols.topics.test_redis import ROOMY, until
from tests.protocols.topics.test_redis_failover import backendAt
from tests.reactor import onReactor
from wsd.connection import newId
from wsd.protocols.topics.redis.address import readAddress
from wsd.protocols.topics.redis.backend import RedisBackend

PASSWORD = "a secret"


async def reasonFor(url: str) -> str:
    """What /readyz says of this URL when the first try has failed, and the log as well."""
    with capturedLogs() as events:
        topics = backendAt(url, f"{newId()}:")
        prefix = f"Redis at {readAddress(url)} is not connected"
        assert topics.backend.ready() == prefix
        await until(lambda: topics.backend.ready() != prefix)
        # Further tries say nothing new.
        await deferLater(reactor, 0.5)
        said = topics.backend.ready()
        await topics.backend.stop()
    assert said is not None
    assert said.startswith(f"{prefix}: ")
    reasons = [event["reason"] for event in events if event.get("event") == "topics.redis" and "reason" in event]
    assert reasons == [said.removeprefix(f"{prefix}: ")]
    assert PASSWORD not in repr(events)
    reason: str = reasons[0]
    return reason


@contextmanager
def server(*options: str) -> Iterator[RedisServer]:
    found = RedisServer(*options)
    try:
        yield found
    finally:
        found.stop()


class TestTheReason:
    @onReactor
    async def test_is_a_port_that_nobody_listens_at(self) -> None:
        assert await reasonFor(f"redis://127.0.0.1:{freePort()}") == "the connection is refused"

    @onReactor
    async def test_is_a_name_that_is_not_found(self) -> None:
        assert await reasonFor("redis://no-such-host.invalid") == "the host's name is not found"

    @onReactor
    async def test_is_a_wrong_password(self) -> None:
        with server() as redis:
            redis.run("ACL", "SETUSER", "wsd", "on", f">{PASSWORD}", "~*", "&*", "+@all")
            said = await reasonFor(f"redis://wsd:wrong@127.0.0.1:{redis.port}/0")
        assert said == "could not auth: WRONGPASS invalid username-password pair or user is disabled."

    @onReactor
    async def test_is_a_password_that_is_missing(self) -> None:
        with server() as redis:
            redis.run("CONFIG", "SET", "requirepass", PASSWORD)
            said = await reasonFor(f"redis://127.0.0.1:{redis.port}/0")
        assert said == "could not set dbid=0: NOAUTH Authentication required."

    @onReactor
    async def test_is_a_database_that_is_not_there(self) -> None:
        with server() as redis:
            said = await reasonFor(f"redis://127.0.0.1:{redis.port}/99")
        assert said == "could not set dbid=99: ERR DB index is out of range"

    @onReactor
    async def test_is_a_user_who_may_not_run_scripts(self) -> None:
        with server() as redis:
            redis.run("ACL", "SETUSER", "wsd", "on", f">{PASSWORD}", "~*", "&*", "+@all", "-eval")
            said = await reasonFor(f"redis://wsd:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{redis.port}/0")
        assert said.startswith("Redis refuses: NOPERM this user has no permissions to run the 'eval' command")

    @onReactor
    async def test_is_a_replica(self) -> None:
        with server() as master, server("--replicaof", "127.0.0.1", str(master.port)) as replica:
            said = await reasonFor(replica.url)
        assert said == "Redis does not serve now: READONLY this server is a replica"

    @onReactor
    async def test_is_a_certificate_of_a_stranger(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        said = await self.tls(tmp_path, monkeypatch, trusted=False, host="localhost")
        assert said == "TLS fails: certificate verify failed"

    @onReactor
    async def test_is_a_certificate_for_another_host(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        said = await self.tls(tmp_path, monkeypatch, trusted=True, host="127.0.0.1")
        assert said == "the TLS certificate is for another host"

    async def tls(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool, host: str) -> str:
        ours, strangers = Authority(folder, "ours"), Authority(folder, "strangers")
        pair = (ours if trusted else strangers).server("localhost", "localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(ours.path))
        port = freePort()
        files = ("--tls-cert-file", str(pair.cert), "--tls-key-file", str(pair.key), "--tls-ca-cert-file")
        with server("--tls-port", str(port), *files, str(ours.path), "--tls-auth-clients", "no"):
            return await reasonFor(f"rediss://{host}:{port}/0")

    @onReactor
    async def test_is_tls_that_the_server_does_not_speak(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wsd.protocols.topics.redis.link.REPLY_TIMEOUT", 0.2)
        with server() as redis:
            said = await reasonFor(f"rediss://localhost:{redis.port}/0")
        assert said == "the server does not answer; only one with TLS is written rediss://"

    @onReactor
    async def test_is_tls_that_the_server_wants(self, tmp_path: Path) -> None:
        pair, port = Authority(tmp_path, "ours").server("localhost", "localhost"), freePort()
        files = ("--tls-cert-file", str(pair.cert), "--tls-key-file", str(pair.key), "--tls-ca-cert-file")
        with server("--tls-port", str(port), *files, str(tmp_path / "ours.pem"), "--tls-auth-clients", "no"):
            said = await reasonFor(f"redis://localhost:{port}/0")
        assert said == "the server ends the connection at once; one that wants TLS is written rediss://"

    @onReactor
    async def test_is_a_server_that_ends_the_connection(self) -> None:
        with server("--maxclients", "1") as redis, socket.create_connection(("127.0.0.1", redis.port)) as taken:
            taken.sendall(b"PING\r\n")
            taken.recv(100)
            said = await reasonFor(redis.url)
        assert "ends the connection" in said or "max number of clients" in said


class TestSentinel:
    @contextmanager
    def sentinel(self, folder: Path, *lines: str) -> Iterator[int]:
        port = freePort()
        config = folder / "sentinel.conf"
        config.write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines, ""]))
        process = subprocess.Popen(["redis-server", str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.kill()
            process.wait()

    @onReactor
    async def test_that_knows_no_such_master(self, tmp_path: Path) -> None:
        with server() as redis, self.sentinel(tmp_path, f"sentinel monitor m 127.0.0.1 {redis.port} 1") as port:
            said = await reasonFor(f"redis+sentinel://127.0.0.1:{port}/other/0")
        assert said == "the Sentinels know no master 'other'"

    @onReactor
    async def test_whose_master_is_down(self, tmp_path: Path) -> None:
        lines = (f"sentinel monitor m 127.0.0.1 {freePort()} 1", "sentinel down-after-milliseconds m 100")
        with self.sentinel(tmp_path, *lines) as port:
            await until(lambda: b"s_down" in ask(port))
            said = await reasonFor(f"redis+sentinel://127.0.0.1:{port}/m/0")
        assert said == "the Sentinels say that the master 'm' is down"

    @onReactor
    async def test_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wsd.protocols.topics.redis.endpoint._PATIENCE", 0.2)
        assert await reasonFor(f"redis+sentinel://127.0.0.1:{freePort()}/m/0") == "no Sentinel answers"


def ask(port: int) -> bytes:
    """What a Sentinel says of its master."""
    command = ["redis-cli", "-p", str(port), "sentinel", "master", "m"]
    return subprocess.run(command, capture_output=True, check=False).stdout


class TestWhatIsMended:
    @onReactor
    async def test_is_connected_to_without_a_restart(self) -> None:
        with server() as redis:
            redis.run("CONFIG", "SET", "requirepass", "other")
            topics = backendAt(f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{redis.port}/0", f"{newId()}:")
            await until(lambda: "could not auth" in (topics.backend.ready() or ""))
            redis.run("-a", "other", "CONFIG", "SET", "requirepass", PASSWORD)
            await until(lambda: topics.backend.ready() is None)
            await topics.backend.stop()


def test_the_log_repeats_a_reason_once_a_minute_and_says_a_new_one_at_once() -> None:
    clock = Clock()
    now = 1e9
    backend = RedisBackend(
        ROOMY.keep, ROOMY.bounds, readAddress("redis://:x@a"), "", clock, lambda: now + clock.seconds()
    )

    def said(reason: str) -> list[Any]:
        with capturedLogs() as events:
            backend.notLinked(reason)
        return [event["reason"] for event in events]

    assert said("one") == ["one"]
    clock.advance(59)
    assert said("one") == []
    assert said("two") == ["two"]
    clock.advance(60)
    assert said("two") == ["two"]
    assert backend.ready() == "Redis at redis://a:6379/0 is not connected: two"
