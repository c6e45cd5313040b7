"""Real Chromium against a real daemon: one of each for all of these tests.

A test that changes more than its page (the clock, the network, the language, what is stored) has a browser context of
its own; the others load their page anew in one that they share, which takes a third of the time.

Playwright's synchronous API keeps an asyncio loop running in this thread. So the daemon is a process of its own, the
browser is put away after the last of these tests, and under `--reactor=asyncio`, whose loop would be the second one,
they are left out: that reactor would not be the daemon's anyway.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import TextIO

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.console import Console

ROOT = Path(__file__).parents[2]
PAGES = Path(__file__).parent / "pages"
FOREIGN = "evil.test"  # a name that this browser, and it alone, maps to loopback
START = 30.0  # seconds that a daemon may take to listen

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1",
]

# `/open` shows that a page which is kept out elsewhere is kept out by the daemon, not by the browser.
CONFIG = """
[route."/open"]
protocol = "echo"
origins = ["*"]
"""


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return True if config.getoption("reactor", None) == "asyncio" else None


expect.set_options(timeout=30_000)  # milliseconds, on a machine that is busy with other things too


def chromiumPath() -> str:
    """Chromium without its windows, which takes a third less time than the whole browser."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    assert path, "these tests need Chromium: apt-get install chromium-headless-shell"
    return path


class Daemon:
    """A `twist wsd` process, and the ports that it said it listens on."""

    def __init__(self, state: Path, *arguments: str) -> None:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "twisted", "wsd", "-p", "0", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "STATE_DIRECTORY": str(state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # Reads on for as long as the process lives: a full pipe would stop it.
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def port(self, scheme: str) -> int:
        """The port of its first `listening SCHEME://HOST:PORT/` line from here on."""
        seen = ""
        while (line := self.lines.get(timeout=START)) is not None:
            if found := re.search(rf"listening {scheme}://\S+:(\d+)/", line):
                return int(found[1])
            seen += line
        pytest.fail(f"the daemon ended without listening:\n{seen}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Lets as many of these tests run at a time as there are processors, or one that is marked `alone`.

    Their pages draw all the time: with more of them, each would take many times as long.
    """
    folder = tmp_path_factory.getbasetemp().parent  # the same for all processes of `-n`
    with ExitStack() as stack:
        places = [stack.enter_context((folder / f"turn{number}").open("w")) for number in range(os.cpu_count() or 1)]
        if request.node.get_closest_marker("alone"):
            for place in places:
                flock(place, LOCK_EX)
        else:
            while not any(map(isTaken, places)):
                sleep(0.05)
        yield


def isTaken(place: TextIO) -> bool:
    """Lock a file, if no other process has locked it."""
    try:
        flock(place, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def running(state: Path, *arguments: str) -> Iterator[Daemon]:
    """A daemon of its own, which keeps its state in that folder."""
    daemon = Daemon(state, *arguments)
    try:
        yield daemon
    finally:
        daemon.stop()


@pytest.fixture(scope="package")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The authority of a running daemon: "localhost:PORT"."""
    folder = tmp_path_factory.mktemp("wsd")
    (folder / "wsd.toml").write_text(CONFIG)
    with running(folder, "-c", str(folder / "wsd.toml")) as process:
        yield f"localhost:{process.port('ws')}"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromiumPath(), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def served(daemon: str) -> Iterator[int]:
    """The port of a second HTTP server, which has the pages of `pages/` with the tutorial's port made the daemon's."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            body = tutorial(daemon) if self.path == "/tutorial.html" else None
            if body is None:
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(PAGES)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def tutorial(daemon: str) -> bytes:
    """The tutorial's page, word for word but for the port."""
    page = (PAGES / "tutorial.html").read_bytes()
    assert page.count(b"localhost:9998") == 1
    return page.replace(b"localhost:9998", daemon.encode())


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with_english = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    with_english.set_default_timeout(30_000)
    yield with_english
    with_english.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


Opener = Callable[..., Console]

# Forgets what the page of the last test has kept; a reload within a test finds what it kept itself.
FRESH = """
if (!window.name && location.host) {
    localStorage.clear();
    sessionStorage.clear();
    window.name = "begun";
}
"""


@pytest.fixture
def openConsole(browser: Browser, daemon: str) -> Iterator[Opener]:
    """Opens the console; whatever a test does with it, the page asks no one but its own host and logs no fault."""
    contexts: list[BrowserContext] = []
    consoles: list[Console] = []

    def openConsole(path: str = "/", script: str = "", base: str = f"http://{daemon}", **options: object) -> Console:
        settings = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options}
        context = browser.new_context(**settings)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_default_timeout(30_000)
        console = Console(context.new_page(), base, script)
        consoles.append(console)
        console.open(path)
        return console

    yield openConsole
    try:
        for console in consoles:
            console.isBlameless()
    finally:
        for context in contexts:
            context.close()


@pytest.fixture(scope="package")
def shared(browser: Browser) -> Iterator[Page]:
    """The page of the tests that leave nothing behind but what loading it anew removes."""
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="package")
def sharedConsole(shared: Page, daemon: str) -> Console:
    return Console(shared, f"http://{daemon}", FRESH)


@pytest.fixture
def console(sharedConsole: Console) -> Iterator[Console]:
    """The console, just loaded, with nothing kept of the last test."""
    sharedConsole.forget()
    sharedConsole.page.evaluate("window.name = ''")
    sharedConsole.open()
    yield sharedConsole
    sharedConsole.isBlameless()
