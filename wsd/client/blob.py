"""
`wsd blob put` and `wsd blob get`: files up and down by blob.wsd.v1, which go on by themselves.

docs/blob.md specifies what is spoken. A connection that is lost is made again, and what was acknowledged is not sent
again, nor is what was received asked for again, by a later run either.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import zlib
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from hashlib import file_digest, sha256
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO
from urllib.parse import urlsplit, urlunsplit

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater, react

from wsd.client.talker import OPENING, Talker, Unanswered, addTrust, connect, soon
from wsd.client.url import shownUrl
from wsd.config import stateFolder
from wsd.config.state import makeFile, makeFolder
from wsd.config.values import printable
from wsd.policies.timer import keepTime

SUBPROTOCOL = "blob.wsd.v1"

_HEAD = Struct(">QI")
_CHUNK = 1 << 18
_CREDIT = 4 << 20
"""Bytes of a download that may be on their way."""
_ANSWER = 60.0
"""Seconds in which an answer has to come."""
_AGAIN = frozenset(("busy", "checksum", "credit", "disk_full", "no_transfer", "offset", "unavailable"))
"""Errors that may be others the next time."""


class Refusal(Exception):
    """What the server said was wrong: a code of docs/blob.md's, and a sentence."""

    def __init__(self, error: Any) -> None:
        super().__init__(error["code"], error["message"])
        self.code = str(error["code"])
        self.sentence = printable(str(error["message"]))


class _Quiet(Talker):
    """Who moves files shows no handshakes, and most files are compressed already."""

    showsHeads = False
    deflates = False


class Line:
    """One connection that speaks blob.wsd.v1. Raises `Unanswered` and `Refusal`."""

    def __init__(self, talker: Talker, reactor: Any) -> None:
        self._talker = talker
        self._reactor = reactor

    async def next(self, *names: str) -> Any:
        """The next message, which has one of these names."""
        payload, isBinary = await self._next()
        message = None if isBinary else json.loads(payload)
        if not isinstance(message, dict):
            raise Unanswered(f"speaks {SUBPROTOCOL} and sent a chunk where {' or '.join(names)} was due")
        if "error" in message:
            raise Refusal(message["error"])
        if not set(names) & set(message):
            raise Unanswered(f"said {printable(str(message)[:80])} where {' or '.join(names)} was due")
        return message

    async def nextChunk(self, due: int) -> bytes:
        """The next chunk, which is for byte `due`."""
        payload, isBinary = await self._next()
        if not isBinary:
            message = json.loads(payload)
            raise Refusal(message["error"]) if "error" in message else Unanswered("ended before the end of the file")
        offset, crc = _HEAD.unpack_from(payload)
        if offset != due or zlib.crc32(payload[_HEAD.size :]) != crc:
            raise Unanswered("sent a piece that is not what it should be")
        return payload[_HEAD.size :]

    async def _next(self) -> tuple[bytes, bool]:
        late = "no answer came within {:g} seconds"
        payload, isBinary, _ = await soon(self._talker.next(), self._reactor, _ANSWER, late)
        return payload, isBinary

    def say(self, message: str, /, **fields: object) -> None:
        """Send a message, with those fields that are not None."""
        given = {name: value for name, value in fields.items() if value is not None}
        self._send(json.dumps({message: given}).encode(), False)

    def sendChunk(self, offset: int, data: bytes) -> None:
        """Send a chunk."""
        self._send(_HEAD.pack(offset, zlib.crc32(data)) + data, True)

    def _send(self, payload: bytes, isBinary: bool) -> None:
        if self._talker.gone.called:
            raise Unanswered("the connection is lost")
        self._talker.sendMessage(payload, isBinary)

    def close(self) -> None:
        """Say goodbye."""
        if not self._talker.gone.called:
            self._talker.sendClose(1000)


async def _open(reactor: Any, arguments: Namespace) -> tuple[Line, Any]:
    """A connection, and what the server says of its limits."""
    talker = await connect(reactor, arguments, [SUBPROTOCOL], _Quiet)
    await soon(talker.opened, reactor, OPENING, "the server did not answer the handshake within {:g} seconds")
    if talker.websocket_protocol_in_use != SUBPROTOCOL:
        raise Unanswered(f"does not speak {SUBPROTOCOL}; is it a route of blobs?")
    line = Line(talker, reactor)
    return line, (await line.next("hello"))["hello"]


# -- up ---------------------------------------------------------------------------------------------------------------


class Upload:
    """One file on its way up. `reached` is what the server has acknowledged."""

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
        """Go on, as long as the connection lasts: the receipt."""
        arguments = self._arguments
        line, _ = await _open(self._reactor, arguments)
        try:
            name = arguments.name or Path(arguments.file).name
            line.say("begin", name=name, size=self.size, token=self._token, type=arguments.type)
            answer = await line.next("ready", "have")
            if "have" in answer:
                return answer["have"]
            await self._send(line, answer["ready"])
            line.say("end", sha256=self._hash.hexdigest())
            while "done" not in (answer := await line.next("done", "ack")):
                self._acknowledged(answer["ack"])
            return answer["done"]
        finally:
            line.close()

    async def _send(self, line: Line, ready: Any) -> None:
        offset = int(ready["offset"])
        granted = self._acknowledged(ready)
        while self._hashed < offset:
            self._read(self._hashed, min(_CHUNK, offset - self._hashed))
        while offset < self.size:
            data = self._read(offset, min(_CHUNK, int(ready["chunk"]), self.size - offset))
            while offset + len(data) > granted:
                granted = self._acknowledged((await line.next("ack"))["ack"])
            line.sendChunk(offset, data)
            offset += len(data)

    def _read(self, offset: int, size: int) -> bytes:
        """Some of the file, which is hashed the first time that it is read."""
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise SystemExit(f"wsd: {self._arguments.file}: it has become shorter meanwhile; put it again")
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
    arguments.url = _webSocketOf(arguments.url)
    token = _tokenIn(memory)

    async def run(reactor: Any) -> None:
        upload = Upload(reactor, arguments, file, token)
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
    """The token that an earlier run left there, or a new one."""
    try:
        makeFolder(memory.parent)
        makeFile(memory)
        token = memory.read_text() or secrets.token_urlsafe(24)
        memory.write_text(token)
    except OSError as error:
        raise SystemExit(
            f"wsd: {error.filename or memory}: cannot be written: {error.strerror}; the progress of the upload is "
            "kept there, so set STATE_DIRECTORY to a folder of your own"
        ) from None
    return token


def _memory(arguments: Namespace, file: BinaryIO) -> Path:
    """Where the token of this upload is kept until it is done, so that a later run goes on with it."""
    status = os.fstat(file.fileno())
    path = Path(arguments.file).resolve()
    what = f"{arguments.url}\0{path}\0{arguments.name or path.name}\0{status.st_size}\0{status.st_mtime_ns}"
    return Path(stateFolder(os.environ)) / "uploads" / sha256(what.encode()).hexdigest()[:32]


# -- down -------------------------------------------------------------------------------------------------------------


class Download:
    """One file on its way down, into `FILE.part` until it is whole. `reached` is how much is there."""

    def __init__(self, reactor: Any, arguments: Namespace, id: str, part: BinaryIO) -> None:
        self._reactor = reactor
        self._arguments = arguments
        self._id = id
        self._part = part
        self.reached = part.seek(0, os.SEEK_END)

    async def once(self) -> Any:
        """Go on, as long as the connection lasts: the receipt."""
        line, _ = await _open(self._reactor, self._arguments)
        try:
            line.say("get", id=self._id, offset=self.reached, credit=_CREDIT)
            file = (await line.next("file"))["file"]
            taken = 0
            while self.reached < file["size"]:
                data = await line.nextChunk(self.reached)
                self._write(data)
                self.reached += len(data)
                taken += len(data)
                if taken >= _CREDIT // 2:
                    line.say("credit", bytes=taken)
                    taken = 0
                progress(self.reached, file["size"])
            return file
        finally:
            line.close()

    def _write(self, data: bytes) -> None:
        try:
            self._part.write(data)
            self._part.flush()
        except OSError as error:
            raise SystemExit(f"wsd: {self._part.name}: cannot be written: {error.strerror}") from None


def get(arguments: Namespace) -> None:
    """Download a file. Raises SystemExit with one line for stderr."""
    url, _, id = arguments.url.rstrip("/").rpartition("/")
    arguments.url = _webSocketOf(url)
    target = Path(arguments.file)
    path = target.with_name(f"{target.name}.{id[:16]}.part")
    part = _opened(path, "ab", "written")
    receipts = []

    async def run(reactor: Any) -> None:
        download = Download(reactor, arguments, id, part)
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
        raise SystemExit(f"wsd: {target}: what came is not the file: its SHA-256 is another; get it again")
    path.rename(target)
    print(f"{target}: {receipt['size']} bytes, {receipt['type']}, sha256 {digest}")


# -- both -------------------------------------------------------------------------------------------------------------


async def _persist(
    reactor: Any, arguments: Namespace, once: Callable[[], Awaitable[Any]], reached: Callable[[], int]
) -> Any:
    """Try until it is done: soon where something came of it, else after a while, and no longer than the patience."""
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
    """Run it, and come back when it went well: `react` itself ends the process in any case."""

    async def main(reactor: Any) -> None:
        keepTime(reactor)
        await run(reactor)

    try:
        react(lambda reactor: ensureDeferred(main(reactor)))
    except SystemExit as end:
        if end.code:
            raise


def _webSocketOf(url: str) -> str:
    """The URL of a WebSocket; http and https are taken for the same place."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme={"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)))


def progress(reached: int, size: int) -> None:
    """A bar on the terminal, where there is one."""
    if not sys.stderr.isatty():
        return
    share = reached / size if size else 1.0
    bar = "#" * int(40 * share)
    end = "\n" if reached == size else ""
    sys.stderr.write(f"\r[{bar:<40}] {share:4.0%} {reached / (1 << 20):.1f} of {size / (1 << 20):.1f} MiB{end}")
    sys.stderr.flush()


def _takes(url: str, file: str) -> Callable[[ArgumentParser], None]:
    def add(parser: ArgumentParser) -> None:
        parser.add_argument("url", metavar="URL", help=url)
        parser.add_argument("file", metavar="FILE", help=file)
        parser.add_argument(
            "--patience",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="how long to try again without getting any further (default: 60)",
        )
        addTrust(parser)

    return add


def _takesUpload(parser: ArgumentParser) -> None:
    _takes("ws://HOST:PORT/PATH of the route, or wss://, http://, https://", "what to upload")(parser)
    parser.add_argument("--name", metavar="NAME", help="what it is called there (default: its own name)")
    parser.add_argument("--type", metavar="TYPE", help="its media type, where the content does not tell")


COMMANDS = {
    "put": ("Upload a file, and print its receipt.", _takesUpload, put),
    "get": ("Download a file.", _takes("the route's URL and the file's id: ws://HOST:PORT/PATH/ID", "where to"), get),
}
"""As in `wsd.__main__`."""
