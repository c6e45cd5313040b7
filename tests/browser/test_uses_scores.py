"""Live scores at /uses/scores: one writes at the desk, and everyone else sees it in two ways."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.uses import UsesServer, Windows, checkFrame, checkHygiene, checkLooks, saveShot, server, windows

__all__ = ["server", "windows"]


def boards(page: Page) -> list[Locator]:
    """What has come by WebSocket, and by server-sent events."""
    return [page.locator("#by-websocket"), page.locator("#by-sse")]


def shows(page: Page, home: int, away: int, event: str | None = None) -> None:
    for board in boards(page):
        expect(board.locator(".home")).to_have_text(str(home))
        expect(board.locator(".away")).to_have_text(str(away))
        if event is not None:
            expect(board.locator(".events li").first).to_contain_text(event)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


class TestScores:
    def testAreSeenByEveryoneInBothWaysAndStayOverARestart(self, server: UsesServer, windows: Windows) -> None:
        desk, other = windows.open("/uses/scores"), windows.open("/uses/scores", "zh-CN")
        press(desk, "Take the desk")
        press(desk, "New match")
        press(desk, "Goal for Home")
        shows(other, 1, 0, "主队进球")
        shows(desk, 1, 0, "Goal for Home")
        for board in boards(other):
            expect(board.locator(".since")).to_have_text(
                re.compile(r"^最新消息发布于 \d+ 秒前，传输用时 [\d,]+ 毫秒。$")
            )
        desk.get_by_role("textbox", name="Event").fill("Corner for Away")
        desk.keyboard.press("Enter")
        shows(other, 1, 0, "Corner for Away")
        press(desk, "Start the clock")
        for board in boards(other):
            expect(board.locator(".clock")).not_to_have_text("00:00")

        server.kill()
        expect(other.locator("#connection")).to_contain_text("服务器已断开")
        press(desk, "Goal for Away")  # It waits for the server.
        server.start()
        expect(other.locator("#connection")).to_contain_text("服务器已恢复")
        shows(other, 1, 1, "客队进球")
        shows(desk, 1, 1, "Goal for Away")
        press(desk, "Goal for Away")
        shows(other, 1, 2)

        late = windows.open("/uses/scores")
        shows(late, 1, 2, "Goal for Away")
        expect(late.locator("#by-sse .events li")).to_have_count(4)
        for page in (desk, other, late):
            checkHygiene(page)
        saveShot(desk, "scores desk")
        saveShot(other, "scores other zh")
        press(desk, "New match")
        shows(late, 0, 0)
        for board in boards(late):
            expect(board.locator(".events li")).to_have_count(0)

    def testOnlyOnePersonSitsAtTheDesk(self, windows: Windows) -> None:
        first, second = windows.open("/uses/scores"), windows.open("/uses/scores")
        press(first, "Take the desk")
        expect(second.locator("#desk-state")).to_have_text("Someone else sits at the desk.")
        expect(second.get_by_role("button", name="Take the desk")).to_be_hidden()
        expect(second.get_by_role("button", name="Goal for Home")).to_be_hidden()
        press(first, "Leave the desk")
        press(second, "Take the desk")
        expect(second.get_by_role("button", name="Goal for Home")).to_be_visible()
        second.close()
        expect(first.locator("#desk-state")).to_have_text("Nobody sits at the desk.")

    def testTheKeyboardIsEnough(self, windows: Windows) -> None:
        page = windows.open("/uses/scores")

        def tabTo(name: str) -> None:
            button = page.get_by_role("button", name=name, exact=True)
            for _ in range(40):
                page.keyboard.press("Tab")
                if button.evaluate("button => button === document.activeElement"):
                    return
            raise AssertionError(f"Tab never came to {name}")

        tabTo("Take the desk")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="New match")).to_be_visible()
        before = int(page.locator("#by-sse .home").inner_text())
        tabTo("Goal for Home")
        page.keyboard.press("Enter")
        expect(page.locator("#by-sse .home")).to_have_text(str(before + 1))

    def testHasItsFrame(self, windows: Windows) -> None:
        checkFrame(windows.open("/uses/scores"))

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer) -> None:
        checkLooks(browser, server.url("/uses/scores"), "#by-sse")
