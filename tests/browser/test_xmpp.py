"""strophe.js and converse.js in Chromium, with the embedded server and with Prosody through the gateway."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect
from playwright.sync_api import TimeoutError as TookTooLong

from tests.browser.conftest import PAGES, ROOT, running
from tests.process.xmpp import Client, prosody

CONFIG = """
[route."/xmpp"]
register = true
origins = ["*"]
[route."/gateway"]
protocol = "xmpp"
origins = ["*"]
upstream = "tcp:127.0.0.1:{port}"
upstream_ca = "{ca}"
"""
HELLO = "<&> ünï 😀"


class Pages(SimpleHTTPRequestHandler):
    """The pages of the tests, and beside them the clients that npm has brought."""

    def translate_path(self, path: str) -> str:
        name = path.partition("?")[0].lstrip("/")
        folder = PAGES if "/" not in name else ROOT / "tests" / "node_modules"
        return str(folder / name)

    def log_message(self, *arguments: object) -> None:
        """Nobody reads it."""


@dataclass
class Place:
    """Where to log in, and where the pages are."""

    url: str
    pages: str

    def user(self) -> str:
        """The address of somebody new, whose password is "secret"."""
        name = f"u{uuid4().hex[:8]}"
        client = Client(self.url)
        client.open()
        assert client.register(name, "secret").get("type") == "result"
        client.cut()
        return f"{name}@localhost"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("wsd")
    with prosody(tmp_path_factory.mktemp("prosody")) as server:
        config = CONFIG.format(port=server.port, ca=server.authority.path)
        (folder / "wsd.toml").write_text(config)
        with running(folder, "-c", str(folder / "wsd.toml")) as process:
            yield f"localhost:{process.port('ws')}"


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["xmpp", "gateway"], ids=["embedded", "prosody"])
def place(request: pytest.FixtureRequest, daemon: str, pages: str) -> Place:
    return Place(f"ws://{daemon}/{request.param}", pages)


class Strophe:
    """A page with strophe.js, in a browser context of its own."""

    def __init__(self, browser: Browser, place: Place, user: str) -> None:
        self.user = user
        self._place = place
        self._context: BrowserContext = browser.new_context(locale="en-US")
        self.page: Page = self._context.new_page()
        self.page.goto(f"{place.pages}/strophe.html")

    def login(self) -> bool:
        """Whether the session was resumed."""
        return bool(self.call("login", self._place.url, self.user, "secret"))

    def call(self, name: str, *arguments: str) -> Any:
        return self.page.evaluate(f"(given) => {name}(...given)", list(arguments))

    def hears(self, line: str) -> None:
        """Waits for a line that ends so."""
        try:
            self.page.wait_for_function("(line) => heard.some((each) => each.endsWith(line))", arg=line, timeout=30_000)
        except TookTooLong:
            raise AssertionError(f"{line!r} is not in {self.heard()}") from None

    def heard(self) -> list[str]:
        heard: list[str] = self.page.evaluate("heard")
        return heard

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def strophe(browser: Browser, place: Place) -> Iterator[Callable[[], Strophe]]:
    made: list[Strophe] = []

    def make() -> Strophe:
        made.append(Strophe(browser, place, place.user()))
        return made[-1]

    yield make
    for each in made:
        each.close()


class TestStrophe:
    def test_two_become_friends_talk_meet_in_a_room_and_one_reloads_its_page(
        self, strophe: Callable[[], Strophe]
    ) -> None:
        alice, bob = strophe(), strophe()
        assert not alice.login()
        assert not bob.login()
        assert alice.call("roster") == bob.call("roster") == []
        for one, other in ((alice, bob), (bob, alice)):
            one.call("subscribe", other.user)
            one.hears(f"subscribed: {other.user}")
        assert alice.call("roster") == [f"{bob.user} both"]
        assert bob.call("roster") == [f"{alice.user} both"]

        alice.call("say", bob.user, HELLO)
        bob.hears(f"chat: {HELLO}")

        room = f"{uuid4().hex}@conference.localhost"
        alice.call("join", room, "alice")
        alice.hears(f"available: {room}/alice")
        alice.call("unlock", room)
        alice.call("say", room, "first", "groupchat")
        alice.hears("groupchat: first")
        bob.call("join", room, "bob")
        bob.hears("groupchat, late: first")

        bob.page.reload()
        alice.call("say", bob.user, "while the page was loading")
        assert bob.login()
        bob.hears("while the page was loading")
        alice.call("say", room, "still here?", "groupchat")
        bob.hears("groupchat: still here?")
        assert [line.partition(": ")[2] for line in bob.heard()] == ["while the page was loading", "still here?"]


class Converse:
    """A page with converse.js, in a browser context of its own, logged in."""

    def __init__(self, browser: Browser, place: Place, user: str) -> None:
        self.user = user
        self.received: list[str] = []
        """Every message of the WebSocket, since the page was loaded last."""
        self._context: BrowserContext = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
        self.page: Page = self._context.new_page()
        self.page.on("websocket", self._opened)
        self.page.goto(f"{place.pages}/converse.html?{urlencode({'url': place.url, 'jid': user})}")
        self._come()

    def _opened(self, socket: WebSocket) -> None:
        self.received.clear()
        socket.on("framereceived", lambda frame: self.received.append(str(frame)))

    def _come(self) -> None:
        self.page.wait_for_function("() => window.chat && chat.api.connection.connected()")
        self.page.evaluate("() => chat.api.waitUntil('statusInitialized')")

    def reload(self) -> None:
        self.page.reload()
        self._come()

    def call(self, script: str, *arguments: str) -> Any:
        return self.page.evaluate(f"async (given) => {{ {script} }}", list(arguments))

    def befriend(self, other: str) -> None:
        self.call("await chat.api.contacts.add({ jid: given[0] });", other)

    def isFriendOf(self, other: str) -> None:
        """Waits for it."""
        self.page.wait_for_function("(jid) => chat.state.roster.get(jid)?.get('subscription') === 'both'", arg=other)

    def say(self, other: str, body: str) -> None:
        self.call("(await chat.api.chats.open(given[0])).sendMessage({ body: given[1] });", other, body)

    def open(self, other: str) -> None:
        self.call("await chat.api.chats.open(given[0], {}, true);", other)

    def join(self, room: str, nick: str) -> None:
        self.call("await chat.api.rooms.open(given[0], { nick: given[1] }, true);", room, nick)
        self.page.wait_for_function(
            "(jid) => chat.state.chatboxes.get(jid)?.session.get('connection_status') === 5", arg=room
        )

    def sayIn(self, room: str, body: str) -> None:
        self.call("(await chat.api.rooms.get(given[0])).sendMessage({ body: given[1] });", room, body)

    def shows(self, body: str) -> None:
        """Waits until it is to be seen, once."""
        shown = self.page.locator(".chat-msg__text").filter(has_text=body)
        expect(shown, "\n".join(self.received[-20:])).to_have_count(1, timeout=30_000)
        expect(shown).to_be_visible()

    def hears(self, part: str) -> None:
        """Waits until a message of the WebSocket has it; the page may know of it before we do."""
        end = time.monotonic() + 30
        while not any(part in message for message in self.received):
            assert time.monotonic() < end, "\n".join(self.received[-20:])
            self.page.wait_for_timeout(20)

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def converse(browser: Browser, place: Place) -> Iterator[Callable[[], Converse]]:
    made: list[Converse] = []

    def make() -> Converse:
        made.append(Converse(browser, place, place.user()))
        return made[-1]

    yield make
    for each in made:
        each.close()


class TestConverse:
    def test_two_become_friends_talk_meet_in_a_room_and_one_reloads_its_page(
        self, converse: Callable[[], Converse]
    ) -> None:
        alice, bob = converse(), converse()
        alice.befriend(bob.user)
        alice.isFriendOf(bob.user)
        bob.isFriendOf(alice.user)

        bob.open(alice.user)
        alice.say(bob.user, HELLO)
        bob.shows(HELLO)

        room = f"{uuid4().hex}@conference.localhost"
        alice.join(room, "alice")
        alice.sayIn(room, "first")
        alice.shows("first")
        bob.join(room, "bob")
        bob.shows("first")

        bob.page.goto("about:blank")
        alice.say(bob.user, "while the page was away")
        bob.page.go_back()
        bob._come()
        bob.hears("<resumed")
        bob.open(alice.user)
        bob.shows("while the page was away")
