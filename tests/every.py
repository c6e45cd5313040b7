"""A protocol that uses every hook of the contract; each plane and each transport is tested with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.web.resource import IResource, Resource
from zope.interface import implementer

from wsd.connection import Accept, Closed, Connection, Factory, Refused, Request
from wsd.resources import IBody, IStreamed


@dataclass(frozen=True)
class EveryOptions:
    greeting: str = "hello"


class Every(Connection):
    """Notes each hook in `said`, and does what a text message asks for."""

    factory: EveryFactory

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Any] = []
        self.waiting: Deferred[None] | None = None

    async def opening(self, request: Request) -> Accept | None:
        self.said.append(("opening", request.head.path, request.subprotocols))
        wish = request.queries.get("wish", "")
        if wish == "refuse":
            raise Refused(402, "pay first", [("X-Price", "1")])
        if wish == "nonsense":
            raise Refused(499, "no such status")
        if wish == "fail":
            raise RuntimeError("opening fails")
        if wish == "wait":
            self.factory.gate = Deferred()
            await self.factory.gate
        if wish == "raw":
            request.takeRaw(self.factory.raw)
            return None
        return Accept(self.factory.choose(request.subprotocols), [("X-Every", self.options.greeting)])

    def opened(self) -> None:
        self.said.append(("opened", self.subprotocol))
        self.factory.opened.append(self)

    def received(self, payload: bytes, isBinary: bool) -> Any:
        self.said.append(("received", payload, isBinary))
        if isBinary:
            self.send(payload)
            return None
        word, _, rest = payload.decode().partition(" ")
        return getattr(self, f"do_{word}", self.do_say)(rest)

    def do_say(self, text: str) -> None:
        self.send(f"{self.options.greeting} {text}")

    def do_wait(self, text: str) -> Deferred[None]:
        self.waiting = Deferred()
        return self.waiting

    def do_hold(self, text: str) -> None:
        self.hold()

    async def do_fail(self, text: str) -> None:
        raise RuntimeError("a hook fails")

    def do_close(self, text: str) -> None:
        raise Closed(int(text), "as you wish")

    def do_flood(self, text: str) -> None:
        for _ in range(int(text)):
            self.send(bytes(65536), deflate=False)

    def do_all(self, text: str) -> None:
        prepared = self.factory.prepare(text)
        for connection in self.factory.opened:
            connection.send(prepared)

    def full(self) -> None:
        self.said.append("full")

    def drained(self) -> None:
        self.said.append("drained")

    def closed(self, code: int, reason: str) -> None:
        self.said.append(("closed", code, reason))


@implementer(IBody)
class Gathered:
    """A body that is noted piece by piece."""

    def __init__(self, most: int = 1 << 20) -> None:
        self.pieces: list[bytes] = []
        self.most = most
        self.state = "receiving"

    def received(self, data: bytes) -> None:
        self.pieces.append(data)
        if sum(map(len, self.pieces)) > self.most:
            raise Refused(413, f"more than {self.most} bytes")

    def ended(self) -> None:
        self.state = "ended"

    def lost(self) -> None:
        self.state = "lost"


@implementer(IStreamed)
class Upload(Resource):
    """Takes the bodies of POSTs, and asks for no other."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[Gathered] = []

    def bodyOf(self, request: Any) -> Gathered | None:
        if request.head.method != "POST":
            return None
        self.bodies.append(Gathered())
        return self.bodies[-1]

    def render_GET(self, request: Any) -> bytes:
        return b"under " + b"/".join(request.postpath)

    def render_PUT(self, request: Any) -> bytes:
        return b"not read"

    def render_POST(self, request: Any) -> bytes:
        return b"%d bytes" % sum(map(len, self.bodies[-1].pieces))


class Raw(Protocol):
    """Answers on the bare stream."""

    def __init__(self) -> None:
        self.got = b""
        self.lost = False

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"raw\n")

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        assert self.transport is not None
        self.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class EveryFactory(Factory):
    connection = Every
    subprotocols = ("one", "two")
    Options = EveryOptions

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.opened: list[Every] = []
        self.gate: Deferred[None] | None = None
        self.raw = Raw()
        self.upload = Upload()
        self.life: list[str] = []
        self.sentence: str | None = None

    def started(self) -> None:
        self.life.append("started")

    def stopped(self) -> None:
        self.life.append("stopped")

    def resource(self) -> IResource:
        return self.upload

    def wellKnown(self) -> Mapping[bytes, IResource]:
        return {b"every": self.upload}

    def ready(self) -> str | None:
        return self.sentence


class Streaming(Connection):
    """The streaming form."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Any] = []

    def began(self, isBinary: bool) -> None:
        self.said.append(("began", isBinary))

    def arrived(self, data: bytes) -> Any:
        self.said.append(("arrived", len(data)))

    def ended(self) -> None:
        self.said.append("ended")
        self.send("ended")


class StreamingFactory(Factory):
    connection = Streaming
