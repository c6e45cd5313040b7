"""Canvas routes in memory: PNGs are made when they are asked for, and the clock is the test's."""

from __future__ import annotations

import json
from typing import Any

from tests.wire import Client, Daemon
from wsd.protocols.canvas.options import CanvasOptions
from wsd.protocols.canvas.protocol import CanvasFactory

SIZE = 400 * 320 * 4


def daemonOf(policies: Any = None, **keys: Any) -> Daemon:
    """A daemon with canvases below /canvas."""
    given = {} if policies is None else {"policies": policies}
    daemon = Daemon({"/canvas/*": CanvasFactory}, options=CanvasOptions(**keys), **given)
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
