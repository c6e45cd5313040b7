"""The rows of the console's log: one line each, what they open, and what can be done with them."""

from __future__ import annotations

import json

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Opener
from tests.browser.console import Console

DEEP = {"a": {"b": [1, 2, {"deep": "Needle"}]}, "list": list(range(250)), "needle": None}


class TestOneLine:
    def testIsWhatARowHasWhateverItHolds(self, console: Console) -> None:
        console.connect()
        for text in ("short", "three\nlines\r\nhere", "x" * 5000, "👩‍🚀\u202e\u2028", ""):
            console.sendText(text)
        console.sendHex("ff" * 500)
        console.choose("Canvas")
        console.press("Send picture")
        expect(console.at("#log .received .thumbnail")).to_be_visible()
        console.press("简体中文")  # which draws the rows anew
        expect(console.at("#log .received .thumbnail")).to_be_visible()
        console.press("English")
        heights = console.at("#log .entry").evaluate_all("rows => [...new Set(rows.map(row => row.offsetHeight))]")
        assert heights == [31]
        expect(console.previews("received").nth(1)).to_have_text("three↵lines↵here")


class TestActions:
    def testCopyGivesTheWholeText(self, openConsole: Opener) -> None:
        console = openConsole(permissions=["clipboard-read", "clipboard-write"])
        console.connect()
        console.sendText("two\nlines " + "x" * 1000)
        expect(console.rows("received")).to_have_count(1)
        detail = console.detail("received")
        detail.get_by_role("button", name="Copy").click()
        expect(detail.get_by_role("button", name="Copied")).to_be_visible()
        assert console.page.evaluate("navigator.clipboard.readText()") == "two\nlines " + "x" * 1000

    def testCopyGivesBytesAsHex(self, openConsole: Opener) -> None:
        console = openConsole(permissions=["clipboard-read", "clipboard-write"])
        console.connect()
        console.sendHex("c0ffee")
        expect(console.rows("received")).to_have_count(1)
        detail = console.detail("received")
        detail.get_by_role("button", name="Copy").click()
        expect(detail.get_by_role("button", name="Copied")).to_be_visible()
        assert console.page.evaluate("navigator.clipboard.readText()") == "c0 ff ee"

    def testResendSendsTheSameOnceMore(self, console: Console) -> None:
        console.connect()
        console.sendText("{{uuid}}")
        expect(console.rows("received")).to_have_count(1)
        console.detail("sent").get_by_role("button", name="Resend").click()
        expect(console.rows("received")).to_have_count(2)
        texts = [line["text"] for line in console.exported() if line["direction"] != "event"]
        assert len(texts) == 4
        assert len(set(texts)) == 1

    def testResendSaysSoWhenThereIsNoConnection(self, console: Console) -> None:
        console.connect()
        console.sendHex("01")
        console.press("Close")
        console.isIn("CLOSED")
        console.detail("sent").get_by_role("button", name="Resend").click()
        expect(console.at("#send-wrong")).to_have_text("Nothing was sent: the connection is not open. Connect first.")

    def testEditPutsTheMessageIntoItsField(self, console: Console) -> None:
        console.connect()
        console.sendText(r"plain \{{now}}")
        console.sendText('{"a": 1}')
        console.sendHex("00ff")
        expect(console.rows("received")).to_have_count(3)
        for index, (field, value) in enumerate(
            [("#text", r"plain \{{now}}"), ("#json", '{"a": 1}'), ("#hex", "00 ff")]
        ):
            console.detail("sent", index).get_by_role("button", name="Edit").click()
            expect(console.at(field)).to_have_value(value)
            expect(console.at(field)).to_be_focused()


class TestJsonTree:
    def opened(self, console: Console) -> Locator:
        console.connect()
        console.sendText(json.dumps(DEEP))
        expect(console.rows("received")).to_have_count(1)
        return console.detail("received")

    def testUnfoldsBranchByBranch(self, console: Console) -> None:
        tree = self.opened(console).locator(".tree")
        expect(tree.locator("summary")).to_have_text(["{3}", "a {1}", "list [250]"])
        tree.locator("summary").nth(1).click()
        expect(tree.locator("summary").nth(2)).to_have_text("b [3]")
        tree.get_by_text("list").click()
        expect(tree.locator(".leaf")).to_have_count(101)  # "needle" and the first hundred
        tree.get_by_role("button", name="Show 100 more").click()
        tree.get_by_role("button", name="Show 50 more").click()
        expect(tree.locator(".leaf")).to_have_count(251)

    def testFindsKeysAndValuesAndOpensTheWayToThem(self, console: Console) -> None:
        detail = self.opened(console)
        find = detail.get_by_label("Find in this JSON")
        find.fill("needle")
        expect(detail.get_by_role("status")).to_have_text("1 of 2")
        expect(detail.locator(".found")).to_have_text('deep: "Needle"')
        expect(detail.get_by_role("button", name="Show")).to_have_count(0)  # what is beside a match is there, too
        find.press("Enter")
        expect(detail.get_by_role("status")).to_have_text("2 of 2")
        expect(detail.locator(".found")).to_have_text("needle: null")
        find.fill("249")
        expect(detail.locator(".found")).to_have_text("249: 249")
        expect(detail.locator(".found")).to_be_in_viewport()
        find.fill("nowhere")
        expect(detail.get_by_role("status")).to_have_text("no match")

    def testStaysUnfoldedWhenItWasOutOfSight(self, console: Console) -> None:
        console.connect("/echo?repeat=500")
        console.sendText(json.dumps(DEEP))
        expect(console.fact("received")).to_have_text("500")
        console.at("#log").evaluate("log => { log.scrollTop = 0; }")
        detail = console.detail("sent", 0)
        detail.get_by_label("Find in this JSON").fill("deep")
        expect(detail.locator(".found")).to_be_visible()
        console.press("Newest ↓")
        expect(console.rows("sent")).to_have_count(0)
        console.at("#log").evaluate("log => { log.scrollTop = 0; }")
        expect(console.at("#log .sent .found")).to_have_text('deep: "Needle"')

    def testIsLeftToTextForWhatIsNoStructure(self, console: Console) -> None:
        console.connect()
        console.sendText("[1, 2")
        console.sendText('"just a string"')
        expect(console.rows("received")).to_have_count(2)
        for index in (0, 1):
            expect(console.detail("received", index).locator("pre")).to_be_visible()


class TestEnvelopes:
    def testShowNameAndTopicAndTheTopicOfABinaryPayload(self, console: Console) -> None:
        console.connect("/topics/", "topics.wsd.v1")
        console.sendText('{"subscribe": {"id": 1, "topic": "pictures"}}')
        console.sendText('{"publish": {"topic": "pictures", "binary": true, "type": "image/png", "echo": true}}')
        console.sendHex("89504e47")
        console.sendText('{"leave": {"id": 2, "topic": "pictures"}}')
        expect(console.at("#log .received .envelope")).to_have_text(["subscribed", "message", "error"])
        expect(console.at("#log .received .topic").first).to_have_text("pictures")
        expect(console.previews("received").nth(2)).to_have_text("pictures  image/png  89 50 4e 47")
        expect(console.at("#log .received .envelope.failed")).to_have_text("error")


class TestWhyItFailed:
    def testIsSaidInRedByTheDaemon(self, console: Console) -> None:
        console.dial("/nosuch")
        why = console.at("#log .failed .preview").last
        expect(why).to_have_text(
            "The server refused the connection with 404 Not Found: there is no WebSocket at /nosuch"
        )
        red = console.page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--bad')")
        assert red
        colours = console.at("#log .row").evaluate_all("rows => rows.map(row => getComputedStyle(row).color)")
        assert colours[1] == colours[3] != colours[0] == colours[2]
        expect(console.at("#log .way")).to_have_text(["•Event", "!Event", "•Event", "!Event"])

    def testOfAnotherHostIsALineToCopy(self, openConsole: Opener, daemon: str) -> None:
        console = openConsole(permissions=["clipboard-read", "clipboard-write"])
        console.dial("ws://127.0.0.1:1/x", "soap")
        line = f"wsd connect --origin http://{daemon} --subprotocol soap ws://127.0.0.1:1/x"
        expect(console.at("#log .failed .preview").last).to_contain_text(line)
        console.at("#log .failed .detail").get_by_role("button", name="Copy").click()
        expect(console.at("#live")).to_have_text("Copied")
        assert console.page.evaluate("navigator.clipboard.readText()") == line


class TestSums:
    def testOfAConnectionAreToldWhenItEndsAndBeginAnew(self, console: Console) -> None:
        console.connect("/echo?repeat=2")
        console.sendText("four")
        console.received("four", "four")
        console.press("Close")
        console.isIn("CLOSED")
        expect(console.previews("event").last).to_contain_text("wasClean true. Sent 1 (4 B), received 2 (8 B) in ")
        console.connect("/echo")
        expect(console.fact("sent")).to_have_text("0")
        expect(console.fact("received-bytes")).to_have_text("· 0 B")
