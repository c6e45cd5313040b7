"""Editing together at /uses/editor: two windows and one document, offline for a while and over a killed daemon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.uses import (
    UsesServer,
    Windows,
    checkFrame,
    checkHygiene,
    checkLooks,
    saveShot,
    server,
    usesServer,
    windows,
)

__all__ = ["server", "windows"]

VIEW = """const {EditorView} = await import("/uses/lib/codemirror.js");
    const view = EditorView.findFromDOM(document.getElementById("editor").shadowRoot.querySelector(".cm-editor"));"""
"""The editor of the page."""

EDIT = """(view, count, seed) => new Promise((resolve) => {
    let random = seed;
    const below = (limit) => (random = (random * 1103515245 + 12345) % 2147483648) % limit;
    const next = (left) => {
        for (let each = 0; each < Math.min(10, left); each++) {
            const length = view.state.doc.length;
            const from = below(length + 1);
            const isDeletion = length > 3 && below(5) === 0;
            const to = isDeletion ? Math.min(length, from + 1 + below(2)) : from;
            view.dispatch({changes: {from, to, insert: isDeletion ? "" : String.fromCodePoint(97 + below(26))}});
        }
        if (left > 10) setTimeout(next, 5, left - 10);
        else resolve();
    };
    next(count);
})"""
"""Makes random edits in the editor, ten at a time."""


def edit(page: Page, count: int, seed: int) -> None:
    """Begin to make random edits in this window; `edited` waits for their end."""
    page.evaluate(f"async ([count, seed]) => {{ {VIEW} window.edits = ({EDIT})(view, count, seed); }}", [count, seed])


def edited(*pages: Page) -> None:
    for page in pages:
        page.evaluate("() => window.edits")


def text(page: Page) -> str:
    """The whole document, also what is not drawn."""
    found: str = page.evaluate(f"async () => {{ {VIEW} return view.state.doc.toString(); }}")
    return found


def content(page: Page) -> Locator:
    return page.locator("#editor .cm-content")


def online(page: Page) -> None:
    expect(page.locator("#state")).to_have_text(re.compile("^(Connected|已连接)"))


def equal(one: Page, other: Page) -> str:
    """Wait until both windows have the same document, which is returned."""
    for _ in range(300):
        found = text(one)
        if found == text(other):
            return found
        one.wait_for_timeout(100)
    raise AssertionError("the documents differ")


def both(windows: Windows, name: str) -> tuple[Page, Page]:
    """Two windows of a document, in two languages."""
    ann, bob = windows.open(f"/uses/editor?doc={name}"), windows.open(f"/uses/editor?doc={name}", "zh-CN")
    for page in (ann, bob):
        online(page)
    return ann, bob


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def editAtOnce(server: UsesServer, windows: Windows, edits: int) -> None:
    """Two edit at once, the daemon is killed midway, one is offline for a while: equal documents, on the disk too."""
    ann, bob = both(windows, f"random-{edits}")
    edit(ann, edits // 2, 1)
    edit(bob, edits // 2, 2)
    server.kill()
    expect(ann.locator("#state")).to_contain_text("Offline")
    server.start()
    edited(ann, bob)
    for page in (ann, bob):
        online(page)
    press(ann, "Work offline")
    edit(ann, edits // 2, 3)
    edit(bob, edits // 2, 4)
    edited(ann, bob)
    assert text(ann) != text(bob)
    press(ann, "Connect again")
    written = equal(ann, bob)
    assert len(written) > edits / 2
    # What both have was acknowledged: one who has nothing gets it after another kill.
    for page in (ann, bob):
        page.close()
    server.kill()
    server.start()
    late = windows.open(f"/uses/editor?doc=random-{edits}")
    online(late)
    assert text(late) == written


class TestTwoWindows:
    def testSeeEachOthersTextNameAndCursor(self, windows: Windows) -> None:
        ann, bob = both(windows, "seen")
        ann.get_by_label("Your name").fill("Ann")
        content(ann).click()
        ann.keyboard.type("Hello from here")
        expect(content(bob)).to_contain_text("Hello from here")
        expect(bob.locator("#people")).to_contain_text("Ann")
        expect(bob.locator("#editor .who")).to_have_text("Ann")
        ann.keyboard.press("Shift+Home")
        expect(bob.locator("#editor .selected")).to_have_text("Hello from here")
        content(bob).click()
        bob.keyboard.press("Control+End")
        bob.keyboard.type(", 你好")
        expect(content(ann)).to_contain_text("Hello from here, 你好")
        expect(ann.locator("#people li")).to_have_count(2)
        expect(ann.locator("#people")).to_contain_text("Ann (you)")
        for page in (ann, bob):
            checkHygiene(page)
        saveShot(ann, "editor ann")
        saveShot(bob, "editor bob zh")
        bob.close()
        expect(ann.locator("#people li")).to_have_count(1)
        expect(ann.locator("#editor .who")).to_have_count(0)

    def testUndoTakesBackOwnEditsOnly(self, windows: Windows) -> None:
        ann, bob = both(windows, "undo")
        content(ann).click()
        # At once: what is typed slowly is taken back in parts.
        ann.keyboard.insert_text("mine ")
        expect(content(bob)).to_contain_text("mine")
        content(bob).click()
        bob.keyboard.press("Control+End")
        bob.keyboard.type("theirs")
        expect(content(ann)).to_contain_text("mine theirs")
        ann.keyboard.press("Control+z")
        expect(content(bob)).not_to_contain_text("mine")
        assert equal(ann, bob) == "theirs"

    def testEditAtOnceOfflineAndOverAKilledDaemon(self, server: UsesServer, windows: Windows) -> None:
        editAtOnce(server, windows, 1000)

    @pytest.mark.soak
    def testMake10000EditsEach(self, server: UsesServer, windows: Windows) -> None:
        editAtOnce(server, windows, 10_000)


class TestAWindow:
    def testThatWasOfflineIsSeenAgainAtOnce(self, windows: Windows) -> None:
        ann, bob = both(windows, "again")
        ann.get_by_label("Your name").fill("Ann")
        expect(bob.locator("#people")).to_contain_text("Ann")
        press(ann, "Work offline")
        expect(ann.locator("#state")).to_contain_text("keep it open")
        expect(bob.locator("#people li")).to_have_count(1)
        saveShot(ann, "editor offline")
        press(ann, "Connect again")
        expect(bob.locator("#people")).to_contain_text("Ann", timeout=10_000)

    def testSaysThatTheServerWentAway(self, server: UsesServer, windows: Windows) -> None:
        ann, bob = both(windows, "away")
        server.kill()
        expect(ann.locator("#connection")).to_contain_text("The server went away")
        expect(bob.locator("#state")).to_contain_text("离线中")
        content(ann).click()
        ann.keyboard.type("written meanwhile")
        server.start()
        expect(content(bob)).to_contain_text("written meanwhile")
        expect(ann.locator("#connection")).to_contain_text("The server is back")
        online(ann)

    def testOpensANewDocumentWithALinkOfItsOwn(self, windows: Windows) -> None:
        page = windows.open("/uses/editor")
        online(page)
        expect(page.locator("#document-title")).to_have_text("Document: notes")
        content(page).click()
        page.keyboard.type("first")
        press(page, "New document")
        page.wait_for_url(re.compile(r"doc=\w+"))
        online(page)
        assert text(page) == ""
        other = windows.open(page.url.removeprefix(page.url[: page.url.index("/uses")]))
        content(page).click()
        page.keyboard.type("second")
        expect(content(other)).to_contain_text("second")

    def testIsUsedByKeyboardAlone(self, windows: Windows) -> None:
        ann, bob = both(windows, "keys")
        for _ in range(40):
            ann.keyboard.press("Tab")
            if content(ann).evaluate("(content) => content.getRootNode().activeElement === content"):
                break
        ann.keyboard.type("no mouse")
        expect(content(bob)).to_contain_text("no mouse")
        ann.keyboard.press("Tab")
        ann.keyboard.press("Control+a")
        ann.keyboard.type("Keys")
        expect(bob.locator("#people")).to_contain_text("Keys")

    def testTellsWhatTheServerHasRefused(self, windows: Windows) -> None:
        page = windows.open("/uses/editor?doc=large")
        online(page)
        page.evaluate(
            f"""async () => {{
                {VIEW}
                for (const letter of "abcde") view.dispatch({{changes: {{from: 0, insert: letter.repeat(1000000)}}}});
            }}"""
        )
        expect(page.locator("#state")).to_contain_text("a document has at most 4194304 bytes")

    def testSaysThatTheServerHasNoDocuments(self, browser: Browser, tmp_path: Path) -> None:
        (tmp_path / "wsd.toml").write_text('[route."/yjs/*"]\nenabled = false\n')
        with usesServer(tmp_path, "-c", str(tmp_path / "wsd.toml")) as server:
            page = browser.new_page()
            page.goto(server.url("/uses/editor"))
            expect(page.locator("#state")).to_contain_text("The server has no route /yjs/*")
            page.close()

    def testHasItsFrame(self, windows: Windows) -> None:
        checkFrame(windows.open("/uses/editor"))

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer) -> None:
        checkLooks(browser, server.url("/uses/editor?doc=seen"), "#people li", "editor")
