"""The game at /uses/game: what one window does, the others see, and nobody gets where the rules do not lead."""

from __future__ import annotations

import re
from itertools import pairwise
from math import hypot
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.browser.uses import UsesServer, Windows, checkFrame, checkHygiene, checkLooks, saveShot, server, windows

__all__ = ["server", "windows"]

PING = re.compile(r"^[\d,]+ ms$")

# The middle of a player on the canvas, by the colour of its row of the table; null stands for the crown.
_PLACE = """name => {
    const rows = [...document.querySelectorAll("#people tr")];
    const row = name && rows.find(row => row.querySelector(".name").textContent === name);
    const canvas = document.getElementById("field");
    if ((name && !row) || !canvas.width) return null;
    const colour = name ? getComputedStyle(row.querySelector(".dot")).backgroundColor : "242 183 5";
    const wanted = colour.match(/[\\d.]+/g).map(Number);
    // Every third pixel of every third line is enough.
    const [width, height] = [Math.floor(canvas.width / 3), Math.floor(canvas.height / 3)];
    const copy = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
    copy.imageSmoothingEnabled = false;
    copy.drawImage(canvas, 0, 0, width, height);
    const {data} = copy.getImageData(0, 0, width, height);
    let [number, x, y] = [0, 0, 0];
    for (let at = 0; at < data.length; at += 4) {
        if (wanted.some((value, place) => Math.abs(data[at + place] - value) > 3)) continue;
        number += 1;
        x += (at / 4) % width;
        y += Math.floor(at / 4 / width);
    }
    return number > 5 ? [x / number * 960 / width, y / number * 600 / height] : null;
}"""


def placeOf(page: Page, name: str | None) -> tuple[float, float]:
    """Where a window shows a player, or the crown."""
    place: Any = page.wait_for_function(_PLACE, arg=name).json_value()
    x, y = place
    return x, y


def distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return hypot(one[0] - other[0], one[1] - other[1])


def join(windows: Windows, name: str, locale: str = "en-US", **options: Any) -> Page:
    page = windows.open("/uses/game", locale, **options)
    page.locator("#name").fill(name)
    page.locator("#rename button").click()
    expect(page.locator("#people .own .name")).to_have_text(name)
    page.locator("#field").focus()
    return page


def walk(page: Page, name: str, x: float, y: float) -> None:
    """Walk there by the arrow keys, and around what is in the way."""
    before = (-1.0, -1.0)
    for _ in range(200):
        nowX, nowY = placeOf(page, name)
        if abs(nowX - x) < 14 and abs(nowY - y) < 14:
            return
        if distance(before, (nowX, nowY)) < 1:
            aside = "ArrowLeft" if abs(nowX - x) < abs(nowY - y) else "ArrowUp"
            page.keyboard.down(aside)
            page.wait_for_timeout(400)
            page.keyboard.up(aside)
        before = (nowX, nowY)
        keys = []
        if abs(nowX - x) >= 14:
            keys.append("ArrowRight" if x > nowX else "ArrowLeft")
        if abs(nowY - y) >= 14:
            keys.append("ArrowDown" if y > nowY else "ArrowUp")
        far = max(abs(nowX - x), abs(nowY - y))
        for key in keys:
            page.keyboard.down(key)
        page.wait_for_timeout(120 if far > 80 else 20)
        for key in keys:
            page.keyboard.up(key)
    raise AssertionError(f"{name} is at {placeOf(page, name)}, not at {(x, y)}")


def agree(one: Page, other: Page, name: str, within: float = 8) -> None:
    """Both windows show a player at the same place, after a moment."""
    for _ in range(100):
        if distance(placeOf(one, name), placeOf(other, name)) < within:
            return
        one.wait_for_timeout(50)
    raise AssertionError(f"{name} is at {placeOf(one, name)} here and at {placeOf(other, name)} there")


class TestGame:
    def testIsPlayedByTwoAndGoesOnAfterARestart(self, server: UsesServer, windows: Windows) -> None:
        ann, ben = join(windows, "Ann"), join(windows, "Ben", "zh-CN")
        expect(ann.locator("#people tr")).to_have_count(2)
        before = placeOf(ben, "Ann")
        walk(ann, "Ann", *placeOf(ann, None))
        assert distance(before, placeOf(ben, "Ann")) > 50, "the other one sees the way"
        agree(ann, ben, "Ann")
        for page in (ann, ben):
            row = page.locator("#people tr").filter(has_text="Ann")
            expect(row.locator("td").first).not_to_have_text("0")
            expect(row.locator("td").last).to_have_text(PING)
        saveShot(ann, "game ann")
        saveShot(ben, "game ben zh")
        for page in (ann, ben):
            checkHygiene(page)

        server.kill()
        expect(ann.locator("#connection")).to_contain_text("The server went away.")
        expect(ben.locator("#connection")).to_contain_text("服务器已断开")
        server.start()
        expect(ann.locator("#connection")).to_contain_text("The server is back")
        expect(ann.locator("#people tr")).to_have_count(2)
        expect(ben.locator("#people tr")).to_have_count(2)
        before = placeOf(ann, "Ben")
        ben.locator("#field").focus()
        walk(ben, "Ben", 480, 90 if before[1] > 300 else 510)
        assert distance(before, placeOf(ann, "Ben")) > 100
        agree(ann, ben, "Ben")

    def testACheaterIsPutBackAndNobodyElseSeesTheJump(self, windows: Windows) -> None:
        ann, ben = join(windows, "Ann"), join(windows, "Ben")
        agree(ann, ben, "Ann")
        before = placeOf(ben, "Ann")
        seen = ben.evaluate_handle(
            f"""() => {{
                const place = {_PLACE}, places = [];
                setInterval(() => places.push(place("Ann")), 30);
                return places;
            }}"""
        )
        ann.get_by_role("button", name="Try to cheat").click()
        expect(ann.locator("#corrections")).to_have_text("Positions corrected by the server: 1.")
        agree(ann, ben, "Ann")
        assert distance(before, placeOf(ann, "Ann")) < 140, "a dash is all that the server has made of it"
        places = [place for place in seen.json_value() if place]
        assert places
        assert all(distance(one, other) < 130 for one, other in pairwise(places))

    def testPeopleComeLateAndLeave(self, windows: Windows) -> None:
        ann = join(windows, "Ann")
        expect(ann.locator("#people .name")).to_have_text(["Ann", "Robot"])
        ben = join(windows, "Ben", "zh-CN")
        late = join(windows, "Cleo")
        for page in (ann, ben, late):
            expect(page.locator("#people tr")).to_have_count(3)
        agree(late, ann, "Ben")
        ben.close()
        expect(late.locator("#people tr")).to_have_count(2)
        expect(ann.locator("#people .name").filter(has_text="Ben")).to_have_count(0)

    def testWhoComesBackHasTheScore(self, windows: Windows) -> None:
        ann, ben = join(windows, "Ann"), join(windows, "Ben")
        walk(ann, "Ann", *placeOf(ann, None))
        score = ben.locator("#people tr").filter(has_text="Ann").locator("td").first
        expect(score).to_have_text(re.compile(r"^[1-9]"))
        ann.reload()
        expect(ann.locator("#people .own .name")).to_have_text("Ann")
        expect(ann.locator("#people .own td").first).to_have_text(re.compile(r"^[1-9]"))

    def testAFingerOnTheFieldIsEnough(self, windows: Windows) -> None:
        ann = join(windows, "Ann", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
        ben = join(windows, "Ben")
        before = placeOf(ben, "Ann")
        box = ann.locator("#field").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        right, down = 60 if before[0] < 480 else -60, 0
        touch = ann.context.new_cdp_session(ann)

        def send(kind: str, *points: tuple[float, float]) -> None:
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": a, "y": b} for a, b in points]})

        send("touchStart", (x, y))
        send("touchMove", (x + right, y + down))
        ann.wait_for_timeout(700)
        ann.get_by_role("button", name="Dash").tap()
        send("touchEnd")
        agree(ann, ben, "Ann")
        assert distance(before, placeOf(ben, "Ann")) > 60
        checkHygiene(ann)

    def testHasItsFrame(self, windows: Windows) -> None:
        checkFrame(windows.open("/uses/game"))

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer) -> None:
        checkLooks(browser, server.url("/uses/game"), "#people tr")
