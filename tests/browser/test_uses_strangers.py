"""Anyone can publish anything to the open topics of a page, and enter with any state: the page goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.browser.test_uses_call import DEVICES, devices, isMoving, join
from tests.browser.uses import UsesServer, Windows, server, windows
from tests.commands import PATIENCE

__all__ = ["devices", "server", "windows"]

WRONG = {"id": 1, "name": 2, "text": 3, "picture": 4, "at": "5", "voice": 6, "seconds": "7", "clicks": 8, "minute": []}
"""Names that the pages use, with values of other types."""
GARBAGE = [None, 7, "word", [], [None, 7], {}, WRONG, dict.fromkeys(WRONG), {"description": 9}]


@dataclass(frozen=True)
class Open:
    """A page whose topics are open to strangers, and what shows that it goes on."""

    page: str
    route: str
    topics: list[str]
    sign: str = "h1"
    text: str = ""


PERSON = "A person who behaves"
PAGES = [
    Open("call?room=strange", "call/topics", ["strange"], "#present", PERSON),
    Open("feed", "feed/topics", ["feed/people", "feed/posts/word", "feed/likes/word"], "#people", PERSON),
    Open("map", "topics", ["map/world"]),
    Open("clicks", "clicks/topics", ["sample"]),
    Open("scores", "topics", ["scores/match", "scores/desk"]),
]


class Stranger:
    """A client of a page's topics that is not the page. Refusals are not its concern."""

    def __init__(self, client: ClientConnection) -> None:
        self._client = client
        self._id = 0

    def do(self, verb: str, **members: object) -> dict[str, Any]:
        """Ask for something, and wait for the answer."""
        self._id += 1
        self._client.send(json.dumps({verb: {"id": self._id, **members}}))
        while True:
            answer: dict[str, Any]
            (answer,) = json.loads(self._client.recv(PATIENCE)).values()
            if answer.get("id") == self._id:
                return answer


@contextmanager
def strangerAt(server: UsesServer, route: str) -> Iterator[Stranger]:
    url = server.url(f"/uses/{route}/").replace("http", "ws", 1)
    with connect(url, subprotocols=[Subprotocol("topics.wsd.v1")], proxy=None) as client:
        yield Stranger(client)


@pytest.mark.parametrize("each", PAGES, ids=[each.page.partition("?")[0] for each in PAGES])
def testAPageGoesOnWhateverStrangersPublish(each: Open, server: UsesServer, windows: Windows) -> None:
    page = windows.open(f"/uses/{each.page}")
    with strangerAt(server, each.route) as stranger:
        for topic in each.topics:
            for value in GARBAGE:
                for key in ({}, {"key": "word"}, {"key": "word word"}):
                    assert "id" in stranger.do("publish", topic=topic, data=value, **key)
                stranger.do("enter", topic=topic, state=value)
            stranger.do("publish", topic=topic, data=PERSON, key="person")
            stranger.do("enter", topic=topic, state={"id": "person", "name": PERSON})
        expect(page.locator(each.sign)).to_contain_text(each.text)
        page.reload()  # with all of it in the history
        expect(page.locator(each.sign)).to_contain_text(each.text)


def testACallGoesOnWhateverStrangersSendToItsMembers(devices: Browser, server: UsesServer) -> None:
    windows = Windows(devices, server)
    ann = join(windows, "/uses/call?room=signals", "Ann")
    bo = windows.open("/uses/call?room=signals", **DEVICES)
    expect(bo.locator("#present")).to_contain_text("Ann")
    with strangerAt(server, "call/topics") as stranger:
        stranger.do("enter", topic="signals", state={"id": 0, "name": None, "isDark": "yes"})
        (member,) = [
            each["member"]
            for each in stranger.do("members", topic="signals")["members"]
            if each["state"]["name"] == "Ann"
        ]
        for value in GARBAGE:
            stranger.do("direct", topic="signals", to=member, data=value)
        bo.locator("#name").fill("Bo")
        bo.locator("#join button").click()
        isMoving(bo, "Ann")
        isMoving(ann, "Bo")
    windows.close()
    windows.areBlameless()
