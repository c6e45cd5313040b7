"""Topics from Chromium: wsd-topics.js between pages, EventSource, sendBeacon, and envelopes in the console."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.console import Console
from tests.topics import SECRET, TopicsServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TopicsServer]:
    server = TopicsServer(tmp_path_factory.mktemp("topics"))
    server.start()
    yield server
    server.kill()


# What each page has: a client, and what has come to it.
SCRIPT = """async ([url, token]) => {
    const {Topics} = await import("/_wsd/wsd-topics.js");
    const options = token === "ask" ? {token: () => window.newToken()} : {token};
    const topics = new Topics(url, options);
    const said = {open: 0, close: [], error: [], direct: [], message: [], gap: [], presence: [], members: []};
    topics.addEventListener("open", () => said.open++);
    for (const name of ["close", "error", "direct"]) {
        topics.addEventListener(name, ({detail}) => said[name].push(
            detail instanceof Error ? {code: detail.code, message: detail.message} : detail));
    }
    Object.assign(window, {topics, said, hears: {
        onmessage: (message) => said.message.push(message.payload instanceof ArrayBuffer
            ? {...message, payload: [...new Uint8Array(message.payload)]} : message),
        ongap: (gap) => said.gap.push(gap),
        onpresence: (event) => said.presence.push(event),
        onmembers: (members) => said.members.push(members),
    }});
}"""


class Peer:
    """A page with a client of topics."""

    def __init__(self, page: Page, server: TopicsServer, url: str = "/topics/", token: str | None = None) -> None:
        self.page = page
        page.goto(f"{server.base}/describe")
        page.evaluate(SCRIPT, [url, token])

    def run(self, script: str, argument: Any = None) -> Any:
        """What the script, the body of an async function of `argument`, returns; or the code of its error."""
        return self.page.evaluate(
            f"async argument => {{ try {{ {script} }} catch (e) {{ return e.code; }} }}", argument
        )

    def until(self, condition: str) -> None:
        """Wait until a condition holds."""
        self.page.wait_for_function(f"() => {condition}", timeout=30_000)

    def subscribe(self, topic: str, options: str = "") -> None:
        self.run(f"await topics.subscribe(argument, {{...hears, {options}}}).ready", topic)

    def payloads(self) -> list[Any]:
        found: list[Any] = self.page.evaluate("said.message.map(({payload}) => payload)")
        return found


@pytest.fixture
def peers(browser: Browser, server: TopicsServer) -> Iterator[Callable[..., Peer]]:
    contexts: list[BrowserContext] = []

    def make(url: str = "/topics/", token: str | None = None, newToken: Callable[[], str] | None = None) -> Peer:
        contexts.append(browser.new_context())
        page = contexts[-1].new_page()
        if newToken is not None:
            page.expose_function("newToken", newToken)
        return Peer(page, server, url, token)

    yield make
    for context in contexts:
        context.close()


def tokenFor(seconds: float, topic: str = "#") -> str:
    claims = {"exp": time.time() + seconds, "topics": {"subscribe": [topic]}}
    return str(jwt.encode(claims, SECRET, algorithm="HS256"))


class TestTheModule:
    def testLosesAndDoublesNothingWhenTheDaemonIsKilledTwice(
        self, peers: Callable[..., Peer], server: TopicsServer
    ) -> None:
        publisher, subscriber = peers(), peers()
        subscriber.subscribe("numbers")
        publisher.run(
            """window.positions = [];
            window.done = (async () => {
                for (let number = 0; !window.enough; number += 20) {
                    const batch = Array.from({length: 20}, (_, at) => topics.publish("numbers", number + at));
                    positions.push(...await Promise.all(batch));
                }
            })();"""
        )
        for connections in (1, 2):
            for peer in (publisher, subscriber):
                peer.until(f"said.open === {connections}")
            subscriber.until(f"said.message.length >= {200 * connections}")
            server.kill()
            server.start()
        subscriber.until("said.open === 3")
        publisher.run("window.enough = true; await done")
        positions = publisher.page.evaluate("positions")
        count = len(positions)
        subscriber.until(f"said.message.length >= {count}")
        assert subscriber.payloads() == list(range(count))
        assert [int(position.partition("-")[2]) for position in positions] == list(range(1, count + 1))
        assert subscriber.page.evaluate("[said.gap, said.error, said.open]") == [[], [], 3]

    def testKeepsWhatIsPublishedWithoutAConnection(self, peers: Callable[..., Peer], server: TopicsServer) -> None:
        one, other = peers(), peers()
        one.subscribe("kept")
        other.subscribe("kept")
        server.kill()
        one.until("said.close.length")
        one.run("window.late = topics.publish('kept', new Uint8Array([1, 2, 3]), {type: 'application/x-of-mine'})")
        assert one.page.evaluate("topics.isOpen") is False
        server.start()
        assert one.run("return (await late).endsWith('-1')") is True
        other.until("said.message.length")
        (message,) = other.page.evaluate("said.message")
        assert message.pop("position").endswith("-1")
        assert message == {"topic": "kept", "type": "application/x-of-mine", "form": "binary", "payload": [1, 2, 3]}
        assert one.payloads() == []

    def testTellsAGapOfWhatIsNotKeptAnyMore(self, peers: Callable[..., Peer]) -> None:
        peer = peers()
        peer.subscribe("gapped", "since: '0badf00d-7'")
        (gap,) = peer.page.evaluate("said.gap")
        assert gap["topic"] == "gapped"

    def testTellsAGapOfAFilterWhenTheConnectionWasLost(self, peers: Callable[..., Peer], server: TopicsServer) -> None:
        peer = peers()
        peer.subscribe("filtered/+")
        assert peer.page.evaluate("said.gap") == []
        server.kill()
        server.start()
        peer.until("said.gap.length")
        assert peer.page.evaluate("said.gap.map(({topic}) => topic)") == ["filtered/+"]
        peers().run("await topics.publish('filtered/a', 'text', {form: 'text'})")
        peer.until("said.message.length")
        assert peer.payloads() == ["text"]

    def testIsPresentAgainAfterTheDaemonWasKilled(self, peers: Callable[..., Peer], server: TopicsServer) -> None:
        ann, watcher = peers(), peers()
        watcher.subscribe("room")
        assert watcher.page.evaluate("said.members") == [[]]
        before = ann.run("return await topics.enter('room', {name: 'Ann'})")
        watcher.until("said.presence.length")
        assert watcher.page.evaluate("said.presence") == [
            {"topic": "room", "change": "join", "member": before, "state": {"name": "Ann"}}
        ]
        server.kill()
        server.start()
        present = "said.members.slice(1).flat().concat(said.presence.slice(1)).filter(({member}) => member)"
        watcher.until(f"{present}.some(({{state}}) => state.name === 'Ann')")
        (member,) = watcher.run("return await topics.members('room')")
        assert member["member"] != before
        ann.run("await topics.leave('room')")
        watcher.until("said.presence.at(-1).change === 'leave'")
        assert watcher.run("return await topics.members('room')") == []

    def testSendsToOneMember(self, peers: Callable[..., Peer]) -> None:
        ann, bob = peers(), peers()
        to, sender = (peer.run("return await topics.enter('pair')") for peer in (ann, bob))
        bob.run("await topics.direct('pair', argument, {hello: 1})", to)
        ann.until("said.direct.length")
        assert ann.page.evaluate("said.direct") == [
            {"topic": "pair", "from": sender, "form": "data", "payload": {"hello": 1}}
        ]
        assert bob.run("await topics.direct('pair', 'nobody', 1)") == "no_member"

    def testRejectsWhatTheServerRefuses(self, peers: Callable[..., Peer]) -> None:
        peer = peers()
        assert peer.run("await topics.publish('a//b', 1)") == "bad_topic"
        assert peer.run("await topics.subscribe('a//b').ready") == "bad_topic"
        assert peer.run("await topics.enter('+')") == "bad_topic"
        assert peer.page.evaluate("said.error.map(({code}) => code)") == ["bad_topic"]

    def testRejectsTheMessageThatIsTooLargeAndPublishesTheOthers(self, peers: Callable[..., Peer]) -> None:
        peer = peers()
        peer.subscribe("large")
        settled = peer.run(
            """const all = [10, 2_000_000, 20].map((size) => topics.publish("large", "x".repeat(size)));
            return (await Promise.allSettled(all)).map(({status, reason}) => reason?.code ?? status);"""
        )
        assert settled == ["fulfilled", "too_large", "fulfilled"]
        assert peer.payloads() == []

    def testEndsWithClose(self, peers: Callable[..., Peer]) -> None:
        peer = peers()
        peer.subscribe("ended")
        assert peer.run("topics.close(); await topics.publish('ended', 1)") == "closed"
        assert peer.page.evaluate("said.close") == [{"code": 1000, "reason": "", "retry": None}]
        assert peer.page.evaluate("said.error") == []


class TestATokenOfTheModule:
    def testIsRenewedBeforeItExpires(self, peers: Callable[..., Peer], server: TopicsServer) -> None:
        given: list[str] = []

        def newToken() -> str:
            given.append(tokenFor(2.5))
            return given[-1]

        peer = peers("/guarded/", "ask", newToken)
        peer.subscribe("secret")
        while len(given) < 3:
            peer.page.wait_for_timeout(20)
        peers("/guarded/", tokenFor(60)).run("await topics.publish('secret', 1)")
        assert peer.page.evaluate("[said.close, said.error, said.open]") == [[], [], 1]

    def testThatNobodyRenewsEndsTheClient(self, peers: Callable[..., Peer]) -> None:
        peer = peers("/guarded/", tokenFor(1.5))
        peer.subscribe("secret")
        peer.until("said.close.length")
        (closed,) = peer.page.evaluate("said.close")
        assert (closed["code"], closed["retry"]) == (4001, None)
        assert peer.page.evaluate("said.error.map(({code}) => code)") == ["unauthorized"]
        assert peer.run("await topics.publish('secret', 1)") == "closed"

    def testIsAskedForAgainWhenItHasExpired(self, peers: Callable[..., Peer]) -> None:
        given: list[str] = []

        def newToken() -> str:
            # The second one, for the renewal, is none.
            given.append("none" if len(given) == 1 else tokenFor(2 if not given else 60))
            return given[-1]

        peer = peers("/guarded/", "ask", newToken)
        peer.subscribe("secret")
        peer.until("said.open === 2")
        assert peer.page.evaluate("[said.close[0].code, said.error[0].code]") == [4001, "bad_token"]


@pytest.fixture
def plain(context: BrowserContext, server: TopicsServer) -> Page:
    """A page of the daemon's host."""
    page = context.new_page()
    page.goto(f"{server.base}/describe")
    return page


def post(server: TopicsServer, topic: str, text: str) -> str:
    """Publish a text: its position."""
    request = urllib.request.Request(
        f"{server.base}/topics/{topic}", text.encode(), {"Content-Type": "text/plain"}, method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        position: str = json.load(answer)["position"]
    return position


def history(server: TopicsServer, topic: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.base}/topics/{topic}") as answer:
        found: list[dict[str, Any]] = json.load(answer)["history"]
    for message in found:
        del message["position"]
    return found


class TestEventSource:
    def testGoesOnWhereItWasWhenTheDaemonWasKilled(self, plain: Page, server: TopicsServer) -> None:
        plain.evaluate(
            """() => {
                window.heard = [];
                window.opened = 0;
                const source = new EventSource("/topics/events");
                source.onopen = () => opened++;
                source.onmessage = ({data, lastEventId}) => heard.push([data, lastEventId]);
            }"""
        )
        plain.wait_for_function("() => opened === 1")
        expected = [["1", post(server, "events", "1")]]
        plain.wait_for_function("() => heard.length === 1")
        server.kill()
        server.start()
        expected += [[text, post(server, "events", text)] for text in ("2", "two\nlines")]
        plain.wait_for_function("() => heard.length >= 3")
        assert plain.evaluate("[heard, opened]") == [expected, 2]

    def testReadsAFilterInEnvelopes(self, plain: Page, server: TopicsServer) -> None:
        plain.evaluate(
            """() => new Promise((resolve) => {
                const source = new EventSource("/topics/sources/%2B?envelope");
                source.onopen = resolve;
                window.heard = [];
                source.onmessage = ({data}) => heard.push(JSON.parse(data));
            })"""
        )
        position = post(server, "sources/a", "1")
        plain.wait_for_function("() => heard.length === 1")
        message = {"topic": "sources/a", "position": position, "type": "text/plain", "text": "1"}
        assert plain.evaluate("heard") == [{"message": message}]


class TestSendBeacon:
    def testPublishesWhenThePageIsLeft(self, plain: Page, server: TopicsServer) -> None:
        plain.evaluate(
            """() => addEventListener("pagehide", () => {
                navigator.sendBeacon("/topics/beacon", new Blob(['{"left": true}'], {type: "application/json"}));
                navigator.sendBeacon("/topics/beacon", "as text");
            })"""
        )
        plain.goto("about:blank")
        while len(found := history(server, "beacon")) < 2:
            plain.wait_for_timeout(20)
        assert {json.dumps(message) for message in found} == {
            json.dumps({"topic": "beacon", "data": {"left": True}}),
            json.dumps({"topic": "beacon", "type": "text/plain;charset=UTF-8", "text": "as text"}),
        }


class TestTheConsole:
    def console(self, context: BrowserContext, server: TopicsServer) -> Console:
        console = Console(context.new_page(), server.base)
        console.open()
        console.connect(f"ws://localhost:{server.port}/topics/", protocols="topics.wsd.v1")
        console.choose("JSON")
        return console

    def send(self, console: Console, template: str) -> None:
        console.at("#template").select_option(template)
        console.press("Send JSON")

    def testShowsEnvelopes(self, context: BrowserContext, server: TopicsServer) -> None:
        console = self.console(context, server)
        for template in ("subscribe", "publish", "members"):
            self.send(console, template)
        received = console.previews("received")
        expect(received).to_have_count(4)
        expect(received.nth(0)).to_have_text(
            re.compile(r"^subscribed  quotes/ACME  id=1  position=\w+-0  replayed=0  members=\[\]$")
        )
        shown = received.all_text_contents()
        assert any(re.match(r'message  quotes/ACME  {"price":17.5}  position=\w+-1$', text) for text in shown)
        expect(console.previews("sent").nth(1)).to_have_text('publish  quotes/ACME  {"price":17.5}  id=2  echo=true')
        detail = console.detail("received", -1)
        expect(detail.locator(".tree")).to_contain_text("members")
        detail.get_by_role("button", name="Text", exact=True).click()
        expect(detail.locator("pre")).to_contain_text('{"members":{"id":4,')
        console.isBlameless()

    def testShowsErrorsAndOffersTemplatesOnlyThere(self, context: BrowserContext, server: TopicsServer) -> None:
        console = self.console(context, server)
        self.send(console, "leave")
        expect(console.previews("received")).to_have_text(re.compile("^error  id=6  code=no_member  message=this conn"))
        console.press("Close")
        expect(console.at("#template")).to_be_hidden()
        console.connect(f"ws://localhost:{server.port}/echo")
        expect(console.at("#template")).to_be_hidden()
        console.at("#json").fill('{"message": {"topic": "a"}}')
        console.press("Send JSON")
        expect(console.previews("received").nth(1)).to_have_text('{"message": {"topic": "a"}}')
        console.isBlameless()


# The lines of docs/topics.md, and what a page adds to see what they did.
LINES = """
var quotes = new WebSocket('ws://localhost:9998/topics/quotes/ACME');
quotes.onmessage = function(e) { console.log(e.data); };

var scores = new EventSource('/topics/scores/final');
scores.onmessage = function(e) { console.log(e.data, e.lastEventId); };
scores.addEventListener('gap', function(e) { console.log('messages were lost'); });

var token = TOKEN;
var chat = new WebSocket('wss://example.com/topics/chat/lobby', ['plain.topics.wsd.v1', 'bearer.' + token]);
"""


def test_the_lines_of_the_page_on_topics_are_as_good_as_their_word(browser: Browser, server: TopicsServer) -> None:
    token = jwt.encode({"exp": time.time() + 60, "topics": {"subscribe": ["chat/#"]}}, SECRET, "HS256")
    lines = LINES.replace("localhost:9998", f"localhost:{server.port}").replace("TOKEN", json.dumps(token))
    lines = lines.replace("wss://example.com/topics/", f"ws://localhost:{server.port}/guarded/")
    page = browser.new_page()
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    page.goto(f"{server.base}/describe")
    page.evaluate(f"() => {{ {lines} Object.assign(window, {{quotes, scores, chat}}); }}")
    page.wait_for_function("() => quotes.readyState === 1 && scores.readyState === 1 && chat.readyState === 1")
    for topic, body in (("quotes/ACME", "17.5"), ("scores/final", "1:0")):
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{server.base}/topics/{topic}", body.encode(), headers)).close()
    page.wait_for_timeout(1)
    for _ in range(100):
        if len(logged) >= 2:
            break
        page.wait_for_timeout(50)
    assert logged[0] == "17.5"
    assert re.fullmatch(r"1:0 [0-9a-f]{8}-1", logged[1])
    assert page.evaluate("chat.protocol") == "plain.topics.wsd.v1"
    page.close()


MODULE = """
<script type="module">
  import {Topics} from "/_wsd/wsd-topics.js";

  const topics = new Topics("/topics/");
  topics.subscribe("quotes/ACME", {
    history: 10,
    onmessage: ({payload, position}) => console.log(position, payload),
    ongap: () => location.reload(),
  });
  const position = await topics.publish("quotes/ACME", {price: 17.5}, {key: "ACME"});
</script>
"""


def test_so_are_those_of_the_module(browser: Browser, server: TopicsServer) -> None:
    page = browser.new_page()
    page.goto(f"{server.base}/describe")
    script = MODULE.partition(">")[2].rpartition("</script>")[0] + "window.position = position;"
    page.evaluate(
        """text => document.head.append(Object.assign(document.createElement("script"),
            {type: "module", textContent: text}))""",
        script,
    )
    page.wait_for_function("() => window.position")
    assert re.fullmatch(r"[0-9a-f]{8}-\d+", page.evaluate("position"))
    page.close()
