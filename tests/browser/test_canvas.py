"""Canvases in Chromium: the tutorial's `connection.send(binary.buffer)`; the page, with several tabs; and the list."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import running
from tests.browser.fits import LANGUAGES, checkFits, english, looks, opened, problems
from tests.ports import freePort

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

# The list asks the daemon again after a tenth of a second instead of three.
HURRY = """
const later = window.setTimeout;
window.setTimeout = (run, pause) => later(run, Math.min(pause, 100));
"""

NAMES = count(1)
BLUE, RED, GREEN = [0x15, 0x59, 0xB7, 255], [0xD9, 0x2D, 0x20, 255], [0x1A, 0x7F, 0x37, 255]
NOTHING = [0, 0, 0, 0]


class Tab:
    """A tab with the page of a canvas."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)
        page.goto(url)
        expect(page.locator("#state")).to_have_text("Connected")
        # Then the page is whole, and the canvas stays where it is.
        expect(page.locator("#site-header nav a").first).to_be_visible()
        expect(page.locator("#people")).to_be_visible()

    def paint(self, *points: tuple[int, int], colour: str = "") -> None:
        """Press, and draw from point to point of the canvas."""
        if colour:
            self.page.get_by_role("radio", name=colour).check(force=True)
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

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def says(self, pattern: str) -> None:
        expect(self.page.locator("#frame")).to_contain_text(pattern)

    def counts(self, text: str) -> None:
        """Wait until the page says that so many people watch."""
        expect(self.page.locator("#people")).to_have_text(text)


Opener = Callable[..., Tab]


@pytest.fixture
def url(daemon: str) -> str:
    """A canvas that no other test paints on."""
    return f"http://{daemon}/canvas/test-{next(NAMES)}"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        locale="en-US",
        viewport={"width": 1000, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext, url: str) -> Iterator[Opener]:
    """Opens the page in a tab; all of them are without a fault."""
    tabs: list[Tab] = []

    def openTab(query: str = "") -> Tab:
        tabs.append(Tab(context.new_page(), url + query))
        return tabs[-1]

    yield openTab
    assert [fault for each in tabs for fault in each.faults] == []


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
        viewer.says(" · 400 × 320")
        painter.says("sent to 1")

    def test_shows_a_newcomer_what_was_painted(self, tab: Opener) -> None:
        painter = tab()
        painter.paint((50, 50), (150, 50))
        painter.says("Frame")
        tab("?role=viewer").sees(100, 50, BLUE)
        painter.page.reload()
        painter.sees(100, 50, BLUE)

    def test_lets_two_paint_together(self, tab: Opener) -> None:
        one, other, viewer = tab(), tab(), tab("?role=viewer")
        one.paint((20, 20), (120, 20))
        other.paint((20, 60), (120, 60), colour="Red")
        one.paint((20, 100), (120, 100))
        for each in (one, other, viewer):
            each.sees(70, 20, BLUE)
            each.sees(70, 60, RED)
            each.sees(70, 100, BLUE)

    def test_has_the_size_that_its_url_asks_for_and_viewers_follow(self, tab: Opener) -> None:
        painter, viewer = tab("?width=600&height=200"), tab("?role=viewer")
        painter.paint((500, 150), (580, 150))
        viewer.sees(550, 150, BLUE)
        viewer.says("600 × 200")

    def test_only_watches_when_told_to(self, tab: Opener) -> None:
        painter, viewer = tab(), tab()
        viewer.page.get_by_text("Watch", exact=True).click()
        viewer.says("Nobody has painted here yet.")
        viewer.paint((50, 90), (150, 90))
        assert viewer.page.locator("#tools").is_hidden()
        painter.paint((50, 50), (150, 50))
        viewer.sees(100, 50, BLUE)
        assert viewer.pixel(100, 90) == NOTHING

    def test_tells_how_many_people_there_are_as_they_come_and_leave(self, tab: Opener) -> None:
        one = tab()
        one.counts("Only you are here")
        two = tab("?role=viewer")
        one.counts("2 watching")
        two.counts("2 watching")
        two.page.close()
        one.counts("Only you are here")

    def test_fills_its_window(self, tab: Opener) -> None:
        """In one direction: the proportions of the picture are kept."""
        painter = tab("?width=400&height=100")
        for width, height in ((1000, 800), (1400, 500)):
            painter.page.set_viewport_size({"width": width, "height": height})
            box, easel = (painter.page.locator(each).bounding_box() for each in ("#canvas", "#easel"))
            assert box is not None
            assert easel is not None
            assert abs(box["width"] - 4 * box["height"]) < 2
            assert abs(box["width"] - easel["width"]) < 2 or abs(box["height"] - easel["height"]) < 2
            assert easel["height"] > height / 2

    def test_has_an_edge_in_forced_colours(self, browser: Browser, url: str) -> None:
        page = browser.new_page(forced_colors="active")
        page.goto(url)
        edge = page.locator("#canvas").evaluate("canvas => getComputedStyle(canvas).outlineStyle")
        page.close()
        assert edge == "solid"

    def test_says_why_it_cannot_connect(self, browser: Browser, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[route."/canvas/*"]\nmax_canvases = 1\n')
        with running(tmp_path, "-c", str(tmp_path / "wsd.toml")) as process:
            base = f"http://localhost:{process.port('ws')}/canvas"
            page = browser.new_page(locale="en-US")
            first = Tab(browser.new_page(locale="en-US"), f"{base}/one")
            page.goto(f"{base}/two")
            state = page.locator("#state")
            expect(state).to_contain_text("503 Service Unavailable: this server keeps at most 1 canvases")
            expect(state).to_contain_text("Retrying…")
            first.page.close()
            expect(state).to_have_text("Connected")
            page.close()

    def test_puts_its_picture_back_after_a_restart_of_the_daemon(self, browser: Browser, tmp_path: Path) -> None:
        port = freePort()
        with running(tmp_path, "-p", str(port)) as process:
            process.port("ws")
            tab = Tab(browser.new_page(locale="en-US"), f"http://localhost:{port}/canvas/a")
            tab.paint((50, 50), (150, 50))
            tab.says("Frame")
        expect(tab.page.locator("#state")).not_to_have_text("Connected")
        with running(tmp_path, "-p", str(port)):
            expect(tab.page.locator("#state")).to_have_text("Connected")
            newcomer = Tab(browser.new_page(locale="en-US"), f"http://localhost:{port}/canvas/a?role=viewer")
            newcomer.sees(100, 50, BLUE)
            newcomer.page.close()
        tab.page.close()


class TestUndo:
    """A stroke is taken back for everyone, and what others have painted stays."""

    def test_takes_back_a_stroke_and_makes_it_again(self, tab: Opener) -> None:
        painter, viewer = tab(), tab("?role=viewer")
        painter.paint((50, 50), (150, 50))
        painter.paint((50, 80), (150, 80), colour="Red")
        viewer.sees(100, 80, RED)
        painter.press("Undo")
        for each in (painter, viewer):
            each.sees(100, 80, NOTHING)
            each.sees(100, 50, BLUE)
        painter.press("Undo")
        viewer.sees(100, 50, NOTHING)
        assert painter.page.locator("#undo").get_attribute("aria-disabled") == "true"
        painter.press("Redo")
        painter.press("Redo")
        for each in (painter, viewer):
            each.sees(100, 50, BLUE)
            each.sees(100, 80, RED)

    def test_shows_again_what_was_under_the_stroke(self, tab: Opener) -> None:
        painter, viewer = tab(), tab("?role=viewer")
        painter.paint((100, 20), (100, 120))
        painter.paint((50, 50), (150, 50), colour="Red")
        viewer.sees(100, 50, RED)
        painter.press("Undo")
        viewer.sees(100, 50, BLUE)
        viewer.sees(70, 50, NOTHING)

    def test_is_for_ones_own_strokes(self, tab: Opener) -> None:
        one, other, viewer = tab(), tab(), tab("?role=viewer")
        one.paint((50, 50), (150, 50))
        other.sees(100, 50, BLUE)
        other.paint((100, 20), (100, 120), colour="Red")
        one.sees(100, 50, RED)
        one.press("Undo")
        for each in (one, other, viewer):
            each.sees(70, 50, NOTHING)
            each.sees(100, 50, RED)
            each.sees(100, 100, RED)
        assert one.page.locator("#undo").get_attribute("aria-disabled") == "true"
        other.press("Undo")
        for each in (one, other, viewer):
            each.sees(100, 100, NOTHING)

    def test_takes_back_a_clear(self, tab: Opener) -> None:
        painter, viewer = tab(), tab("?role=viewer")
        painter.paint((50, 50), (150, 50))
        viewer.sees(100, 50, BLUE)
        painter.press("Clear")
        viewer.sees(100, 50, NOTHING)
        painter.press("Undo")
        for each in (painter, viewer):
            each.sees(100, 50, BLUE)

    def test_sends_only_the_parts_that_it_changes(self, tab: Opener) -> None:
        """Strokes of others that are on their way to other places are not overwritten."""
        painter = tab()
        painter.paint((10, 10), (390, 310))
        painter.says("Frame")
        sizes: list[int] = []
        painter.page.evaluate(
            """() => {
                window.sizes = [];
                const send = WebSocket.prototype.send;
                WebSocket.prototype.send = function (data) {
                    if (typeof data !== "string") window.sizes.push(data.byteLength);
                    return send.call(this, data);
                };
            }"""
        )
        painter.press("Undo")
        painter.sees(200, 160, NOTHING)
        sizes = painter.page.evaluate("window.sizes")
        assert len(sizes) > 3
        assert sum(sizes) < 400 * 320 * 4 / 2


class TestTools:
    def test_a_colour_of_ones_own(self, tab: Opener) -> None:
        painter = tab()
        painter.page.get_by_label("Another colour").fill("#0a141e")
        painter.paint((50, 50), (150, 50))
        painter.sees(100, 50, [10, 20, 30, 255])

    def test_keys_choose_colours_sizes_and_the_eraser(self, tab: Opener) -> None:
        painter, viewer = tab(), tab("?role=viewer")
        keys = painter.page.keyboard
        painter.page.bring_to_front()
        keys.press("6")
        expect(painter.page.get_by_role("radio", name="Green")).to_be_checked()
        for _ in range(6):
            keys.press("]")
        expect(painter.page.locator("#brush-size")).to_have_text("14")
        painter.paint((50, 50), (150, 50))
        viewer.sees(100, 56, GREEN)
        keys.press("e")
        expect(painter.page.locator("#eraser")).to_have_attribute("aria-pressed", "true")
        for _ in range(7):
            keys.press("[")
        expect(painter.page.locator("#brush-size")).to_have_text("5")
        painter.paint((50, 50), (150, 50))
        viewer.sees(100, 50, NOTHING)
        assert viewer.pixel(100, 56) == GREEN
        keys.press("Control+z")
        viewer.sees(100, 50, GREEN)
        keys.press("Control+Shift+z")
        viewer.sees(100, 50, NOTHING)
        keys.press("b")
        expect(painter.page.locator("#eraser")).to_have_attribute("aria-pressed", "false")
        keys.press("?")
        expect(painter.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()

    def test_the_keyboard_paints(self, tab: Opener) -> None:
        painter, viewer = tab(), tab("?role=viewer")
        painter.page.bring_to_front()
        painter.page.locator("#canvas").focus()
        for key in ("ArrowLeft", " ", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", " ", "Shift+ArrowDown"):
            painter.page.keyboard.press(key)
        for x, y in ((200, 160), (218, 160), (220, 178)):
            viewer.sees(x, y, BLUE)
        assert viewer.pixel(220, 196) == NOTHING
        painter.page.keyboard.press("Control+z")
        viewer.sees(200, 160, NOTHING)

    def test_a_finger_paints(self, browser: Browser, url: str, tab: Opener) -> None:
        viewer = tab("?role=viewer")
        context = browser.new_context(
            locale="en-US", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
        )
        painter = Tab(context.new_page(), url)
        painter.page.bring_to_front()
        box = painter.page.locator("#canvas").bounding_box()
        assert box is not None
        scale = box["width"] / 400
        session = context.new_cdp_session(painter.page)

        def touch(kind: str, *points: tuple[int, int]) -> None:
            places = [{"x": box["x"] + x * scale, "y": box["y"] + y * scale} for x, y in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

        touch("touchStart", (50, 50))
        for x in range(60, 160, 10):
            touch("touchMove", (x, 50))
        touch("touchEnd")
        painter.says("sent to 1")
        viewer.page.bring_to_front()
        for x in (50, 100, 148):
            viewer.sees(x, 50, BLUE)
        assert painter.page.evaluate("document.scrollingElement.scrollTop") == 0
        context.close()

    def test_a_pen_that_is_pressed_paints_a_broader_line(self, tab: Opener, context: BrowserContext) -> None:
        painter = tab()
        box = painter.page.locator("#canvas").bounding_box()
        assert box is not None
        scale = box["width"] / 400
        session = context.new_cdp_session(painter.page)
        for y, force in ((50, 0.1), (150, 1.0)):
            for kind, x in (
                ("mousePressed", 50),
                *(("mouseMoved", x) for x in range(60, 160, 10)),
                ("mouseReleased", 150),
            ):
                place = {"x": box["x"] + x * scale, "y": box["y"] + y * scale}
                pen = {"pointerType": "pen", "force": force, "button": "left", "buttons": 1, "clickCount": 1}
                session.send("Input.dispatchMouseEvent", {"type": kind, **place, **pen})
        painter.sees(100, 154, BLUE)
        assert painter.pixel(100, 50) != NOTHING
        assert painter.pixel(100, 54) == NOTHING


class TestSharing:
    def test_copies_the_links_and_the_png_is_the_newest_picture(self, tab: Opener, url: str) -> None:
        painter = tab("?role=painter")
        painter.paint((50, 50), (150, 50))
        painter.says("Frame")
        painter.press("Share")
        dialog = painter.page.get_by_role("dialog", name="Share")
        links = {}
        for label in ("Paint together", "Watch only", "Newest picture as PNG"):
            field = dialog.get_by_label(label)
            field.locator("xpath=following-sibling::button").click()
            expect(dialog.get_by_text("Copied").first).to_be_visible()
            links[label] = painter.page.evaluate("navigator.clipboard.readText()")
        assert list(links.values()) == [url, f"{url}?role=viewer", f"{url}.png"]
        expect(dialog).to_contain_text("These links work only on this computer.")
        with urllib.request.urlopen(links["Newest picture as PNG"]) as answer:
            image = Image.open(BytesIO(answer.read()))
        assert (image.size, image.getpixel((100, 50))) == ((400, 320), tuple(BLUE))

    def test_has_no_link_to_a_png_that_cannot_be_made(
        self, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "sitecustomize.py").write_text("import sys\n\nsys.modules['PIL'] = None\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with running(tmp_path) as process:
            base = f"http://localhost:{process.port('ws')}/canvas"
            painter = Tab(browser.new_page(locale="en-US"), f"{base}/a")
            painter.paint((50, 50), (150, 50))
            painter.says("Frame")
            painter.press("Share")
            dialog = painter.page.get_by_role("dialog", name="Share")
            expect(dialog).to_contain_text("Pillow is not installed on the server (pip install Pillow)")
            expect(dialog.get_by_label("Newest picture as PNG")).to_be_hidden()
            painter.page.keyboard.press("Escape")
            with painter.page.expect_download():
                painter.press("Save PNG")
            painter.page.goto(base)
            expect(painter.page.locator("#note")).to_have_text(
                "There are no previews: Pillow is not installed on the server (pip install Pillow)."
            )
            expect(painter.page.locator("#canvases li")).to_contain_text("No preview")
            assert painter.faults == []
            painter.page.close()

    def test_saves_the_picture_as_png(self, tab: Opener) -> None:
        painter = tab()
        painter.paint((50, 50), (150, 50))
        with painter.page.expect_download() as download:
            painter.press("Save PNG")
        assert download.value.suggested_filename.endswith(".png")
        with Image.open(download.value.path()) as image:
            assert (image.size, image.getpixel((100, 50))) == ((400, 320), tuple(BLUE))


class TestTheList:
    def at(self, page: Page, name: str) -> Any:
        return page.locator(f"#canvases li[data-name='{name}']")

    def test_has_what_is_open_with_a_preview_and_follows_what_changes(
        self, context: BrowserContext, tab: Opener, daemon: str, url: str
    ) -> None:
        painter = tab()
        page = context.new_page()
        page.add_init_script(HURRY)
        page.goto(f"http://{daemon}/canvas")
        entry = self.at(page, url.rpartition("/")[2])
        expect(entry).to_contain_text("1 watching")
        expect(entry).to_contain_text("Nothing painted yet")
        painter.paint((50, 50), (150, 50))
        page.bring_to_front()
        expect(entry).to_contain_text("400 × 320")
        expect(entry.locator("img")).to_be_visible()
        assert entry.locator("img").evaluate("image => image.naturalWidth") == 400
        viewer = tab("?role=viewer")
        page.bring_to_front()
        expect(entry).to_contain_text("2 watching")
        viewer.page.close()
        painter.page.close()
        expect(entry).to_contain_text("nobody here now")
        entry.locator("a").click()
        expect(page).to_have_url(url)

    def test_opens_a_new_canvas_that_fits_the_window(self, page: Page, daemon: str) -> None:
        page.goto(f"http://{daemon}/canvas")
        name = f"new-{next(NAMES)}"
        page.get_by_label("Name").fill(name)
        page.get_by_label("Name").press("Enter")
        page.wait_for_url(f"**/canvas/{name}?*")
        expect(page.locator("#state")).to_have_text("Connected")
        box, easel = page.locator("#canvas").bounding_box(), page.locator("#easel").bounding_box()
        assert box is not None
        assert easel is not None
        assert box["width"] > 0.9 * easel["width"]
        assert box["height"] > 0.9 * easel["height"]

    def test_a_canvas_has_at_most_as_many_pixels_as_the_server_takes(self, browser: Browser, daemon: str) -> None:
        page = browser.new_page(locale="en-US", viewport={"width": 3000, "height": 2000})
        page.goto(f"http://{daemon}/canvas")
        page.get_by_label("Name").fill(f"large-{next(NAMES)}")
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#state")).to_have_text("Connected")
        width, height = (int(page.locator("#canvas").get_attribute(each) or 0) for each in ("width", "height"))
        assert 0.98 * 1_048_576 < width * height <= 1_048_576
        page.close()

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("", "Enter a name for the canvas."),
            ("größe", "A name cannot contain “ö”."),
            ("a/b", "A name cannot contain “/”."),
            ("two words", "A name cannot contain spaces."),
            ("你好", "A name cannot contain “你”."),
            ("..", "“.” and “..” cannot be names."),
            ("a.png", "A name cannot end in “.png”"),
            ("x" * 65, "This name is too long. Use at most 64 characters."),
        ],
    )
    def test_says_what_is_wrong_with_a_name(self, shared: Page, daemon: str, name: str, sentence: str) -> None:
        shared.goto(f"http://{daemon}/canvas")
        shared.get_by_label("Name").fill(name)
        shared.get_by_label("Name").press("Enter")
        expect(shared.locator("#wrong")).to_contain_text(sentence)
        expect(shared.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
        expect(shared.get_by_label("Name")).to_be_focused()
        assert shared.url.endswith("/canvas")
        shared.get_by_label("Name").fill("good")
        expect(shared.locator("#wrong")).to_be_hidden()

    def test_is_of_ones_own_where_the_server_does_not_list(self, browser: Browser, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[route."/canvas/*"]\nlist = false\n')
        with running(tmp_path, "-c", str(tmp_path / "wsd.toml")) as process:
            base = f"http://localhost:{process.port('ws')}/canvas"
            mine, other = browser.new_context(locale="en-US"), browser.new_context(locale="en-US")
            page = mine.new_page()
            page.goto(f"{base}/secret")
            expect(page.locator("#state")).to_have_text("Connected")
            for context, names in ((mine, ["secret"]), (other, [])):
                page = context.new_page()
                page.goto(base)
                expect(page.locator("#note")).to_contain_text("This server does not list its canvases.")
                assert page.locator("#canvases .name").all_text_contents() == names
                context.close()

    def test_says_that_the_server_does_not_answer_and_goes_on_when_it_does(self, browser: Browser, daemon: str) -> None:
        page = browser.new_page(locale="en-US")
        page.add_init_script(HURRY)
        page.goto(f"http://{daemon}/canvas")
        expect(page.locator("#unreachable")).to_be_hidden()
        page.route("**/canvas", lambda route: route.abort())
        expect(page.locator("#unreachable")).to_be_visible()
        page.unroute("**/canvas")
        expect(page.locator("#unreachable")).to_be_hidden()
        page.close()


@pytest.mark.parametrize("language", LANGUAGES)
class TestLooks:
    def test_of_a_canvas(self, browser: Browser, url: str, language: str) -> None:
        with opened(browser, language, f"{url}?width=1400&height=700") as page:
            expect(page.locator("#people")).to_be_visible()
            checkFits(page)
            for _ in looks(page):
                for button, dialog in (("#share", "#share-dialog"), ("#keys", "#keys-dialog")):
                    if page.locator(button).is_visible():
                        page.locator(button).click()
                        expect(page.locator(dialog)).to_be_visible()
                        assert problems(page) == []
                        if language == "zh":
                            assert english(page) == []
                        page.keyboard.press("Escape")
            page.locator("label[for=role-viewer]").click()
            expect(page.locator("#people")).to_be_visible()
            checkFits(page)

    def test_of_the_list(self, browser: Browser, daemon: str, url: str, language: str) -> None:
        with opened(browser, language, f"{url}-{'long-name-' * 4}") as painter:
            expect(painter.locator("#people")).to_be_visible()
            page = painter.context.new_page()
            page.goto(f"http://{daemon}/canvas")
            expect(page.locator("#canvases li").first).to_be_visible()
            page.locator("#name").fill("größe")
            page.keyboard.press("Enter")
            expect(page.locator("#wrong")).to_be_visible()
            checkFits(page)


def test_the_language_is_chosen_in_the_header_and_kept(browser: Browser, daemon: str, url: str) -> None:
    page = browser.new_page(locale="en-US")
    page.goto(url)
    expect(page.locator("#people")).to_have_text("Only you are here")
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("button", name="清空")).to_be_visible()
    expect(page.locator("#people")).to_have_text("只有您在看")
    page.goto(f"http://{daemon}/canvas")
    expect(page.get_by_role("heading", level=1)).to_have_text("画布")
    page.close()


def test_a_name_that_is_refused_is_shown_as_it_was_written(page: Page, daemon: str) -> None:
    page.goto(f"http://{daemon}/canvas/größe-你好")
    expect(page.locator("body")).to_contain_text("'größe-你好' is not a valid canvas name; use 1 to 64 letters")
