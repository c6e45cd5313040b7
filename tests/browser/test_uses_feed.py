"""A feed at /uses/feed: each window is a person, who posts, follows and likes; the timeline outlives the daemon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.uses import UsesServer, Windows, checkFrame, checkHygiene, checkLooks, saveShot, server, windows

__all__ = ["server", "windows"]


def post(page: Page, text: str) -> None:
    """Write a post, and send it from the keyboard."""
    page.locator("#text").fill(text)
    page.locator("#text").press("Control+Enter")


def posts(page: Page) -> Locator:
    return page.locator("#timeline .post")


def postOf(page: Page, text: str) -> Locator:
    return posts(page).filter(has_text=text)


def named(windows: Windows, name: str, locale: str = "en-US") -> Page:
    """The window of a person."""
    page = windows.open("/uses/feed", locale)
    page.locator("#name").fill(name)
    return page


def top(card: Locator) -> float:
    """Where a card is on the screen."""
    box = card.bounding_box()
    assert box is not None
    return box["y"]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    image = Image.new("RGB", (640, 360), "#7fb2e5")
    image.paste("#4c8c4a", (0, 200, 640, 360))
    image.save(path)
    return path


class TestAPost:
    def testIsSeenLikedAndKeptOverARestart(self, server: UsesServer, windows: Windows) -> None:
        ann, bob = named(windows, "Ann"), named(windows, "小波", "zh-CN")
        post(ann, "Good morning from Ann")
        seen = postOf(bob, "Good morning from Ann")
        expect(seen.locator(".name")).to_have_text("Ann")
        expect(seen.locator("time")).to_have_text("现在")
        seen.get_by_role("button", name="赞").click()
        expect(seen.get_by_role("button")).to_have_text("赞：1")
        mine = postOf(ann, "Good morning from Ann").get_by_role("button")
        expect(mine).to_have_text("Like: 1")
        expect(mine).to_have_attribute("aria-pressed", "false")
        mine.click()
        expect(seen.get_by_role("button")).to_have_text("赞：2")

        server.kill()
        expect(bob.locator("#connection")).to_contain_text("服务器已断开")
        post(bob, "服务器不在时写的")  # It waits for the server.
        seen.get_by_role("button").click()
        server.start()
        expect(postOf(ann, "服务器不在时写的")).to_have_count(1)
        expect(mine).to_have_text("Like: 1")
        expect(bob.locator("#connection")).to_contain_text("服务器已恢复")
        post(ann, "And good evening")
        expect(posts(bob).first).to_contain_text("And good evening")

        late = windows.open("/uses/feed")
        expect(postOf(late, "Good morning from Ann").get_by_role("button")).to_have_text("Like: 1")
        expect(postOf(late, "服务器不在时写的")).to_have_count(1)
        ann.reload()
        expect(postOf(ann, "Good morning from Ann").get_by_role("button")).to_have_attribute("aria-pressed", "true")
        expect(ann.locator("#name")).to_have_value("Ann")
        assert ann.locator(".post .text").all_inner_texts() == late.locator(".post .text").all_inner_texts()
        for page in (ann, bob, late):
            checkHygiene(page)
        saveShot(ann, "feed ann")
        saveShot(bob, "feed bob zh")

    def testHasAPicture(self, server: UsesServer, windows: Windows, picture: Path) -> None:
        ann, bob = named(windows, "Ann"), named(windows, "Bob")
        with ann.expect_file_chooser() as chooser:
            ann.get_by_role("button", name="Add a picture").click()
        chooser.value.set_files(picture)
        ann.get_by_label("What the picture shows").fill("A field under a blue sky")
        checkHygiene(ann)
        saveShot(ann, "feed compose")
        post(ann, "My field")
        image = postOf(bob, "My field").get_by_role("img", name="A field under a blue sky")
        expect(image).to_be_visible()
        bob.wait_for_function("(image) => image.complete && image.naturalWidth === 640", arg=image.element_handle())
        saveShot(bob, "feed picture")
        server.kill()
        server.start()
        late = windows.open("/uses/feed")
        image = postOf(late, "My field").get_by_role("img")
        late.wait_for_function("(image) => image.complete && image.naturalWidth === 640", arg=image.element_handle())

    def testSaysWhatIsNoPicture(self, windows: Windows, tmp_path: Path) -> None:
        (tmp_path / "notes.png").write_text("not a picture")
        page = windows.open("/uses/feed")
        page.locator("#file").set_input_files(tmp_path / "notes.png")
        expect(page.locator("#wrong")).to_have_text("This browser cannot show notes.png as a picture.")

    def testShowsMarkupAsText(self, windows: Windows) -> None:
        ann, bob = named(windows, "<b>Ann</b>"), named(windows, "Bob")
        post(ann, "<img src=x onerror=alert(1)> & so on")
        expect(postOf(bob, "<img src=x onerror=alert(1)> & so on").locator("img")).to_have_count(0)

    def testThatIsMalformedIsLeftOut(self, windows: Windows) -> None:
        page = named(windows, "Ann")
        post(page, "Before")
        expect(postOf(page, "Before")).to_have_count(1)
        page.evaluate(
            """async () => {
                const {Topics} = await import("/_wsd/wsd-topics.js");
                const topics = new Topics("/uses/feed/topics/");
                await topics.publish("feed/people", "Eve", {key: "eve"});
                const picture = {url: "https://evil.test/"};
                const odd = {id: "e1", name: "Eve", text: "odd", picture, at: 1e99};
                for (const post of [null, 7, {text: 1}, {id: "e0", text: "no name"}, odd]) {
                    await topics.publish("feed/posts/eve", post);
                }
                await topics.publish("feed/people", 5, {key: "mallory"});
                await topics.publish("feed/people", "Everyone", {key: "+"});
                await topics.publish("feed/people", "Nobody");
                await topics.publish("feed/likes/eve", true);
                await topics.publish("feed/likes/eve", true, {key: "e1 eve"});
                topics.close();
            }"""
        )
        expect(postOf(page, "odd")).to_have_count(1)
        expect(postOf(page, "odd").locator("img")).to_have_count(0)
        expect(postOf(page, "odd").get_by_role("button")).to_have_text("Like: 1")
        expect(page.locator("#people .name").filter(has_text=re.compile("5|Everyone|Nobody"))).to_have_count(0)
        expect(postOf(page, "no name")).to_have_count(0)


class TestAPerson:
    def testIsFollowedUntilSomeoneStops(self, windows: Windows) -> None:
        ann, bob = named(windows, "Anna"), named(windows, "Bert")
        post(ann, "First of Anna")
        expect(postOf(bob, "First of Anna")).to_have_count(1)
        bob.get_by_role("button", name="Unfollow Anna").click()
        expect(postOf(bob, "First of Anna")).to_have_count(0)
        bob.reload()
        expect(bob.get_by_role("button", name="Follow Anna", exact=True)).to_be_visible()
        post(ann, "Second of Anna")
        post(bob, "Mine")
        expect(postOf(bob, "Mine")).to_have_count(1)
        expect(postOf(bob, "of Anna")).to_have_count(0)
        follow = bob.get_by_role("button", name="Follow Anna", exact=True)
        follow.focus()
        bob.keyboard.press("Enter")
        expect(postOf(bob, "of Anna")).to_have_count(2)
        expect(bob.get_by_role("button", name="Unfollow Anna")).to_be_focused()


class TestThePlaceOfAReader:
    def testStaysWhenPostsComeAbove(self, windows: Windows) -> None:
        ann, bob = named(windows, "Ann"), named(windows, "Bob")
        for number in range(12):
            post(ann, f"Post {number:02}\n" + "It has several lines.\n" * 4)
            expect(postOf(bob, f"Post {number:02}")).to_have_count(1)
        read = postOf(bob, "Post 04")
        read.scroll_into_view_if_needed()
        bob.mouse.wheel(0, 150)
        bob.wait_for_timeout(300)
        before = top(read)
        post(ann, "Above one")
        post(ann, "Above two")
        expect(postOf(bob, "Above two")).to_have_count(1)
        assert abs(top(read) - before) < 2
        newer = bob.get_by_role("button", name="New posts above: 2")
        expect(newer).to_be_in_viewport()
        saveShot(bob, "feed newer")
        newer.click()
        expect(postOf(bob, "Above two")).to_be_in_viewport()
        expect(newer).to_be_hidden()

    def testAtTheTopShowsThemAtOnce(self, windows: Windows) -> None:
        ann, bob = named(windows, "Ann"), named(windows, "Bob")
        post(ann, "At the top")
        expect(posts(bob).first).to_contain_text("At the top")
        expect(bob.locator("#newer")).to_be_hidden()


class TestThePage:
    def testHasItsFrame(self, windows: Windows) -> None:
        checkFrame(windows.open("/uses/feed"))

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer, windows: Windows) -> None:
        ann = named(windows, "Ann")
        post(ann, "The harvest is in, and the first tea is on its way.")
        expect(posts(ann)).not_to_have_count(0)
        checkLooks(browser, server.url("/uses/feed"), "#timeline .post", "feed")
