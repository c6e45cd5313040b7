"""Passwords in Chromium: the browser asks for one, and sends it with a WebSocket of the same page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.auth.helpers import SECRET, hashed, users
from tests.browser.conftest import running

SAY = """
    (url) => new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => socket.send("hi");
        socket.onmessage = (event) => resolve(event.data);
        socket.onerror = () => resolve("refused");
    })
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("guarded")
    path = users(folder, ann=hashed())
    config = Path(folder, "wsd.toml")
    config.write_text(f'[auth]\nmethods = "basic"\nhtpasswd = "{path}"\n')
    with running(folder, "--config", str(config)) as daemon:
        yield f"localhost:{daemon.port('ws')}"


def test_a_page_and_its_websocket_open_with_the_password(browser: Browser, guarded: str) -> None:
    context = browser.new_context(http_credentials={"username": "ann", "password": SECRET})
    page = context.new_page()
    answer = page.goto(f"http://{guarded}/describe")
    assert answer is not None
    assert answer.status == 200
    assert page.evaluate(SAY, f"ws://{guarded}/echo") == "hi"
    context.close()


def test_without_it_the_visitor_sees_the_page_of_errors(browser: Browser, guarded: str) -> None:
    context = browser.new_context(http_credentials={"username": "ann", "password": "wrong"}, locale="en")
    page = context.new_page()
    answer = page.goto(f"http://{guarded}/describe")
    assert answer is not None
    assert answer.status == 401
    assert page.locator("h1:visible").count() == 1
    assert "the user name or the password is wrong" in page.inner_text("main")
    assert page.evaluate(SAY, f"ws://{guarded}/echo") == "refused"
    context.close()


def test_a_foreign_page_cannot_use_the_password_that_the_browser_knows(browser: Browser, guarded: str) -> None:
    context = browser.new_context(http_credentials={"username": "ann", "password": SECRET})
    page = context.new_page()
    page.goto(f"http://{guarded}/describe")
    page.goto("data:text/html,<title>elsewhere</title>")
    assert page.evaluate(SAY, f"ws://{guarded}/ws") == "refused"
    context.close()
