"""Redis by Sentinel, whose master is killed, and Redis with TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock, deferLater

from tests.certificates import Authority
from tests.ports import freePort
from tests.protocols.topics.backends import Topics, texts
from tests.protocols.topics.redisserver import RedisServer
from tests.protocols.topics.test_redis import ROOMY, until
from tests.protocols.topics.test_redis_losses import Late
from tests.reactor import onReactor
from wsd.connection import newId
from wsd.protocols.topics.publication import TopicMessage
from wsd.protocols.topics.redis.address import readAddress
from wsd.protocols.topics.redis.backend import RedisBackend

NAME = "wsd-test"
SECONDS = 40.0


def backendAt(url: str, prefix: str) -> Topics:
    """A backend that has begun to connect."""
    clock = Clock()
    backend = RedisBackend(ROOMY.keep, ROOMY.bounds, readAddress(url), prefix, reactor, clock.seconds)
    topics = Topics(backend, clock)
    backend.start(topics)
    return topics


async def isReady(topics: Topics) -> bool:
    """Whether it is connected, waited for."""
    for _ in range(int(SECONDS * 50)):
        if topics.backend.ready() is None:
            return True
        await deferLater(reactor, 0.02)
    return False


class Watched:
    """A master, its replica, and three Sentinels."""

    def __init__(self, folder: Path) -> None:
        self.master = RedisServer()
        self.replica = RedisServer("--replicaof", "127.0.0.1", str(self.master.port), "--repl-diskless-sync-delay", "0")
        self.ports = [freePort() for _ in range(3)]
        self.sentinels = []
        for port in self.ports:
            config = folder / f"sentinel-{port}.conf"
            config.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                f"sentinel monitor {NAME} 127.0.0.1 {self.master.port} 2\n"
                f"sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 2000\n"
            )
            self.sentinels.append(
                subprocess.Popen(["redis-server", str(config), "--sentinel"], stdout=subprocess.DEVNULL)
            )

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/{NAME}/0"

    async def settled(self) -> None:
        """The Sentinels know one another and the replica, which has the data."""
        for _ in range(int(SECONDS * 10)):
            said = [self._ask(port) for port in self.ports]
            if all("num-slaves\n1\n" in text and "num-other-sentinels\n2\n" in text for text in said):
                return
            await deferLater(reactor, 0.1)
        raise AssertionError("the Sentinels do not find one another")

    @staticmethod
    def _ask(port: int) -> str:
        command = ["redis-cli", "-p", str(port), "sentinel", "master", NAME]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def stop(self) -> None:
        for sentinel in self.sentinels:
            sentinel.kill()
            sentinel.wait()
        self.replica.stop()
        self.master.stop()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.stop()


class TestAMasterThatIsKilled:
    @onReactor
    async def test_is_followed_by_its_replica(self, watched: Watched) -> None:
        await watched.settled()
        prefix = f"{newId()}:"
        one, two = backendAt(watched.url, prefix), backendAt(watched.url, prefix)
        for topics in (one, two):
            assert await isReady(topics)
            await topics.backend.listen(("#",))
        before = await gatherResults([one.backend.publish("a", TopicMessage(b"%d" % number)) for number in range(50)])
        backend: Any = one.backend
        assert await backend._link.run("WAIT", 1, 5000) == 1
        watched.master.kill()
        waiting = [one.backend.publish("a", TopicMessage(b"%d" % number)) for number in range(50, 100)]
        after = await gatherResults(waiting)
        assert [each.position.offset for each in (*before, *after)] == list(range(1, 101))
        kept = await one.since(before[9].position)
        assert (len(kept.publications), kept.isComplete) == (90, True)
        assert await isReady(two)
        await until(lambda: len(one.delivered) == len(two.delivered) == 100)
        assert texts(one.delivered) == texts(two.delivered) == [str(number) for number in range(100)]
        assert one.gaps == two.gaps == []
        for topics in (one, two):
            await topics.backend.stop()

    @onReactor
    async def test_takes_along_what_its_replica_had_not_heard_which_is_told(self, watched: Watched) -> None:
        await watched.settled()
        topics = backendAt(watched.url, f"{newId()}:")
        assert await isReady(topics)
        await topics.backend.listen(("a",))
        backend: Any = topics.backend
        first = await topics.publish("1")
        assert await backend._link.run("WAIT", 1, 5000) == 1
        watched.replica.pause()
        await backend._link.run("CLIENT", "KILL", "TYPE", "replica")
        lost = [await topics.publish(text) for text in "23"]
        await until(lambda: len(topics.delivered) == 3)
        late = Late(topics)
        watched.master.kill()
        watched.replica.resume()
        other = backendAt(watched.url, backend._names.prefix)
        assert await isReady(other)
        found = [await other.publish(text) for text in "456"]
        assert [each.position.offset for each in found] == [2, 3, 4]
        assert found[0].position.epoch != first.position.epoch
        for each in lost:
            missed = await other.since(each.position)
            assert (texts(missed.publications), missed.isComplete) == (["4", "5", "6"], False)
        assert (await other.since(first.position)).isComplete
        await late.come()
        await until(lambda: texts(topics.delivered) == ["1", "2", "3", "4", "5", "6"])
        assert topics.gaps == [("a", found[-1].position)]
        await topics.backend.stop()
        await other.backend.stop()


class TestTls:
    @pytest.mark.parametrize("isTrusted", [True, False], ids=["of a known authority", "of a stranger's"])
    @onReactor
    async def test_a_certificate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isTrusted: bool) -> None:
        ours, strangers = Authority(tmp_path, "ours"), Authority(tmp_path, "strangers")
        pair = (ours if isTrusted else strangers).server("localhost", "localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(ours.path))
        port = freePort()
        files = (
            "--tls-cert-file",
            str(pair.cert),
            "--tls-key-file",
            str(pair.key),
            "--tls-ca-cert-file",
            str(ours.path),
        )
        server = RedisServer("--tls-port", str(port), *files, "--tls-auth-clients", "no")
        topics = backendAt(f"rediss://localhost:{port}/0", f"{newId()}:")
        try:
            if isTrusted:
                assert await isReady(topics)
                await topics.backend.listen(("a",))
                await topics.publish("1")
                await until(lambda: texts(topics.delivered) == ["1"])
            else:
                said = f"Redis at rediss://localhost:{port}/0 is not connected: "
                await until(lambda: str(topics.backend.ready()).startswith(said))
        finally:
            await topics.backend.stop()
            server.stop()
