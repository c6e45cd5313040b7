"""`wsd blob`: files up and down, which go on by themselves, and the tools of who owns a store."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.commands import environment
from tests.daemon import RunningDaemon, runningDaemon
from tests.ports import freePort
from wsd.__main__ import main
from wsd.protocols.blob.index import Blob
from wsd.protocols.blob.quota import BlobLimits
from wsd.protocols.blob.store import BlobStore
from wsd.protocols.blob.upload import BlobUpload, NewUpload

MIB = 1 << 20


def daemonIn(folder: Path, port: int = 0, **keys: object) -> Any:
    # After the first 16 MiB, an upload takes a second for as many more, in which a test can look at it.
    lines = [
        '[route."/blob"]',
        'sync_bytes = "1 MiB"',
        'bytes_per_second = "16 MiB"',
        *(f"{name} = {json.dumps(value)}" for name, value in keys.items()),
    ]
    return runningDaemon("-p", str(port), config="\n".join(lines), environ={"STATE_DIRECTORY": str(folder / "state")})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `daemon`."""
    return tmp_path_factory.mktemp("daemon")


@pytest.fixture(scope="module")
def daemon(place: Path) -> Iterator[RunningDaemon]:
    with daemonIn(place) as daemon:
        yield daemon


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "wsd", "blob", *arguments],
        cwd=folder,
        env=environment(STATE_DIRECTORY=str(folder / "state")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def blob(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def url(daemon: RunningDaemon, scheme: str = "ws") -> str:
    return f"{scheme}://127.0.0.1:{daemon.port()}/blob"


def put(folder: Path, daemon: RunningDaemon, content: bytes, *more: str) -> Any:
    (folder / "a.bin").write_bytes(content)
    done = blob(folder, "put", url(daemon), "a.bin", *more)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def onDisk(folder: Path, least: int) -> None:
    while sum(path.stat().st_size for path in folder.glob("state/blob/parts/*")) < least:
        time.sleep(0.002)


def stoppedAmid(folder: Path, address: str) -> Path:
    """What a download of a file that was killed has left. One that was faster than this test is begun anew."""
    while True:
        process = start(folder, "get", address, "b.bin")
        while process.poll() is None:
            parts = list(folder.glob("b.bin.*.part"))
            if parts and parts[0].stat().st_size >= 4 * MIB:
                process.kill()
            time.sleep(0.002)
        process.communicate()
        if parts and parts[0].exists():
            return parts[0]
        (folder / "b.bin").unlink()


class TestPut:
    def test_it_prints_the_receipt(self, tmp_path: Path, daemon: RunningDaemon) -> None:
        content = os.urandom(3 * MIB)
        receipt = put(tmp_path, daemon, content, "--name", "größe.bin", "--type", "application/x-of-mine")
        assert receipt["sha256"] == sha256(content).hexdigest()
        assert (receipt["name"], receipt["type"], receipt["size"]) == ("größe.bin", "application/x-of-mine", 3 * MIB)

    def test_an_empty_file_too(self, tmp_path: Path, daemon: RunningDaemon) -> None:
        assert put(tmp_path, daemon, b"")["size"] == 0

    def test_it_goes_on_when_the_daemon_was_killed(self, tmp_path: Path) -> None:
        content = os.urandom(32 * MIB)
        (tmp_path / "a.bin").write_bytes(content)
        port = freePort()
        with daemonIn(tmp_path, port) as first:
            process = start(tmp_path, "put", url(first), "a.bin")
            onDisk(tmp_path, 4 * MIB)
            first.stop(signal.SIGKILL)
        with daemonIn(tmp_path, port):
            out, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (0, "")
            assert json.loads(out)["sha256"] == sha256(content).hexdigest()

    def test_a_later_run_goes_on_where_one_was_stopped(self, tmp_path: Path) -> None:
        content = os.urandom(32 * MIB)
        (tmp_path / "a.bin").write_bytes(content)
        with daemonIn(tmp_path) as daemon:
            process = start(tmp_path, "put", url(daemon), "a.bin")
            onDisk(tmp_path, 4 * MIB)
            process.kill()
            process.communicate()
            (part,) = tmp_path.glob("state/blob/parts/*")
            inode = part.stat().st_ino
            assert (
                json.loads(blob(tmp_path, "put", url(daemon), "a.bin").stdout)["sha256"] == sha256(content).hexdigest()
            )
            (file,) = tmp_path.glob("state/blob/files/*/*")
            assert file.stat().st_ino == inode
            assert list(tmp_path.glob("state/uploads/*")) == []

    def test_by_another_name_it_is_another_upload(self, tmp_path: Path, daemon: RunningDaemon, place: Path) -> None:
        (tmp_path / "a.bin").write_bytes(os.urandom(32 * MIB))
        process = start(tmp_path, "put", url(daemon), "a.bin")
        onDisk(place, 4 * MIB)
        process.kill()
        process.communicate()
        assert json.loads(blob(tmp_path, "put", url(daemon), "a.bin", "--name", "b.bin").stdout)["name"] == "b.bin"

    def test_on_a_terminal_there_is_a_bar(self, tmp_path: Path, daemon: RunningDaemon) -> None:
        (tmp_path / "a.bin").write_bytes(bytes(MIB))
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "wsd", "blob", "put", url(daemon), "a.bin"],
            cwd=tmp_path,
            env=environment(STATE_DIRECTORY=str(tmp_path / "state")),
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        assert process.wait(60) == 0
        assert "[####" in os.read(ours, 65536).decode()
        os.close(ours)
        os.close(theirs)

    def test_a_refusal_is_one_line(self, tmp_path: Path) -> None:
        with daemonIn(tmp_path, max_file=2000, quota=1000) as daemon:
            for size, sentence in (
                (2001, "too_large: the file is 2001 bytes; the upload limit is 2000"),
                (2000, "quota: 2000 more bytes do not fit: the store has room for 1000"),
            ):
                (tmp_path / "a.bin").write_bytes(bytes(size))
                done = blob(tmp_path, "put", url(daemon), "a.bin")
                assert done.returncode == 1
                assert re.fullmatch(rf"wsd: ws://\S+: {re.escape(sentence)}.*\n", done.stderr)

    def test_a_state_folder_that_cannot_be_written_is_one_line(self, tmp_path: Path, daemon: RunningDaemon) -> None:
        (tmp_path / "a.bin").write_bytes(b"hello")
        (tmp_path / "state").write_text("no folder")
        done = blob(tmp_path, "put", url(daemon), "a.bin")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert re.match(rf"wsd: {tmp_path}/state/uploads\S*: cannot be written: Not a directory; ", done.stderr)

    def test_what_is_not_there_is_one_line(self, tmp_path: Path, daemon: RunningDaemon) -> None:
        (tmp_path / "a.bin").write_bytes(b"")
        for arguments, sentence in (
            (("put", url(daemon), "b.bin"), "b.bin: cannot be read: No such file"),
            (
                ("put", url(daemon).replace("/blob", "/echo"), "a.bin", "--patience", "0"),
                "does not support blob.wsd.v1",
            ),
            (("put", "ws://127.0.0.1:1/blob", "a.bin", "--patience", "0"), "nothing listens"),
            (("get", f"{url(daemon)}/{'0' * 40}", "c.bin"), "unknown: there is no such file"),
        ):
            done = blob(tmp_path, *arguments)
            assert done.returncode == 1
            assert done.stderr.startswith("wsd: ")
            assert sentence in done.stderr
            assert done.stderr.count("\n") == 1
        assert list(tmp_path.glob("c.bin*")) == []


class TestGet:
    @pytest.mark.parametrize("scheme", ["ws", "http"])
    def test_it_is_what_was_put(self, tmp_path: Path, daemon: RunningDaemon, scheme: str) -> None:
        content = os.urandom(8 * MIB)
        receipt = put(tmp_path, daemon, content)
        done = blob(tmp_path, "get", f"{url(daemon, scheme)}/{receipt['id']}", "b.bin")
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "b.bin").read_bytes() == content
        assert done.stdout.startswith(f"b.bin: {8 * MIB} bytes, ")

    def test_a_later_run_goes_on_where_one_was_stopped(self, tmp_path: Path, daemon: RunningDaemon) -> None:
        content = os.urandom(32 * MIB)
        receipt = put(tmp_path, daemon, content)
        inode = stoppedAmid(tmp_path, f"{url(daemon)}/{receipt['id']}").stat().st_ino
        assert blob(tmp_path, "get", f"{url(daemon)}/{receipt['id']}", "b.bin").returncode == 0
        assert (tmp_path / "b.bin").stat().st_ino == inode
        assert (tmp_path / "b.bin").read_bytes() == content

    def test_what_is_not_the_file_is_not_taken_for_it(self, tmp_path: Path, daemon: RunningDaemon) -> None:
        receipt = put(tmp_path, daemon, b"0123456789")
        (tmp_path / f"b.bin.{receipt['id'][:16]}.part").write_bytes(b"01x")
        done = blob(tmp_path, "get", f"{url(daemon)}/{receipt['id']}", "b.bin")
        assert done.returncode == 1
        assert "SHA-256 is wrong" in done.stderr
        assert blob(tmp_path, "get", f"{url(daemon)}/{receipt['id']}", "b.bin").returncode == 0


class TestTheStore:
    """What is for who owns it, beside the daemon."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
        return tmp_path / "blob"

    @staticmethod
    def kept(folder: Path, content: bytes, name: str = "a") -> Blob:
        """Keep a file, as the daemon does."""
        store = BlobStore(folder, BlobLimits(), lambda: 1_000_000_000.0)
        part = store.begin(NewUpload("local", name))
        assert isinstance(part, BlobUpload)
        part.append([content])
        return part.finish()

    @staticmethod
    def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        main(["blob", *arguments])
        return capsys.readouterr().out

    def test_ls_tells_each(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one = self.kept(folder, b"hello", "a b.txt")
        two = self.kept(folder, b"\0\0", "z")
        assert self.said(capsys, "ls").splitlines() == sorted(
            [
                f"{one.id}             5  2001-09-09T01:46:40+00:00  text/plain  local  a b.txt",
                f"{two.id}             2  2001-09-09T01:46:40+00:00  application/octet-stream  local  z",
            ]
        )

    def test_rm_removes(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        blob = self.kept(folder, b"hello")
        assert self.said(capsys, "rm", blob.id) == ""
        assert self.said(capsys, "ls") == ""
        with pytest.raises(SystemExit, match=f"^wsd: {blob.id}: there is no such file$"):
            main(["blob", "rm", blob.id])

    def test_verify_finds_what_is_damaged(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        blob = self.kept(folder, b"hello")
        assert self.said(capsys, "verify") == "ok: 1 checked\n"
        (folder / "files" / blob.id[:2] / blob.id).write_bytes(b"hallo")
        with pytest.raises(SystemExit, match=r"^wsd: damaged or missing: 1 of 1$"):
            main(["blob", "verify", "--store", str(folder)])
        assert capsys.readouterr().out.startswith(f"{blob.id} is damaged")

    def test_none_is_made_where_none_is(self, folder: Path) -> None:
        with pytest.raises(SystemExit, match=r"blob is not a blob store; use --store FOLDER$"):
            main(["blob", "ls"])
        assert not folder.exists()

    def test_they_work_beside_the_daemon(
        self, tmp_path: Path, daemon: RunningDaemon, place: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        receipt = put(tmp_path, daemon, b"beside it")
        assert receipt["id"] in self.said(capsys, "ls", "--store", str(place / "state" / "blob"))

    def test_help_tells_each_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["blob", "--help"])
        said = capsys.readouterr().out
        for command in ("put", "get", "ls", "rm", "verify"):
            assert re.search(rf"^    {command} +[A-Z]", said, re.MULTILINE)
