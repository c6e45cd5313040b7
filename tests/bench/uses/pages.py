"""
What a user of each page does.

Each function opens the connections of one user, by the user's number, and returns them with what the user does again
and again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.request import Request, urlopen

from pycrdt import Doc, Text

from tests.bench.uses.client import Client, every
from wsd.protocols.yjs.messages import ClientState, SyncStep, awarenessMessage, syncMessage

User = tuple[list[Client], Sequence[Awaitable[None]]]
FOLLOWED = 100
"""The people whom each user of the feed follows."""
ROOM = 4
"""People in a call."""
_SECRET = "the secret of the teacher"


async def feed(port: int, number: int) -> User:
    """Everyone follows everyone, posts every 30 seconds, and likes a post every ten."""
    client = await Client.topics(port, "/uses/feed/topics/")
    client.subscribe("feed/people", last=True)
    client.subscribe("feed/likes/+", last=True)
    for person in range(FOLLOWED):
        client.subscribe(f"feed/posts/{person}", history=50)

    def post() -> None:
        content = {"id": secrets.token_hex(8), "name": f"P{number}", "text": "hello " * 20, "at": 0}
        client.publish(f"feed/posts/{number}", content, echo=True)

    def like() -> None:
        key = f"{secrets.randbelow(20)} {number}"
        client.publish(f"feed/likes/{secrets.randbelow(FOLLOWED)}", True, key=key, ttl=3600, echo=True)

    client.publish("feed/people", f"P{number}", key=str(number), echo=True)
    return [client], [every(30, post), every(10, like)]


async def game(port: int, number: int) -> User:
    """The first 16 play, and the others watch."""
    client = await Client.open(port, "/uses/game/play")
    client.send({"join": {"name": f"P{number}", "key": str(number)}})
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        client.send({"step": [steps, (steps // 40 % 3) - 1, (steps // 25 % 3) - 1, steps % 90 == 0]})

    acts: list[Awaitable[None]] = [every(1, lambda: client.send({"ping": [1, 20]}))]
    return [client], [*acts, every(1 / 30, step)] if number < 16 else acts


async def editor(port: int, number: int) -> User:
    """One document, in which ten write five characters a second each."""
    client = await Client.open(port, "/yjs/uses%2Fnotes")
    doc: Doc[Any] = Doc()
    text = doc.get("text", type=Text)
    updates: list[bytes] = []
    written = doc.observe(lambda event: updates.append(event.update))
    clock = 0

    def say() -> None:
        nonlocal clock
        clock += 1
        state = {"user": {"name": f"P{number}", "color": 1}, "cursor": {"anchor": {"item": clock}, "head": {}}}
        client.send(awarenessMessage([ClientState(number, clock, json.dumps(state))]))

    def write() -> None:
        assert written is not None
        text.insert(len(text), "x")
        client.send(syncMessage(SyncStep.UPDATE, updates.pop()))
        say()

    client.send(syncMessage(SyncStep.STATE_VECTOR, b"\x00"))
    say()
    # A client of y-protocols also sends the states of the others back: they are not new.
    known = awarenessMessage([ClientState(number, 0, json.dumps({"user": {"name": "P", "color": 1}}))])
    acts: list[Awaitable[None]] = [every(15, say), every(1 / 50, lambda: client.send(known))]
    return [client], [*acts, every(1 / 5, write)] if number < 10 else acts


async def clicks(port: int, number: int) -> User:
    """Everyone records, and sends ten events a second in one batch; the first one watches."""
    client = await Client.topics(port, "/uses/clicks/topics/")
    if number == 0:
        client.subscribe("sample", history=1000)
    batches = 0

    def send() -> None:
        nonlocal batches
        batches += 1
        events = [["click", round(time.time() * 1000), "hero-order", 0.25, 0.75]] * 10
        batch = {"visitor": f"{number:012}", "number": batches, "events": events}
        client.publish("sample", batch, once=f"{number:012}/{batches}")

    return [client], [every(1, send)]


async def quotes(port: int, number: int) -> User:
    """Everyone watches the market, in which 5,000 prices a second are published."""
    client = await Client.topics(port, "/uses/quotes/topics/")
    client.subscribe("market", last=True)
    return [client], []


async def scores(port: int, number: int) -> User:
    """Everyone watches by WebSocket and by server-sent events; the first one writes once a second."""
    client = await Client.topics(port, "/uses/topics/")
    client.subscribe("scores/match", last=True, history=20)
    stream = await Client.events(port, "/uses/topics/scores/match?last&history=20&envelope")

    def goal() -> None:
        score = {"home": 1, "away": 0, "at": round(time.time() * 1000)}
        client.publish("scores/match", score, key="score", echo=True)

    return [client, stream], [] if number else [every(1, goal)]


async def call(port: int, number: int) -> User:
    """Rooms of four, in which each writes every four seconds. Sound and pictures do not pass the daemon."""
    client = await Client.topics(port, "/uses/call/topics/")
    room = f"room{number // ROOM}"
    client.subscribe(room, history=50, presence=True)
    state = {"id": str(number), "name": f"P{number}", "isMuted": False, "isDark": False, "isSharing": False}
    client.send({"enter": {"topic": room, "state": state}})
    message = {"name": f"P{number}", "text": "Can you hear me?"}
    return [client], [every(ROOM, lambda: client.publish(room, message, echo=True))]


async def map_(port: int, number: int) -> User:
    """Everyone moves once a second, and sees all others."""
    client = await Client.topics(port, "/uses/topics/")
    client.subscribe("map/world", last=True, history=100)

    def move() -> None:
        position = {"name": f"Guest {number}", "lon": 8.55, "lat": 47.37, "at": round(time.time() * 1000)}
        client.publish("map/world", position, key=str(number), ttl=45)

    return [client], [every(1, move)]


def _token(port: int, number: int) -> dict[str, str]:
    secret = f"the secret of pupil {number}" if number else _SECRET
    query = f"?class={_token(port, 0)['class']}" if number else ""
    request = Request(f"http://localhost:{port}/uses/class/token{query}", headers={"Authorization": f"Bearer {secret}"})
    with urlopen(request) as answer:
        found: dict[str, str] = json.load(answer)
        return found


async def class_(port: int, number: int) -> User:
    """A teacher who paints and turns slides, and pupils of whom each says something every ten seconds."""
    told = await asyncio.to_thread(_token, port, number)
    room, user = told["class"], told["user"]
    topics = await Client.topics(port, "/uses/class/topics/", told["token"])
    query = f"width=800&height=450&role={'viewer' if number else 'painter'}&meta"
    board = await Client.open(port, f"/uses/class/board/{room}?{query}", f"canvas, bearer.{told['token']}")
    for topic in ("lesson", "by/+/chat", "by/+/hand", "by/+/vote"):
        topics.subscribe(f"{room}/{topic}", last=True)
    topics.subscribe(f"{room}/people", presence=True)
    topics.send({"enter": {"topic": f"{room}/people", "state": {"name": f"P{number}"}}})

    def paint() -> None:
        board.send({"x": secrets.randbelow(760), "y": secrets.randbelow(410), "width": 40, "height": 40})
        board.send(b"\x1b\x1f\x24\xff" * 1600)

    def turn() -> None:
        topics.publish(f"{room}/lesson", {"at": secrets.randbelow(4)}, key="slide", echo=True)

    message = {"text": "hello everyone", "name": "", "at": 0}
    chat = every(10, lambda: topics.publish(f"{room}/by/{user}/chat", message, key="0", echo=True))
    return [topics, board], [chat] if number else [chat, every(2, turn), every(1 / 10, paint)]


PAGES: Mapping[str, Callable[[int, int], Awaitable[User]]] = {
    "feed": feed,
    "game": game,
    "editor": editor,
    "clicks": clicks,
    "quotes": quotes,
    "scores": scores,
    "call": call,
    "map": map_,
    "class": class_,
}

TABLE: Sequence[tuple[str, int, str]] = (
    ("feed", 100, "each follows everyone, posts every 30 seconds, and likes every ten"),
    ("game", 100, "16 play, 84 watch"),
    ("editor", 100, "one document, in which ten write five characters a second each"),
    ("clicks", 100, "1,000 events a second, in batches of ten that are on the disk when they are acknowledged"),
    ("quotes", 1, "5,000 prices a second"),
    ("quotes", 20, "all users get every price"),
    ("quotes", 100, "all users get every price: 500,000 messages a second, in 5,000 writes"),
    ("scores", 100, "a message a second, by WebSocket and by server-sent events to each user"),
    (
        "call",
        100,
        "25 rooms of four, in which each writes every four seconds; sound and pictures do not pass the daemon",
    ),
    ("map", 100, "each moves once a second: 100 movements a second to each user"),
    ("class", 100, "one class; the teacher paints ten times a second, each pupil writes every ten seconds"),
)
"""The rows of the table in docs/uses.md: a page, its users, and what they do."""
