"""
TLS for clients that read in one thread and write in another, such as `websockets.sync`.

OpenSSL allows only one thread at a time in a connection, which the ssl module of Python 3.11 leaves to its users. About
once in 2,500 connections, the first write meets the read of the session tickets of TLS 1.3, and is lost.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from select import select
from threading import RLock
from typing import Any


class LockedSocket(ssl.SSLSocket):
    """A TLS socket whose reads and writes take turns. Neither holds the lock while it waits for the peer."""

    _lock: Any

    def __new__(cls, *arguments: Any, **named: Any) -> LockedSocket:
        self: LockedSocket = super().__new__(cls, *arguments, **named)
        self._lock = RLock()
        return self

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Wait until something can be decrypted, and return it."""
        data: bytes = self._inTurn(lambda: super(LockedSocket, self).recv(buflen, flags))
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        """Send some of the data."""
        sent: int = self._inTurn(lambda: super(LockedSocket, self).send(data, flags))
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of the data."""
        left = memoryview(data)
        while left:
            left = left[self.send(left, flags) :]

    def _inTurn(self, call: Callable[[], Any]) -> Any:
        while True:
            with self._lock:
                timeout = self.gettimeout()
                self.settimeout(0)
                try:
                    return call()
                except ssl.SSLWantReadError:
                    reads, writes = [self], []
                except ssl.SSLWantWriteError:
                    reads, writes = [], [self]
                finally:
                    self.settimeout(timeout)
            if not any(select(reads, writes, [], timeout)):
                raise TimeoutError("timed out")


def trusting(authority: Path | str | None = None) -> ssl.SSLContext:
    """The TLS settings of a client that trusts an authority in a file, or every server."""
    context = ssl.create_default_context(cafile=authority)
    if authority is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.sslsocket_class = LockedSocket
    return context
