"""`wsd backup` beside a daemon that is being written to, and a fresh daemon on what it has copied."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from pycrdt import Doc, Text
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.commands import PATIENCE, Running, environment, running
from tests.process.xmpp import Client, body, message
from wsd.protocols.yjs.messages import MessageType, Reader, SyncStep, syncMessage

CONFIG = '[route."/topics/*"]\nbackend = "file"\nhistory_count = 10000\n[route."/xmpp"]\nregister = true\n'
TEACHER = {"Authorization": "Bearer the teacher's secret"}
PIXELS = b"\x10\x20\x30\xff" * (400 * 320)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wsd.toml").write_text(CONFIG)
    return tmp_path


def daemonOn(folder: Path, state: str) -> Any:
    return running(folder, "wsd serve", "-p", "0", "-c", "wsd.toml", STATE_DIRECTORY=str(folder / state))


def backup(folder: Path, target: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wsd", "backup", target, *options],
        cwd=folder,
        env=environment(STATE_DIRECTORY=str(folder / "state")),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 4,
    )


def ask(daemon: Running, path: str, data: bytes | None = None, **headers: str) -> bytes:
    with urlopen(Request(daemon.url().replace("ws", "http", 1) + path, data, headers), timeout=PATIENCE) as answer:
        content: bytes = answer.read()
    return content


# -- what is written, and read again -----------------------------------------------------------------------------------


def publish(daemon: Running, text: str) -> str:
    """Publish to a topic; its epoch."""
    with connect(f"{daemon.url()}/topics/", subprotocols=[Subprotocol("topics.wsd.v1")], proxy=None) as client:
        client.send(json.dumps({"publish": {"id": 1, "topic": "news", "text": text, "once": text}}))
        return str(json.loads(client.recv(PATIENCE))["published"]["position"]).partition("-")[0]


def published(daemon: Running) -> list[str]:
    with connect(f"{daemon.url()}/topics/", subprotocols=[Subprotocol("topics.wsd.v1")], proxy=None) as client:
        client.send(json.dumps({"subscribe": {"topic": "news", "history": 10000}}))
        count = json.loads(client.recv(PATIENCE))["subscribed"]["replayed"]
        return [json.loads(client.recv(PATIENCE))["message"]["text"] for _ in range(count)]


def upload(daemon: Running, content: bytes) -> str:
    """Upload a file; its id."""
    with connect(f"{daemon.url()}/blob", proxy=None) as client:
        client.send(content)
        return str(json.loads(client.recv(PATIENCE))["id"])


def token(daemon: Running) -> dict[str, str]:
    claims: dict[str, str] = json.loads(ask(daemon, "/uses/class/token", None, **TEACHER))
    return claims


def board(daemon: Running) -> Any:
    told = token(daemon)
    url = f"{daemon.url()}/uses/class/board/{told['class']}?width=400&height=320"
    protocols = [Subprotocol("canvas"), Subprotocol(f"bearer.{told['token']}")]
    return connect(url, subprotocols=protocols, proxy=None, max_size=None)


def editDocument(daemon: Running, line: str) -> None:
    doc: Doc[Any] = Doc()
    doc["text"] = text = Text()
    text += line
    with connect(f"{daemon.url()}/yjs/doc", proxy=None) as client:
        client.send(syncMessage(SyncStep.UPDATE, doc.get_update()))
        update(client)


def document(daemon: Running) -> str:
    doc: Doc[Any] = Doc()
    doc["text"] = text = Text()
    with connect(f"{daemon.url()}/yjs/doc", proxy=None) as client:
        client.send(syncMessage(SyncStep.STATE_VECTOR, doc.get_state()))
        doc.apply_update(update(client))
    return str(text)


def update(client: Any) -> bytes:
    while True:
        reader = Reader(client.recv(PATIENCE))
        if reader.number() == MessageType.SYNC and reader.number() != SyncStep.STATE_VECTOR:
            return bytes(reader.bytes_())


def chatter(daemon: Running, user: str, register: bool = False) -> Client:
    return Client(f"{daemon.url()}/xmpp").login(user, register=register)


def fill(daemon: Running) -> tuple[str, str]:
    """Something of everything that is stored; the epoch of the topic, and the id of the file."""
    epoch = publish(daemon, "first")
    blob = upload(daemon, b"hello")
    with board(daemon) as painter:
        painter.send(PIXELS)
        assert json.loads(painter.recv(PATIENCE))["frame"] == 1
        editDocument(daemon, "a line")
        alice = chatter(daemon, "alice", register=True)
        chatter(daemon, "bob", register=True).cut()
        alice.say(message("bob@localhost", "are you there?"))
        alice.ask("get", "<query xmlns='jabber:iq:roster'/>")
        alice.cut()
    return epoch, blob


class Writers:
    """Publishes and uploads until the end; what was acknowledged."""

    def __init__(self, daemon: Running) -> None:
        self._daemon = daemon
        self.texts: list[str] = []
        self.blobs: list[str] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._publish, self._upload)]

    def _publish(self) -> None:
        while not self._done.is_set():
            publish(self._daemon, f"text {len(self.texts)}")
            self.texts.append(f"text {len(self.texts)}")

    def _upload(self) -> None:
        while not self._done.is_set():
            self.blobs.append(upload(self._daemon, b"content %d" % len(self.blobs)))

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@pytest.fixture
def restored(folder: Path) -> Iterator[tuple[Running, str, str]]:
    """A daemon on a backup that was made while another one was written to, and was killed then."""
    with daemonOn(folder, "state") as daemon:
        epoch, blob = fill(daemon)
        with Writers(daemon) as writers:
            for number in range(3):
                texts, blobs = list(writers.texts), list(writers.blobs)
                done = backup(folder, f"copy{number}", "-c", "wsd.toml")
                assert (done.returncode, done.stderr) == (0, "")
        daemon.stop(signal.SIGKILL)
    # As docs/operations.md says: a copy of the copy.
    shutil.copytree(folder / "copy2", folder / "new", symlinks=True)
    with daemonOn(folder, "new") as daemon:
        known = published(daemon)
        assert known[: len(texts) + 1] == ["first", *texts]
        for number, name in enumerate(blobs):
            assert ask(daemon, f"/blob/{name}") == b"content %d" % number
        yield daemon, epoch, blob


def test_a_restored_daemon_has_everything(restored: tuple[Running, str, str], folder: Path) -> None:
    daemon, epoch, blob = restored
    assert ask(daemon, f"/blob/{blob}") == b"hello"
    assert document(daemon) == "a line"
    with board(daemon) as viewer:
        assert viewer.recv(PATIENCE) == PIXELS
    bob = chatter(daemon, "bob")
    bob.say("<presence xmlns='jabber:client'/>")
    assert body(bob.until("message")) == "are you there?"
    bob.cut()
    # What is published next must not get a position that some client believes to have read.
    assert publish(daemon, "next") != epoch
    # A publish that was acknowledged before is not repeated.
    before = len(published(daemon))
    publish(daemon, "first")
    assert len(published(daemon)) == before
    assert json.loads(ask(daemon, "/readyz"))["ready"] is True
    verified = subprocess.run(
        [sys.executable, "-m", "wsd", "blob", "verify", "--store", str(folder / "new/blob")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert verified.returncode == 0, verified.stderr


class TestTheCommand:
    def test_says_what_it_has_copied(self, folder: Path) -> None:
        (folder / "state").mkdir()
        (folder / "state/some.key").write_text("x")
        done = backup(folder, "copy")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{folder}/state: 0 databases copied, 0 files linked, 1 files copied\n"

    def test_takes_another_folder(self, folder: Path) -> None:
        (folder / "other").mkdir()
        (folder / "other/some.key").write_text("x")
        assert backup(folder, "copy", "--from", "other").returncode == 0
        assert (folder / "copy/some.key").read_text() == "x"

    def test_warns_of_stores_that_are_elsewhere(self, folder: Path) -> None:
        (folder / "state").mkdir()
        (folder / "wsd.toml").write_text('[route."/blob"]\nstore = "/srv/blob"\n')
        done = backup(folder, "copy", "-c", "wsd.toml")
        assert done.returncode == 0
        assert done.stderr == 'wsd: route."/blob": /srv/blob is outside the state folder and was not backed up\n'

    def test_refuses_in_one_line(self, folder: Path) -> None:
        done = backup(folder, "copy")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"wsd: there is no state folder at {folder}/state; name the daemon's with --from\n"

    def test_says_that_a_damaged_database_was_not_backed_up(self, folder: Path) -> None:
        (folder / "state").mkdir()
        (folder / "state/any.sqlite").write_bytes(b"SQLite format 3\0" + bytes(4080))
        done = backup(folder, "copy")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"wsd: nothing was backed up: a database in {folder}/state cannot be read: ")

    def test_leaves_nothing_when_it_is_interrupted(self, folder: Path) -> None:
        (folder / "state").mkdir()
        # Larger than what could be copied before the signal comes.
        with (folder / "state/large").open("wb") as file:
            file.truncate(64 << 30)
        process = subprocess.Popen(
            [sys.executable, "-m", "wsd", "backup", "copy"],
            cwd=folder,
            env=environment(STATE_DIRECTORY=str(folder / "state")),
            stderr=subprocess.PIPE,
            text=True,
        )
        while not list(folder.glob(".copy.*/large")):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
        assert (process.returncode, said) == (1, "wsd: nothing was backed up: interrupted\n")
        assert not list(folder.glob("*copy*"))
