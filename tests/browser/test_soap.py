"""The page of SOAP in Chromium: its form asks over a WebSocket, and shows answers, faults and what is pushed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect


@pytest.fixture
def page(browser: Browser, daemon: str) -> Iterator[Callable[..., Page]]:
    """Opens the page in a context with these settings; it is without a fault at the end."""
    faults: list[str] = []
    contexts: list[Any] = []

    def openPage(**settings: Any) -> Page:
        contexts.append(browser.new_context(**{"locale": "en-US", **settings}))
        page: Page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.goto(f"http://{daemon}/soap")
        return page

    yield openPage
    for context in contexts:
        context.close()
    assert faults == []


def ask(page: Page, operation: str, was: str, value: str) -> None:
    """Put an operation's sample into the form, write a value in it, and send it."""
    page.locator(f"#{operation} .try").click()
    envelope = page.locator("#envelope")
    assert was in envelope.input_value()
    envelope.fill(envelope.input_value().replace(was, value))
    page.locator("#send").click()


def test_answers_faults_and_pushes_are_shown(page: Callable[..., Page]) -> None:
    tab = page()
    newest = tab.locator(".message").first
    ask(tab, "Echo", "<text>text</text>", "<text>grüße &amp; &lt;</text>")
    expect(newest).to_contain_text("answer")
    expect(newest.locator("pre")).to_contain_text("grüße &amp; &lt;</")
    ask(tab, "ReadFile", "<name>text</name>", "<name>secret.txt</name>")
    expect(newest).to_contain_text("the file secret.txt is forbidden")
    expect(newest.locator("b")).to_have_class("bad")
    ask(tab, "Watch", "</symbol>", "</symbol>")
    expect(tab.locator(".message", has_text="pushed").locator("pre").first).to_contain_text("Quote")
    ask(tab, "Note", "<text>text</text>", "<text>one-way</text>")
    expect(tab.locator("#state")).to_have_text("sent")


def test_in_chinese_and_on_a_narrow_screen_nothing_is_cut(page: Callable[..., Page]) -> None:
    tab = page(locale="zh-CN", viewport={"width": 360, "height": 740})
    expect(tab.locator("#send")).to_have_text("发送")
    ask(tab, "Add", "<a>", "<a>")
    expect(tab.locator(".message").first).to_contain_text("应答")
    assert tab.evaluate("document.documentElement.scrollWidth") == 360


def test_mixed_content_is_shown_whole(page: Callable[..., Page]) -> None:
    tab = page()
    tab.route_web_socket(
        "**/soap", lambda socket: socket.on_message(lambda _: socket.send("<a><b c='&lt;'>Thank <i>you</i>!</b></a>"))
    )
    tab.locator("#send").click()
    expect(tab.locator(".message pre")).to_have_text('<a>\n  <b c="&lt;">Thank <i>you</i>!</b>\n</a>\n')
