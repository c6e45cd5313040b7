"""Servers for `wsd connect` that are not ours, and the command as a process."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.sync.server import ServerConnection, serve

from tests.commands import PATIENCE, environment

Handler = Callable[[ServerConnection], Any]


def echo(connection: ServerConnection) -> None:
    """Send back what comes."""
    for message in connection:
        connection.send(message)


@contextmanager
def serving(handler: Handler = echo, scheme: str = "ws", **options: Any) -> Iterator[str]:
    """The URL of a server of the library `websockets`, which calls the handler with each connection."""
    with serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """The place of a server that gives each connection the next of these answers to its head, and the heads."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            for answer in answers:
                client, _ = listening.accept()
                with client, suppress(OSError):
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += client.recv(65536)
                    heads.append(head)
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", heads
        thread.join(PATIENCE)


def command(*arguments: str) -> list[str]:
    """The command line of `wsd connect`."""
    return [sys.executable, "-m", "wsd", "connect", *arguments]


def connect(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `wsd connect` with this standard input to its end."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(), input=stdin, capture_output=True, timeout=PATIENCE
    )


@contextmanager
def connecting(folder: Path, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """`wsd connect` while it runs."""
    settings: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command(*arguments), cwd=folder, env=environment(), **{**settings, **options})
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
