"""
Five walks, traced: from the read of some bytes to the write of the answer to them.

`python -m tests.walks` prints them as docs/architecture.md has them; tests/test_walks.py compares. The daemons run in
memory, on real sockets, with the plane in Python: what is compiled cannot be traced. What a pool of threads would do is
done at once.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

from tests import wire
from tests.every import EveryFactory
from tests.protocols.blob import stores
from tests.protocols.soap import talk as soap
from tests.protocols.xmpp import talk as xmpp
from tests.test_architecture import roomOf
from wsd.frames import choose
from wsd.protocols.echo import EchoFactory
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.protocol import XmppFactory
from wsd.web.console import addConsole
from wsd.web.starting import start

ROOT = Path(__file__).parent.parent
PLANE = choose("fast")

ASKED = ("wsd", "wsd.config", "wsd.head", "wsd.metrics", "wsd.logs", "wsd.policies")
"""Rooms that only answer questions: nothing goes through them, so they are on no walk."""


@dataclass(frozen=True)
class Step:
    """A function of wsd that was entered."""

    file: str
    function: str
    way: tuple[str, ...]
    """The rooms through which the calls came from outside to here, its own last."""
    isCrossing: bool
    """Whether its caller is in another room, or outside of wsd."""

    @property
    def room(self) -> str:
        return self.way[-1]

    @property
    def isAnswer(self) -> bool:
        """Whether it is called in a room through which the calls came before: the answer goes out, or is prepared."""
        return self.isCrossing and self.room in self.way[:-1]

    def __str__(self) -> str:
        return f"{self.file} {self.function}"


def roomOfFile(file: str) -> str:
    """The room that a file is in; each protocol is one of its own."""
    module = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    room = roomOf(module)[1]
    return ".".join(module.split(".")[:3]) if room == "wsd.protocols" else room


class Tracer:
    """What wsd enters between a read of a socket and the next write to one."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._frames: list[tuple[FrameType, tuple[str, ...]]] = []
        self._hasRead = self._hasWritten = False

    def run(self, do: Callable[[], object]) -> list[Step]:
        """The steps while `do` has something read and answered."""
        before = sys.getprofile()
        sys.setprofile(self._event)
        try:
            do()
        finally:
            sys.setprofile(before)
        assert self._hasWritten, "nothing was answered"
        return self.steps

    def _event(self, frame: FrameType, event: str, argument: Any) -> None:
        if self._hasWritten or not frame.f_code.co_filename.startswith(f"{ROOT}/wsd/"):
            return
        if event == "c_call":
            if isinstance(getattr(argument, "__self__", None), socket.socket):
                self._called(argument.__name__, frame)
        elif self._hasRead and event == "call":
            self._enter(frame)
        elif self._frames and event == "return" and self._frames[-1][0] is frame:
            self._frames.pop()

    def _called(self, method: str, frame: FrameType) -> None:
        if method == "recv" and not self._hasRead:
            self._hasRead = True
            self._enter(frame)
        elif method in ("send", "sendmsg") and self._hasRead:
            self._hasWritten = True

    def _enter(self, frame: FrameType) -> None:
        file = str(Path(frame.f_code.co_filename).relative_to(ROOT))
        room = roomOfFile(file)
        if room in ASKED:
            return
        before = self._frames[-1][1] if self._frames else ()
        isCrossing = before[-1:] != (room,)
        way = (*before, room) if isCrossing else before
        self._frames.append((frame, way))
        self.steps.append(Step(file, frame.f_code.co_qualname, way, isCrossing))


def summary(steps: Sequence[Step]) -> list[Step]:
    """
    What tells the walk: each function by which a room is entered, and by which each further file is.

    Of what a room calls in one through which the calls came, only the last is told: the answer, and no question before.
    """
    last = {step.way[-2:]: step for step in steps if step.isAnswer}
    told: list[Step] = []
    files: set[str] = set()
    for step in steps:
        isNew = step.file not in files and "<" not in step.function.rpartition(".")[2]
        if step not in told and (last[step.way[-2:]] is step if step.isAnswer else step.isCrossing or isNew):
            told.append(step)
            files.add(step.file)
    return told


def crossings(steps: Sequence[Step]) -> list[str]:
    """The rooms in the order in which they are entered, each once on the way in and once on the way out."""
    seen: list[tuple[bool, str]] = []
    for step in summary(steps):
        if step.isCrossing and (step.isAnswer, step.room) not in seen:
            seen.append((step.isAnswer, step.room))
    return [room.removeprefix("wsd.") for _, room in seen]


def callersOf(steps: Sequence[Step]) -> dict[tuple[bool, str], set[str]]:
    """From which rooms each room is entered, "" for outside; on the way in (False) and out (True)."""
    callers: dict[tuple[bool, str], set[str]] = {}
    for step in steps:
        if step.isCrossing:
            callers.setdefault((step.isAnswer, step.room), set()).add("".join(step.way[-2:-1]))
    return callers


def isStraight(way: Sequence[str]) -> bool:
    """Whether calls go in through each room once, and then only out again, by rooms that they came through."""
    turn = next((at for at, room in enumerate(way) if room in way[:at]), len(way))
    out = [way.index(room) for room in way[turn:]]
    return all(after < before < turn for before, after in pairwise([turn - 1, *out]))


def message() -> list[Step]:
    """A text message to the echo."""
    client = wire.Daemon({"/": EchoFactory}).open()
    return Tracer().run(lambda: client.say("hello"))


def get() -> list[Step]:
    """A GET of a page."""
    daemon = wire.Daemon({"/every": EveryFactory})
    addConsole(daemon.site)
    connection = daemon.connect()
    return Tracer().run(lambda: connection.exchange(b"GET / HTTP/1.1\r\nHost: localhost:9998\r\n\r\n"))


def call() -> list[Step]:
    """A call of a SOAP operation."""
    talker = soap.Talker(soap.daemonOf())
    envelope = soap.addressed(soap.add(1, 2), "urn:uuid:1")
    talker.say(envelope)
    return Tracer().run(lambda: talker.say(envelope.replace("urn:uuid:1", "urn:uuid:2")))


def stanza() -> list[Step]:
    """A chat message to somebody else who is there."""
    daemon = wire.Daemon({"/xmpp": XmppFactory}, options=XmppOptions())
    start(daemon.factories["/xmpp"])
    one, two = (xmpp.Talker(xmpp.Socket(daemon.open("/xmpp", subprotocols=["xmpp"]))) for _ in range(2))
    for talker in (one, two):
        talker.login("", mechanism="ANONYMOUS")
        talker.say("<presence xmlns='jabber:client'/>")
    return Tracer().run(lambda: one.say(xmpp.message(two.jid)))


def chunk() -> list[Step]:
    """A chunk of an upload, acknowledged when it is on disk."""
    with tempfile.TemporaryDirectory() as folder:
        daemon = stores.daemonOf(Path(folder), sync="each")
        uploader = stores.Uploader(daemon)
        uploader.say("begin", name="file", size=10)
        return Tracer().run(lambda: uploader.chunk(0, b"hello"))


WALKS: dict[str, Callable[[], list[Step]]] = {
    "A message of a WebSocket": message,
    "A GET": get,
    "A SOAP call": call,
    "An XMPP stanza": stanza,
    "A chunk of a blob": chunk,
}


def traced(title: str) -> list[Step]:
    """The steps of a walk, with the plane in Python."""
    before, wire.PLANE = wire.PLANE, PLANE
    try:
        return WALKS[title]()
    finally:
        wire.PLANE = before


def written() -> Iterator[str]:
    """The lists as docs/architecture.md has them."""
    for title in WALKS:
        steps = traced(title)
        yield f"\n## {title}\n\nRooms: {' > '.join(crossings(steps))}\n"
        yield from (f"{number}. `{step}`" for number, step in enumerate(summary(steps), 1))


if __name__ == "__main__":
    print("\n".join(written()).strip())
