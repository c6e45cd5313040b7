"""Canvas routes in memory: PNGs are made when they are asked for, and the clock is the test's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from tests.wire import Client, Daemon
from wsd.protocols.canvas.options import CanvasOptions
from wsd.protocols.canvas.png import Encoder
from wsd.protocols.canvas.protocol import CanvasFactory

_T = TypeVar("_T")

SIZE = 400 * 320 * 4


class AtOnce(Encoder):
    """Without threads: what is asked for is made at once, or while it is `slow`, when it catches up."""

    slow = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._due: list[Deferred[None]] = []
        self.made = 0

    def start(self) -> None:
        pass

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def run(self, work: Callable[..., _T], *arguments: Any) -> Deferred[_T]:
        self.made += 1
        if not self.slow:
            return maybeDeferred(work, *arguments)
        due: Deferred[None] = Deferred()
        self._due.append(due)
        return due.addCallback(lambda _: work(*arguments))

    def catchUp(self) -> None:
        """Make what is due."""
        due, self._due = self._due, []
        for each in due:
            each.callback(None)


class CanvasesAtOnce(CanvasFactory):
    encoder = AtOnce


def daemonOf(policies: Any = None, **keys: Any) -> Daemon:
    """A daemon with canvases below /canvas."""
    given = {} if policies is None else {"policies": policies}
    daemon = Daemon({"/canvas/*": CanvasesAtOnce}, options=CanvasOptions(**keys), **given)
    daemon.factories["/canvas/*"].started()
    return daemon


def frame(byte: int, size: int = SIZE) -> bytes:
    """A frame of one colour."""
    return bytes([byte]) * size


def told(client: Client) -> list[Any]:
    """What has come since the connection opened, JSON read."""
    client.exchange()
    return [json.loads(each) if isinstance(each, str) else each for each in client.messages()]


def pictures(client: Client) -> list[bytes]:
    """The frames among them."""
    return [each for each in told(client) if isinstance(each, bytes)]


def lines(client: Client) -> list[Any]:
    """The lines among them."""
    return [each for each in told(client) if not isinstance(each, bytes)]


class Answer:
    """An HTTP answer, read apart."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(line.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}


def ask(daemon: Daemon, line: str, *fields: str) -> Answer:
    """Ask over HTTP: `ask(daemon, "GET /canvas/a.png", "If-None-Match: *")`."""
    return Answer(daemon.connect().exchange(request(line, *fields)))


def request(line: str, *fields: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: localhost:9998", *fields, "", ""]).encode()
