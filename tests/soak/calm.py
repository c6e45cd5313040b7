"""The clients that behave: small echoes, one after the other, and how long each took."""

from __future__ import annotations

import threading
import time

from tests.soak.peers import FIN, TEXT, RawClient, frame

_PAUSE = 0.002
"""Seconds between two echoes."""

_ECHO = frame(b"c" * 32, FIN | TEXT)
_ANSWER = bytes((FIN | TEXT, 32)) + b"c" * 32


class CalmClients:
    """Some connections that were open before the attack. A thread echoes on each in turn."""

    def __init__(self, port: int, count: int) -> None:
        self._clients = [RawClient(port, timeout=30.0) for _ in range(count)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.delays: list[float] = []
        """Seconds from each message to its echo."""
        self.failure: str | None = None

    def start(self) -> None:
        """Begin to echo."""
        self._thread.start()

    def take(self) -> list[float]:
        """The delays since the last call."""
        taken, self.delays = self.delays, []
        return taken

    def stop(self) -> None:
        """End all."""
        self._stopping.set()
        self._thread.join(60)
        for client in self._clients:
            client.close()

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(_PAUSE):
            client = self._clients[number % len(self._clients)]
            number += 1
            client.socket.settimeout(30)
            began = time.monotonic()
            try:
                client.socket.sendall(_ECHO)
                answer = b""
                while len(answer) < len(_ANSWER):
                    data = client.socket.recv(4096)
                    if not data:
                        raise ConnectionError("closed")
                    answer += data
            except OSError as error:
                self.failure = str(error) or type(error).__name__
                return
            self.delays.append(time.monotonic() - began)


def p99(delays: list[float]) -> float:
    """The 99th percentile; 0 without delays."""
    return sorted(delays)[min(len(delays) - 1, len(delays) * 99 // 100)] if delays else 0.0
