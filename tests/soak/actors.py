"""
The clients of a day: of each protocol some that come and go, and some that stall or break.

Each is a coroutine that has one visit and ends. What goes wrong is an exception, and what was acknowledged is noted.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from pycrdt import Doc, Map
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.protocols.soap.talk import add, addressed, envelope
from tests.soak.chat import Chat
from tests.soak.peers import FIN, TEXT, RawClient, frame
from wsd.protocols.yjs.messages import MessageType, Reader, SyncStep, syncMessage

PATIENCE = 60.0
"""Seconds that an answer may take."""
TOPICS = ("news/a", "news/b")
DOCUMENTS = 4
WIDTH, HEIGHT = 40, 32
PAGES = ("/", "/canvas", "/topics", "/blob", "/soap", "/uses/", "/_wsd/status", "/readyz", "/metrics")


@dataclass
class World:
    """Where the daemon is, and what it has acknowledged."""

    port: int
    tlsPort: int
    trusted: ssl.SSLContext
    random: random.Random
    chat: Chat
    files: dict[str, str] = field(default_factory=dict)
    """Uploads: id and SHA-256."""
    published: dict[str, dict[str, str]] = field(default_factory=lambda: {topic: {} for topic in TOPICS})
    """By topic each position, and the message there."""
    edits: dict[tuple[str, str], str] = field(default_factory=dict)
    """By document and key the value that was stored last."""
    count: int = 0

    def number(self) -> int:
        """Another one each time."""
        self.count += 1
        return self.count

    def open(self, path: str, *subprotocols: str, **more: Any) -> connect:
        """A connection to open: every third one over TLS."""
        isTls = self.random.randrange(3) == 0
        url = f"wss://localhost:{self.tlsPort}{path}" if isTls else f"ws://localhost:{self.port}{path}"
        named = [Subprotocol(each) for each in subprotocols] or None
        if isTls:
            more["ssl"] = self.trusted
        return connect(url, proxy=None, open_timeout=PATIENCE, max_size=None, subprotocols=named, **more)

    async def fetch(self, path: str, data: bytes | None = None, **headers: str) -> bytes:
        """GET or POST something over HTTP or HTTPS. Raises an exception unless it is answered with 200."""
        return await asyncio.to_thread(self.fetched, self.random.randrange(3) == 0, path, data, headers)

    def fetched(self, isTls: bool, path: str, data: bytes | None, headers: Mapping[str, str]) -> bytes:
        """The same, at once."""
        base = f"https://localhost:{self.tlsPort}" if isTls else f"http://localhost:{self.port}"
        request = urllib.request.Request(base + path, data, {**headers})
        with urllib.request.urlopen(request, timeout=PATIENCE, context=self.trusted if isTls else None) as answer:
            content: bytes = answer.read()
        return content


Actor = Callable[[World], Awaitable[None]]


async def heard(client: ClientConnection) -> Any:
    """The next message."""
    async with asyncio.timeout(PATIENCE):
        return await client.recv()


async def part(world: World, client: ClientConnection) -> None:
    """Go: with the closing handshake, or without a word."""
    if world.random.randrange(3) == 0:
        client.transport.abort()
    else:
        await client.close()


def expect(isTrue: bool, what: str) -> None:
    """Raise an exception that says what is wrong."""
    if not isTrue:
        raise AssertionError(what)


async def echo(world: World) -> None:
    """Messages of all sizes, with compression in every other visit."""
    compression = world.random.choice(["deflate", None])
    async with world.open("/echo", compression=compression) as client:
        for _ in range(world.random.randint(1, 30)):
            size = int(2 ** world.random.uniform(0, 17))
            message = os.urandom(size) if world.random.randrange(2) else "再见 " * (size // 4)
            await client.send(message)
            expect(await heard(client) == message, "an echo is another one")
            await asyncio.sleep(world.random.uniform(0, 0.2))
        await part(world, client)


async def describe(world: World) -> None:
    """The request, over a WebSocket and over HTTP."""
    async with world.open("/describe") as client:
        expect("headers" in json.loads(await heard(client)), "a description without headers")
        await part(world, client)
    expect("headers" in json.loads(await world.fetch("/describe")), "a description without headers")


async def soap(world: World) -> None:
    """Calls over a WebSocket and over HTTP."""
    async with world.open("/soap", "soap") as client:
        for _ in range(world.random.randint(1, 10)):
            one, two = world.random.randrange(1000), world.random.randrange(1000)
            await client.send(addressed(add(one, two), f"urn:n:{one}"))
            expect(f">{one + two}<" in str(await heard(client)), "a wrong sum")
        await part(world, client)
    body = envelope(add(2, 3), namespace="http://schemas.xmlsoap.org/soap/envelope/").encode()
    expect(b">5<" in await world.fetch("/soap", body, **{"Content-Type": "text/xml"}), "a wrong sum over HTTP")


async def xmpp(world: World) -> None:
    """Messages of which stream management acknowledges each, or one who reads those that wait."""
    await asyncio.to_thread(world.chat.visit, f"ws://localhost:{world.port}/xmpp", world.random.randrange(1 << 30))


async def document(world: World) -> None:
    """Edits of a key that nobody else has meanwhile: what came back is stored."""
    name, key = f"day{world.random.randrange(DOCUMENTS)}", f"key {world.random.randrange(50)}"
    lock = _LOCKS.setdefault((name, key), asyncio.Lock())
    async with lock, world.open(f"/yjs/{name}") as client:
        mine, theirs = await loaded(client), await loaded(client)
        for _ in range(world.random.randint(1, 5)):
            before, value = mine.get_state(), f"value {world.number()}"
            mine["entries"][key] = value
            await client.send(syncMessage(SyncStep.UPDATE, mine.get_update(before)))
            while theirs["entries"].get(key) != value:
                theirs.apply_update(await _update(client))
            world.edits[name, key] = value
        await part(world, client)


_LOCKS: dict[tuple[str, str], asyncio.Lock] = {}


async def loaded(client: ClientConnection) -> Doc[Any]:
    """The document as the daemon has it."""
    doc: Doc[Any] = Doc()
    doc["entries"] = Map()
    await client.send(syncMessage(SyncStep.STATE_VECTOR, doc.get_state()))
    isWhole = False
    while not isWhole:
        # Edits of others may come before the answer, and are part of the document.
        step, update = await _step(client)
        doc.apply_update(update)
        isWhole = step == SyncStep.MISSING
    return doc


async def _update(client: ClientConnection) -> bytes:
    """The next update that a client is sent."""
    return (await _step(client))[1]


async def _step(client: ClientConnection) -> tuple[int, bytes]:
    """The next update, and the step that it belongs to: the answer to a state vector, or an edit."""
    while True:
        reader = Reader(await heard(client))
        if reader.number() == MessageType.SYNC and (step := reader.number()) != SyncStep.STATE_VECTOR:
            return step, bytes(reader.bytes_())


async def painter(world: World) -> None:
    """Pictures, each of which has a receipt."""
    async with world.open(f"/canvas/day?width={WIDTH}&height={HEIGHT}") as client:
        for number in range(world.random.randint(1, 20)):
            await client.send(bytes([number]) * (WIDTH * HEIGHT * 4))
            while not isinstance(told := await heard(client), str) or "frame" not in (receipt := json.loads(told)):
                pass
            expect(receipt["bytes"] == WIDTH * HEIGHT * 4, "a wrong receipt")
            await asyncio.sleep(0.05)
        await part(world, client)


async def viewer(world: World) -> None:
    """Somebody who watches for a while, and loads the picture."""
    async with world.open(f"/canvas/day?width={WIDTH}&height={HEIGHT}&role=viewer") as client:
        for _ in range(world.random.randint(1, 20)):
            try:
                async with asyncio.timeout(2):
                    picture = await client.recv()
            except TimeoutError:
                break
            expect(isinstance(picture, str) or len(picture) == WIDTH * HEIGHT * 4, "half a picture")
        await part(world, client)


async def upload(world: World) -> None:
    """A file, and one of those that were uploaded before."""
    content = os.urandom(int(2 ** world.random.uniform(4, 19)))
    async with world.open("/blob", compression=None) as client:
        await client.send(content)
        receipt = json.loads(await heard(client))
        expect(receipt.get("sha256") == sha256(content).hexdigest(), f"a wrong receipt: {receipt}")
        world.files[receipt["id"]] = receipt["sha256"]
    name, digest = world.random.choice(list(world.files.items()))
    expect(sha256(await world.fetch(f"/blob/{name}")).hexdigest() == digest, "a file is another one")


async def unfinished(world: World) -> None:
    """An upload that ends in the middle: nothing of it stays."""
    client = await asyncio.to_thread(RawClient, world.port, "/blob", timeout=PATIENCE)
    await asyncio.to_thread(client.send, frame(bytes(100_000), length=1_000_000))
    client.close()


async def publisher(world: World) -> None:
    """Messages to topics in a file, each with its position."""
    async with world.open("/topics/", "topics.wsd.v1") as client:
        for _ in range(world.random.randint(1, 30)):
            topic, text = world.random.choice(TOPICS), f"message {world.number()}"
            await client.send(json.dumps({"publish": {"id": text, "topic": topic, "text": text, "once": text}}))
            answer = json.loads(await heard(client))
            expect("published" in answer, f"not published: {answer}")
            world.published[topic][answer["published"]["position"]] = text
            await asyncio.sleep(world.random.uniform(0, 0.1))
        await part(world, client)


async def subscriber(world: World) -> None:
    """Subscribes with what was before, and leaves: each position follows the one before."""
    async with world.open("/topics/", "topics.wsd.v1") as client:
        await client.send(json.dumps({"subscribe": {"topic": world.random.choice(TOPICS), "history": 20}}))
        expect("subscribed" in json.loads(await heard(client)), "not subscribed")
        last = None
        for _ in range(world.random.randint(20, 60)):
            try:
                async with asyncio.timeout(3):
                    message = json.loads(await client.recv())["message"]
            except TimeoutError:
                break
            offset = int(message["position"].rpartition("-")[2])
            expect(last is None or offset == last + 1, "a gap in a topic")
            last = offset
        await part(world, client)


async def handler(path: str, world: World) -> None:
    """A handler of pywebsocket, which echoes."""
    async with world.open(path) as client:
        for number in range(world.random.randint(1, 10)):
            await client.send(f"message {number}")
            expect(await heard(client) == f"message {number}", "a handler's echo is another one")
        await part(world, client)


async def page(world: World) -> None:
    """Pages, and one that is not there."""
    for path in world.random.sample(PAGES, 3):
        expect(bool(await world.fetch(path, Accept="text/html")), f"{path} is empty")
    try:
        await world.fetch("/nothing/here", Accept="text/html")
    except urllib.error.HTTPError as error:
        # With handlers, a WebSocket may be anywhere.
        expect(error.code in (404, 426), f"/nothing/here answers {error.code}")


async def staller(world: World) -> None:
    """Sends and does not read, for some seconds."""
    client = await asyncio.to_thread(RawClient, world.port, "/echo", timeout=PATIENCE, reads=False)
    for _ in range(30):
        client.push(frame(b"x" * 65536))
        await asyncio.sleep(0.1)
    client.close()


async def breaker(world: World) -> None:
    """Breaks a rule of WebSockets, HTTP or TLS."""
    await asyncio.to_thread(_break, world.port, world.tlsPort, world.random.randrange(4))


def _break(port: int, tlsPort: int, way: int) -> None:
    path = ("/echo", "/echo", None, None)[way]
    client = RawClient(tlsPort if way == 3 else port, path, timeout=PATIENCE)
    broken = frame(b"\xff\xfe", FIN | TEXT), b"\xff\xff\xff\xff", b"GET / HTTP/9\r\n:\r\n\r\n", os.urandom(300)
    client.send(broken[way])
    client.drain(2.0)
    client.close()


ACTORS: Mapping[str, tuple[Actor, int]] = {
    "echo": (echo, 20),
    "describe": (describe, 2),
    "soap": (soap, 3),
    "xmpp": (xmpp, 4),
    "yjs": (document, 4),
    "painters": (painter, 2),
    "viewers": (viewer, 4),
    "uploads": (upload, 3),
    "unfinished uploads": (unfinished, 1),
    "publishers": (publisher, 3),
    "subscribers": (subscriber, 4),
    "handlers": (partial(handler, "/echoes"), 2),
    "handlers with threads": (partial(handler, "/blocks"), 2),
    "pages": (page, 2),
    "stalling": (staller, 4),
    "breaking": (breaker, 2),
}
"""Each, and how many of them there are at a time."""
