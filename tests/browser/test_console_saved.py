"""Messages of the console that are kept: the ones sent before, the saved ones, and the variables in them."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console


def save(console: Console, name: str, folder: str = "") -> None:
    console.press("Save…")
    console.at("#save-name").fill(name)
    console.at("#save-folder").fill(folder)
    console.press("Save message")


class TestSentBefore:
    def testIsOfferedAgainTheNewestFirstAfterAReloadToo(self, console: Console) -> None:
        console.connect()
        console.sendText("first")
        console.sendHex("c0 ff ee")
        console.sendText("second")
        console.sendText("second")
        console.page.reload()
        expect(console.at("#texts option")).to_have_text(["Sent before", "second", "c0 ff ee", "first"])
        console.at("#texts").select_option("1")
        expect(console.at("#hex")).to_have_value("c0 ff ee")
        expect(console.at("#panel-hex")).to_be_visible()

    def testIsWalkedThroughByAltAndTheArrows(self, console: Console) -> None:
        console.connect()
        for text in ("one", "two", "three"):
            console.sendText(text)
        field = console.at("#text")
        field.press("Alt+ArrowUp")
        field.press("Alt+ArrowUp")
        expect(field).to_have_value("two")
        field.press("Alt+ArrowDown")
        expect(field).to_have_value("three")


class TestSaved:
    def testHasANameAndAFolderAndIsKept(self, console: Console) -> None:
        console.at("#text").fill("hello")
        save(console, "Greeting")
        console.choose("JSON")
        console.at("#json").fill('{"order": 1}')
        save(console, "Order", "Shop")
        console.page.reload()
        console.unfold("saved")
        expect(console.at("#saved-count")).to_have_text("2")
        expect(console.at("#saved-list .folder summary")).to_have_text("Shop")
        console.at("#saved-list .folder .name").click()
        expect(console.at("#json")).to_have_value('{"order": 1}')
        console.at("#saved-list .name").first.click()
        expect(console.at("#text")).to_have_value("hello")
        expect(console.at("#panel-text")).to_be_visible()

    def testIsSentWithoutChangingWhatIsTyped(self, console: Console) -> None:
        console.at("#text").fill("saved")
        save(console, "Greeting")
        console.at("#text").fill("typed")
        console.press("Send Greeting")
        expect(console.at("#send-wrong")).to_have_text("Nothing was sent: the connection is not open. Connect first.")
        console.connect()
        console.press("Send Greeting")
        console.received("saved")
        expect(console.at("#text")).to_have_value("typed")

    def testIsReplacedByOneOfTheSameNameAndEdited(self, console: Console) -> None:
        for text in ("old", "new"):
            console.at("#text").fill(text)
            save(console, "Greeting")
        expect(console.at("#saved-count")).to_have_text("1")
        console.press("Edit Greeting")
        expect(console.at("#text")).to_have_value("new")
        console.at("#save-name").fill("Salute")
        console.press("Save message")
        expect(console.at("#saved-list .name")).to_have_text("TSalute")

    def testComesBackAfterRemoval(self, console: Console) -> None:
        save(console, "Greeting")
        console.press("Remove Greeting")
        expect(console.at("#saved-list .name")).to_have_count(0)
        expect(console.at("#saved-removed")).to_contain_text("Removed Greeting.")
        console.press("Undo")
        expect(console.at("#saved-list .name")).to_have_count(1)

    def testNeedsAName(self, console: Console) -> None:
        console.press("Save…")
        console.press("Save message")
        expect(console.at("#save-wrong")).to_have_text("Enter a name for the message.")
        expect(console.at("#save-name")).to_be_focused()
        console.page.keyboard.press("Escape")
        expect(console.at("#save-form")).to_be_hidden()

    def testStaysTextWhateverItsNameIs(self, console: Console) -> None:
        save(console, "<img src=x onerror=alert(1)>", "<b>folder</b>")
        expect(console.at("#saved-list summary")).to_have_text("<b>folder</b>")
        assert console.page.evaluate("document.querySelectorAll('main img').length") == 0


UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
NOW = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class TestVariables:
    def testAreFilledInWhenTheMessageIsSent(self, console: Console) -> None:
        console.connect()
        console.sendText("{{now}} {{timestamp}} {{uuid}} {{counter}}")
        expect(console.previews("received")).to_have_text(re.compile(rf"^{NOW} \d{{13}} {UUID} 1$"))
        expect(console.at("#text")).to_have_value("{{now}} {{timestamp}} {{uuid}} {{counter}}")
        expect(console.at("#text-note")).to_contain_text("Fills in {{now}} {{timestamp}} {{uuid}} {{counter}}.")

    def testMakeJsonOfWhatIsNoneYetAndSurviveTidying(self, console: Console) -> None:
        console.connect()
        console.choose("JSON")
        console.at("#json").fill('{"n":{{counter}},"id":"a-{{uuid}}"}')
        expect(console.at("#json")).to_have_attribute("aria-invalid", "false")
        console.press("Tidy")
        expect(console.at("#json")).to_have_value('{\n  "n": {{counter}},\n  "id": "a-{{uuid}}"\n}')
        console.press("Send JSON")
        expect(console.rows("received")).to_have_count(1)
        (line,) = [line for line in console.exported() if line["direction"] == "received"]
        sent = json.loads(line["text"])
        assert sent["n"] == 1
        assert re.fullmatch(f"a-{UUID}", sent["id"])

    @pytest.mark.parametrize("text", ["{{unknown}}", "{{ now }}", "{{message}}", "{now}", "{{", "{{constructor}}"])
    def testThatAreNoneStayAsTheyAre(self, console: Console, text: str) -> None:
        console.connect()
        console.sendText(text)
        console.received(text)

    def testBehindABackslashAreSentAsTheyStand(self, console: Console) -> None:
        console.connect()
        console.sendText(r"\{{now}} and \{{other}}")
        console.received(r"{{now}} and \{{other}}")
