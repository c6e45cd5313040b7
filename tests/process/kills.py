"""
Kills the daemon at random points of transfers, and sees that nothing acknowledged is lost: `make soak` runs it whole.

Clients of the `websockets` package upload files of all sizes by blob.wsd.v1, and bare ones beside, while the daemon
is killed (-9) and started again, with another policy of syncing each time. After each loss a client asks where it is:
never before what was acknowledged. In the end every file is there, byte for byte, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from wsd.protocols.blob.quota import BlobLimits
from wsd.protocols.blob.store import BlobStore

ROOT = Path(__file__).parents[2]
CLIENTS = 4
POLICIES = ("interval", "each", "end")
LOST = (ConnectionClosed, InvalidHandshake, OSError, TimeoutError)

CONFIG = """
port = 0
host = "127.0.0.1"
[route."/blob"]
protocol = "blob"
quota = 0
store = "{store}"
sync = "{sync}"
sync_interval = 0.05
"""


@dataclass
class Run:
    """What has happened."""

    random: random.Random
    port: asyncio.Future[int]
    kept: dict[str, str] = field(default_factory=dict)
    """The receipts: id to SHA-256."""
    kills: int = 0
    resumed: int = 0
    acknowledgements: int = 0
    over: bool = False

    def content(self) -> bytes:
        """A file, small or large."""
        size = self.random.choice([0, 1, 1000, 100_000, 3_000_000, 20_000_000])
        return self.random.randbytes(self.random.randint(size // 2, size))


class Daemon:
    """The daemon, over and over."""

    def __init__(self, folder: Path, configs: Sequence[str]) -> None:
        """Each start takes the next of these configurations."""
        self._folder = folder
        self._configs = itertools.cycle(configs)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> int:
        """Start it: its port."""
        config = self._folder / "wsd.toml"
        config.write_text(next(self._configs))
        command = [sys.executable, "-m", "twisted", "wsd", "-c", str(config)]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**os.environ, "STATE_DIRECTORY": str(self._folder / "state")},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = b""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said += line
            if b"listening ws://" in line:
                self._reader = asyncio.create_task(self._process.stdout.read())
                return int(line.split(b"/ ")[0].strip().rstrip(b"/").rpartition(b":")[2])
        raise AssertionError(f"it did not start:\n{said.decode()}")

    async def kill(self, number: int = signal.SIGKILL) -> None:
        """End it."""
        assert self._process is not None
        self._process.send_signal(number)
        await self._process.wait()
        await self._reader


async def hear(socket: ClientConnection) -> Any:
    """The next message, within a minute."""
    return json.loads(await asyncio.wait_for(socket.recv(), 60))


class Upload:
    """One file by blob.wsd.v1, however often the daemon dies."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._content = run.content()
        self._token = f"{run.random.getrandbits(128):032x}"
        self._acknowledged = 0

    async def go(self) -> None:
        """Go on until it is done."""
        while True:
            try:
                port = await asyncio.shield(self._run.port)
                url = f"ws://127.0.0.1:{port}/blob"
                async with connect(url, subprotocols=[Subprotocol("blob.wsd.v1")], compression=None) as socket:
                    receipt = await self._try(socket)
            except LOST:
                await asyncio.sleep(0.01)
            else:
                assert receipt["sha256"] == sha256(self._content).hexdigest()
                self._run.kept[receipt["id"]] = receipt["sha256"]
                return

    async def _try(self, socket: ClientConnection) -> Any:
        await hear(socket)
        size = len(self._content)
        await socket.send(json.dumps({"begin": {"name": "a", "size": size, "token": self._token}}))
        answer = await hear(socket)
        if "have" in answer:
            return answer["have"]
        offset = answer["ready"]["offset"]
        assert offset >= self._acknowledged, f"{self._acknowledged} bytes were acknowledged, and {offset} are left"
        self._run.resumed += offset > 0
        most = offset + answer["ready"]["credit"]
        while offset < size:
            chunk = self._content[offset : offset + self._run.random.randint(1, 200_000)]
            while offset + len(chunk) > most:
                most = self._heard(await hear(socket), most)
            await socket.send(pack(">QI", offset, crc32(chunk)) + chunk)
            offset += len(chunk)
        await socket.send(json.dumps({"end": {}}))
        while "done" not in (answer := await hear(socket)):
            most = self._heard(answer, most)
        return answer["done"]

    def _heard(self, answer: Any, most: int) -> int:
        ack = answer["ack"]
        self._run.acknowledgements += 1
        self._acknowledged = ack["offset"]
        return max(most, int(ack["offset"] + ack["credit"]))


async def client(run: Run) -> None:
    """Uploads files one after the other, until it is over."""
    while not run.over:
        await Upload(run).go()


async def bareClient(run: Run) -> None:
    """Sends bare files; one without a receipt is sent no more."""
    while not run.over:
        try:
            port = await asyncio.shield(run.port)
            async with connect(f"ws://127.0.0.1:{port}/blob", compression=None) as socket:
                while not run.over:
                    content = run.random.randbytes(run.random.randint(0, 300_000))
                    await socket.send(content)
                    receipt = await hear(socket)
                    assert receipt["sha256"] == sha256(content).hexdigest()
                    run.kept[receipt["id"]] = receipt["sha256"]
        except LOST:
            await asyncio.sleep(0.01)


async def killer(run: Run, daemon: Daemon, kills: int) -> None:
    """Kills it at random points, and starts it again."""
    loop = asyncio.get_running_loop()
    for _ in range(kills):
        await asyncio.sleep(run.random.uniform(0.0, 0.6))
        run.port = loop.create_future()
        await daemon.kill()
        run.kills += 1
        run.port.set_result(await daemon.start())
    run.over = True


async def main(kills: int, policies: Sequence[str], seed: int, folder: Path) -> Run:
    """All of it."""
    daemon = Daemon(folder, [CONFIG.format(store=folder / "store", sync=policy) for policy in policies])
    run = Run(random.Random(seed), asyncio.get_running_loop().create_future())
    run.port.set_result(await daemon.start())
    clients = [client(run) for _ in range(CLIENTS)]
    try:
        async with asyncio.TaskGroup() as tasks:
            for each in (killer(run, daemon, kills), bareClient(run), *clients):
                tasks.create_task(each)
        for blobId, digest in run.kept.items():
            content = await asyncio.to_thread(fetch, await run.port, blobId)
            assert sha256(content).hexdigest() == digest, f"{blobId} is not what was uploaded"
    finally:
        await daemon.kill(signal.SIGTERM)
    check(run, folder)
    return run


def fetch(port: int, blobId: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/blob/{blobId}") as answer:
        content: bytes = answer.read()
    return content


def check(run: Run, folder: Path) -> None:
    """The store is sound: every file that was told of, nothing unfinished, and the accounts are right."""
    store = BlobStore(folder / "store", BlobLimits(), lambda: 0.0)
    assert list(store.verify()) == []
    blobs = {blob.id: blob for blob in store.list()}
    assert set(run.kept) <= set(blobs)
    assert list(store.parts.iterdir()) == []
    assert store.index.used() == sum(blob.size for blob in blobs.values())
    store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill the daemon at random points of transfers.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--sync", nargs="+", default=POLICIES, choices=POLICIES)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="wsd-kills-") as name:
        done = asyncio.run(main(given.kills, given.sync, given.seed, Path(name)))
    print(
        f"{done.kills} kills, {len(done.kept)} files kept, {done.resumed} transfers gone on with, "
        f"{done.acknowledgements} acknowledgements, none lost"
    )
