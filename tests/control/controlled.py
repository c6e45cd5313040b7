"""A daemon in memory, and a client of its control socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent

from tests.wire import Client, Wire
from wsd.config import Config, parse
from wsd.control.server import ControlFactory
from wsd.logs import Threshold
from wsd.protocols import optionsOf
from wsd.service import Daemon
from wsd.service.steering import Steering

TEXT = """\
port = 0
host = "127.0.0.1"
built_in = false
drain = 2
[route."/echo"]
protocol = "echo"
[route."/other/*"]
protocol = "echo"
"""


class Controlled:
    """The daemon with its routes /echo and /other/*."""

    def __init__(self, text: str = TEXT) -> None:
        self.text = text
        self.reactor = MemoryReactorClock()
        self.daemon: Any = Daemon(self.read(), self.reactor, self.read, {})
        self.threshold: Threshold | None = Threshold("info")
        self.steering = Steering(self.daemon, self.threshold)
        self.clients: list[Client] = []
        self.daemon.startService()
        self.reactor.run()

    def read(self) -> Config:
        return parse(self.text, optionsOf)

    def open(self, path: str = "/echo", **arguments: Any) -> Client:
        """A WebSocket client."""
        client = Client(Wire(self.daemon), path, **arguments).handshake()
        self.clients.append(client)
        return client

    def pass_(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass. Clients do their part of closing handshakes."""
        for _ in range(round(seconds / step)):
            self.reactor.advance(step)
            for client in self.clients:
                client.exchange()

    @property
    def connections(self) -> list[Any]:
        return list(self.daemon.routes.connections)

    def connection(self, client: Client) -> Any:
        """The daemon's end of a client."""
        return client.wire.door._connection

    def control(self) -> ControlClient:
        return ControlClient(self)

    def ask(self, command: str, **fields: object) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The items and the last line of the answer to a request on a connection of its own."""
        return self.control().ask(command, **fields)

    def refusal(self, command: str, **fields: object) -> str:
        """Why a request is refused."""
        items, last = self.ask(command, **fields)
        assert (items, last["ok"], set(last)) == ([], False, {"ok", "error"})
        return str(last["error"])

    def stop(self) -> None:
        self.daemon.stopService()
        self.pass_(12, 0.2)


class ControlClient:
    """One client of the control socket."""

    def __init__(self, controlled: Controlled) -> None:
        self.transport: Any = StringTransport()
        self._controlled = controlled
        self.protocol: Any = ControlFactory(controlled.steering).buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def send(self, line: bytes) -> None:
        self.protocol.dataReceived(line)

    def turn(self) -> None:
        """One turn of the reactor."""
        self._controlled.reactor.advance(0)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All that was answered since the last look."""
        text = self.transport.value()
        self.transport.clear()
        return [json.loads(line) for line in text.splitlines()]

    def ask(self, command: str, **fields: object) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        self.send(json.dumps({"command": command, **fields}).encode() + b"\n")
        lines = self.lines
        for _ in range(10_000):
            if lines and "ok" in lines[-1]:
                break
            self.turn()
            lines += self.lines
        *items, last = lines
        return items, last


@contextmanager
def logged() -> Iterator[list[str]]:
    """The lines of the log, after the block."""
    lines: list[str] = []
    with capturedLogs() as events:
        yield lines
    lines += [str(formatEvent(event)) for event in events]


def stateOf(folder: Path) -> dict[str, str]:
    """The environment of a daemon with this state folder."""
    return {"STATE_DIRECTORY": str(folder)}
