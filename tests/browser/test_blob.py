"""Files from Chromium: the tutorial's `connection.send(file)`, the page at /blob, and its module, which goes on."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PAGES, Daemon
from tests.browser.console import Console

MIB = 1 << 20
CONFIG = """
[route."/blob"]
protocol = "blob"
origins = ["same-host", "null"]
sync_bytes = "1 MiB"
delete = true
"""


class Server:
    """A daemon that can be killed and started again, on the port and with the store that it had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: Daemon | None = None
        (folder / "wsd.toml").write_text(CONFIG)

    def start(self) -> None:
        self._process = Daemon(self.folder, "-c", str(self.folder / "wsd.toml"), "-p", str(self.port))
        self.port = self._process.port("ws")

    def kill(self) -> None:
        assert self._process is not None
        self._process.process.kill()
        self._process.process.wait()

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Nothing goes on at the daemon meanwhile."""
        assert self._process is not None
        self._process.process.send_signal(signal.SIGSTOP)
        yield
        self._process.process.send_signal(signal.SIGCONT)

    def parts(self) -> set[Path]:
        return set(self.folder.glob("blob/parts/*"))

    def files(self) -> set[Path]:
        return set(self.folder.glob("blob/files/*/*"))


class Blobs:
    """A page of the server's. A test looks at the parts and files that it has made itself."""

    def __init__(self, page: Page, server: Server, folder: Path) -> None:
        self.page = page
        self.server = server
        self.folder = folder
        self.faults: list[str] = []
        self._old = server.parts() | server.files()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda message: self._heard(message.type, message.text))

    def _heard(self, kind: str, text: str) -> None:
        # That a connection is lost is told in the browser's console by the browser itself.
        if kind in ("error", "warning") and "WebSocket connection to" not in text:
            self.faults.append(text)

    @property
    def base(self) -> str:
        return f"http://localhost:{self.server.port}"

    def open(self) -> None:
        self.page.goto(f"{self.base}/blob")

    def file(self, name: str, content: bytes) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    def send(self, *files: Path, way: str = "reliable") -> None:
        self.page.get_by_text(way, exact=True).click()
        self.page.locator("#file").set_input_files(files)

    def state(self, row: int = 0) -> Locator:
        return self.page.locator(".file .state").nth(row)

    def kept(self, row: int = 0) -> bytes:
        """What the link of a row leads to."""
        path = str(self.page.locator(".file .link").nth(row).text_content())
        with urllib.request.urlopen(self.base + path) as answer:
            content: bytes = answer.read()
        return content

    def parts(self) -> set[Path]:
        return self.server.parts() - self._old

    def files(self) -> set[Path]:
        return self.server.files() - self._old

    def onDisk(self, least: int) -> None:
        """Wait until so much of a file is on the daemon's disk."""
        while sum(path.stat().st_size for path in self.parts()) < least:
            assert not self.files(), "it was whole before it could be interrupted"
            time.sleep(0.002)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("blob"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def blobs(browser: Browser, server: Server, tmp_path: Path) -> Iterator[Blobs]:
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    blobs = Blobs(context.new_page(), server, tmp_path)
    yield blobs
    assert blobs.faults == []
    context.close()


class TestTheTutorialsLine:
    def testSendsAFileThatIsKept(self, blobs: Blobs, served: int) -> None:
        blobs.page.goto(f"http://localhost:{served}/blank.html")
        blobs.page.locator("input").set_input_files(blobs.file("note.txt", "一个文件".encode()))
        receipt = blobs.page.evaluate(
            """url => new Promise(resolve => {
                var connection = new WebSocket(url);
                connection.onopen = function () {
                    var file = document.querySelector('input[type="file"]').files[0];
                    connection.send(file);
                };
                connection.onmessage = function (e) { resolve(JSON.parse(e.data)); };
            })""",
            f"ws://localhost:{blobs.server.port}/blob",
        )
        assert receipt["sha256"] == sha256("一个文件".encode()).hexdigest()
        assert receipt["type"] == "text/plain"


class TestThePage:
    @pytest.mark.parametrize("way", ["reliable", "bare"])
    def testKeepsAFile(self, blobs: Blobs, way: str) -> None:
        content = os.urandom(3 * MIB)
        blobs.open()
        blobs.send(blobs.file("größe.bin", content), way=way)
        expect(blobs.state()).to_have_text("kept")
        assert blobs.kept() == content

    def testKeepsSeveralAndEmptyOnes(self, blobs: Blobs) -> None:
        contents = [b"", b"one", b"two"]
        blobs.open()
        blobs.send(*(blobs.file(f"{number}.txt", content) for number, content in enumerate(contents)))
        for row in range(3):
            expect(blobs.state(row)).to_have_text("kept")
        assert [blobs.kept(row) for row in range(3)] == [*reversed(contents)]

    def testGoesOnWhenTheDaemonIsKilledAndStartedAgain(self, blobs: Blobs) -> None:
        content = os.urandom(16 * MIB)
        blobs.open()
        blobs.send(blobs.file("large.bin", content))
        blobs.onDisk(2 * MIB)
        blobs.server.kill()
        blobs.server.start()
        expect(blobs.state()).to_have_text("kept")
        assert sha256(blobs.kept()).digest() == sha256(content).digest()

    def testSaysOfABareOneThatItWasLostAndSendsItAgain(self, blobs: Blobs) -> None:
        content = os.urandom(48 * MIB)
        blobs.open()
        file = blobs.file("large.bin", content)
        blobs.send(file, way="bare")
        blobs.onDisk(MIB)
        blobs.server.kill()
        expect(blobs.state()).to_have_text("not kept: the connection was lost")
        blobs.server.start()
        blobs.send(file, way="bare")
        expect(blobs.state()).to_have_text("kept")
        assert sha256(blobs.kept()).digest() == sha256(content).digest()

    def testGoesOnWhenThePageWasLeftAndOpenedAgain(self, blobs: Blobs) -> None:
        content = os.urandom(16 * MIB)
        blobs.open()
        file = blobs.file("large.bin", content)
        blobs.send(file)
        blobs.onDisk(2 * MIB)
        with blobs.server.halted():
            blobs.page.goto("about:blank")
        blobs.open()
        frames: list[str] = []
        blobs.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(str(frame))))
        blobs.send(file)
        expect(blobs.state()).to_have_text("kept")
        (ready,) = (json.loads(frame)["ready"] for frame in frames if frame.startswith('{"ready"'))
        assert ready["offset"] > 0
        assert sha256(blobs.kept()).digest() == sha256(content).digest()

    def testCancelsAndLeavesNothing(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.send(blobs.file("large.bin", os.urandom(16 * MIB)))
        blobs.onDisk(MIB)
        with blobs.server.halted():
            blobs.page.get_by_role("button", name="Cancel").click()
        expect(blobs.state()).to_have_text("canceled")
        while blobs.parts():
            blobs.page.wait_for_timeout(20)
        assert blobs.files() == set()

    def testSaysWhatTheServerRefuses(self, blobs: Blobs) -> None:
        blobs.open()
        size = 2 << 30  # more than may be kept; nothing of it is sent
        blobs.page.evaluate(
            """async size => {
                const {upload} = await import("/_wsd/wsd-blob.js");
                const file = {size, name: "huge", slice: () => { throw new Error("it was read"); }};
                window.refused = await upload("/blob", file).catch(error => error.code);
            }""",
            size,
        )
        assert blobs.page.evaluate("refused") == "too_large"


class TestTheConsole:
    """Its tab for files has both ways: one message on its connection, and the module's."""

    def console(self, blobs: Blobs, content: bytes) -> Console:
        console = Console(blobs.page, blobs.base)
        console.open()
        console.choose("File")
        console.at("#file").set_input_files(blobs.file("kept.bin", content))
        return console

    def testSendsABareFileAndShowsItsReceipt(self, blobs: Blobs) -> None:
        console = self.console(blobs, b"hello")
        console.connect(f"ws://localhost:{blobs.server.port}/blob")
        console.press("Send file")
        expect(console.previews("received")).to_contain_text(sha256(b"hello").hexdigest())

    def testKeepsAFileThoughTheDaemonIsKilledAndStartedAgain(self, blobs: Blobs) -> None:
        content = os.urandom(16 * MIB)
        console = self.console(blobs, content)
        console.press("Upload")
        blobs.onDisk(2 * MIB)
        blobs.server.kill()
        blobs.server.start()
        expect(console.at("#keep-note")).to_contain_text(f"sha256 {sha256(content).hexdigest()}")
        (line,) = console.exported()
        assert (line["event"], line["name"]) == ("kept", "kept.bin")
        with urllib.request.urlopen(blobs.base + line["url"]) as answer:
            assert answer.read() == content

    def testCallsOneOff(self, blobs: Blobs) -> None:
        console = self.console(blobs, os.urandom(16 * MIB))
        console.press("Upload")
        blobs.onDisk(MIB)
        with blobs.server.halted():
            console.press("Cancel")
        expect(console.at("#keep-note")).to_have_text("Not uploaded: kept.bin was canceled.")
        expect(console.at("#keep")).to_have_text("Upload")

    def testSaysWhatIsMissingOrWrong(self, blobs: Blobs) -> None:
        console = Console(blobs.page, blobs.base)
        console.open()
        console.choose("File")
        console.press("Upload")
        expect(console.at("#send-wrong")).to_have_text("Choose a file first.")
        console.at("#file").set_input_files(blobs.file("a", b""))
        console.at("#place").fill("ftp://localhost/blob")
        console.at("#place").press("Enter")
        expect(console.at("#send-wrong")).to_have_text("“ftp:” is not a WebSocket scheme; use ws:// or wss://.")
        expect(console.rows("event")).to_have_count(0)


class TestTheModule:
    def testIsAllThatAPageNeeds(self, blobs: Blobs) -> None:
        """The page of docs/blob.md."""
        page = blobs.page
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto(f"{blobs.base}/describe")
        page.set_content((PAGES / "blob.html").read_text())
        page.locator("#input").set_input_files(blobs.file("a.bin", b"hello"))
        expect(page.locator("body")).to_contain_text("/blob/")
        assert page.locator("#bar").evaluate("bar => bar.value") == 1

    def testDownloadsWhatItUploaded(self, blobs: Blobs) -> None:
        blobs.open()
        answer = blobs.page.evaluate(
            """async () => {
                const {upload, download} = await import("/_wsd/wsd-blob.js");
                const bytes = new Uint8Array(9_000_000).map((_, at) => at * 31);
                const receipt = await upload("/blob", new Blob([bytes], {type: "application/x-of-mine"}), {name: "a"});
                const blob = await download("/blob", receipt.id);
                const back = new Uint8Array(await blob.arrayBuffer());
                return [back.length, back.every((byte, at) => byte === bytes[at]), blob.type, receipt.name];
            }"""
        )
        assert answer == [9_000_000, True, "application/x-of-mine", "a"]

    def testGivesUpAtOnceWhenTheFileCannotBeReadAnyMore(self, blobs: Blobs) -> None:
        blobs.open()
        assert (
            blobs.page.evaluate(
                """async () => {
                const {upload} = await import("/_wsd/wsd-blob.js");
                const gone = () => Promise.reject(new DOMException("it was moved", "NotReadableError"));
                const file = {size: 5, name: "gone", slice: () => ({arrayBuffer: gone})};
                return upload("/blob", file).catch(({name}) => name);
            }"""
            )
            == "NotReadableError"
        )

    def testIsCalledOffWhileItWaitsToTryAgain(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.page.route_web_socket("**/*", lambda socket: socket.close())
        ended = blobs.page.evaluate(
            """async () => {
                const {upload} = await import("/_wsd/wsd-blob.js");
                const control = new AbortController();
                const waiting = new Promise((waits) => {
                    window.setTimeout = (_, pause) => { if (pause < 60_000) waits(); };  // and it waits for ever
                });
                const ended = upload("/blob", new Blob(["a"]), {signal: control.signal}).catch(({name}) => name);
                await waiting;
                control.abort();
                return ended;
            }"""
        )
        assert ended == "AbortError"

    def testHashesAsTheBrowserDoes(self, blobs: Blobs) -> None:
        blobs.open()
        assert blobs.page.evaluate(
            """async () => {
                const {Sha256, crc32} = await import("/_wsd/wsd-blob.js");
                for (let size = 0; size < 200; size++) {
                    const bytes = crypto.getRandomValues(new Uint8Array(size));
                    const hash = new Sha256();
                    for (let at = 0; at < size; at += 7) hash.update(bytes.subarray(at, at + 7));
                    const right = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
                    if (hash.hex() !== [...right].map(byte => byte.toString(16).padStart(2, "0")).join("")) return size;
                }
                return crc32(new TextEncoder().encode("123456789")) === 0xcbf43926;
            }"""
        )


class TestAnUploadedPage:
    def testIsSavedAndDoesNotRun(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.send(blobs.file("page.html", b"<!DOCTYPE html><script>document.title = 'ran'</script>"))
        expect(blobs.state()).to_have_text("kept")
        url = blobs.base + str(blobs.page.locator(".file .link").text_content())
        with blobs.page.expect_download() as saving:
            blobs.page.evaluate("url => { location.href = url; }", url)
        assert saving.value.suggested_filename == "page.html"

    def testInAFrameNeither(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.send(blobs.file("text.txt", b"<script>parent.document.title = 'ran'</script>"))
        expect(blobs.state()).to_have_text("kept")
        url = str(blobs.page.locator(".file .link").text_content())
        headers = urllib.request.urlopen(blobs.base + url).headers
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
