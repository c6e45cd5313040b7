"""The click stream at /uses/clicks: recorded in one window, seen in another, and read as NDJSON; nothing is lost."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.uses import UsesServer, Windows, checkFrame, checkHygiene, checkLooks, saveShot, server, windows

__all__ = ["server", "windows"]

NDJSON = {"Accept": "application/x-ndjson"}
PAGES = 10
RATE = 1000  # events a second of all pages together
SECONDS = 10


def batches(server: UsesServer) -> list[dict[str, Any]]:
    """What the topic's history has, read as anyone can read it."""
    request = urllib.request.Request(server.url("/uses/clicks/topics/sample"), headers=NDJSON)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [json.loads(line)["data"] for line in answer.read().decode().splitlines()]


def eventsOf(server: UsesServer, visitor: str) -> list[list[Any]]:
    return [event for batch in batches(server) if batch["visitor"] == visitor for event in batch["events"]]


def number(page: Page, name: str) -> int:
    return int(page.locator(f"#{name}").inner_text().replace(",", ""))


def acknowledged(page: Page) -> int:
    """How many events a window has recorded, once all of them are acknowledged."""
    expect(page.locator("#waiting")).to_have_text("0", timeout=60_000)
    return number(page, "acknowledged")


def heatAt(page: Page, part: str) -> int:
    """How opaque the heat map is over the middle of a part, from 0 to 255."""
    heat: int = page.evaluate(
        """part => {
            const box = document.querySelector(`[data-part="${part}"]`).getBoundingClientRect();
            const canvas = document.getElementById("heat"), place = canvas.getBoundingClientRect();
            const [x, y] = [box.left + box.width / 2 - place.left, box.top + box.height / 2 - place.top];
            return canvas.getContext("2d").getImageData(x, y, 1, 1).data[3];
        }""",
        part,
    )
    return heat


class TestTheStream:
    def testIsSeenInAnotherWindowAndStaysOverARestart(self, server: UsesServer, windows: Windows) -> None:
        shop = windows.open("/uses/clicks")
        watcher = windows.open("/uses/clicks?watch", "zh-CN")
        expect(watcher.locator("#heat")).to_be_visible()
        before = number(watcher, "total")
        for _ in range(3):
            shop.get_by_role("button", name="Order now").click()
        shop.get_by_role("button", name="Basket").click()
        shop.mouse.wheel(0, 400)
        expect(watcher.locator("#top li").first).to_contain_text("立即订购")
        expect(watcher.locator("#top li").first).to_contain_text("3 次点击")
        expect(watcher.locator("#total")).to_have_text(str(before + acknowledged(shop)))
        expect(watcher.locator("#rate")).to_have_text("0")
        assert heatAt(watcher, "hero-order") > 150
        assert heatAt(watcher, "product-3") == 0

        server.kill()
        expect(watcher.locator("#connection")).to_contain_text("服务器已断开")
        shop.get_by_role("button", name="Add White peony").click()
        expect(shop.locator("#waiting")).not_to_have_text("0")
        server.start()
        expect(watcher.locator("#connection")).to_contain_text("服务器已恢复")
        total = acknowledged(shop)
        expect(watcher.locator("#total")).to_have_text(str(before + total))
        late = windows.open("/uses/clicks?watch")
        expect(late.locator("#total")).to_have_text(str(before + total))
        expect(late.locator("#top li").filter(has_text="Add White peony")).to_contain_text("1 click")
        for page in (shop, watcher, late):
            checkHygiene(page)
        saveShot(watcher, "clicks watch zh")
        saveShot(late, "clicks watch en")

    def testCountsEventsASecond(self, windows: Windows) -> None:
        shop, watcher = windows.open("/uses/clicks"), windows.open("/uses/clicks?watch")
        expect(watcher.locator("#rate")).to_have_text("0")
        shop.evaluate(CLICKS, [40, 2])
        expect(watcher.locator("#rate")).to_have_text(re.compile("^(2[5-9]|3[0-9]|4[0-9]|5[0-9])$"))
        expect(watcher.locator("#rate")).to_have_text("0")

    def testTheEndGoesByBeacon(self, server: UsesServer, windows: Windows) -> None:
        """Seven clicks in the last moment of a page, whose WebSocket sends nothing any more."""
        shop = windows.open("/uses/clicks")
        shop.get_by_role("button", name="Teas").click()
        acknowledged(shop)
        visitor = batches(server)[-1]["visitor"]
        recorded = number(shop, "recorded")
        shop.evaluate(
            """() => {
                WebSocket.prototype.send = () => {};
                for (let count = 0; count < 7; count++) document.querySelector("[data-part=buy-1]").click();
                location.href = "/uses/";
            }"""
        )
        shop.wait_for_url("**/uses/")
        watcher = windows.open("/uses/clicks?watch")
        expect(watcher.locator("#top li").filter(has_text="Add Green needle")).to_contain_text("7 clicks")
        assert len(eventsOf(server, visitor)) == recorded + 7

    def testWhatIsSentInBothWaysIsThereOnce(self, server: UsesServer, windows: Windows) -> None:
        """A beacon repeats what is on its way: the page cannot know whether it will arrive."""
        shop = windows.open("/uses/clicks")
        expect(shop.locator("#connection")).to_be_empty()
        with shop.expect_response(lambda response: "?once=" in response.url) as beacon:
            shop.evaluate(
                """() => {
                    Object.defineProperty(document, "visibilityState", {value: "hidden"});
                    const send = WebSocket.prototype.send;
                    WebSocket.prototype.send = function (text) {
                        send.call(this, text);
                        if (text.includes("publish")) document.dispatchEvent(new Event("visibilitychange"));
                    };
                    document.querySelector("[data-part=buy-2]").click();
                }"""
            )
        assert beacon.value.status == 202
        recorded = acknowledged(shop)
        visitor = batches(server)[-1]["visitor"]
        assert len(eventsOf(server, visitor)) == recorded == 1

    def testTheKeyboardIsRecorded(self, server: UsesServer, windows: Windows) -> None:
        shop = windows.open("/uses/clicks")
        shop.get_by_role("button", name="Get our newsletter").focus()
        shop.keyboard.press("Enter")
        acknowledged(shop)
        events = [event for batch in batches(server) for event in batch["events"]]
        # The focus may have scrolled the page.
        kind, _, part, x, y = [event for event in events if event[0] == "click"][-1]
        assert (kind, part, x, y) == ("click", "foot-letter", 0.5, 0.5)

    def testIsReadByTheCommandOfThePage(self, server: UsesServer, windows: Windows) -> None:
        shop = windows.open("/uses/clicks")
        shop.get_by_role("button", name="Order now").click()
        acknowledged(shop)
        command = shlex.split(shop.locator("#curl").inner_text())
        done = subprocess.run([*command, "-s"], capture_output=True, text=True, timeout=30, check=True)
        lines = [json.loads(line)["data"] for line in done.stdout.splitlines()]
        assert lines == batches(server)
        assert lines[-1]["events"][-1][2] == "hero-order"


# Clicks as a visitor would, in turns over all buttons: so many a second, for so many seconds.
CLICKS = """async ([rate, seconds]) => {
    const buttons = [...document.querySelectorAll("#sample button")];
    const begun = performance.now();
    for (let count = 0; count < rate * seconds;) {
        const due = Math.min(rate * seconds, Math.floor((performance.now() - begun) * rate / 1000));
        for (; count < due; count++) buttons[count % buttons.length].click();
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}"""


@pytest.mark.alone
class TestAThousandEventsASecond:
    def testFromTenPagesAreAllThere(self, server: UsesServer, windows: Windows) -> None:
        watcher = windows.open("/uses/clicks?watch")
        shops = [windows.open("/uses/clicks")]
        shops += [windows.pages[1].context.new_page() for _ in range(PAGES - 1)]
        for shop in shops[1:]:
            shop.goto(server.url("/uses/clicks"))
        before = number(watcher, "total")
        written = len([event for batch in batches(server) for event in batch["events"]])
        assert before == written
        each = RATE // PAGES
        for shop in shops:
            shop.evaluate(f"window.done = ({CLICKS})([{each}, {SECONDS}]); null")
        for shop in shops:
            shop.evaluate("window.done")
        assert [acknowledged(shop) for shop in shops] == [each * SECONDS] * PAGES
        events = [event for batch in batches(server) for event in batch["events"]]
        assert len(events) == written + RATE * SECONDS
        assert len({(batch["visitor"], batch["number"]) for batch in batches(server)}) == len(batches(server))
        expect(watcher.locator("#total")).to_have_text(f"{before + RATE * SECONDS:,}")


class TestThePage:
    def testHasItsFrame(self, windows: Windows) -> None:
        checkFrame(windows.open("/uses/clicks"))

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer) -> None:
        checkLooks(browser, server.url("/uses/clicks"), "#scroller")
        checkLooks(browser, server.url("/uses/clicks?watch"), "#heat", "clicks watch")
