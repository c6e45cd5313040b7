"""The console's connection: address, subprotocols, states, closing, reconnecting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener, running
from tests.browser.console import Console
from tests.browser.peer import Peer
from tests.ports import freePort


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.stop()


class TestAddress:
    def testIsTheEchoOfThisHostAtFirst(self, console: Console, daemon: str) -> None:
        expect(console.at("#url")).to_have_value(f"ws://{daemon}/echo")
        console.connect()
        console.sendText("there and back")
        console.received("there and back")

    def testIsWssOnAPageThatCameOverHttps(self, openConsole: Opener, tmp_path: Path) -> None:
        with running(tmp_path, "--tls-port", "0", "--tls-self-signed") as daemon:
            authority = f"localhost:{daemon.port('wss')}"
            console = openConsole(base=f"https://{authority}", ignore_https_errors=True)
            expect(console.at("#url")).to_have_value(f"wss://{authority}/echo")
            console.connect()
            console.sendText("under a lock")
            console.received("under a lock")

    @pytest.mark.parametrize("path", ["/#ws://example.com/x?a=%C3%A9", "/?url=ws%3A%2F%2Fexample.com%2Fx%3Fa%3D%C3%A9"])
    def testMayComeWithThePageAndThenIsOnlyWrittenDown(self, openConsole: Opener, path: str) -> None:
        console = openConsole(path)
        expect(console.at("#url")).to_have_value("ws://example.com/x?a=é")
        assert console.page.evaluate("sockets.length") == 0

    def testMayBeAPathOfThisHost(self, console: Console, daemon: str) -> None:
        console.connect("/echo?delay=1")
        assert console.page.evaluate("sockets[0].url") == f"ws://{daemon}/echo?delay=1"

    def testThatIsNoneIsToldInASentence(self, console: Console) -> None:
        for typed, sentence in {
            "": "Enter the address to connect to, such as ws://localhost:9998/echo.",
            "ftp://localhost/": "“ftp:” is not a WebSocket scheme; use ws:// or wss://.",
            "javascript:alert(1)": "“javascript:” is not a WebSocket scheme; use ws:// or wss://.",
            "ws://localhost/#part": "A WebSocket address has no fragment: remove “#part”.",
            "ws://localhost:99999": "“ws://localhost:99999” is not an address; enter one such as ws://localhost:9998/echo.",
        }.items():
            console.dial(typed)
            expect(console.at("#url-wrong")).to_have_text(sentence)
            expect(console.at("#url")).to_be_focused()
            expect(console.at("#live")).to_have_text(sentence)
        assert console.page.evaluate("sockets.length") == 0

    def testHasPresetsThatTheDaemonKnows(self, console: Console, daemon: str) -> None:
        urls = console.page.eval_on_selector_all("#presets option", "options => options.map(option => option.value)")
        assert f"ws://{daemon}/echo?push=1000" in urls
        opened = console.page.evaluate(
            """urls => Promise.all(urls.map(url => new Promise(resolve => {
                const connection = new WebSocket(url);
                connection.onopen = () => resolve(url);
                connection.onerror = () => resolve(`not ${url}`);
            })))""",
            urls,
        )
        assert opened == urls


class TestSubprotocols:
    def testAreOfferedAndTheChosenOneIsShown(self, console: Console) -> None:
        console.connect(protocols="soap, xmpp")
        expect(console.fact("protocol")).to_have_text(re.compile("^(soap|xmpp)$"))
        expect(console.fact("extensions")).to_have_text(re.compile("^permessage-deflate"))

    def testAreOfferedInTheOrderTyped(self, console: Console, peer: Peer) -> None:
        console.dial(peer.url, " b ,a,, c")
        assert b"Sec-WebSocket-Protocol: b, a, c\r\n" in peer.accept()

    def testAreShownAsNoneWhenNoneWasChosen(self, console: Console) -> None:
        console.connect()
        expect(console.fact("protocol")).to_have_text("none")

    def testThatAreNoneAreToldInASentence(self, console: Console) -> None:
        for typed, sentence in {
            "soap, soap": "“soap” is listed twice; list it once.",
            "so ap": "“so ap” is not a subprotocol name; use only letters, digits and !#$%&'*+-.^_`|~.",
        }.items():
            console.dial(None, typed)
            expect(console.at("#protocols-wrong")).to_have_text(sentence)
            expect(console.at("#protocols")).to_be_focused()
        assert console.page.evaluate("sockets.length") == 0


class TestReadyState:
    def testIsShownInEachOfItsFourStates(self, console: Console, peer: Peer) -> None:
        expect(console.at("#states [aria-current]")).to_have_count(0)
        console.dial(peer.url)
        peer.accept()
        console.isIn("CONNECTING")
        peer.answer()
        console.isIn("OPEN")
        console.press("Close")
        console.isIn("CLOSING")
        peer.drop()
        console.isIn("CLOSED")

    def testIsToldToThoseWhoListen(self, console: Console) -> None:
        live = console.at("#live[role=status][aria-live=polite]")
        console.connect()
        expect(live).to_have_text(re.compile(r"^readyState 1 OPEN Open\. Protocol: none\."))
        console.press("Close")
        expect(live).to_have_text(re.compile(r"^readyState 3 CLOSED Closed: 1000 normal\."))

    def testLetsNoSecondConnectionBeOpenedBesideTheFirst(self, console: Console) -> None:
        console.connect()
        connect = console.page.get_by_role("button", name="Connect", exact=True)
        expect(connect).to_have_attribute("aria-disabled", "true")
        connect.click(force=True)
        console.at("#url").press("Enter")
        assert console.page.evaluate("sockets.length") == 1
        expect(console.rows("event")).to_have_count(2)


class TestBufferedAmount:
    def testFillsABarWhileThePeerDoesNotReadAndEmptiesItAfter(
        self, console: Console, peer: Peer, tmp_path: Path
    ) -> None:
        console.dial(peer.url)
        peer.open()
        console.isIn("OPEN")
        size = 8 * 1024 * 1024
        (tmp_path / "large.bin").write_bytes(bytes(size))
        console.choose("File")
        console.at("#file").set_input_files(tmp_path / "large.bin")
        console.press("Send file")
        bar = console.page.get_by_label("bufferedAmount")
        expect(console.at("#fact-buffered")).to_contain_text("MiB / ")
        assert bar.evaluate("bar => bar.value") > 1024 * 1024
        assert peer.message() == (2, bytes(size))
        expect(console.at("#fact-buffered")).to_have_text("0 B")
        assert bar.evaluate("bar => bar.value") == 0


class TestClosing:
    def testSendsTheCodeAndTheReason(self, console: Console, peer: Peer) -> None:
        console.dial(peer.url)
        peer.open()
        console.isIn("OPEN")
        console.unfold("options")
        console.at("#code").fill("4321")
        console.at("#reason").fill("genug für heute")
        console.press("Close")
        assert peer.closed() == (4321, "genug für heute")

    def testShowsHowItEnded(self, console: Console, peer: Peer) -> None:
        console.dial(peer.url)
        peer.open()
        console.isIn("OPEN")
        peer.close(1001, "<b>enough</b>")
        console.isIn("CLOSED")
        expect(console.fact("code")).to_have_text("1001 going away")
        expect(console.fact("reason")).to_have_text("<b>enough</b>")
        expect(console.fact("clean")).to_have_text("wasClean true")
        expect(console.previews("event").last).to_have_text(
            re.compile("^Closed: 1001 going away, “<b>enough</b>”. wasClean true. Sent 0 ")
        )

    def testMayHaveNoCode(self, console: Console, peer: Peer) -> None:
        console.dial(peer.url)
        peer.open()
        console.isIn("OPEN")
        console.unfold("options")
        console.at("#code").fill("")
        console.press("Close")
        assert peer.message() == (8, b"")

    def testByTheServerIsShownWithItsCodeAndReason(self, console: Console) -> None:
        console.dial("/echo?close=4000&reason=enough")
        console.isIn("CLOSED")
        expect(console.fact("code")).to_have_text("4000 application")
        expect(console.fact("reason")).to_have_text("enough")
        expect(console.fact("clean")).to_have_text("wasClean true")

    def testWithoutACloseFrameIsShownAsUnclean(self, console: Console, peer: Peer) -> None:
        console.dial(peer.url)
        peer.open()
        console.isIn("OPEN")
        peer.drop()
        console.isIn("CLOSED")
        expect(console.fact("code")).to_have_text("1006 no close frame")
        expect(console.fact("clean")).to_have_text("wasClean false")

    def testOfAConnectionThatNeverOpenedIsShownAsAnErrorFirst(self, console: Console) -> None:
        console.dial(f"ws://127.0.0.1:{freePort()}/")
        console.isIn("CLOSED")
        expect(console.previews("event")).to_have_text(
            [
                re.compile("^Connecting to "),
                re.compile("^The connection failed"),
                re.compile("^Closed: 1006 "),
                re.compile("^The browser does not say why. In a terminal, this command does: wsd connect "),
            ]
        )

    def testWithAWrongCodeOrReasonIsToldAndDoesNotHappen(self, console: Console) -> None:
        console.connect()
        wrongCode = "“{}” is not a code that a page may send; use 1000, or 3000 to 4999."
        for code, reason, sentence in [
            *((code, "", wrongCode.format(code)) for code in ("999", "1001", "1006", "2999", "5000", "1e3", "x")),
            ("", "why", "A reason needs a code: 1000, or 3000 to 4999."),
            ("1000", "é" * 62, "The reason is 124 bytes of UTF-8; the limit is 123."),
        ]:
            console.unfold("options")
            console.at("#code").fill(code)
            console.at("#reason").fill(reason)
            console.press("Close")
            expect(console.at("#close-wrong")).to_have_text(sentence)
            expect(console.at("#reason" if "bytes" in sentence else "#code")).to_be_focused()
            expect(console.at("#options [aria-invalid=true]:focus")).to_have_count(1)
        console.isIn("OPEN")

    def testTakesAReasonOfExactly123Bytes(self, console: Console, peer: Peer) -> None:
        console.dial(peer.url)
        peer.open()
        console.isIn("OPEN")
        console.unfold("options")
        console.at("#reason").fill("é" * 61 + "x")
        expect(console.at("#reason-left")).to_have_text("0 bytes left")
        console.press("Close")
        assert peer.closed() == (1000, "é" * 61 + "x")


class TestReconnecting:
    def testHappensAfterAVisibleCountdownAndBacksOff(self, openConsole: Opener, peer: Peer) -> None:
        console = openConsole()
        console.unfold("options")
        console.at("#again").check()
        console.dial(peer.url)
        peer.open()
        console.isIn("OPEN")
        peer.drop()
        expect(console.at("#countdown")).to_have_text(re.compile(r"^Attempt 1 in 0\.\d s$"))
        peer.accept()
        expect(console.at("#countdown")).to_be_hidden()
        peer.drop()
        expect(console.at("#countdown")).to_have_text(re.compile(r"^Attempt 2 in [01]\.\d s$"))
        peer.open()
        console.isIn("OPEN")

    def testWaitsTwiceAsLongEachTimeWithJitterAndNeverPastHalfAMinute(self, console: Console) -> None:
        waits = console.page.evaluate(
            """async () => {
                const {backOff} = await import("/_wsd/wire.js");
                return [1, 2, 3, 7, 50].map(attempt => [backOff(attempt, () => 0), backOff(attempt, () => 1)]);
            }"""
        )
        assert waits == [[250, 500], [500, 1000], [1000, 2000], [15000, 30000], [15000, 30000]]

    def testDoesNotFollowACloseThatThePersonAskedFor(self, openConsole: Opener) -> None:
        console = openConsole()
        console.unfold("options")
        console.at("#again").check()
        console.connect()
        console.press("Close")
        console.isIn("CLOSED")
        expect(console.at("#countdown")).to_be_hidden()

    def testCanBeHurried(self, openConsole: Opener) -> None:
        console = openConsole()
        console.page.clock.install(time=0)
        console.page.clock.pause_at(1)  # time stands still: only the button can open the next connection
        console.unfold("options")
        console.at("#again").check()
        console.dial("/echo?close=4000")
        expect(console.at("#countdown")).to_be_visible()
        console.at("#url").fill("/echo")
        console.press("Connect now")
        console.isIn("OPEN")
        expect(console.at("#countdown")).to_be_hidden()

    @pytest.mark.parametrize("how", ["button", "switch"])
    def testCanBeStopped(self, openConsole: Opener, how: str) -> None:
        console = openConsole()
        console.page.clock.install(time=0)
        console.page.clock.pause_at(1)
        console.unfold("options")
        console.at("#again").check()
        console.dial("/echo?close=4000")
        expect(console.at("#countdown")).to_be_visible()
        console.unfold("options")
        console.at("#code").fill("not a code")  # which must not stand in the way
        if how == "button":
            console.press("Stop")
        else:
            console.at("#again").uncheck()
        expect(console.at("#countdown")).to_be_hidden()
        console.page.clock.run_for(60_000)
        expect(console.previews("event").last).to_have_text("Stopped reconnecting.")
        assert console.page.evaluate("sockets.length") == 1
