"""
Standard input and output, read and written by threads of their own.

A blocking read or write works for every kind of file: pipes, terminals, regular files. Twisted's own StandardIO makes
them non-blocking, which the programs that share them with this one do not expect.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed

_CHUNK = 65536
_FULL = 1 << 20
"""Bytes that may wait for standard output before it counts as full."""


class InputReader:
    """Reads a file descriptor, a piece at a time. The next piece is read when `more` is called."""

    def __init__(self, reactor: Any, descriptor: int, deliver: Callable[[bytes], object]) -> None:
        """`deliver` is called with each piece in the reactor's thread, and with b"" at the end."""
        self._reactor = reactor
        self._descriptor = descriptor
        self._deliver = deliver
        self._wanted = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="stdin", daemon=True)

    def more(self) -> None:
        """Read the next piece. The first call starts the thread."""
        self._wanted.release()
        if self._thread.ident is None:
            self._thread.start()

    def _run(self) -> None:
        data = b"x"
        while data:
            self._wanted.acquire()
            try:
                data = os.read(self._descriptor, _CHUNK)
            except OSError:
                # It is closed, or a terminal that this process may not read in the background.
                data = b""
            self._reactor.callFromThread(self._deliver, data)


class OutputWriter:
    """Writes to a file descriptor, in order."""

    def __init__(
        self, reactor: Any, descriptor: int, onDrained: Callable[[], object], onBroken: Callable[[OSError], object]
    ) -> None:
        """`onDrained` is called when a full buffer is empty again, `onBroken` when nothing can be written any more."""
        self._reactor = reactor
        self._descriptor = descriptor
        self._onDrained = onDrained
        self._onBroken = onBroken
        self._pieces: list[bytes] = []
        self._size = 0
        self._isBroken = False
        self._changed = threading.Condition()
        self._flushed: list[Deferred[None]] = []
        threading.Thread(target=self._run, name="stdout", daemon=True).start()
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            threading.Thread(target=self._watch, name="stdout-reader", daemon=True).start()

    @property
    def isFull(self) -> bool:
        """Whether so much waits that nothing more should be read for it."""
        return self._size >= _FULL

    def write(self, data: bytes) -> None:
        """Write later. After a failure, nothing is written."""
        with self._changed:
            if not self._isBroken:
                self._pieces.append(data)
                self._size += len(data)
                self._changed.notify()

    def flush(self) -> Deferred[None]:
        """Fires when everything is written, or can no longer be."""
        with self._changed:
            if not self._size:
                return succeed(None)
        done: Deferred[None] = Deferred()
        self._flushed.append(done)
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._pieces:
                    self._changed.wait()
                pieces, self._pieces = self._pieces, []
            data = memoryview(b"".join(pieces))
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError as error:
                self._reactor.callFromThread(self._broken, error)
                return
            self._reactor.callFromThread(self._written, sum(map(len, pieces)))

    def _watch(self) -> None:
        """Notice that the reader of a pipe has gone although nothing is written at the moment."""
        poll = select.poll()
        poll.register(self._descriptor, 0)
        poll.poll()
        self._reactor.callFromThread(self._broken, BrokenPipeError())

    def _written(self, size: int) -> None:
        if self._isBroken:
            return
        wasFull = self.isFull
        with self._changed:
            self._size -= size
        if not self._size:
            self._fire()
        if wasFull and not self.isFull:
            self._onDrained()

    def _broken(self, error: OSError) -> None:
        if self._isBroken:
            return
        with self._changed:
            self._isBroken = True
            self._pieces, self._size = [], 0
        self._fire()
        self._onBroken(error)

    def _fire(self) -> None:
        flushed, self._flushed = self._flushed, []
        for done in flushed:
            done.callback(None)
