"""Quotes at /uses/quotes: a snapshot, then changes; who is slow skips prices and stays current."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.uses import (
    UsesServer,
    Windows,
    checkFrame,
    checkHygiene,
    checkLooks,
    saveShot,
    server,
    usesServer,
    windows,
)
from wsd.uses.quotes.feeder import SYMBOLS

__all__ = ["server", "windows"]

RATE = 100_000  # bytes a second of the slow line; the prices are about 650,000


class SlowLine:
    """A proxy on a port of its own that passes on what the server sends at RATE, and buffers almost nothing."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.isSlow = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            far.connect(("127.0.0.1", self._port))
            for source, sink, limits in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pass, args=(source, sink, limits), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, limits: bool) -> None:
        try:
            while data := source.recv(4096):
                sink.sendall(data)
                if limits and self.isSlow:
                    time.sleep(len(data) / RATE)
        except OSError:
            pass
        for each in (source, sink):
            each.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsesServer]:
    """The market as it is, with 5,000 changes per second."""
    with usesServer(tmp_path_factory.mktemp("uses")) as market:
        yield market


@pytest.fixture
def line(market: UsesServer) -> Iterator[SlowLine]:
    line = SlowLine(market.port)
    yield line
    line.close()


# Collects what the page shows each second: shown, received, published.
_FIGURES = """() => {
    const names = ["shown", "received", "published"];
    window.figures = [];
    const read = () => names.map((name) => Number(document.getElementById(name).textContent.replace(/\\D/g, "")));
    const observer = new MutationObserver(() => window.figures.push(read()));
    observer.observe(document.getElementById("shown"), {childList: true});
}"""

# Stops the page with its prices after twenty pictures. Its feed would take most of the time that its looks are checked.
_STILL = """
window.Worker = class extends Worker {
    pictures = 0;
    postMessage(asked) {
        if ((this.pictures += 1) <= 20) return super.postMessage(asked);
        this.terminate();
        for (let timer = setInterval(() => {}, 1000); timer > 0; timer -= 1) clearInterval(timer);
        document.body.dataset.still = "true";
    }
};
"""


def number(page: Page, name: str) -> int:
    """A figure of the page; it is drawn anew each second."""
    expect(page.locator(f"#{name}")).to_have_text(re.compile(r"\d"))
    return int(re.sub(r"\D", "", page.locator(f"#{name}").inner_text()))


class TestQuotes:
    def testShowASnapshotThenChangesAndGoOnAfterARestart(self, server: UsesServer, windows: Windows) -> None:
        first, second = windows.open("/uses/quotes"), windows.open("/uses/quotes", "zh-CN")
        for page in (first, second):
            expect(page.locator("#quotes li")).to_have_count(len(SYMBOLS))
            assert page.locator("#quotes .symbol").all_inner_texts() == SYMBOLS
        self.prices(first)
        expect(second.locator("#lag")).to_have_text(re.compile(r"^[\d,]+ 毫秒$"))
        expect(second.locator("#published")).to_have_text(re.compile(r"^每秒 [\d,]+ 次$"))

        server.kill()
        expect(second.locator("#connection")).to_contain_text("服务器已断开")
        server.start()
        expect(second.locator("#connection")).to_contain_text("服务器已恢复")
        for page in (first, second):
            self.prices(page)
            checkHygiene(page)
        saveShot(first, "quotes running")

    @staticmethod
    def prices(page: Page) -> None:
        """Prices change, and their lines are drawn."""
        row = page.locator("#quotes li").first
        before = row.locator(".price").inner_text()
        expect(row.locator(".price")).not_to_have_text(before)
        expect(row.locator(".change")).to_have_text(re.compile(r"^[+\u2212]\d+\.\d\d%$"))
        drawn = """canvas => {
            const {width, height} = canvas;
            return canvas.toDataURL() !== Object.assign(document.createElement("canvas"), {width, height}).toDataURL();
        }"""
        assert row.locator("canvas").evaluate(drawn)

    def testWhoComesLateHasAllPricesAtOnce(self, server: UsesServer, windows: Windows) -> None:
        windows.open("/uses/quotes")
        late = windows.open("/uses/quotes")
        snapshot = late.evaluate(
            """async () => {
                const {Topics} = await import("/_wsd/wsd-topics.js");
                const topics = new Topics("/uses/quotes/topics/"), keys = new Set();
                let first = 0;
                const subscription = topics.subscribe("market", {last: true, onmessage: ({key}) => {
                    first += 1;
                    if (first <= 500) keys.add(key);
                }});
                await subscription.ready;
                while (first < 500) await new Promise((resolve) => setTimeout(resolve, 10));
                topics.close();
                return keys.size;
            }"""
        )
        assert snapshot == len(SYMBOLS)

    def testAPageThatIsBusyDrawsLessAndGetsEveryPrice(self, windows: Windows) -> None:
        page = windows.open("/uses/quotes")
        expect(page.locator("#quotes li")).to_have_count(len(SYMBOLS))
        number(page, "published")  # From now on, every second; the snapshot is behind us.
        page.evaluate(_FIGURES)
        slow = page.get_by_label("Slow this page down")
        slow.select_option("98")
        page.wait_for_function("figures => figures.length >= 4", arg=page.evaluate_handle("window.figures"))
        busy = len(page.evaluate("window.figures"))
        slow.select_option("0")
        page.wait_for_function("most => window.figures.length > most", arg=busy + 1)
        figures = page.evaluate("window.figures")
        assert all(0 < shown < received for shown, received, _ in figures[2:busy])
        differing = [(received, published) for _, received, published in figures if received != published]
        assert not differing, "the worker takes all of them, and the server skips none"

    def testABrowserOnASlowLineSkipsPricesAndStaysCurrent(self, browser: Browser, line: SlowLine) -> None:
        page = browser.new_context(locale="en-US").new_page()
        page.goto(f"http://localhost:{line.port}/uses/quotes")
        expect(page.locator("#quotes li")).to_have_count(len(SYMBOLS))
        line.isSlow = True
        page.wait_for_timeout(15_000)  # Without skipping it would be more than ten seconds behind by then.
        lag, received, published = (number(page, name) for name in ("lag", "received", "published"))
        assert received < published
        assert lag < 8000
        page.context.close()

    def testCanBeFilteredByKeyboard(self, windows: Windows) -> None:
        page = windows.open("/uses/quotes")
        expect(page.locator("#quotes li")).to_have_count(len(SYMBOLS))
        page.get_by_label("Symbols that begin with").focus()
        page.keyboard.type("ck")
        expect(page.locator("#quotes li:visible")).to_have_count(10)
        page.keyboard.type("z")
        expect(page.locator("#none")).to_be_visible()
        page.keyboard.press("Backspace")
        expect(page.locator("#none")).to_be_hidden()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "quotes"

    def testHasItsFrame(self, windows: Windows) -> None:
        checkFrame(windows.open("/uses/quotes"))

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer) -> None:
        ready = "body[data-still] #quotes li .change:not(:empty)"
        checkLooks(browser, server.url("/uses/quotes"), ready, script=_STILL)
