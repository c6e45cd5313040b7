"""Files from Chromium: the tutorial's `connection.send(file)`, the page at /blob, and its module, which goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from tests.browser.conftest import PAGES, Daemon, running
from tests.browser.console import Console
from tests.browser.fits import LANGUAGES, checkFits, opened
from tests.ports import freePort

MIB = 1 << 20
CONFIG = """
[route."/blob"]
protocol = "blob"
origins = ["same-host", "null"]
sync_bytes = "1 MiB"
list = true
delete = true
"""
STORED = "Stored. The SHA-256 is verified."


class Server:
    """A daemon that can be killed and started again, on the port and with the store that it had."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = freePort()
        self._process: Daemon | None = None
        (folder / "wsd.toml").write_text(CONFIG)

    def start(self) -> None:
        self._process = Daemon(self.folder, "-c", str(self.folder / "wsd.toml"), "-p", str(self.port))
        self._process.port("ws")

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


def payload(name: str, content: bytes) -> FilePayload:
    """A file that is only in memory."""
    return {"name": name, "mimeType": "text/plain", "buffer": content}


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

    def send(self, *files: Path, way: str = "Resumable") -> None:
        self.page.get_by_text(way, exact=True).click()
        self.page.locator("#file").set_input_files(files)

    def state(self, row: int = 0) -> Locator:
        return self.page.locator(".file .state").nth(row)

    def isStored(self, row: int = 0) -> None:
        """Wait until the upload of a row has ended well."""
        expect(self.state(row)).to_have_text(STORED)

    def stored(self, row: int = 0) -> bytes:
        """What the link of a stored file leads to."""
        path = str(self.page.locator("#stored .link").nth(row).get_attribute("href"))
        with urllib.request.urlopen(self.base + path) as answer:
            content: bytes = answer.read()
        return content

    def offsets(self) -> list[int]:
        """A list that gets the offset from which each upload of the page goes on."""
        found: list[int] = []

        def heard(frame: str | bytes) -> None:
            if isinstance(frame, str) and frame.startswith('{"ready"'):
                found.append(json.loads(frame)["ready"]["offset"])

        self.page.on("websocket", lambda socket: socket.on("framereceived", heard))
        return found

    def leftNothing(self) -> None:
        """Wait until nothing of this page is at the server."""
        while self.parts():
            self.page.wait_for_timeout(20)
        assert self.files() == set()

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
    context = browser.new_context(
        locale="en-US",
        viewport={"width": 1280, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
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
    @pytest.mark.parametrize("way", ["Resumable", "One message"])
    def testStoresAFile(self, blobs: Blobs, way: str) -> None:
        content = os.urandom(3 * MIB)
        blobs.open()
        blobs.send(blobs.file("größe.bin", content), way=way)
        blobs.isStored()
        assert blobs.stored() == content
        row = blobs.page.locator("#stored li").first
        expect(row).to_contain_text("größe.bin 3 MiB")
        expect(row.locator("code")).to_have_text(sha256(content).hexdigest())

    def testStoresSeveralAndEmptyOnes(self, blobs: Blobs) -> None:
        contents = [b"", b"one", b"two"]
        blobs.open()
        blobs.send(*(blobs.file(f"{number}.txt", content) for number, content in enumerate(contents)))
        for row in range(3):
            blobs.isStored(row)
        assert [blobs.stored(row) for row in range(3)] == [*reversed(contents)]

    def testContinuesWhenTheDaemonIsKilledAndStartedAgain(self, blobs: Blobs) -> None:
        content = os.urandom(16 * MIB)
        blobs.open()
        blobs.send(blobs.file("large.bin", content))
        blobs.onDisk(2 * MIB)
        blobs.server.kill()
        expect(blobs.state()).to_have_text("The connection was lost. Retrying…")
        blobs.server.start()
        blobs.isStored()
        assert sha256(blobs.stored()).digest() == sha256(content).digest()

    def testSaysOfOneMessageThatItWasLostAndSendsItAgain(self, blobs: Blobs) -> None:
        content = os.urandom(48 * MIB)
        blobs.open()
        blobs.send(blobs.file("large.bin", content), way="One message")
        blobs.onDisk(MIB)
        blobs.server.kill()
        expect(blobs.state()).to_have_text("Not stored. The connection was lost.")
        blobs.server.start()
        blobs.page.get_by_role("button", name="Try again").click()
        blobs.isStored()
        assert sha256(blobs.stored()).digest() == sha256(content).digest()

    def testContinuesWhenThePageWasLeftAndOpenedAgain(self, blobs: Blobs) -> None:
        content = os.urandom(16 * MIB)
        blobs.open()
        file = blobs.file("large.bin", content)
        blobs.send(file)
        blobs.onDisk(2 * MIB)
        with blobs.server.halted():
            blobs.page.goto("about:blank")
        blobs.open()
        offsets = blobs.offsets()
        blobs.send(file)
        blobs.isStored()
        assert offsets[0] > 0
        assert sha256(blobs.stored()).digest() == sha256(content).digest()

    def testPausesAndResumes(self, blobs: Blobs) -> None:
        content = os.urandom(16 * MIB)
        blobs.open()
        offsets = blobs.offsets()
        blobs.send(blobs.file("large.bin", content))
        blobs.onDisk(2 * MIB)
        with blobs.server.halted():
            blobs.page.get_by_role("button", name="Pause: large.bin").click()
        expect(blobs.state()).to_contain_text("Paused at")
        blobs.send(blobs.file("next.txt", b"not held up"))
        blobs.isStored()
        assert len(blobs.parts()) == 1
        blobs.page.get_by_role("button", name="Resume: large.bin").click()
        blobs.isStored(1)
        assert offsets[0] == 0 < offsets[-1]
        assert sha256(blobs.stored()).digest() == sha256(content).digest()

    def testCancelsAndLeavesNothing(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.send(blobs.file("large.bin", os.urandom(16 * MIB)))
        blobs.onDisk(MIB)
        with blobs.server.halted():
            blobs.page.get_by_role("button", name="Cancel: large.bin").click()
        expect(blobs.state()).to_have_text("Canceled. Nothing was stored.")
        blobs.leftNothing()

    def testCancelsAPausedOne(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.send(blobs.file("large.bin", os.urandom(16 * MIB)))
        blobs.onDisk(MIB)
        with blobs.server.halted():
            blobs.page.get_by_role("button", name="Pause: large.bin").click()
        expect(blobs.state()).to_contain_text("Paused at")
        blobs.page.get_by_role("button", name="Cancel: large.bin").click()
        expect(blobs.state()).to_have_text("Canceled. Nothing was stored.")
        blobs.leftNothing()
        blobs.page.get_by_role("button", name="Dismiss: large.bin").click()
        expect(blobs.page.locator("#uploads")).to_be_hidden()

    def testTakesWhatIsDropped(self, blobs: Blobs) -> None:
        """Anywhere on the page: the browser would leave it otherwise."""
        blobs.open()
        for target, name in (("#drop", "one.txt"), ("h1", "two.txt")):
            data = blobs.page.evaluate_handle(
                """name => {
                    const data = new DataTransfer();
                    data.items.add(new File(["dropped"], name, {type: "text/plain"}));
                    return data;
                }""",
                name,
            )
            for kind in ("dragover", "drop"):
                blobs.page.dispatch_event(target, kind, {"dataTransfer": data})
            expect(blobs.page.locator(".file .name").first).to_have_text(name)
            blobs.isStored()
            assert blobs.stored() == b"dropped"

    def testTakesWhatIsPasted(self, blobs: Blobs) -> None:
        blobs.open()
        paste = """([name, text]) => {
            const clipboardData = new DataTransfer();
            if (name) clipboardData.items.add(new File([text], name, {type: "image/png"}));
            else clipboardData.setData("text/plain", text);
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true}));
        }"""
        blobs.page.evaluate(paste, ["image.png", "a screenshot"])
        expect(blobs.page.locator(".file .name").first).to_have_text("image.png")
        blobs.isStored()
        assert blobs.stored() == b"a screenshot"
        blobs.page.evaluate(paste, [None, "一段文字"])
        expect(blobs.page.locator(".file .name").first).to_have_text(re.compile(r"pasted-\d{4}-.*\.txt"))
        blobs.isStored()
        assert blobs.stored() == "一段文字".encode()

    def testCopiesALink(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.send(blobs.file("a.txt", b"linked"))
        blobs.isStored()
        for place in ("#files", "#stored"):
            button = blobs.page.locator(place).get_by_role("button", name="Copy link: a.txt").first
            button.click()
            expect(button).to_have_text("Copied")
            with urllib.request.urlopen(blobs.page.evaluate("navigator.clipboard.readText()")) as answer:
                assert answer.read() == b"linked"

    def testListsAndDeletes(self, blobs: Blobs) -> None:
        blobs.open()
        name = f"{os.urandom(6).hex()}.txt"
        blobs.send(blobs.file(name, os.urandom(100)))
        blobs.isStored()
        blobs.open()
        row = blobs.page.locator("#stored li", has_text=name)
        expect(row).to_contain_text("100 B")
        url = str(row.locator(".link").get_attribute("href"))
        dialog = blobs.page.get_by_role("dialog", name=f"Delete “{name}”?")
        for answer in ("Keep", "Delete"):
            row.get_by_role("button", name="Delete").click()
            dialog.get_by_role("button", name=answer).click()
            expect(dialog).to_be_hidden()
            if answer == "Keep":
                expect(row).to_be_visible()
        expect(blobs.page.locator("#told")).to_have_text(f"“{name}” was deleted.")
        expect(row).to_have_count(0)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(blobs.base + url)

    def testSaysInASentenceWhatWasRefused(self, browser: Browser, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[route."/blob"]\nmax_file = "1 KiB"\nquota = "1536 B"\n')
        with running(tmp_path, "-c", str(tmp_path / "wsd.toml")) as process:
            page = browser.new_page(locale="en-US")
            page.goto(f"http://localhost:{process.port('ws')}/blob")
            expect(page.locator("#about")).to_contain_text("Each file can be up to 1 KiB.")
            state = page.locator(".file .state").first
            for way in ("Resumable", "One message"):
                page.get_by_text(way, exact=True).click()
                for size, sentence in (
                    (2000, "Not stored. The file is larger than the limit of 1 KiB."),
                    (1000, None),
                    (1001, "Not stored. There is no room left in the store. Delete something first."),
                ):
                    if size == 1000 and way == "One message":
                        continue
                    page.locator("#file").set_input_files(payload(f"{size}.bin", bytes(size)))
                    expect(state).to_have_text(sentence or STORED)
            page.close()

    def testRemembersItsOwnWhereTheServerDoesNotList(self, browser: Browser, tmp_path: Path) -> None:
        with running(tmp_path) as process:
            base = f"http://localhost:{process.port('ws')}"
            page = browser.new_page(locale="en-US")
            page.goto(f"{base}/blob")
            expect(page.locator("#no-list")).to_be_visible()
            expect(page.locator("#none")).to_be_visible()
            for name in ("a.txt", "b.txt"):
                page.locator("#file").set_input_files(payload(name, name.encode()))
                expect(page.locator(".file .state").first).to_have_text(STORED)
            page.reload()
            expect(page.locator("#stored .link")).to_have_text(["b.txt", "a.txt"])
            expect(page.get_by_role("button", name="Delete")).to_have_count(0)
            page.close()

    def testIsInTheChosenLanguage(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.send(blobs.file("a.txt", b"hello"))
        blobs.isStored()
        blobs.page.get_by_role("button", name="简体中文").click()
        expect(blobs.state()).to_have_text("已存储，SHA-256 校验通过。")
        expect(blobs.page.locator("#stored-title")).to_have_text("已存储的文件")

    def testSaysWhatTheServerRefuses(self, blobs: Blobs) -> None:
        blobs.open()
        size = 2 << 30  # over max_file; nothing of it is sent
        blobs.page.evaluate(
            """async size => {
                const {upload} = await import("/_wsd/wsd-blob.js");
                const file = {size, name: "huge", slice: () => { throw new Error("it was read"); }};
                window.refused = await upload("/blob", file).catch(error => error.code);
            }""",
            size,
        )
        assert blobs.page.evaluate("refused") == "too_large"


@pytest.mark.parametrize("language", LANGUAGES)
class TestLooks:
    """With receipts, which stuck out of their panel once, and with an upload that is paused."""

    def testFit(self, browser: Browser, server: Server, tmp_path: Path, language: str) -> None:
        name = f"holiday-{'with-a-rather-long-name-' * 4}.jpg"
        (tmp_path / "large.bin").write_bytes(os.urandom(1 * MIB))
        with opened(browser, language, f"http://localhost:{server.port}/blob") as page:
            page.locator("#file").set_input_files(payload(name, os.urandom(10)))
            expect(page.locator(".file .state.good")).to_be_visible()
            with server.halted():
                page.locator("#file").set_input_files(tmp_path / "large.bin")
                page.locator(".pause:visible").click()
                expect(page.locator(".resume:visible")).to_be_visible()
            checkFits(page)
            page.locator("#stored .remove").first.click()
            expect(page.locator("#ask")).to_be_visible()
            checkFits(page)


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

    def testRefusesAStoredFileThatIsAnotherOne(self, blobs: Blobs) -> None:
        """It has the name, the size and the time of the first one, and the token of an upload that was complete."""
        blobs.open()
        assert blobs.page.evaluate(
            """async () => {
                const {upload} = await import("/_wsd/wsd-blob.js");
                const file = (text) => new File([text], "same.txt", {lastModified: 1});
                const {removeItem} = Storage.prototype;
                Storage.prototype.removeItem = () => {};  // as if the page was left before it heard of the end
                await upload("/blob", file("one"));
                Storage.prototype.removeItem = removeItem;
                const other = () => upload("/blob", file("two")).then(({sha256}) => sha256, ({code}) => code);
                return [await other(), await other()];
            }"""
        ) == ["sha256", sha256(b"two").hexdigest()]

    def testTellsBeforeItTriesAgain(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.page.route_web_socket("**/*", lambda socket: socket.close(code=1013, reason="later"))
        told = blobs.page.evaluate(
            """async () => {
                const {upload} = await import("/_wsd/wsd-blob.js");
                return new Promise((resolve) => {
                    const control = new AbortController();
                    const onretry = (error) => { control.abort(); resolve(error.message); };
                    upload("/blob", new Blob(["a"]), {signal: control.signal, onretry}).catch(() => {});
                });
            }"""
        )
        assert told == "the connection was lost: 1013 later"

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
        blobs.isStored()
        url = blobs.base + str(blobs.page.locator("#stored .link").first.get_attribute("href"))
        with blobs.page.expect_download() as saving:
            blobs.page.evaluate("url => { location.href = url; }", url)
        assert saving.value.suggested_filename == "page.html"

    def testInAFrameNeither(self, blobs: Blobs) -> None:
        blobs.open()
        blobs.send(blobs.file("text.txt", b"<script>parent.document.title = 'ran'</script>"))
        blobs.isStored()
        url = str(blobs.page.locator("#stored .link").first.get_attribute("href"))
        headers = urllib.request.urlopen(blobs.base + url).headers
        assert "sandbox" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
