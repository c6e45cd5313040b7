"""The list of uses at /uses/."""

from __future__ import annotations

import json
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.uses import UsesServer, Windows, checkLooks, server, windows
from wsd.uses import NAMES

__all__ = ["server", "windows"]


class TestTheList:
    def testHasAPictureAndASentenceOfEachPageInTwoLanguages(self, server: UsesServer, windows: Windows) -> None:
        listed = json.load(urlopen(server.url("/uses/pages.json")))
        assert [each["name"] for each in listed] == [name for name in NAMES if name in {e["name"] for e in listed}]
        for locale, language in (("en-US", "en"), ("zh-CN", "zh")):
            page = windows.open("/uses/", locale)
            cards = page.locator("#uses li")
            expect(cards).to_have_count(len(listed))
            for card, each in zip(cards.all(), listed, strict=True):
                expect(card.locator("h2")).to_have_text(each["title"][language])
                expect(card.locator("p")).to_have_text(each["sentence"][language])
                assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0

    def testLeadsToEachPage(self, windows: Windows) -> None:
        page = windows.open("/uses/")
        page.get_by_role("link", name="Live scores").click()
        page.wait_for_url("**/uses/scores")
        expect(page.locator("h1")).to_have_text("Live scores")
        page.get_by_role("link", name="All uses").click()
        page.wait_for_url("**/uses/")

    def testIsInTheHeader(self, windows: Windows) -> None:
        page = windows.open("/uses/scores")
        current = page.locator("header [aria-current=page]")
        expect(current).to_have_text("Uses")
        expect(current).to_have_attribute("href", "/uses/")

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer) -> None:
        checkLooks(browser, server.url("/uses/"), "#uses li", "list")


class TestABrowserThatKeepsNothing:
    """Storage is forbidden there, as browsers offer it: then the objects themselves cannot be had."""

    @pytest.mark.parametrize("name", ["feed", "game", "editor", "map", "class"])
    def testOpensThePageAllTheSame(self, browser: Browser, server: UsesServer, name: str) -> None:
        page = browser.new_context(locale="en-US").new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.add_init_script(_NO_STORAGE)
        page.goto(server.url(f"/uses/{name}"))
        expect(page.locator(READY[name])).not_to_have_count(0)
        page.context.close()
        assert faults == []


_NO_STORAGE = """for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, {get() { throw new DOMException("no storage", "SecurityError"); }});
}"""

READY = {
    "feed": "#compose",
    "game": "#people .own",
    "editor": "#people li",
    "map": "#list li",
    "class": "body[data-ready]",
}


class TestAPageWithoutItsLibraries:
    """A checkout without npm has no `wsd/uses/lib`."""

    def testSaysWhatToInstallInASentence(self, browser: Browser, server: UsesServer) -> None:
        page = browser.new_context(locale="en-US").new_page()
        page.route("**/uses/lib/*", lambda route: route.fulfill(status=404))
        page.route("**/uses/scores/page.json", self.withNeeds)
        page.goto(server.url("/uses/scores"))
        expect(page.locator("#connection")).to_have_text(
            "This page needs yjs, codemirror from npm. In a checkout, install Node.js with npm, stop the server, "
            "and start it with make run; or install the wheel, which includes them."
        )
        expect(page.locator(".boards")).to_be_hidden()
        page.get_by_role("button", name="简体中文").click()
        expect(page.locator("#connection")).to_contain_text("本页需要 npm 中的 yjs, codemirror。")
        page.context.close()

    @staticmethod
    def withNeeds(route: Route) -> None:
        words = route.fetch().json()
        route.fulfill(json={**words, "needs": ["yjs", "codemirror"]})
