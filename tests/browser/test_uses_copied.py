"""A page of uses copied by the commands in docs/uses.md, served by a static server, with a daemon at another port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ROOT
from tests.browser.uses import UsesServer, server
from tests.ports import freePort
from wsd.uses import NAMES

__all__ = ["server"]

PAGES = [name for name in NAMES if (ROOT / "wsd" / "uses" / name).is_dir()]
COPYING = re.search(r"^```sh\n(WSD=.*?)^```", (ROOT / "docs" / "uses.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)


def scores(page: Page) -> None:
    page.get_by_role("button", name="Take the desk").click()
    page.get_by_role("button", name="New match").click()
    page.get_by_role("button", name="Goal for Home").click()
    for board in ("#by-websocket", "#by-sse"):
        expect(page.locator(f"{board} .home")).to_have_text("1")


def quotes(page: Page) -> None:
    expect(page.locator("#quotes li")).to_have_count(500)
    expect(page.locator("#lag")).to_contain_text("ms")


def clicks(page: Page) -> None:
    page.get_by_role("button", name="Order now").click()
    expect(page.locator("#acknowledged")).not_to_have_text("0")
    page.locator("#mode-watch + label").click()
    expect(page.locator("#top li").first).to_contain_text("Order now")


def call(page: Page) -> None:
    page.locator("#text").fill("Can you hear me?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#messages li")).to_contain_text("Can you hear me?")


def map_(page: Page) -> None:
    other = page.context.new_page()
    other.goto(page.url)
    expect(page.locator("#people .person")).to_have_count(2)
    expect(page.locator("#land[d]")).to_be_visible()


def feed(page: Page) -> None:
    page.locator("#name").fill("Ann")
    page.locator("#text").fill("Hello from a copy")
    page.get_by_role("button", name="Post", exact=True).click()
    expect(page.locator("#timeline")).to_contain_text("Hello from a copy")


def game(page: Page) -> None:
    page.locator("#name").fill("Ann")
    page.locator("#rename button").click()
    expect(page.locator("#people .own .name")).to_have_text("Ann")


def editor(page: Page) -> None:
    expect(page.locator("#state")).to_contain_text("Connected")


def class_(page: Page) -> None:
    expect(page.locator("#role")).to_contain_text("You are the teacher.")


WORKS: dict[str, Callable[[Page], None]] = {
    "feed": feed,
    "game": game,
    "editor": editor,
    "class": class_,
    "scores": scores,
    "quotes": quotes,
    "clicks": clicks,
    "call": call,
    "map": map_,
}
"""What shows that a page works: something that has been to the daemon and come back."""


def test_each_page_is_copied_here() -> None:
    assert set(PAGES) == set(WORKS)


@pytest.mark.parametrize("name", PAGES)
def testWorksFromAFolderOfYourOwn(browser: Browser, server: UsesServer, tmp_path: Path, name: str) -> None:
    assert COPYING is not None
    port = freePort()
    script = COPYING[1].replace("scores", name).replace("9998", str(server.port)).replace(" 8000", f" {port}")
    script = script.replace("python3", sys.executable).replace("http.server", "http.server --bind 127.0.0.1")
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    *copying, serving = script.strip().splitlines()
    subprocess.run(["bash", "-c", "\n".join(copying)], cwd=tmp_path, env=environ, check=False, timeout=60)
    static = subprocess.Popen(["bash", "-c", f"exec {serving}"], cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL)
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    try:
        untilServed(f"http://localhost:{port}/uses/{name}/")
        page = context.new_page()
        page.goto(f"http://localhost:{port}/uses/{name}/")
        expect(page.locator("#frame h1")).not_to_be_empty()
        WORKS[name](page)
        page.locator("#made summary").first.click()
        expect(page.locator("#made pre").first).to_be_visible()
        commands = COPYING[1].strip().replace("scores", name).replace("http://localhost:9998", server.base)
        assert page.locator("#commands").inner_text().strip() == commands, "the page shows those of docs/uses.md"
    finally:
        context.close()
        static.terminate()
        static.wait()


def untilServed(url: str) -> None:
    end = monotonic() + 30
    while True:
        try:
            urlopen(url).close()
            return
        except URLError:
            assert monotonic() < end
            sleep(0.1)
