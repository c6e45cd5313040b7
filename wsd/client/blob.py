"""
`wsd blob put` and `wsd blob get`: upload and download files by blob.wsd.v1, which docs/blob-protocol.md specifies.

After a lost connection, a transfer continues where it stopped. So does a later run of the same command.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, BinaryIO

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater, react

from wsd.client.blobclient import BlobClient, Refusal, openBlob
from wsd.client.failures import Unanswered
from wsd.client.trust import addTrust
from wsd.client.url import shownUrl
from wsd.commands import Commands
from wsd.config import stateFolder
from wsd.config.state import makeFile, makeFolder
from wsd.policies.timer import keepTime

_CHUNK = 1 << 18
_CREDIT = 4 << 20
"""Bytes of a download that the server may send before they are acknowledged."""
_AGAIN = frozenset(("busy", "checksum", "credit", "disk_full", "no_transfer", "offset", "unavailable"))
"""Codes of errors after which another attempt may succeed."""


# -- up ---------------------------------------------------------------------------------------------------------------


class FileUpload:
    """The upload of one file. `reached` counts the bytes that the server has acknowledged."""

    def __init__(self, reactor: Any, arguments: Namespace, file: BinaryIO, token: str) -> None:
        self._reactor = reactor
        self._arguments = arguments
        self._file = file
        self._token = token
        self._hash = sha256()
        self._hashed = 0
        self.size = os.fstat(file.fileno()).st_size
        self.reached = 0

    async def once(self) -> Any:
        """Continue the transfer over a new connection. Returns the receipt."""
        arguments = self._arguments
        client, _ = await openBlob(self._reactor, arguments)
        try:
            name = arguments.name or Path(arguments.file).name
            client.send("begin", name=name, size=self.size, token=self._token, type=arguments.type)
            answer = await client.receive("ready", "have")
            if "have" in answer:
                return answer["have"]
            await self._send(client, answer["ready"])
            client.send("end", sha256=self._hash.hexdigest())
            while "done" not in (answer := await client.receive("done", "ack")):
                self._acknowledged(answer["ack"])
            return answer["done"]
        finally:
            client.close()

    async def _send(self, client: BlobClient, ready: Any) -> None:
        offset = int(ready["offset"])
        granted = self._acknowledged(ready)
        while self._hashed < offset:
            self._read(self._hashed, min(_CHUNK, offset - self._hashed))
        while offset < self.size:
            data = self._read(offset, min(_CHUNK, int(ready["chunk"]), self.size - offset))
            while offset + len(data) > granted:
                granted = self._acknowledged((await client.receive("ack"))["ack"])
            client.sendChunk(offset, data)
            offset += len(data)

    def _read(self, offset: int, size: int) -> bytes:
        """Read a part of the file. Bytes that are read for the first time are hashed."""
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise SystemExit(f"wsd: {self._arguments.file}: the file became shorter during the upload; upload it again")
        self._hash.update(data[max(0, self._hashed - offset) :])
        self._hashed = max(self._hashed, offset + size)
        return data

    def _acknowledged(self, ack: Any) -> int:
        self.reached = int(ack["offset"])
        progress(self.reached, self.size)
        return int(ack["offset"] + ack["credit"])


def put(arguments: Namespace) -> None:
    """Upload a file, and print its receipt. Raises SystemExit with one line for stderr."""
    file = _opened(arguments.file, "rb", "read")
    memory = _memory(arguments, file)
    token = _tokenIn(memory)

    async def run(reactor: Any) -> None:
        upload = FileUpload(reactor, arguments, file, token)
        receipt = await _persist(reactor, arguments, upload.once, lambda: upload.reached)
        progress(upload.size, upload.size)
        memory.unlink(missing_ok=True)
        print(json.dumps(receipt, ensure_ascii=False, indent=2))

    with file:
        _react(run)


def _opened(path: str | Path, mode: str, verb: str) -> Any:
    try:
        return open(path, mode)
    except OSError as error:
        raise SystemExit(f"wsd: {path}: cannot be {verb}: {error.strerror}") from None


def _tokenIn(memory: Path) -> str:
    """Returns the token that an earlier run stored in this file, else a new one, which it stores."""
    try:
        makeFolder(memory.parent)
        makeFile(memory)
        token = memory.read_text() or secrets.token_urlsafe(24)
        memory.write_text(token)
    except OSError as error:
        raise SystemExit(
            f"wsd: {error.filename or memory}: cannot be written: {error.strerror}; the progress of the upload is "
            "stored there; set STATE_DIRECTORY to a folder that you own"
        ) from None
    return token


def _memory(arguments: Namespace, file: BinaryIO) -> Path:
    """The file that stores the token of this upload until it is complete, so that a later run can continue it."""
    status = os.fstat(file.fileno())
    path = Path(arguments.file).resolve()
    what = f"{arguments.url}\0{path}\0{arguments.name or path.name}\0{status.st_size}\0{status.st_mtime_ns}"
    return Path(stateFolder(os.environ)) / "uploads" / sha256(what.encode()).hexdigest()[:32]


# -- down -------------------------------------------------------------------------------------------------------------


class FileDownload:
    """The download of one file, written to a `.part` file until it is complete. `reached` counts the bytes received."""

    def __init__(self, reactor: Any, arguments: Namespace, fileId: str, part: BinaryIO) -> None:
        self._reactor = reactor
        self._arguments = arguments
        self._fileId = fileId
        self._part = part
        self.reached = part.seek(0, os.SEEK_END)

    async def once(self) -> Any:
        """Continue the transfer over a new connection. Returns the receipt."""
        client, _ = await openBlob(self._reactor, self._arguments)
        try:
            client.send("get", id=self._fileId, offset=self.reached, credit=_CREDIT)
            file = (await client.receive("file"))["file"]
            taken = 0
            while self.reached < file["size"]:
                data = await client.receiveChunk(self.reached)
                self._write(data)
                self.reached += len(data)
                taken += len(data)
                if taken >= _CREDIT // 2:
                    client.send("credit", bytes=taken)
                    taken = 0
                progress(self.reached, file["size"])
            return file
        finally:
            client.close()

    def _write(self, data: bytes) -> None:
        try:
            self._part.write(data)
            self._part.flush()
        except OSError as error:
            raise SystemExit(f"wsd: {self._part.name}: cannot be written: {error.strerror}") from None


def get(arguments: Namespace) -> None:
    """Download a file. Raises SystemExit with one line for stderr."""
    url, _, fileId = arguments.url.rstrip("/").rpartition("/")
    arguments.url = url
    target = Path(arguments.file)
    path = target.with_name(f"{target.name}.{fileId[:16]}.part")
    part = _opened(path, "ab", "written")
    receipts = []

    async def run(reactor: Any) -> None:
        download = FileDownload(reactor, arguments, fileId, part)
        receipts.append(await _persist(reactor, arguments, download.once, lambda: download.reached))

    with part:
        try:
            _react(run)
        finally:
            if not part.tell():
                path.unlink()
        os.fsync(part.fileno())
    (receipt,) = receipts
    with open(path, "rb") as whole:
        digest = file_digest(whole, "sha256").hexdigest()
    if digest != receipt["sha256"]:
        path.unlink()
        raise SystemExit(f"wsd: {target}: the downloaded file is damaged: its SHA-256 is wrong; download it again")
    path.rename(target)
    print(f"{target}: {receipt['size']} bytes, {receipt['type']}, sha256 {digest}")


# -- both -------------------------------------------------------------------------------------------------------------


async def _persist(
    reactor: Any, arguments: Namespace, once: Callable[[], Awaitable[Any]], reached: Callable[[], int]
) -> Any:
    """
    Retry until the transfer is complete, with growing pauses while it makes no progress.

    Raises SystemExit if there is no progress for `patience` seconds, or if the server refuses for good.
    """
    pause, best, since = 0.25, reached(), reactor.seconds()
    while True:
        try:
            return await once()
        except Refusal as refusal:
            if refusal.code not in _AGAIN:
                raise SystemExit(f"wsd: {shownUrl(arguments.url)}: {refusal.code}: {refusal.sentence}") from None
            sentence = refusal.sentence
        except Unanswered as unanswered:
            sentence = str(unanswered)
        if reached() > best:
            pause, best, since = 0.25, reached(), reactor.seconds()
        if reactor.seconds() - since + pause > arguments.patience:
            raise SystemExit(f"wsd: {shownUrl(arguments.url)}: {sentence}")
        await deferLater(reactor, pause)
        pause = min(2 * pause, 10.0)


def _react(run: Callable[[Any], Awaitable[None]]) -> None:
    """Run a coroutine function under the reactor. Returns if it succeeds; `react` itself would exit."""

    async def main(reactor: Any) -> None:
        keepTime(reactor)
        await run(reactor)

    try:
        react(lambda reactor: ensureDeferred(main(reactor)))
    except SystemExit as end:
        if end.code:
            raise


def progress(reached: int, size: int) -> None:
    """Show a progress bar, if stderr is a terminal."""
    if not sys.stderr.isatty():
        return
    share = reached / size if size else 1.0
    bar = "#" * int(40 * share)
    end = "\n" if reached == size else ""
    sys.stderr.write(f"\r[{bar:<40}] {share:4.0%} {reached / (1 << 20):.1f} of {size / (1 << 20):.1f} MiB{end}")
    sys.stderr.flush()


def addCommands(commands: Commands) -> None:
    """Add `wsd blob put` and `wsd blob get`."""
    group = commands.group("blob", "Upload and download files, and manage a store of files.")
    parser = group.add("put", "Upload a file, and print its receipt.", put)
    _addTransfer(parser, "ws://HOST:PORT/PATH of the route, or wss://, http://, https://", "the file to upload")
    parser.add_argument("--name", metavar="NAME", help="the name of the stored file (default: the name of FILE)")
    parser.add_argument("--type", metavar="TYPE", help="its media type, if the content does not show it")
    parser = group.add("get", "Download a file.", get)
    _addTransfer(parser, "the URL of the route and the ID of the file: ws://HOST:PORT/PATH/ID", "the file to write")


def _addTransfer(parser: ArgumentParser, url: str, file: str) -> None:
    parser.add_argument("url", metavar="URL", help=url)
    parser.add_argument("file", metavar="FILE", help=file)
    parser.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to keep retrying without progress (default: 60)",
    )
    addTrust(parser)
