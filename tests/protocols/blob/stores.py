"""Blob routes in memory: the store is a real folder, its work is done at once, and the clock is the test's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from tests.wire import Client, Daemon
from wsd.protocols.blob.disk import Disk
from wsd.protocols.blob.options import BlobOptions
from wsd.protocols.blob.protocol import BlobFactory
from wsd.protocols.blob.store import Limits, Store

_T = TypeVar("_T")


class AtOnce(Disk):
    """Without threads: what is asked for is done when it is asked for."""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def run(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        return maybeDeferred(work, *arguments)


class BlobsAtOnce(BlobFactory):
    pool = AtOnce


def daemonOf(folder: Path, **keys: Any) -> Daemon:
    """A daemon with blobs at /blob, in a store of its own below `folder`."""
    origins = keys.pop("origins", ("same-host",))
    options = BlobOptions(store=str(folder / "store"), **keys)
    daemon = Daemon({"/blob": BlobsAtOnce}, options=options, origins=origins)
    daemon.factories["/blob"].started()
    return daemon


def storeOf(folder: Path, **limits: Any) -> Store:
    """A store without a daemon, whose clock stands at 1000 seconds."""
    return Store(folder / "store", Limits(**limits), lambda: 1000.0)


def told(client: Client) -> list[Any]:
    """The JSON messages that came."""
    return [json.loads(message) for message in client.messages() if isinstance(message, str)]


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
