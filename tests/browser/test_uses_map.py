"""Positions at /uses/map: a pin is dragged in one window, moves in another, and fades when its person has gone."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.uses import UsesServer, Windows, checkFrame, checkHygiene, checkLooks, saveShot, server, windows

__all__ = ["server", "windows"]

MINE = "#people .mine"
PIN_IS_SHOWN = """() => {
    const map = document.getElementById("world").getBoundingClientRect();
    const pin = document.querySelector("#people .mine .eye").getBoundingClientRect();
    return map.left < pin.left && pin.right < map.right && map.top < pin.top && pin.bottom < map.bottom;
}"""


def called(page: Page, name: str) -> None:
    """Give the person of a window a name."""
    page.locator("#name").fill(name)


def pin(page: Page, name: str) -> Locator:
    return page.locator("#people .person").filter(has_text=re.compile(f"^{name}$"))


def place(page: Page, name: str) -> Locator:
    """The position of a person as the list of a window has it."""
    return page.locator("#list li").filter(has_text=name).locator(".data")


def held(page: Page) -> str:
    """The position of the person of a window, as lists write it."""
    lat, lon = page.evaluate("[JSON.parse(sessionStorage['wsd.uses.map'])].flatMap(({lat, lon}) => [lat, lon])")
    return f"{abs(lat):.2f}° {'S' if lat < 0 else 'N'} {abs(lon):.2f}° {'W' if lon < 0 else 'E'}"


def degrees(page: Page) -> float:
    """How many degrees of longitude the map shows."""
    return float(str(page.locator("#world").get_attribute("viewBox")).split()[2])


def drag(page: Page, x: float, y: float) -> None:
    """Drag the own pin by so many pixels, in steps as a hand would."""
    box = page.locator(f"{MINE} .eye").bounding_box()
    assert box is not None
    start = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*start)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(start[0] + x * step / 10, start[1] + y * step / 10)
        page.wait_for_timeout(60)
    page.mouse.up()


class TestPositions:
    def testMoveInBothWindowsAndStayOverARestart(self, server: UsesServer, windows: Windows) -> None:
        ann, bo = windows.open("/uses/map"), windows.open("/uses/map", "zh-CN")
        called(ann, "Ann")
        called(bo, "Bo")
        expect(pin(ann, "Bo")).to_be_visible()
        expect(pin(bo, "Ann")).to_be_visible()
        expect(bo.locator("#list li").filter(has_text="Bo（你）")).to_be_visible()

        ann.locator("#world").click(position={"x": 300, "y": 200})
        drag(ann, 160, 40)
        expect(place(bo, "Ann")).to_have_text(held(ann))
        trails = bo.locator("#trails path").evaluate_all("paths => paths.map(path => path.getAttribute('d'))")
        assert max(trail.count("L") for trail in trails) >= 2

        server.kill()
        expect(bo.locator("#connection")).to_contain_text("服务器已断开")
        drag(ann, -60, 30)  # It waits for the server.
        server.start()
        expect(bo.locator("#connection")).to_contain_text("服务器已恢复")
        expect(place(bo, "Ann")).to_have_text(held(ann))

        late = windows.open("/uses/map")
        expect(pin(late, "Ann")).to_be_visible()
        expect(place(late, "Ann")).to_have_text(held(ann))
        for page in (ann, bo, late):
            checkHygiene(page)
        saveShot(bo, "map other zh")

    def testFadeWhenTheirPersonGoes(self, browser: Browser, server: UsesServer) -> None:
        """With the clock of the window that stays set forward: 15 seconds until a pin fades, 45 until it is gone."""
        windows = Windows(browser, server)
        leaver = windows.open("/uses/map")
        called(leaver, "Leaver")
        page = browser.new_context(locale="en-US").new_page()
        page.clock.install()
        page.goto(server.url("/uses/map"))
        page.clock.run_for(3000)
        expect(pin(page, "Leaver")).to_be_visible()
        windows.close()
        # From here on, no time passes by itself.
        page.clock.pause_at(page.evaluate("Date.now() / 1000 + 1"))
        page.clock.run_for(9_000)
        assert opacity(page, "Leaver") == 1
        page.clock.run_for(17_000)
        assert 0.2 < opacity(page, "Leaver") < 0.8
        expect(page.locator("#list li").filter(has_text="Leaver").locator(".when")).to_have_text(
            re.compile(r"\d\d s ago")
        )
        page.clock.run_for(20_000)
        expect(pin(page, "Leaver")).to_have_count(0)
        expect(page.locator("#list li").filter(has_text="Leaver")).to_have_count(0)
        page.context.close()

    def testTheKeyboardIsEnough(self, windows: Windows) -> None:
        page, other = windows.open("/uses/map"), windows.open("/uses/map")
        called(page, "Keys")
        page.locator("#world").click(position={"x": 400, "y": 200})
        page.locator(MINE).focus()
        before = held(page)
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
        assert held(page) != before
        expect(place(other, "Keys")).to_have_text(held(page))

    def testFollowTheDevice(self, windows: Windows) -> None:
        beijing = {"latitude": 39.9042, "longitude": 116.4074}
        page = windows.open("/uses/map", geolocation=beijing, permissions=["geolocation"])
        other = windows.open("/uses/map")
        called(page, "Walker")
        page.get_by_role("button", name="Follow my location").click()
        walker = place(other, "Walker")
        expect(walker).to_have_text("39.90° N 116.41° E")
        page.context.set_geolocation({"latitude": -33.8688, "longitude": 151.2093})
        expect(walker).to_have_text("33.87° S 151.21° E")
        drag(page, -40, 0)
        expect(page.get_by_role("button", name="Follow my location")).to_have_attribute("aria-pressed", "false")

    def testWithoutPermissionSayWhy(self, windows: Windows) -> None:
        page = windows.open("/uses/map", permissions=[])
        page.get_by_role("button", name="Follow my location").click()
        expect(page.locator("#wrong")).to_contain_text("Allow it in the browser's settings, or drag the pin.")

    def testTheMapCanBeMovedAndZoomed(self, windows: Windows) -> None:
        page = windows.open("/uses/map")
        whole = page.locator("#world").get_attribute("viewBox")
        page.get_by_role("button", name="Zoom in").click()
        closer = page.locator("#world").get_attribute("viewBox")
        assert closer != whole
        size = page.locator(f"{MINE} path").first.evaluate("path => path.getBoundingClientRect().height")
        page.get_by_role("button", name="Zoom in").click()
        again = page.locator(f"{MINE} path").first.evaluate("path => path.getBoundingClientRect().height")
        assert abs(size - again) < 1  # A pin is as large however close the map is.
        for _ in range(3):
            page.get_by_role("button", name="Zoom out").click()
        expect(page.locator("#world")).to_have_attribute("viewBox", str(whole))

    def testTwoFingersZoomTheMap(self, windows: Windows) -> None:
        page = windows.open("/uses/map", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
        box = page.locator("#world").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch = page.context.new_cdp_session(page)

        def send(kind: str, *apart: float) -> None:
            points = [{"x": x + each, "y": y, "id": number} for number, each in enumerate(apart)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        where = held(page)
        before = degrees(page)
        send("touchStart", -20, 20)
        for apart in (30, 40, 50, 60, 70, 80):
            send("touchMove", -apart, apart)
        send("touchEnd")
        assert degrees(page) < before / 2
        assert held(page) == where, "the pin stays where it is"

    def testTheMapShowsTheOwnPinAfterItsSizeHasChanged(self, windows: Windows) -> None:
        page = windows.open("/uses/map", viewport={"width": 390, "height": 844})
        for width, height in ((1280, 900), (844, 390), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_function(PIN_IS_SHOWN)

    def testHasItsFrame(self, windows: Windows) -> None:
        checkFrame(windows.open("/uses/map"))

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer) -> None:
        checkLooks(browser, server.url("/uses/map"), "#land[d]")


def opacity(page: Page, name: str) -> float:
    """How much of a pin is left, where its transition ends."""
    return float(pin(page, name).evaluate("pin => pin.style.opacity"))
