"""The page of SOAP in Chromium: choosing, sending over a WebSocket, answers, faults, pushes, and the curl command."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.browser.conftest import running
from tests.browser.fits import LANGUAGES, checkFits, opened

Opener = Callable[..., Page]


@pytest.fixture
def page(browser: Browser, daemon: str) -> Iterator[Opener]:
    """Opens the page in a context with these settings; it is without a fault at the end."""
    faults: list[str] = []
    contexts: list[Any] = []

    def openPage(path: str = "/soap", **settings: Any) -> Page:
        usual = {"locale": "en-US", "permissions": ["clipboard-read", "clipboard-write"]}
        contexts.append(browser.new_context(**{**usual, **settings}))
        page: Page = contexts[-1].new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if isFault(message) else None)
        page.goto(f"http://{daemon}{path}")
        return page

    yield openPage
    for context in contexts:
        context.close()
    assert faults == []


def isFault(message: ConsoleMessage) -> bool:
    """Whether the console tells of a fault. Chromium styles its own document of a text that is no XML, in vain."""
    return message.type == "error" and "Applying inline style" not in message.text


def choose(page: Page, operation: str) -> None:
    if page.locator("#operation").is_visible():
        page.locator("#operation").select_option(operation)
    else:
        page.locator("#names").get_by_role("button", name=operation).click()


def ask(page: Page, operation: str, was: str, value: str) -> None:
    """Choose an operation, write a value into its sample, and send it."""
    choose(page, operation)
    envelope = page.get_by_label("Envelope")
    assert was in envelope.input_value()
    envelope.fill(envelope.input_value().replace(was, value))
    page.locator("#send").click()


def isInView(locator: Locator) -> bool:
    """Whether it can be seen without scrolling."""
    inView: bool = locator.evaluate(
        """element => {
            const {top, left, bottom, right} = element.getBoundingClientRect();
            return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth;
        }"""
    )
    return inView


class TestAnswers:
    def test_answers_faults_and_pushes_are_shown(self, page: Opener) -> None:
        tab = page()
        newest = tab.locator(".message").first
        ask(tab, "Echo", "<text>text</text>", "<text>grüße &amp; &lt;</text>")
        expect(newest).to_contain_text("Answer: EchoResponse")
        expect(newest.locator("pre")).to_contain_text("grüße &amp; &lt;</")
        ask(tab, "ReadFile", "<name>text</name>", "<name>secret.txt</name>")
        expect(newest.locator("b")).to_have_text("Fault")
        ask(tab, "Watch", "</symbol>", "</symbol>")
        expect(tab.locator(".message", has_text="Pushed: Quote").locator("pre").first).to_contain_text("Quote")
        ask(tab, "Note", "<text>text</text>", "<text>one-way</text>")
        expect(tab.locator("#state")).to_have_text("Sent. A one-way message has no answer.")

    def test_a_fault_is_readable(self, page: Opener) -> None:
        tab = page()
        ask(tab, "ReadFile", "<name>text</name>", "<name>secret.txt</name>")
        rows = tab.locator(".message .fault").first
        expect(rows).to_be_visible()
        shown = dict(zip(rows.locator("dt").all_text_contents(), rows.locator("dd").all_text_contents(), strict=True))
        assert shown == {
            "Reason": "the file secret.txt is forbidden; there is hello.txt",
            "Code": "s:Sender",
            "name": "secret.txt",
            "why": "forbidden",
        }
        expect(tab.locator("#came")).to_have_text(f"Fault: {shown['Reason']}")

    @pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 700), (390, 844)])
    def test_an_answer_is_in_view_without_scrolling(self, page: Opener, width: int, height: int) -> None:
        tab = page(viewport={"width": width, "height": height})
        ask(tab, "ReadFile", "<name>text</name>", "<name>secret.txt</name>")
        expect(tab.locator(".message .fault")).to_be_visible()
        assert isInView(tab.locator("#send"))
        assert isInView(tab.locator(".message .fault"))
        if width > 960:
            assert isInView(tab.locator("#answers-title"))
            used = tab.locator(".service main").bounding_box()
            assert used is not None
            assert used["width"] == width

    def test_can_be_copied_and_cleared(self, page: Opener) -> None:
        tab = page()
        ask(tab, "Add", "<a>", "<a>")
        tab.locator(".message .copy").click()
        expect(tab.locator(".message .copy")).to_have_text("Copied")
        assert "sum>2</" in tab.evaluate("navigator.clipboard.readText()")
        tab.get_by_role("button", name="Clear").click()
        expect(tab.locator(".message")).to_have_count(0)
        expect(tab.locator("#none")).to_be_visible()

    def test_mixed_content_is_shown_whole(self, page: Opener) -> None:
        tab = page()
        tab.route_web_socket(
            "**/soap",
            lambda socket: socket.on_message(lambda _: socket.send("<a><b c='&lt;'>Thank <i>you</i>!</b></a>")),
        )
        tab.locator("#send").click()
        expect(tab.locator(".message pre")).to_have_text('<a>\n  <b c="&lt;">Thank <i>you</i>!</b>\n</a>\n')


class TestInBinary:
    """Over HTTP, in application/soap+msbin1: both forms of the request and of the answer are shown."""

    def test_an_answer_is_shown_in_both_forms(self, page: Opener) -> None:
        tab = page()
        tab.get_by_label("Encoding").select_option("binary")
        ask(tab, "Echo", "<text>text</text>", "<text>grüße &amp; &lt;</text>")
        newest = tab.locator(".message").first
        expect(newest).to_contain_text("Answer: EchoResponse")
        expect(newest.locator("pre").first).to_contain_text("grüße &amp; &lt;</")
        newest.get_by_text("Binary form").click()
        expect(newest.locator(".bytes pre").first).to_contain_text("0000  56 02 ")
        expect(newest.locator(".bytes p").first).to_have_text(re.compile(r"Request: \d+ bytes; as text \d+"))
        expect(newest.locator(".bytes pre").last).to_contain_text("56 02 ")

    def test_values_of_every_kind_come_back(self, page: Opener) -> None:
        tab = page()
        tab.get_by_label("Encoding").select_option("binary")
        ask(tab, "ReadFile", "<name>text</name>", "<name>hello.txt</name>")
        expect(tab.locator(".message pre").first).to_contain_text("SGVsbG8hCg==</")
        ask(tab, "Add", "<a>1</a>", "<a>-1</a>")
        expect(tab.locator(".message pre").first).to_contain_text("sum>0</")
        ask(tab, "Echo", "<text>text</text>", f"<text>{'QUJD' * 30}</text>")
        expect(tab.locator(".message pre").first).to_contain_text("QUJD" * 30)
        ask(tab, "Note", "<text>text</text>", "<text>one-way</text>")
        expect(tab.locator("#state")).to_have_text("Sent. A one-way message has no answer.")

    def test_what_is_no_xml_is_not_sent(self, page: Opener) -> None:
        tab = page()
        tab.get_by_label("Encoding").select_option("binary")
        tab.get_by_label("Envelope").fill("<a>")
        tab.locator("#send").click()
        expect(tab.locator("#state")).to_have_text("The envelope is not well-formed XML.")

    def test_a_refusal_is_told(self, page: Opener) -> None:
        tab = page()
        tab.route("**/soap", lambda route: route.fulfill(status=200, content_type="text/plain", body="too large\n"))
        tab.get_by_label("Encoding").select_option("binary")
        tab.locator("#send").click()
        expect(tab.locator("#state")).to_have_text("The service refused the request: too large")


class TestRequests:
    def test_an_operation_can_be_linked_to(self, page: Opener) -> None:
        tab = page("/soap#Order")
        expect(tab.get_by_role("heading", name="Order", exact=True)).to_be_visible()
        assert "<customer>" in tab.get_by_label("Envelope").input_value()
        choose(tab, "Add")
        assert tab.url.endswith("/soap#Add")

    def test_one_that_is_pushed_cannot_be_sent(self, page: Opener) -> None:
        tab = page()
        choose(tab, "Quote")
        expect(tab.locator("#pushed")).to_be_visible()
        expect(tab.locator("#send")).to_be_hidden()

    def test_reset_brings_the_sample_back_with_another_message_id(self, page: Opener) -> None:
        tab = page()
        envelope = tab.get_by_label("Envelope")
        before = envelope.input_value()
        envelope.fill("nothing")
        tab.get_by_role("button", name="Reset").click()
        after = envelope.input_value()
        assert "<text>text</text>" in after
        assert after != before

    def test_the_keyboard_sends(self, page: Opener) -> None:
        tab = page()
        tab.get_by_label("Envelope").press("Control+Enter")
        expect(tab.locator(".message").first).to_contain_text("Answer: EchoResponse")

    def test_one_that_is_not_xml_is_answered_with_a_fault(self, page: Opener) -> None:
        tab = page()
        tab.get_by_label("Envelope").fill("<a><b></a>")
        tab.locator("#send").click()
        expect(tab.locator(".message .fault")).to_contain_text("the envelope is not well-formed: Opening")

    def test_says_why_there_is_no_connection(self, browser: Browser, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[route."/soap"]\norigins = ["https://example.com"]\n')
        with running(tmp_path, "-c", str(tmp_path / "wsd.toml")) as process:
            tab = browser.new_page(locale="en-US")
            tab.goto(f"http://localhost:{process.port('ws')}/soap")
            tab.locator("#send").click()
            expect(tab.locator("#state")).to_contain_text("The server refused the connection with 403 Forbidden")
            tab.close()

    def test_the_curl_command_gets_the_same_answer(self, page: Opener) -> None:
        tab = page()
        choose(tab, "Echo")
        envelope = tab.get_by_label("Envelope")
        envelope.fill(envelope.input_value().replace("<text>text</text>", "<text>it's $HOME</text>"))
        tab.get_by_role("button", name="Copy as curl").click()
        expect(tab.locator("#curl")).to_have_text("Copied")
        command = tab.evaluate("navigator.clipboard.readText()")
        answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
        assert "text>it's $HOME</" in answer.stdout

    def test_the_contract_is_linked(self, page: Opener) -> None:
        tab = page()
        for name, scheme in (("for WebSocket", "ws://"), ("for HTTP", "http://")):
            href = tab.get_by_role("link", name=name).get_attribute("href")
            contract = tab.evaluate("async href => (await fetch(href)).text()", href)
            assert f'location="{scheme}' in contract


def test_the_language_is_chosen_in_the_header(page: Opener) -> None:
    tab = page()
    ask(tab, "ReadFile", "<name>text</name>", "<name>secret.txt</name>")
    expect(tab.locator(".message").first).to_contain_text("Fault")
    tab.get_by_role("button", name="简体中文").click()
    expect(tab.locator(".message b").first).to_have_text("错误")
    expect(tab.locator("#ReadFile .about")).to_contain_text("返回文件")
    expect(tab.locator("#send")).to_have_text("发送")


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_looks(browser: Browser, daemon: str, language: str) -> None:
    with opened(browser, language, f"http://{daemon}/soap") as page:
        choose(page, "Order")
        page.locator("#send").click()
        expect(page.locator(".message")).to_have_count(1)
        checkFits(page)
        choose(page, "Quote")
        checkFits(page)
