"""`wsd connect` in a pipe: standard input is sent, and what is received is written to standard output."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed

from wsd.client.connect.link import SessionConnection
from wsd.client.connect.session import ClientSession
from wsd.client.connect.streams import InputReader, OutputWriter
from wsd.client.failures import ExitStatus, Unanswered
from wsd.client.show import escaped, shown

_STDIN, _STDOUT = 0, 1
"""The descriptors of standard input and output."""


@dataclass(frozen=True, slots=True)
class PipeOptions:
    """How standard input is cut into messages, and what is printed."""

    binary: bool = False
    """Send binary messages, and write what is received as it is; else send lines of text, and write lines."""
    chunk: int | None = None
    """The size of a binary message in bytes; None: the whole of the input."""
    handshake: bool = False
    """Print the handshake to standard error."""
    frames: bool = False
    """Print what is sent, and pings, pongs and closes, to standard error."""


class PipeInput:
    """Cuts standard input into messages."""

    def __init__(self, options: PipeOptions) -> None:
        self._options = options
        self._buffer = bytearray()
        self._searched = 0
        self._lines = 0
        self.isAtEnd = False

    def feed(self, data: bytes) -> None:
        """More input; b"" is its end."""
        self._buffer += data
        self.isAtEnd = not data

    def next(self) -> bytes | None:
        """The next message, None if it has not been read completely. Raises `Unanswered` for text that is none."""
        if not self._options.binary:
            return self._nextLine()
        size = self._options.chunk
        if size is not None and len(self._buffer) >= size:
            return self._take(size, size)
        if self.isAtEnd and self._buffer:
            return self._take(len(self._buffer), len(self._buffer))
        return None

    def _nextLine(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if end >= 0:
            line = self._take(end, end + 1)
        elif self.isAtEnd and self._buffer:
            line = self._take(len(self._buffer), len(self._buffer))
        else:
            self._searched = len(self._buffer)
            return None
        self._lines += 1
        line = line.removesuffix(b"\r")
        try:
            line.decode()
        except UnicodeDecodeError:
            raise Unanswered(
                f"line {self._lines} of standard input is not UTF-8; --binary sends any bytes", ExitStatus.USAGE
            ) from None
        return line

    def _take(self, size: int, removed: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:removed]
        self._searched = 0
        return taken


class PipeFront:
    """A front for programs. Implements `wsd.client.connect.session.Front`."""

    def __init__(self, reactor: Any, session: ClientSession, options: PipeOptions) -> None:
        self.fault: Unanswered | None = None
        """What is wrong with standard input or output."""
        self._session = session
        self._options = options
        self._input = PipeInput(options)
        self._reader = InputReader(reactor, _STDIN, self._read)
        self._isReading = False
        self._hasEnded = False
        self._output = OutputWriter(reactor, _STDOUT, session.resume, self._broken)
        self._isTerminal = sys.stdout.isatty()

    # -- standard input -----------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        self._isReading = False
        self._input.feed(data)
        self._pump()

    def _pump(self) -> None:
        """Send what has been read, as far as it leaves; then read on."""
        try:
            while self._session.canSend:
                message = self._input.next()
                if message is None:
                    self._readOn()
                    return
                self._session.send(message, self._options.binary)
                if self._options.frames:
                    self.frame(">", shown(message, self._options.binary))
        except Unanswered as error:
            self.fault = error
            self._session.end(error.status)

    def _readOn(self) -> None:
        if not self._input.isAtEnd:
            if not self._isReading:
                self._isReading = True
                self._reader.more()
        elif not self._hasEnded:
            self._hasEnded = True
            self._session.inputEnded()

    # -- standard output ----------------------------------------------------------------------------------------------

    def received(self, payload: bytes, isBinary: bool) -> bool:
        """Write a message."""
        if self._isTerminal and not self._options.binary:
            payload = escaped(payload).encode()
        self._output.write(payload if self._options.binary else payload + b"\n")
        return not self._output.isFull

    def _broken(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            self.fault = Unanswered(f"standard output cannot be written: {error.strerror}", ExitStatus.USAGE)
        self._session.end(self.fault.status if self.fault else ExitStatus.DONE)

    # -- the session --------------------------------------------------------------------------------------------------

    def connected(self, connection: SessionConnection) -> None:
        """Begin to read, or continue."""
        self._pump()

    def drained(self) -> None:
        """Send more."""
        self._pump()

    def handshake(self, lines: list[str]) -> None:
        """Print a handshake."""
        if self._options.handshake:
            print("\n".join(lines), file=sys.stderr)

    def frame(self, mark: str, text: str) -> None:
        """Print a control frame."""
        if self._options.frames:
            print(mark, text, file=sys.stderr)

    def retrying(self, sentence: str, seconds: float) -> None:
        """Tell of a pause."""
        print(f"wsd: {sentence}; retrying in {seconds:.1f} s", file=sys.stderr)

    def finish(self, interrupted: bool) -> Deferred[None]:
        """Write what is left."""
        return succeed(None) if interrupted else self._output.flush()
