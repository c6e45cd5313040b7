"""Blob routes in memory: the store is a real folder, its work is done at once, and the clock is the test's."""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

from tests.wire import Client, Daemon
from wsd.protocols.blob.options import BlobOptions
from wsd.protocols.blob.protocol import BlobFactory
from wsd.protocols.blob.quota import BlobLimits
from wsd.protocols.blob.store import BlobStore
from wsd.web.starting import start


def daemonOf(folder: Path, **keys: Any) -> Daemon:
    """A daemon with blobs at /blob, in a store of its own below `folder`."""
    origins = keys.pop("origins", ("same-host",))
    options = BlobOptions(store=str(folder / "store"), **keys)
    daemon = Daemon({"/blob": BlobFactory}, options=options, origins=origins)
    start(daemon.factories["/blob"])
    return daemon


def storeOf(folder: Path, **limits: Any) -> BlobStore:
    """A store without a daemon, whose clock stands at 1000 seconds."""
    return BlobStore(folder / "store", BlobLimits(**limits), lambda: 1000.0)


def told(client: Client) -> list[Any]:
    """The JSON messages that came."""
    return [json.loads(message) for message in client.messages() if isinstance(message, str)]


class Uploader:
    """A client of blob.wsd.v1, by hand: each call says one thing, and gives what was told in answer."""

    def __init__(self, daemon: Daemon, **arguments: Any) -> None:
        self.client = daemon.open("/blob", subprotocols=["blob.wsd.v1"], **arguments)
        (self.hello,) = told(self.client)

    def say(self, message: str, /, **fields: Any) -> list[Any]:
        return self.raw(json.dumps({message: fields}))

    def chunk(self, offset: int, data: bytes, crc: int | None = None) -> list[Any]:
        return self.raw(pack(">QI", offset, crc32(data) if crc is None else crc) + data)

    def raw(self, message: str | bytes) -> list[Any]:
        frames = self.client.say(message)
        return [json.loads(each) if isinstance(each, str) else each for each in self.client.messages(frames)]

    def heard(self) -> list[Any]:
        """What has been told meanwhile."""
        frames = self.client.exchange()
        return [json.loads(each) if isinstance(each, str) else each for each in self.client.messages(frames)]

    def lose(self) -> None:
        """The connection ends without a word."""
        self.client.wire.close()


class Answer:
    """An HTTP answer, read apart."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(line.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}

    @property
    def error(self) -> str:
        """The code of the error that it tells."""
        return str(json.loads(self.body)["error"]["code"])


def ask(daemon: Daemon, line: str, *fields: str, body: bytes = b"") -> Answer:
    """Ask over HTTP: `ask(daemon, "GET /blob/1", "Range: bytes=0-1")`."""
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: localhost:9998", *fields, "", ""])
    return Answer(daemon.connect().exchange(head.encode() + body))
