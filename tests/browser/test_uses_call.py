"""A video call at /uses/call with Chromium's fake devices: both sides show moving pictures of the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import FLAGS, chromiumPath
from tests.browser.uses import UsesServer, Windows, checkFrame, checkHygiene, checkLooks, saveShot, server

__all__ = ["server"]

FAKE = [
    *FLAGS,
    "--use-fake-device-for-media-stream=fps=5",  # 20 by default; each person encodes them for each other
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
DEVICES: dict[str, Any] = {"permissions": ["camera", "microphone"]}
CONNECTED = 120_000
"""Milliseconds to a connection: each person encodes the picture for each other, all in one browser."""


@pytest.fixture(scope="module")
def devices(browser: Browser) -> Iterator[Browser]:
    """A browser with a camera that shows a moving picture, and a microphone that beeps."""
    with_devices = browser.browser_type.launch(executable_path=chromiumPath(), args=FAKE)
    yield with_devices
    with_devices.close()


@pytest.fixture
def windows(devices: Browser, server: UsesServer) -> Iterator[Windows]:
    """Windows of a browser with fake devices."""
    windows = Windows(devices, server)
    yield windows
    windows.close()
    windows.areBlameless()


def join(windows: Windows, path: str, name: str, locale: str = "en-US") -> Page:
    """Open a window, and join the call there."""
    page = windows.open(path, locale, **DEVICES)
    page.locator("#name").fill(name)
    page.locator("#join button").click()
    return page


def tile(page: Page, name: str) -> Locator:
    return page.locator(".tile").filter(has_text=name)


# The brightness of the pixels of a small copy of the video.
PIXELS = """video => {
    const canvas = new OffscreenCanvas(64, 36), context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, 64, 36);
    const {data} = context.getImageData(0, 0, 64, 36);
    return [...data].filter((_, index) => index % 4 === 1);
}"""


def isMoving(page: Page, name: str) -> None:
    """A person's tile shows a picture with colours in it, and another one a moment later."""
    video = tile(page, name).locator("video")
    connecting = re.compile("connecting|正在连接")
    expect(tile(page, name).locator(".who")).not_to_contain_text(connecting, timeout=CONNECTED)
    first: list[int] = []
    for _ in range(50):
        video.evaluate("video => new Promise(resolve => video.requestVideoFrameCallback(resolve))")
        pixels = video.evaluate(PIXELS)
        if not first:  # The first frames may be black.
            first = pixels if max(pixels) - min(pixels) > 40 else []
        elif sum(abs(one - other) > 20 for one, other in zip(first, pixels, strict=True)) > 20:
            return
    raise AssertionError(f"the picture of {name} " + ("does not move" if first else "has no colours"))


def isAudible(page: Page, name: str) -> bool:
    """Whether the sound of a person is heard within three seconds: the fake microphone beeps once a second."""
    heard: bool = (
        tile(page, name)
        .locator("video")
        .evaluate(
            """async (video) => {
            const context = new AudioContext(), analyser = context.createAnalyser();
            await context.resume();
            context.createMediaStreamSource(video.srcObject).connect(analyser);
            const samples = new Float32Array(analyser.fftSize);
            for (let until = performance.now() + 3000; performance.now() < until;) {
                analyser.getFloatTimeDomainData(samples);
                if (Math.max(...samples) > 0.01) return true;
                await new Promise((resolve) => setTimeout(resolve, 20));
            }
            return false;
        }"""
        )
    )
    return heard


class TestTwo:
    def testSeeEachOtherAlsoOverARestart(self, server: UsesServer, windows: Windows) -> None:
        ann = join(windows, "/uses/call?room=two", "Ann")
        expect(ann.locator(".tile")).to_have_count(1)
        bo = windows.open("/uses/call?room=two", "zh-CN", **DEVICES)
        expect(bo.locator("#present")).to_have_text("通话中：Ann")
        bo.locator("#name").fill("Bo")
        bo.locator("#join button").click()
        isMoving(ann, "Bo")
        isMoving(bo, "Ann")
        assert isAudible(bo, "Ann")
        checkHygiene(ann)
        checkHygiene(bo)
        saveShot(bo, "call two zh")

        server.kill()
        expect(bo.locator("#connection")).to_contain_text("服务器已断开")
        isMoving(ann, "Bo")  # The call needs no server.
        ann.locator("#text").fill("Still there?")
        ann.keyboard.press("Enter")
        server.start()
        expect(bo.locator("#connection")).to_contain_text("服务器已恢复")
        expect(bo.locator("#messages li")).to_have_text("Ann Still there?")
        isMoving(bo, "Ann")
        ann.get_by_role("button", name="Mute").click()
        expect(tile(bo, "Ann").locator(".who")).to_have_text("Ann · 已静音")

        ann.reload()
        expect(tile(bo, "Ann")).to_have_count(0)
        ann.locator("#name").fill("Ann again")
        ann.locator("#join button").click()
        isMoving(bo, "Ann again")
        isMoving(ann, "Bo")

    def testJoinWhileTheServerIsAway(self, server: UsesServer, windows: Windows) -> None:
        ann, bo = (windows.open("/uses/call?room=away", **DEVICES) for _ in range(2))
        server.kill()
        for page, name in ((ann, "Ann"), (bo, "Bo")):
            expect(page.locator("#connection")).to_contain_text("The server went away.")
            page.locator("#name").fill(name)
            page.locator("#join button").click()
            expect(page.locator(".tile")).to_have_count(1)
        server.start()
        isMoving(ann, "Bo")
        isMoving(bo, "Ann")

    def testMuteAndCameraOff(self, windows: Windows) -> None:
        ann, bo = join(windows, "/uses/call?room=mute", "Ann"), join(windows, "/uses/call?room=mute", "Bo")
        isMoving(bo, "Ann")
        assert isAudible(bo, "Ann")
        ann.get_by_role("button", name="Mute", exact=True).click()
        expect(tile(bo, "Ann").locator(".who")).to_have_text("Ann · muted")
        assert not all(isAudible(bo, "Ann") for _ in range(3))  # What is on its way is still heard.
        ann.get_by_role("button", name="Unmute").click()
        expect(tile(bo, "Ann").locator(".who")).to_have_text("Ann")
        assert isAudible(bo, "Ann")
        ann.get_by_role("button", name="Camera off").click()
        expect(tile(bo, "Ann").locator(".who")).to_have_text("Ann · no camera")
        expect(tile(bo, "Ann").locator("video")).to_be_hidden()
        saveShot(bo, "call camera off")
        ann.get_by_role("button", name="Camera on").click()
        isMoving(bo, "Ann")

    def testShareAScreen(self, windows: Windows) -> None:
        """The fake screen has other pixels than the fake camera: a canvas that is all red."""
        ann, bo = join(windows, "/uses/call?room=screen", "Ann"), join(windows, "/uses/call?room=screen", "Bo")
        isMoving(bo, "Ann")
        ann.evaluate(RED)
        ann.get_by_role("button", name="Share screen").click()
        expect(tile(bo, "Ann").locator(".who")).to_have_text("Ann · sharing the screen")
        expect(tile(ann, "You").locator(".who")).to_have_text("You · sharing the screen")
        assert isRed(bo, "Ann")
        ann.get_by_role("button", name="Stop sharing").click()
        expect(tile(bo, "Ann").locator(".who")).to_have_text("Ann")
        isMoving(bo, "Ann")

    def testLeave(self, windows: Windows) -> None:
        ann, bo = join(windows, "/uses/call?room=leave", "Ann"), join(windows, "/uses/call?room=leave", "Bo")
        isMoving(bo, "Ann")
        ann.get_by_role("button", name="Leave").click()
        expect(tile(bo, "Ann")).to_have_count(0)
        expect(ann.locator("#present")).to_have_text("In this call: Bo")
        ann.locator("#join button").click()
        isMoving(bo, "Ann")
        bo.close()
        expect(tile(ann, "Bo")).to_have_count(0)


# getDisplayMedia of a machine without a screen.
RED = """() => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 320, height: 180});
    const context = canvas.getContext("2d");
    setInterval(() => {
        context.fillStyle = `rgb(${240 + Math.random() * 15} 0 0)`;
        context.fillRect(0, 0, 320, 180);
    }, 50);
    navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(20);
}"""


def isRed(page: Page, name: str) -> bool:
    """Whether the picture of a person becomes red."""
    red: bool = (
        tile(page, name)
        .locator("video")
        .evaluate(
            """async (video) => {
            const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext("2d");
            for (let count = 0; count < 200; count++) {
                await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
                context.drawImage(video, 0, 0, 1, 1);
                const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
                if (red > 180 && green < 60 && blue < 60) return true;
            }
            return false;
        }"""
        )
    )
    return red


@pytest.mark.alone
class TestMore:
    def testFourSeeEachOtherAndAFifthIsRefused(self, windows: Windows) -> None:
        names = ["Ann", "Bo", "Cem", "Dia"]
        pages = {name: join(windows, "/uses/call?room=four", name) for name in names}
        for name, page in pages.items():
            expect(page.locator(".tile")).to_have_count(4)
            for other in names:
                if other != name:
                    isMoving(page, other)
        saveShot(pages["Ann"], "call four")
        fifth = join(windows, "/uses/call?room=four", "Eve")
        expect(fifth.locator("#wrong")).to_have_text(
            "Four people are already in this call. Try again when someone has left."
        )
        pages["Dia"].get_by_role("button", name="Leave").click()
        expect(fifth.locator("#present")).to_contain_text("Ann, Bo, Cem")
        fifth.locator("#join button").click()
        isMoving(fifth, "Cem")


class TestMessages:
    def testTextStaysForLateComers(self, windows: Windows) -> None:
        ann = join(windows, "/uses/call?room=text", "Ann")
        ann.locator("#text").fill("Hello <b>all</b>")
        ann.get_by_role("button", name="Send").click()
        expect(ann.locator("#messages li")).to_have_text("Ann Hello <b>all</b>")
        late = windows.open("/uses/call?room=text", "zh-CN")
        expect(late.locator("#messages li")).to_have_text("Ann Hello <b>all</b>")

    def testTextThatTheServerRefusesComesBack(self, windows: Windows) -> None:
        page = windows.open("/uses/call?room=refused")
        page.locator("#text").evaluate("field => field.removeAttribute('maxlength')")
        page.locator("#text").fill("x" * 70_000)
        page.keyboard.press("Enter")
        expect(page.locator("#wrong")).to_contain_text("Not sent: ")
        expect(page.locator("#text")).to_have_value("x" * 70_000)
        page.locator("#text").fill("short")
        page.keyboard.press("Enter")
        expect(page.locator("#messages li")).to_contain_text("short")
        expect(page.locator("#wrong")).to_be_hidden()

    def testAVoiceMessageIsPlayedByTheOthers(self, windows: Windows) -> None:
        ann, bo = join(windows, "/uses/call?room=voice", "Ann"), windows.open("/uses/call?room=voice", "zh-CN")
        ann.get_by_role("button", name="Record a voice message").click()
        button = ann.locator("#voice")
        expect(button).to_have_text(re.compile(r"^Stop and send \(([2-9]|\d\d) s\)$"))
        button.click()
        player = bo.locator("#messages audio")
        expect(player).to_have_attribute("aria-label", re.compile(r"^Ann 的语音消息，([2-9]|\d\d) 秒$"))
        played = player.evaluate(
            """async (audio) => {
                await audio.play();
                await new Promise((resolve, reject) => {
                    audio.onended = resolve;
                    audio.onerror = () => reject(audio.error);
                });
                return audio.currentTime;
            }"""
        )
        assert played > 1
        checkHygiene(bo)
        expect(button).to_have_text("Record a voice message")
        saveShot(bo, "call voice zh")


class TestWithoutDevices:
    def testOneSeesTheOthersAndCanWrite(self, browser: Browser, server: UsesServer, windows: Windows) -> None:
        ann = join(windows, "/uses/call?room=mute-one", "Ann")
        without = Windows(browser, server)
        bo = without.open("/uses/call?room=mute-one")
        bo.locator("#name").fill("Bo")
        bo.locator("#join button").click()
        expect(bo.locator("#wrong")).to_contain_text(
            "Without a camera and a microphone, you can see and hear the others"
        )
        isMoving(bo, "Ann")
        expect(tile(ann, "Bo").locator(".who")).to_have_text("Bo · no camera")
        bo.get_by_role("button", name="Record a voice message").click()
        expect(bo.locator("#wrong")).to_contain_text("No voice message was recorded")
        without.close()
        without.areBlameless()


class TestThePage:
    def testHasItsFrame(self, windows: Windows) -> None:
        checkFrame(windows.open("/uses/call"))

    def testLooksRightEverywhere(self, devices: Browser, server: UsesServer) -> None:
        checkLooks(devices, server.url("/uses/call"), "#join")
