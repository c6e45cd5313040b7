"""Canvases in Chromium: the tutorial's `connection.send(binary.buffer)`; and the page, one tab watching another."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import count
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

PAINT = """
var connection = new WebSocket('ws://localhost:9998/canvas/lobby');
connection.onopen = function () {
    var canvas_context = document.createElement('canvas').getContext('2d');
    canvas_context.canvas.width = 400;
    canvas_context.canvas.height = 320;
    canvas_context.fillStyle = '#0a141e';
    canvas_context.fillRect(100, 50, 200, 100);
    var img = canvas_context.getImageData(0, 0, 400, 320);
    var binary = new Uint8Array(img.data.length);
    for (var i = 0; i < img.data.length; i++) {
      binary[i] = img.data[i];
    }
    connection.send(binary.buffer);
};
connection.onmessage = function (e) { resolve(JSON.parse(e.data)); };
"""

WATCH = """
var canvas_context = document.createElement('canvas').getContext('2d');
canvas_context.canvas.width = 400;
canvas_context.canvas.height = 320;
var connection = new WebSocket('ws://localhost:9998/canvas/lobby');
connection.binaryType = 'arraybuffer';
connection.onmessage = function(e) {
  if (typeof e.data === 'string') return;
  var img = new ImageData(new Uint8ClampedArray(e.data), 400, 320);
  canvas_context.putImageData(img, 0, 0);
  resolve([99, 100].map(x => [...canvas_context.getImageData(x, 50, 1, 1).data]));
};
"""

NAMES = count(1)
BLUE, RED = [0x15, 0x59, 0xB7, 255], [255, 0, 0, 255]
NOTHING = [0, 0, 0, 0]


class Tab:
    """A tab with the page of a canvas."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        page.goto(url)
        expect(page.locator("#state")).not_to_have_text("connecting")

    def paint(self, *points: tuple[int, int], colour: str = "") -> None:
        """Press, and draw from point to point of the canvas."""
        if colour:
            self.page.locator("#colour").fill(colour)
        canvas, mouse = self.page.locator("#canvas"), self.page.mouse
        self.page.bring_to_front()  # one behind another is drawn seldom, and takes a press when it is
        box = canvas.bounding_box()
        assert box is not None
        scale = box["width"] / int(canvas.get_attribute("width") or 0)
        for number, (x, y) in enumerate(points):
            mouse.move(box["x"] + x * scale, box["y"] + y * scale, steps=5)
            if not number:
                mouse.down()
        mouse.up()

    def pixel(self, x: int, y: int) -> list[int]:
        found: list[int] = self.page.evaluate(
            "([x, y]) => [...document.getElementById('canvas').getContext('2d').getImageData(x, y, 1, 1).data]", [x, y]
        )
        return found

    def sees(self, x: int, y: int, colour: list[int]) -> None:
        """Wait until this pixel has this colour."""
        self.page.wait_for_function(
            """([x, y, colour]) => {
                const pen = document.getElementById("canvas").getContext("2d");
                return String([...pen.getImageData(x, y, 1, 1).data]) === String(colour);
            }""",
            arg=[x, y, colour],
        )

    def says(self, pattern: str) -> None:
        expect(self.page.locator("#state")).to_contain_text(pattern)


Opener = Callable[..., Tab]


@pytest.fixture
def url(daemon: str) -> str:
    """A canvas that no other test paints on."""
    return f"http://{daemon}/canvas/test-{next(NAMES)}"


@pytest.fixture
def tab(browser: Browser, url: str) -> Iterator[Opener]:
    """Opens the page in a tab; all of them are without a fault."""
    context = browser.new_context(locale="en-US", viewport={"width": 1000, "height": 800})
    context.set_default_timeout(20_000)
    tabs: list[Tab] = []

    def openTab(query: str = "") -> Tab:
        tabs.append(Tab(context.new_page(), url + query))
        return tabs[-1]

    yield openTab
    faults = [fault for each in tabs for fault in each.faults]
    context.close()
    assert faults == []


def test_the_tutorials_line_paints_and_the_documents_watch(page: Page, served: int, daemon: str) -> None:
    def run(script: str) -> Any:
        script = script.replace("localhost:9998", daemon)
        return page.evaluate(f"() => new Promise(resolve => {{ {script} }})")

    page.goto(f"http://localhost:{served}/blank.html")
    receipt = run(PAINT)
    assert (receipt["frame"], receipt["bytes"]) == (1, 512_000)
    assert run(WATCH) == [NOTHING, [10, 20, 30, 255]]


@pytest.mark.parametrize(("path", "logged"), [("echo", ["512000"]), ("canvas/lines?echo", ["undefined", "512000"])])
def test_the_tutorials_lines_about_binary_run_as_they_stand(
    page: Page, served: int, daemon: str, path: str, logged: list[str]
) -> None:
    """What is no ArrayBuffer has no byteLength: the receipt of the canvas is text, and comes first."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.goto(f"http://localhost:{served}/blank.html")
    page.evaluate(
        """([url, most]) => new Promise(resolve => {
            var canvas_context = document.querySelector('canvas').getContext('2d');
            var connection = new WebSocket(url);
            let count = 0;
            connection.addEventListener('message', () => { if (++count === most) setTimeout(resolve); });
            connection.onopen = function () {
                var img = canvas_context.getImageData(0, 0, 400, 320);
                var binary = new Uint8Array(img.data.length);
                for (var i = 0; i < img.data.length; i++) {
                  binary[i] = img.data[i];
                }
                connection.send(binary.buffer);
            };
            connection.binaryType = 'arraybuffer';
            connection.onmessage = function(e) {
              console.log(e.data.byteLength); // ArrayBuffer object if binary
            };
        })""",
        [f"ws://{daemon}/{path}", len(logged)],
    )
    assert heard == logged


class TestThePage:
    def test_shows_in_one_tab_what_is_painted_in_another(self, tab: Opener) -> None:
        painter, viewer = tab(), tab("?role=viewer")
        painter.paint((50, 50), (150, 50), (150, 120))
        for x, y in ((50, 50), (100, 50), (150, 118)):
            viewer.sees(x, y, BLUE)
        assert viewer.pixel(100, 100) == NOTHING
        viewer.says(", 400 × 320")
        painter.says("is yours; sent on to 1")

    def test_shows_a_newcomer_what_was_painted_and_serves_it_as_png(self, tab: Opener, url: str) -> None:
        painter = tab()
        painter.paint((50, 50), (150, 50))
        painter.says("is yours")
        tab("?role=viewer").sees(100, 50, BLUE)
        painter.page.reload()
        painter.sees(100, 50, BLUE)
        href = painter.page.locator("#png").get_attribute("href")
        with urllib.request.urlopen(url.partition("/canvas/")[0] + str(href)) as answer:
            image = Image.open(BytesIO(answer.read()))
        assert (image.size, image.getpixel((100, 50))) == ((400, 320), tuple(BLUE))

    def test_lets_two_paint_together(self, tab: Opener) -> None:
        one, other, viewer = tab(), tab(), tab("?role=viewer")
        one.paint((20, 20), (120, 20))
        other.paint((20, 60), (120, 60), colour="#ff0000")
        one.paint((20, 100), (120, 100))
        for each in (one, other, viewer):
            each.sees(70, 20, BLUE)
            each.sees(70, 60, RED)
            each.sees(70, 100, BLUE)

    def test_clears_for_everyone(self, tab: Opener) -> None:
        painter, viewer = tab(), tab("?role=viewer")
        painter.paint((50, 50), (150, 50))
        viewer.sees(100, 50, BLUE)
        painter.page.get_by_role("button", name="Clear").click()
        viewer.sees(100, 50, NOTHING)

    def test_has_the_size_that_its_url_asks_for_and_viewers_follow(self, tab: Opener) -> None:
        painter, viewer = tab("?width=600&height=200"), tab("?role=viewer")
        painter.paint((500, 150), (580, 150))
        viewer.sees(550, 150, BLUE)
        viewer.says("600 × 200")

    def test_only_watches_when_told_to(self, tab: Opener) -> None:
        painter, viewer = tab(), tab()
        viewer.page.get_by_text("watch", exact=True).click()
        viewer.says("nobody has painted")
        viewer.paint((50, 90), (150, 90))
        assert viewer.page.locator("#clear").is_hidden()
        painter.paint((50, 50), (150, 50))
        viewer.sees(100, 50, BLUE)
        assert viewer.pixel(100, 90) == NOTHING

    def test_speaks_chinese_to_who_reads_it(self, browser: Browser, url: str) -> None:
        context = browser.new_context(locale="zh-CN")
        page = context.new_page()
        page.goto(url)
        expect(page.get_by_role("button", name="清空")).to_be_visible()
        expect(page.locator("#state")).to_have_text("已连接；还没有人在这里画过")
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        context.close()

    @pytest.mark.parametrize("width", [320, 1280])
    def test_fits_its_window(self, browser: Browser, url: str, width: int) -> None:
        context = browser.new_context(locale="en-US", viewport={"width": width, "height": 700})
        page = context.new_page()
        page.goto(f"{url}?width=800&height=600")
        expect(page.locator("#canvas")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


def test_a_name_that_is_refused_is_shown_as_it_was_written(page: Page, daemon: str) -> None:
    page.goto(f"http://{daemon}/canvas/größe-你好")
    expect(page.locator("body")).to_contain_text("'größe-你好' is no name of a canvas; write 1 to 64 of")
