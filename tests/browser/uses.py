"""The pages of uses as people meet them: a daemon that may be killed, two windows in two languages, and hygiene."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.browser.fits import LANGUAGES, english, faint, looks, opened, problems
from tests.daemon import ROOT, RunningDaemon, runningDaemon
from tests.ports import freePort

AWAY = ("net::ERR_", "WebSocket connection to", "MIME type")
"""What the browser itself writes to its console while the server is away."""


class UsesServer:
    """A daemon that can be killed and started again, on the port and with the state that it had."""

    def __init__(self, folder: Path, *arguments: str, **environ: str) -> None:
        self.folder = folder
        self._arguments = arguments
        self._environ = {"STATE_DIRECTORY": str(folder), **environ}
        self.port = freePort()
        self.wasAway = False
        self.daemon: RunningDaemon

    def start(self) -> None:
        """Start it."""
        self._context = runningDaemon("-p", str(self.port), *self._arguments, environ=self._environ)
        self.daemon = self._context.__enter__()

    def kill(self) -> None:
        """End it as a loss of power would."""
        self.wasAway = True
        self.daemon.process.kill()
        self.daemon.process.wait()
        self._context.__exit__(None, None, None)

    @property
    def base(self) -> str:
        """The URL of its pages."""
        return f"http://localhost:{self.port}"

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"{self.base}{path}"


@contextmanager
def usesServer(folder: Path, *arguments: str, **environ: str) -> Iterator[UsesServer]:
    """A running daemon with the pages of uses."""
    server = UsesServer(folder, *arguments, **environ)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Windows:
    """Windows of a page, each a browser of its own. They ask no other host, and log no fault while the server runs."""

    def __init__(self, browser: Browser, server: UsesServer) -> None:
        self._browser = browser
        self._server = server
        self._contexts: list[BrowserContext] = []
        self.pages: list[Page] = []
        self.faults: list[str] = []
        self.hosts: set[str] = set()

    def open(self, path: str, locale: str = "en-US", **options: Any) -> Page:
        """A window of a page, in English or with the locale zh-CN."""
        settings = {"locale": locale, "viewport": {"width": 1280, "height": 900}, **options}
        context = self._browser.new_context(**settings)
        self._contexts.append(context)
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._heard)
        page.on("request", lambda request: self._asked(request.url))
        self.pages.append(page)
        page.goto(self._server.url(path))
        expect(page.locator("h1")).not_to_be_empty()
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        isAway = self._server.wasAway and any(sign in message.text for sign in AWAY)
        if message.type in ("error", "warning") and not isAway:
            self.faults.append(message.text)

    def _asked(self, url: str) -> None:
        if not url.startswith(("blob:", "data:")):
            self.hosts.add(urlsplit(url).netloc)

    def areBlameless(self) -> None:
        """No fault in a console, and no request to another host."""
        assert self.faults == [], self.faults
        assert self.hosts <= {urlsplit(self._server.base).netloc}

    def close(self) -> None:
        for context in self._contexts:
            context.close()


# Python runs this in the daemon before anything else.
_CALM = """
from wsd.uses.quotes import feeder
feeder.TICKS = 500
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsesServer]:
    """
    One daemon for the tests of a module.

    Its prices change a tenth as often as usual: Playwright is told of each message, and takes longer than the page.
    """
    folder = tmp_path_factory.mktemp("uses")
    (folder / "sitecustomize.py").write_text(_CALM)
    with usesServer(folder, PYTHONPATH=f"{folder}:{ROOT}") as server:
        yield server


@pytest.fixture
def windows(browser: Browser, server: UsesServer) -> Iterator[Windows]:
    """Opens windows. When the test has ended, they must have been blameless."""
    windows = Windows(browser, server)
    yield windows
    windows.close()
    windows.areBlameless()


def checkHygiene(page: Page) -> None:
    """Nothing sticks out, every control has a name, all text has the contrast of WCAG AA and is translated."""
    found = problems(page) + faint(page)
    assert found == [], found
    if page.evaluate("document.documentElement.lang") == "zh-CN":
        assert english(page) == []


def checkLooks(browser: Browser, url: str, ready: str = "h1", shots: str = "", script: str = "") -> None:
    """
    Check the hygiene of a page in every language, width and colours.

    `ready` is a selector of what must be visible. `script` runs before the page's own. With the environment variable
    WSD_SHOTS, which names a folder, each look is saved there as an image named after `shots`.
    """
    for language in LANGUAGES:
        with opened(browser, language, url, script) as page:
            expect(page.locator("#frame h1, #uses h2").first).not_to_be_empty()
            expect(page.locator(ready).first).to_be_visible()
            for look in looks(page):
                if "forced" in look:
                    assert problems(page) == [], look
                else:
                    checkHygiene(page)
                saveShot(page, f"{shots or url.rpartition('/')[2]} {language} {look}")


def saveShot(page: Page, name: str) -> None:
    """Save an image of the page if the environment variable WSD_SHOTS names a folder."""
    folder = os.environ.get("WSD_SHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name.replace(' ', '-')}.png", full_page=True)


# Notes what gets the focus, and whether that can be seen: on itself, its label, or a part of it.
_FOLLOW_FOCUS = """() => {
    const isMarked = (element) => {
        const {outlineStyle, outlineWidth, boxShadow, stroke} = getComputedStyle(element);
        const isRing = element.matches("circle") && stroke !== "none";
        return outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 || boxShadow !== "none" || isRing;
    };
    window.focused = new Map();
    document.addEventListener("focusin", ({target}) => {
        const inner = (target.shadowRoot ?? target).querySelectorAll("*");
        window.focused.set(target, [target, ...target.labels ?? [], ...inner].some(isMarked));
    });
}"""

# The controls that have not had the focus, or not visibly.
_UNREACHED = """() => {
    const controls = "button, a[href], input, select, textarea, summary, [tabindex]";
    const isReachable = (each) => each.checkVisibility() && !each.disabled && !each.closest("[inert]")
        && each.tabIndex >= 0 && (each.type !== "radio" || each.checked);
    return [...document.querySelectorAll(controls)].filter(isReachable).filter((each) => !window.focused.get(each))
        .map((each) => `${window.focused.has(each) ? "not visibly: " : ""}${each.outerHTML.slice(0, 120)}`);
}"""


def checkKeyboard(page: Page) -> None:
    """The key Tab leads to every control, and shows where it is."""
    page.evaluate("document.activeElement.blur()")
    page.evaluate(_FOLLOW_FOCUS)
    for _ in range(10):
        for _ in range(12):
            page.keyboard.press("Tab")
        unreached = page.evaluate(_UNREACHED)
        if not unreached:
            break
    assert unreached == [], unreached


def checkLessons(page: Page) -> None:
    """About forty lines are explained, all of them lines of the page's own source, which follows as a whole."""
    made = page.locator("#made details.made")
    shown = [line.strip() for text in made.locator("> div > pre").all_inner_texts() for line in text.splitlines()]
    whole = made.locator("> div > details > pre").evaluate_all("files => files.map((file) => file.textContent)")
    source = {line.strip() for file in whole for line in file.splitlines()}
    assert 35 <= len([line for line in shown if line]) <= 45
    assert set(shown) <= source


def checkFrame(page: Page) -> None:
    """The frame of every page: what to do, a second window, a link to share, and how it is made."""
    expect(page.locator("#frame .do")).not_to_be_empty()
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Open a second window").click()
    assert popup.value.url == page.evaluate("new URL(document.body.dataset.window ?? '', location).href")
    popup.value.close()
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_be_visible()
    page.context.grant_permissions(["clipboard-read"])
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    made = page.locator("#made details.made")
    made.locator("> summary").click()
    expect(made.locator("pre").first).to_be_visible()
    explained = made.locator("> div > p:not(.quiet)")
    assert explained.count() >= 2
    assert all(len(text) > 30 for text in explained.all_inner_texts())
    assert (
        page.locator(".do").evaluate("line => line.clientHeight / parseFloat(getComputedStyle(line).lineHeight)") < 1.5
    )
    checkLessons(page)
    assert problems(page) == []
    made.locator("> summary").click()
    checkKeyboard(page)
