"""
The blob store and blob.wsd.v1 against a model: uploads begin, go on, break off, change hands, and survive the process.

No acknowledged byte is lost, no byte is stored twice, a finished file is what was sent, and at the end nothing is
reserved, queued or counted any more.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import pack, unpack
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.property.sequences import FOLDERS, sequences
from tests.protocols.blob.stores import Uploader, daemonOf
from wsd.protocols.blob.store import nameOf

CONTENTS = {f"token-of-file-{name}-": name.encode() * 40_000 for name in "abc"}
"""The file of each token. That of the first is sent under another one, too: one content is stored once."""
TOKENS = [*CONTENTS, "token-of-file-a-again"]
CONTENTS["token-of-file-a-again"] = CONTENTS["token-of-file-a-"]


def content(token: str) -> bytes:
    return CONTENTS[token]


@dataclass
class Sent:
    """What the model knows of an upload."""

    acknowledged: int = 0
    """Bytes that must never be lost."""
    least: int = 0
    """Bytes that the store has by what was promised and done: those that a clean end has kept, too."""
    sent: int = 0
    """Bytes of whole, sound chunks."""


@dataclass
class Sender:
    """A connection, and what it is doing."""

    uploader: Uploader
    token: str | None = None
    """The upload that it has begun."""
    next: int = 0
    """The offset of the next chunk."""


class BlobModel(RuleBasedStateMachine):
    """Two clients of one route, in daemons that follow each other on one store."""

    sync = "interval"

    @initialize()
    def start(self) -> None:
        self.folders = TemporaryDirectory(dir=FOLDERS)
        self.lives = 0
        self.uploads: dict[str, Sent] = {}
        """The unfinished uploads by token."""
        self.finished: dict[str, str] = {}
        """The ids of the finished files by token, as far as tokens still name them."""
        self.files: dict[str, bytes] = {}
        """All finished files by their ids."""
        self.run(Path(self.folders.name) / "0")

    def run(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        keys = {"sync": self.sync, "sync_interval": 2.0, "sync_bytes": 65536, "credit": 65536, "max_chunk": 32768}
        self.daemon = daemonOf(folder, list=True, delete=True, **keys)
        self.reconnected = 0
        self.senders = [Sender(Uploader(self.daemon)) for _ in range(2)]

    @property
    def factory(self) -> Any:
        return self.daemon.factories["/blob"]

    # -- what is told ---------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Take what has been told meanwhile, on both connections."""
        for sender in self.senders:
            self.take(sender, sender.uploader.heard())

    def take(self, sender: Sender, told: list[Any], *expected: str) -> list[Any]:
        """Take acknowledgements; returns all other messages, which must be of these names."""
        others = []
        for message in told:
            if "ack" not in message:
                others.append(message)
                continue
            assert sender.token is not None
            upload = self.uploads[sender.token]
            offset = message["ack"]["offset"]
            assert upload.acknowledged <= offset <= upload.sent
            upload.acknowledged = offset
            upload.least = max(upload.least, offset)
        names = tuple(name if name != "error" else each[name]["code"] for each in others for name in each)
        assert names == expected
        return [each[name] for each in others for name in each]

    # -- uploads --------------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 1), token=st.sampled_from(TOKENS), announces=st.booleans())
    def begin(self, number: int, token: str, announces: bool) -> None:
        sender = self.senders[number]
        data = content(token)
        digest = sha256(data).hexdigest()
        fields = {"name": f"{token}.txt", "size": len(data), "token": token, "chunk": 32768}
        self.leave(sender)
        other = self.senders[1 - number]
        told = sender.uploader.say("begin", **fields, **({"sha256": digest} if announces else {}))
        ids = {blob for blob, each in self.files.items() if each == data}
        if other.token == token:
            self.take(other, other.uploader.heard(), "taken_over")
            self.leave(other)
        if token in self.finished or (announces and ids):
            [have] = self.take(sender, told, "have")
            assert (have["id"] in ids, have["sha256"], have["size"]) == (True, digest, len(data))
            return
        [ready] = self.take(sender, told, "ready")
        upload = self.uploads.setdefault(token, Sent())
        assert upload.least <= ready["offset"] <= upload.sent
        upload.acknowledged = upload.least = upload.sent = ready["offset"]
        sender.token, sender.next = token, ready["offset"]

    def leave(self, sender: Sender) -> None:
        """The sender is about to let go of its upload, whose bytes are kept."""
        if sender.token is not None:
            upload = self.uploads[sender.token]
            upload.least = upload.sent
        sender.token = None

    @precondition(lambda self: any(sender.token for sender in self.senders))
    @rule(number=st.integers(0, 1), size=st.sampled_from([1, 5000, 20_000, 32_768]), isSound=st.integers(0, 4))
    def sendChunk(self, number: int, size: int, isSound: int) -> None:
        sender = self.senders[number] if self.senders[number].token else self.senders[1 - number]
        token = sender.token
        assert token is not None
        upload = self.uploads[token]
        piece = content(token)[sender.next : sender.next + size]
        if not piece:
            return
        if isSound:
            upload.sent += len(piece)
            told = sender.uploader.chunk(sender.next, piece)
            sender.next += len(piece)
            self.take(sender, told)
        else:
            told = sender.uploader.chunk(sender.next, piece, crc32(piece) ^ 1)
            self.take(sender, told, "checksum")
            self.leave(sender)

    @precondition(lambda self: any(sender.token for sender in self.senders))
    @rule(number=st.integers(0, 1))
    def sendAtTheWrongPlace(self, number: int) -> None:
        sender = self.senders[number]
        if sender.token is not None:
            self.take(sender, sender.uploader.chunk(sender.next + 1, b"x"), "offset")
            self.leave(sender)

    @precondition(lambda self: any(sender.token for sender in self.senders))
    @rule(number=st.integers(0, 1), sends=st.booleans(), isSame=st.integers(0, 3))
    def end(self, number: int, sends: bool, isSame: int) -> None:
        """Send the rest, or too little, or a file whose hash is another."""
        sender = self.senders[number]
        token = sender.token
        if token is None:
            return
        while sends and sender.next < len(content(token)):
            self.sendChunk(number, 32_768, 1)
        digest = sha256(content(token)).hexdigest() if isSame else "0" * 64
        isWhole = sender.next == len(content(token))
        told = sender.uploader.say("end", sha256=digest)
        if not isWhole:
            self.take(sender, told, "size")
            self.leave(sender)
            return
        sender.token = None
        del self.uploads[token]
        if not isSame:
            self.takeLast(told, "error")
            return
        done = self.takeLast(told, "done")
        assert (done["size"], done["sha256"]) == (len(content(token)), digest)
        self.finished[token] = done["id"]
        self.files[done["id"]] = content(token)

    def takeLast(self, told: list[Any], name: str) -> Any:
        """The last answer; acknowledgements before it are of an upload that is over."""
        *before, last = told
        assert all("ack" in message for message in before)
        return last[name]

    @rule(number=st.integers(0, 1), token=st.sampled_from(TOKENS))
    def abort(self, number: int, token: str) -> None:
        """By its token, on whichever connection: its sender is told."""
        sender = self.senders[number]
        told = sender.uploader.say("abort", token=token)
        for each in self.senders:
            if each.token == token:
                heard = told[:-1] if each is sender else each.uploader.heard()
                assert [message["error"]["code"] for message in heard if "error" in message] == ["taken_over"]
                each.token = None
        if token in self.uploads:
            assert told[-1] == {"aborted": {}}
            del self.uploads[token]
        elif token in self.finished:
            assert told[-1] == {"aborted": {}}
            del self.finished[token]
        else:
            assert told[-1]["error"]["code"] == "unknown"

    @rule(number=st.integers(0, 1), isRude=st.booleans())
    def lose(self, number: int, isRude: bool) -> None:
        """The connection is lost in the midst of a chunk, and comes again."""
        sender = self.senders[number]
        self.hear()
        if sender.token is not None:
            client = sender.uploader.client
            client.protocol.send_binary(pack(">QI", sender.next, 0) + b"half of a chunk")
            client.wire.send(b"".join(client.protocol.data_to_send())[:-5])
        sender.uploader.client.wire.reset() if isRude else sender.uploader.lose()
        self.leave(sender)
        self.reconnected += 1
        self.senders[number] = Sender(Uploader(self.daemon))

    @rule(seconds=st.sampled_from([1, 3]))
    def wait(self, seconds: int) -> None:
        """Time passes; what is due is synced and acknowledged."""
        self.daemon.reactor.advance(seconds)
        self.hear()

    # -- files ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: bool(self.files))
    @rule(
        number=st.integers(0, 1), which=st.integers(0), offset=st.integers(0, 40_000), credit=st.sampled_from([1, 9999])
    )
    def get(self, number: int, which: int, offset: int, credit: int) -> None:
        blob, data = sorted(self.files.items())[which % len(self.files)]
        uploader = self.senders[number].uploader
        told = uploader.say("get", id=blob, offset=offset, credit=credit)
        assert told[0]["file"]["length"] == len(data) - offset
        got = b""
        told = told[1:]
        while True:
            for message in told:
                if isinstance(message, bytes):
                    at, crc = unpack(">QI", message[:12])
                    assert (at, crc) == (offset + len(got), crc32(message[12:]))
                    got += message[12:]
                elif "sent" in message:
                    assert got == data[offset:]
                    assert message["sent"]["offset"] == len(data)
                    return
            assert len(got) <= credit
            credit += 30_000
            told = uploader.say("credit", bytes=30_000)

    @precondition(lambda self: bool(self.files))
    @rule(number=st.integers(0, 1), which=st.integers(0))
    def delete(self, number: int, which: int) -> None:
        blob = sorted(self.files)[which % len(self.files)]
        sender = self.senders[number]
        self.take(sender, sender.uploader.say("delete", id=blob), "deleted")
        self.finished = {each: found for each, found in self.finished.items() if found != blob}
        del self.files[blob]

    @rule(number=st.integers(0, 1))
    def listFiles(self, number: int) -> None:
        sender = self.senders[number]
        [files] = self.take(sender, sender.uploader.say("list"), "files")
        assert sorted(each["id"] for each in files) == sorted(self.files)

    # -- the process ----------------------------------------------------------------------------------------------

    @rule()
    def kill(self) -> None:
        """The process dies: what the disk has is all there is."""
        self.hear()
        self.lives += 1
        folder = self.folder.with_name(str(self.lives))
        shutil.copytree(self.folder, folder)
        self.finishDaemon()
        self.run(folder)

    @rule()
    def restart(self) -> None:
        """The daemon stops, and keeps what has arrived."""
        for sender in self.senders:
            self.hear()
            self.leave(sender)
        self.finishDaemon()
        self.run(self.folder)

    def finishDaemon(self) -> None:
        """Nothing of it is left but its files."""
        for sender in self.senders:
            sender.uploader.lose()
        assert self.daemon.connections == []
        stopped = self.factory.stopped()
        assert stopped is None or stopped.called
        budget = self.daemon.budget
        assert (budget.used, len(budget._accounts)) == (0, 0)
        counters = self.factory.counters
        assert counters.opened == sum(counters.closed.values()) == 2 + self.reconnected

    @invariant()
    def keepsWhatItAcknowledged(self) -> None:
        """The index says no less than what was acknowledged, and the files have it."""
        if not hasattr(self, "daemon"):
            return
        parts = self.folder / "store" / "parts"
        for token, upload in self.uploads.items():
            written = (parts / nameOf(token)).read_bytes()
            assert written[: upload.least] == content(token)[: upload.least]
            assert len(written) >= upload.acknowledged
        stored = {path.name for path in (self.folder / "store" / "files").glob("*/*")}
        assert stored == set(self.files)
        assert {path.name for path in parts.glob("*")} == {nameOf(token) for token in self.uploads}

    def teardown(self) -> None:
        if not hasattr(self, "daemon"):
            return
        for token in list(self.uploads):
            self.abort(0, token)
        self.keepsWhatItAcknowledged()
        self.finishDaemon()
        self.folders.cleanup()


class BlobModelEach(BlobModel):
    sync = "each"


TestIntervals = BlobModel.TestCase
TestIntervals.settings = sequences(20, 40)
TestEach = BlobModelEach.TestCase
TestEach.settings = sequences(10, 40)
