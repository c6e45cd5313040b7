"""Routes of topics in memory: the clock is the test's."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.wire import Client, Daemon
from wsd.protocols.topics.options import TopicsOptions
from wsd.protocols.topics.protocol import TopicsFactory


def daemonOf(policies: Any = None, origins: tuple[str, ...] = ("same-host",), **keys: Any) -> Daemon:
    """A daemon with topics below /topics."""
    given = {} if policies is None else {"policies": policies}
    daemon = Daemon({"/topics/*": TopicsFactory}, origins=origins, options=TopicsOptions(**keys), **given)
    daemon.factories["/topics/*"].started()
    return daemon


def at(daemon: Daemon, topic: str, query: str = "") -> Client:
    """A client at a topic or filter."""
    return daemon.open(f"/topics/{quote(topic)}{query}")


def heard(client: Client) -> list[str | bytes]:
    """The messages that have come since this was asked before."""
    client.exchange()
    messages = client.messages()
    client.frames.clear()
    return messages


def refusal(daemon: Daemon, path: str) -> tuple[int, str]:
    """The status and the sentence that an opening handshake gets."""
    response = daemon.open(path).response
    assert response is not None
    return response.status_code, (response.body or b"").decode().strip()


def closing(client: Client) -> tuple[int | None, str]:
    """The code and the sentence that a connection is closed with."""
    return client.closeCode, client.closeReason


class Answer:
    """An HTTP answer, read apart. `chunks` are those of an answer that goes on."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.status = int(line.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """The status, the code and the sentence of an error."""
        return self.status, self.json["error"]["code"], self.json["error"]["message"]


def request(line: str, *fields: str, body: bytes | str = b"") -> bytes:
    """A request, as in `request("POST /topics/a", "Content-Type: text/plain", body="1")`."""
    content = body if isinstance(body, bytes) else body.encode()
    lengths = [f"Content-Length: {len(content)}"] if content or line.startswith("POST") else []
    head = "\r\n".join([f"{line} HTTP/1.1", "Host: localhost:9998", *lengths, *fields, "", ""])
    return head.encode() + content


def ask(daemon: Daemon, line: str, *fields: str, body: bytes | str = b"") -> Answer:
    """Ask over HTTP, on a connection of its own."""
    return Answer(daemon.connect().exchange(request(line, *fields, body=body)))


def unchunked(data: bytes) -> bytes:
    """The content of chunks (RFC 9112 7.1)."""
    content = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        content += rest[:length]
        data = rest[length + 2 :]
    return content


class Events:
    """A stream of server-sent events."""

    def __init__(self, daemon: Daemon, path: str, *fields: str) -> None:
        self.wire = daemon.connect()
        self.answer = Answer(self.wire.exchange(request(f"GET {path}", "Accept: text/event-stream", *fields)))
        self._text = unchunked(self.answer.body).decode() if self.answer.status == 200 else ""

    def read(self) -> str:
        """What has come since this was asked before."""
        self._text += unchunked(self.wire.exchange(b"")).decode()
        text, self._text = self._text, ""
        return text
