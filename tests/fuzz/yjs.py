"""Documents of Yjs: whatever a client says is answered or closed, and the library takes what the daemon has checked."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.memory import Caller
from tests.fuzz.messages import MEMORY, framesIn, masked, open_
from tests.protocols.yjs.editors import daemonOf
from wsd.protocols.yjs.messages import MalformedMessage, Reader, sized

_MOST_MESSAGES = 32


def check(data: bytes) -> None:
    """Takes an update, or messages with their lengths before them, after a byte that says which."""
    kind, data = data[:1], data[1:]
    messages = [b"\x00\x02" + sized(data)] if kind == b"u" else _messagesIn(data)
    with TemporaryDirectory(dir=MEMORY, prefix="wsd-fuzz-") as folder:
        daemon = daemonOf(Path(folder))
        with Caller(daemon) as caller:
            open_(caller, "/yjs/room")
            for message in messages:
                caller.send(masked(2, message))
            answers = list(framesIn(caller.take()))
            assert all(opcode in (2, 8) for opcode, _ in answers)
        daemon.factories["/yjs/*"].stopped()


def _messagesIn(data: bytes) -> list[bytes]:
    reader = Reader(data)
    found: list[bytes] = []
    with suppress(MalformedMessage):
        while not reader.isAtEnd and len(found) < _MOST_MESSAGES:
            found.append(reader.bytes_())
    return found
