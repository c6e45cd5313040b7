"""The daemon as a process keeps what it acknowledged: killed, with a full disk, and with little memory."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connectAsync
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.daemon import ROOT, RunningDaemon, runningDaemon

MIB = 1 << 20
RELIABLE = [Subprotocol("blob.wsd.v1")]


def test_killed_at_random_points_it_loses_nothing_that_it_acknowledged() -> None:
    """A short run of `make soak`: each policy of syncing twice."""
    command = [sys.executable, "-m", "tests.process.kills", "--kills", "6"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
    print(done.stdout)
    assert done.returncode == 0, done.stdout


# -- memory -----------------------------------------------------------------------------------------------------------


def most(daemon: RunningDaemon) -> int:
    """The most resident bytes that the process has had."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def blobs(**keys: object) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
    return "\n".join(['[route."/blob"]', *lines, ""])


def url(daemon: RunningDaemon) -> str:
    return f"ws://127.0.0.1:{daemon.port()}/blob"


whole = pytest.mark.soak
"""The size that is promised; a smaller one shows the same in a tenth of the time."""


class TestMemory:
    @pytest.mark.parametrize("size", [256, pytest.param(2048, marks=whole)])
    def test_a_message_of_two_gibibytes_costs_no_more_than_sixteen_mebibytes(self, size: int) -> None:
        piece = os.urandom(MIB)
        with runningDaemon(config=blobs(quota="3 GiB", max_file="3 GiB")) as daemon:
            with connect(url(daemon), compression=None) as socket:
                socket.send(piece)
                socket.recv()
                before = most(daemon)
                socket.send(piece for _ in range(size))
                receipt = json.loads(socket.recv(timeout=120))
            grown = most(daemon) - before
        print(f"{size} MiB in one message: memory grew by {grown / MIB:.1f} MiB")
        assert receipt["size"] == size * MIB
        assert grown <= 16 * MIB

    @pytest.mark.parametrize("size", [256, pytest.param(2048, marks=whole)])
    def test_so_does_one_in_a_single_frame(self, size: int) -> None:
        with runningDaemon(config=blobs(quota="3 GiB", max_file="3 GiB")) as daemon:
            with connect(url(daemon), compression=None) as socket:
                socket.send(os.urandom(MIB))
                socket.recv()
                before = most(daemon)
                # The head of a frame under the mask of zeros, and its bytes.
                socket.socket.sendall(bytes.fromhex("82ff") + (size * MIB).to_bytes(8, "big") + bytes(4))
                for _ in range(size):
                    socket.socket.sendall(bytes(MIB))
                receipt = json.loads(socket.recv(timeout=120))
            grown = most(daemon) - before
        print(f"{size} MiB in one frame: memory grew by {grown / MIB:.1f} MiB")
        assert receipt["size"] == size * MIB
        assert grown <= 16 * MIB

    @pytest.mark.parametrize("size", [4, pytest.param(20, marks=whole)])
    def test_fifty_uploads_at_once_cost_no_more_than_thirty_two(self, size: int) -> None:
        contents = [bytes([number]) * (size * MIB) for number in range(50)]

        async def one(number: int) -> str:
            async with connectAsync(url(daemon), subprotocols=RELIABLE, compression=None) as socket:
                return await uploadBy(socket, contents[number], f"{number:016}")

        async def uploadAll() -> list[str]:
            return await asyncio.gather(*(one(number) for number in range(50)))

        with runningDaemon(config=blobs(quota="3 GiB")) as daemon:
            with connect(url(daemon), compression=None) as socket:
                socket.send(b"warm")
                socket.recv()
            before = most(daemon)
            # In a thread of its own: under the asyncio reactor this one has a loop already.
            with ThreadPoolExecutor(1) as pool:
                hashes = pool.submit(asyncio.run, uploadAll()).result()
            grown = most(daemon) - before
        print(f"50 uploads of {size} MiB at once: memory grew by {grown / MIB:.1f} MiB")
        assert hashes == [sha256(content).hexdigest() for content in contents]
        assert grown <= 32 * MIB


async def uploadBy(socket: ClientConnection, content: bytes, token: str) -> str:
    """Upload by blob.wsd.v1: the SHA-256 of the receipt."""
    await socket.recv()
    await socket.send(json.dumps({"begin": {"name": "a", "size": len(content), "token": token}}))
    ready = json.loads(await socket.recv())["ready"]
    granted = ready["offset"] + ready["credit"]
    for offset in range(0, len(content), 256 * 1024):
        chunk = content[offset : offset + 256 * 1024]
        while offset + len(chunk) > granted:
            ack = json.loads(await socket.recv())["ack"]
            granted = ack["offset"] + ack["credit"]
        await socket.send(pack(">QI", offset, crc32(chunk)) + chunk)
    await socket.send('{"end": {}}')
    while "done" not in (answer := json.loads(await socket.recv())):
        pass
    return str(answer["done"]["sha256"])


# -- a disk that refuses ----------------------------------------------------------------------------------------------


class Socket:
    """A client of blob.wsd.v1 against a store that acknowledges each chunk."""

    def __init__(self, socket: Any, size: int) -> None:
        self._socket = socket
        self._content = os.urandom(size)
        self._token = secrets.token_hex(8)
        self._offset = 0
        self.hear()

    def hear(self) -> Any:
        return json.loads(self._socket.recv(timeout=30))

    def begin(self) -> Any:
        fields = {"name": "a", "size": len(self._content), "token": self._token}
        self._socket.send(json.dumps({"begin": fields}))
        answer = self.hear()
        self._offset = answer.get("ready", {}).get("offset", self._offset)
        return answer

    def upload(self) -> tuple[int, str | None]:
        """Send chunk after chunk: what was acknowledged, and the code of the error that ended it."""
        while self._offset < len(self._content):
            chunk = self._content[self._offset : self._offset + 256 * 1024]
            self._socket.send(pack(">QI", self._offset, crc32(chunk)) + chunk)
            answer = self.hear()
            if "error" in answer:
                return self._offset, str(answer["error"]["code"])
            self._offset = answer["ack"]["offset"]
        return self._offset, None

    def end(self) -> bool:
        """Whether it became the file that it should."""
        self._socket.send('{"end": {}}')
        return bool(self.hear()["done"]["sha256"] == sha256(self._content).hexdigest())


@contextmanager
def fileLimit(daemon: RunningDaemon, size: int) -> Iterator[None]:
    """No file may grow larger: the kernel refuses it as it refuses when a disk is full."""
    pid = daemon.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def kept(daemon: RunningDaemon) -> set[Path]:
    """What is in its store, whole or not."""
    return {*daemon.folder.glob("wsd/blob/parts/*"), *daemon.folder.glob("wsd/blob/files/*/*")}


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A small disk of its own."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def strict() -> Iterator[RunningDaemon]:
    with runningDaemon(config=blobs(sync="each")) as daemon:
        yield daemon


class TestAFullDisk:
    def test_it_is_told_and_goes_on_when_there_is_room_again(self, strict: RunningDaemon) -> None:
        with connect(url(strict), subprotocols=RELIABLE, compression=None) as connection:
            socket = Socket(connection, 4 * MIB)
            socket.begin()
            with fileLimit(strict, 2 * MIB):
                assert socket.upload() == (2 * MIB, "disk_full")
            assert socket.begin()["ready"]["offset"] == 2 * MIB
            assert socket.upload() == (4 * MIB, None)
            assert socket.end()

    def test_nothing_of_a_bare_upload_is_left(self, strict: RunningDaemon) -> None:
        before = kept(strict)
        with fileLimit(strict, 2 * MIB), connect(url(strict), compression=None) as connection:
            connection.send(os.urandom(4 * MIB))
            assert json.loads(connection.recv(timeout=30))["error"]["code"] == "disk_full"
            with pytest.raises(ConnectionClosed):
                connection.recv(timeout=30)
            assert connection.close_code == 1013
        assert kept(strict) == before

    if os.geteuid() == 0:  # who may not mount has the test above

        def test_a_disk_that_is_really_full(self, tmp_path: Path) -> None:
            with (
                tmpfs(tmp_path / "disk", "16m") as disk,
                runningDaemon(config=blobs(sync="each", store=str(disk / "store"))) as daemon,
                connect(url(daemon), subprotocols=RELIABLE, compression=None) as connection,
            ):
                (disk / "other").write_bytes(bytes(10 * MIB))
                socket = Socket(connection, 8 * MIB)
                socket.begin()
                acknowledged, code = socket.upload()
                assert code == "disk_full"
                assert acknowledged > 2 * MIB
                (disk / "other").unlink()
                assert socket.begin()["ready"]["offset"] >= acknowledged
                assert socket.upload() == (8 * MIB, None)
                assert socket.end()

        def test_a_disk_that_is_read_only(self, tmp_path: Path) -> None:
            with (
                tmpfs(tmp_path / "disk", "16m") as disk,
                runningDaemon(config=blobs(sync="each", store=str(disk / "store"))) as daemon,
                connect(url(daemon), subprotocols=RELIABLE, compression=None) as connection,
            ):
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
                socket = Socket(connection, MIB)
                assert socket.begin()["error"]["code"] == "read_only"
                subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
                assert socket.begin()["ready"]["offset"] == 0
                assert socket.upload() == (MIB, None)
                assert socket.end()
