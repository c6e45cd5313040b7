"""Servers for the clients of topics: a daemon that may be killed, and one that does what a test says."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.server import ServerConnection, serve

from tests.daemon import RunningDaemon, runningDaemon
from tests.ports import freePort

SECRET = "a secret of more than thirty-two bytes"
CONFIG = """
[route."/topics/*"]
protocol = "topics"
backend = "file"
history_count = 100000
history_size = "64 MiB"

[route."/guarded/*"]
protocol = "topics"
subscribe = ["token"]
token_key = "key"
"""


class TopicsServer:
    """A daemon that can be killed and started again, on the port and with the topics that it had."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = CONFIG.replace('"key"', json.dumps(str(folder / "key")))
        self.port = freePort()
        (folder / "key").write_text(SECRET)

    def start(self) -> None:
        environ = {"STATE_DIRECTORY": str(self._folder)}
        self._context = runningDaemon("-p", str(self.port), config=self._config, environ=environ)
        self._daemon: RunningDaemon = self._context.__enter__()

    def kill(self) -> None:
        self._daemon.stop(signal.SIGKILL)
        self._context.__exit__(None, None, None)

    @property
    def base(self) -> str:
        """The URL of its pages."""
        return f"http://localhost:{self.port}"

    def url(self, topic: str = "", scheme: str = "ws", route: str = "topics") -> str:
        return f"{scheme}://localhost:{self.port}/{route}/{topic}"


Act = Callable[[ServerConnection], None]
"""What is done with a connection."""


@contextmanager
def scripted(*acts: Act) -> Iterator[str]:
    """The URL of a server that does this with its first connection, its second, and so on; further ones wait."""
    left = iter(acts)
    lock = threading.Lock()

    def handle(connection: ServerConnection) -> None:
        with lock:
            act = next(left, None)
        if act is not None:
            act(connection)
        for _ in connection:
            pass

    subprotocols: Sequence[Any] = ["topics.wsd.v1"]
    with serve(handle, "127.0.0.1", 0, subprotocols=subprotocols) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()


def asked(connection: ServerConnection) -> tuple[str, dict[str, Any]]:
    """The next request: its name and its fields."""
    ((name, fields),) = json.loads(connection.recv(30)).items()
    return name, fields


def tell(connection: ServerConnection, name: str, **fields: Any) -> None:
    """Send a message."""
    connection.send(json.dumps({name: fields}))
