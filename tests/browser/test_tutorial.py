"""The classic tutorial, line by line: its page as it stands, and each further line of code in it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page

from tests.browser.conftest import tutorial
from tests.ports import freePort

DOCS = Path(__file__).parents[2] / "docs"

SUPPORTED, SENDING, RECEIVED, CLOSED = "您的浏览器支持 WebSocket!", "数据发送中...", "数据已接收...", "连接已关闭..."

# The page keeps its WebSocket to itself; this lets the test close it, as a visitor who leaves would.
KEEP = "window.WebSocket = class extends WebSocket { constructor(...given) { super(...given); window.kept = this; } };"


class TestThePage:
    """runoob_websocket.html: a link that opens a WebSocket and alerts at each step."""

    @pytest.mark.parametrize("origin", ["http", "file"])
    def testAlertsOnOpenMessageAndCloseInOrder(
        self, page: Page, daemon: str, served: int, tmp_path: Path, origin: str
    ) -> None:
        alerts: list[str] = []

        def alerted(dialog: Dialog) -> None:
            alerts.append(dialog.message)
            dialog.accept()

        page.on("dialog", alerted)
        page.add_init_script(KEEP)
        if origin == "http":
            page.goto(f"http://localhost:{served}/tutorial.html")
        else:
            (tmp_path / "runoob_websocket.html").write_bytes(tutorial(daemon))
            page.goto((tmp_path / "runoob_websocket.html").as_uri())
        page.get_by_text("运行 WebSocket").click()
        page.wait_for_function("() => window.kept")
        while len(alerts) < 3:
            page.wait_for_timeout(20)  # lets the dialogs be answered; the test's time limit is the bound
        assert alerts == [SUPPORTED, SENDING, RECEIVED]
        page.evaluate("kept.close()")
        page.wait_for_function("() => kept.readyState === 3")
        page.evaluate("0")  # an answer comes only once no dialog is open
        assert alerts == [SUPPORTED, SENDING, RECEIVED, CLOSED]


@pytest.fixture
def blank(shared: Page, served: int) -> Page:
    """A page of another port of this host, with an <input type="file"> and a canvas in it."""
    shared.goto(f"http://localhost:{served}/blank.html")
    return shared


# Tells how a WebSocket to a route ends: "open", or the code that the page is told.
OPEN = """url => new Promise(resolve => {
    const connection = new WebSocket(url);
    connection.onopen = () => { resolve("open"); connection.close(); };
    connection.onclose = event => resolve(event.code);
})"""

TAKING_NULL = ("/", "/echo", "/describe")
OTHERS = ("/ws", "/blob", "/canvas/one", "/topics/one", "/xmpp", "/soap")


@contextmanager
def httpServer(folder: Path) -> Iterator[int]:
    """The tutorial's `python3 -m http.server` in a folder, on a free port."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"port (\d+)", process.stdout.readline())
        assert found is not None
        try:
            yield int(found[1])
        finally:
            process.terminate()


class TestAPageOpenedAsAFile:
    """The three routes that take the origin null, and `python3 -m http.server` for all others."""

    def testMayUseTheRoutesThatTakeNullAndIsNotToldWhyOthersRefuse(
        self, page: Page, daemon: str, tmp_path: Path
    ) -> None:
        (tmp_path / "page.html").write_text("<!doctype html><title>a file</title>")
        page.goto((tmp_path / "page.html").as_uri())
        assert {path: page.evaluate(OPEN, f"ws://{daemon}{path}") for path in TAKING_NULL + OTHERS} == {
            **dict.fromkeys(TAKING_NULL, "open"),
            **dict.fromkeys(OTHERS, 1006),
        }

    def testMayUseEveryRouteOnceItIsServed(self, page: Page, daemon: str, tmp_path: Path) -> None:
        (tmp_path / "page.html").write_text("<!doctype html><title>served</title>")
        with httpServer(tmp_path) as port:
            page.goto(f"http://localhost:{port}/page.html")
            paths = [path for path in TAKING_NULL + OTHERS if path not in ("/xmpp", "/soap")]
            assert {path: page.evaluate(OPEN, f"ws://{daemon}{path}") for path in paths} == dict.fromkeys(paths, "open")

    @pytest.mark.parametrize("name", ["tutorial.md", "tutorial.zh.md"])
    def testIsToldOfTheseRoutesByThePagesOfTheDocs(self, name: str) -> None:
        text = (DOCS / name).read_text("utf-8")
        told = re.search(r"`/`[,、] ?`/echo` ?(?:and|和)\s`/describe`", text)
        assert told is not None
        assert "python3 -m http.server" in text


class TestTheLines:
    def testOfTheConstructorGetExactlyOneOfTheSubprotocols(self, blank: Page, daemon: str) -> None:
        states = blank.evaluate(
            """async url => {
                var connection = new WebSocket(url, ['soap', 'xmpp']);
                const seen = [connection.readyState];
                await new Promise(resolve => { connection.onopen = resolve; });
                seen.push(connection.readyState, connection.protocol);
                const closed = new Promise(resolve => { connection.onclose = resolve; });
                connection.close();
                seen.push(connection.readyState);
                await closed;
                seen.push(connection.readyState);
                return seen;
            }""",
            f"ws://{daemon}/echo",
        )
        assert states in ([0, 1, "soap", 2, 3], [0, 1, "xmpp", 2, 3])

    def testOfTheSubprotocolsMayBeASingleString(self, blank: Page, daemon: str) -> None:
        protocol = blank.evaluate(
            """url => new Promise(resolve => {
                var connection = new WebSocket(url, 'xmpp');
                connection.onopen = () => resolve(connection.protocol);
            })""",
            f"ws://{daemon}/echo",
        )
        assert protocol == "xmpp"

    def testOfTheHandlersLogOpenTheServersAnswerAndClose(self, blank: Page, daemon: str) -> None:
        logged: list[str] = []
        blank.on("console", lambda message: logged.append(message.text))
        blank.evaluate(
            """url => new Promise(resolve => {
                var connection = new WebSocket(url);
                connection.onopen = function () { console.log('open'); connection.send('Ping'); };
                connection.onerror = function (error) { console.log('WebSocket Error ' + error); };
                connection.onmessage = function (e) { console.log('Server: ' + e.data); connection.close(); };
                connection.onclose = function (e) { console.log('Close'); resolve(); };
            })""",
            f"ws://{daemon}/echo",
        )
        assert logged == ["open", "Server: Ping", "Close"]

    def testOfOnerrorRunWhenNoOneListens(self, blank: Page) -> None:
        happened = blank.evaluate(
            """url => new Promise(resolve => {
                const happened = [];
                var connection = new WebSocket(url);
                connection.onerror = function (error) { happened.push('WebSocket Error ' + error); };
                connection.onclose = function (e) {
                    resolve([...happened, connection.readyState, e.code, e.wasClean]);
                };
            })""",
            f"ws://127.0.0.1:{freePort()}/echo",
        )
        assert happened == ["WebSocket Error [object Event]", 3, 1006, False]

    def testOfBufferedAmountCountTheBytesOfUtf8ThatWait(self, blank: Page, daemon: str) -> None:
        amounts = blank.evaluate(
            """url => new Promise(resolve => {
                var connection = new WebSocket(url);
                connection.onopen = function () {
                    const amounts = [connection.bufferedAmount];
                    connection.send('发送数据');
                    amounts.push(connection.bufferedAmount);
                    connection.onmessage = function () { resolve([...amounts, connection.bufferedAmount]); };
                };
            })""",
            f"ws://{daemon}/echo",
        )
        assert amounts == [0, 12, 0]

    def testOfTheCanvasSendItsImageDataAndGetItBack(self, blank: Page, daemon: str) -> None:
        answer = blank.evaluate(
            """url => new Promise(resolve => {
                var canvas_context = document.querySelector('canvas').getContext('2d');
                canvas_context.fillStyle = '#123456';
                canvas_context.fillRect(10, 10, 200, 100);
                var img = canvas_context.getImageData(0, 0, 400, 320);
                var binary = new Uint8Array(img.data.length);
                for (var i = 0; i < img.data.length; i++) {
                  binary[i] = img.data[i];
                }
                var connection = new WebSocket(url);
                connection.binaryType = 'arraybuffer';
                connection.onopen = function () { connection.send(binary.buffer); };
                connection.onmessage = function (e) {
                  const back = new Uint8Array(e.data);
                  resolve([e.data.byteLength, back.every((byte, at) => byte === binary[at])]);
                };
            })""",
            f"ws://{daemon}/echo",
        )
        assert answer == [512_000, True]

    def testOfTheFileSendItAsABlobAndABlobIsTheDefaultBack(self, blank: Page, daemon: str, tmp_path: Path) -> None:
        (tmp_path / "note.txt").write_text("一个文件", "utf-8")
        blank.locator("input").set_input_files(tmp_path / "note.txt")
        answer = blank.evaluate(
            """url => new Promise(resolve => {
                var connection = new WebSocket(url);
                connection.onopen = function () {
                    var file = document.querySelector('input[type="file"]').files[0];
                    connection.send(file);
                };
                connection.onmessage = async function (e) {
                    resolve([connection.binaryType, e.data.constructor.name, await e.data.text()]);
                };
            })""",
            f"ws://{daemon}/echo",
        )
        assert answer == ["blob", "Blob", "一个文件"]

    def testOfBinaryTypeGiveAnArrayBuffer(self, blank: Page, daemon: str) -> None:
        length = blank.evaluate(
            """url => new Promise(resolve => {
                var connection = new WebSocket(url);
                connection.binaryType = 'arraybuffer';
                connection.onopen = function () { connection.send(new Blob(['blob'])); };
                connection.onmessage = function (e) { resolve(e.data.byteLength); };
            })""",
            f"ws://{daemon}/echo",
        )
        assert length == 4

    def testOfOnmessageRunWheneverTheServerSpeaks(self, blank: Page, daemon: str) -> None:
        messages = blank.evaluate(
            """url => new Promise(resolve => {
                const messages = [];
                var connection = new WebSocket(url);
                connection.onmessage = function (e) {
                    messages.push(e.data);
                    if (messages.length === 3) resolve(messages);
                };
            })""",
            f"ws://{daemon}/echo?push=200",
        )
        assert len(messages) == 3
        assert all(isinstance(message, str) and message for message in messages)
