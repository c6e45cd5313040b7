"""The console's log: what a row tells, what opens from it, and what is kept, found and taken home."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.browser.console import Console

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def filled(console: Console) -> Console:
    """A log of one text and one binary message, each sent and received, after two events."""
    console.connect()
    console.sendText("Apple pie")
    console.sendHex("c0 ff ee")
    console.received("Apple pie", "c0 ff ee")
    return console


class TestRow:
    def testTellsTimeDirectionOpcodeAndSize(self, filled: Console) -> None:
        time = r"\d\d:\d\d:\d\d\.\d{3}"
        expect(filled.rows("sent")).to_have_text(
            [re.compile(f"^{time}↑Senttext9 BApple pie$"), re.compile(f"^{time}↑Sentbinary3 Bc0 ff ee$")]
        )
        expect(filled.rows("received")).to_have_text(
            [
                re.compile(rf"^{time}↓Receivedtext9 BApple pie[\d.]+ ms$"),
                re.compile(rf"^{time}↓Receivedbinary3 Bc0 ff ee[\d.]+ ms$"),
            ]
        )
        expect(filled.previews("event")).to_have_text([re.compile("^Connecting to "), re.compile("^Open. ")])

    def testOpensToTheTextAndTheHexdumpOfAText(self, filled: Console) -> None:
        detail = filled.detail("received", 0)
        expect(detail.locator("pre")).to_have_text("Apple pie")
        detail.get_by_role("button", name="Hexdump").click()
        expect(detail.locator("pre")).to_have_text(
            "00000000  41 70 70 6c 65 20 70 69  65" + " " * 23 + "Apple pie", use_inner_text=True
        )
        detail.get_by_role("button", name="Text").click()
        expect(detail.locator("pre")).to_have_text("Apple pie")
        filled.rows("received").nth(0).click()
        expect(detail).to_have_count(0)

    def testOpensToAHexdumpCappedAt4KiB(self, console: Console) -> None:
        console.connect()
        console.sendHex("61 62 00 ff" * 1500)
        detail = console.detail("received")
        lines = detail.locator("pre").inner_text().splitlines()
        assert len(lines) == 256
        assert lines[-1] == "00000ff0  61 62 00 ff 61 62 00 ff  61 62 00 ff 61 62 00 ff  ab··ab··ab··ab··"
        expect(detail.locator(".quiet")).to_have_text("The first 4 KiB of 5.9 KiB.")

    def testShowsAtMost64KiCharactersOfAText(self, console: Console) -> None:
        console.connect()
        console.sendText("x" * 70_000)
        detail = console.detail("received")
        assert len(detail.locator("pre").inner_text()) == 65_536
        expect(detail.locator(".quiet")).to_have_text("The first 65,536 of 70,000.")


class TestMarkup:
    def testInAMessageStaysText(self, console: Console) -> None:
        console.connect()
        console.sendText(MARKUP)
        console.received(MARKUP)
        expect(console.detail("received").locator("pre")).to_have_text(MARKUP)
        assert console.page.evaluate("document.querySelectorAll('main img, main script').length") == 0

    def testInAnAddressStaysText(self, console: Console) -> None:
        console.dial(f"ws://[{MARKUP}]/")
        expect(console.at("#url-wrong")).to_contain_text(MARKUP)
        assert console.page.evaluate("document.querySelectorAll('main img, main script').length") == 0

    def testInTheAddressOfThePageStaysText(self, openConsole: Opener) -> None:
        console = openConsole(f"/?url={MARKUP}#{MARKUP}")
        expect(console.at("#url")).to_have_value(MARKUP)
        assert console.page.evaluate("document.querySelectorAll('main img, main script').length") == 0


class TestFilter:
    def testFindsByTextWhateverItsCase(self, filled: Console) -> None:
        filled.at("#find").fill("apple")
        expect(filled.at("#log .preview")).to_have_text(["Apple pie", "Apple pie"])
        filled.at("#find").fill("ff ee")
        expect(filled.at("#log .preview")).to_have_text(["c0 ff ee", "c0 ff ee"])
        filled.at("#find").fill("no such thing")
        expect(filled.at("#log .row")).to_have_count(0)
        expect(filled.at("#empty")).to_have_text("No row matches the filter.")

    def testShowsOneDirectionOrOneOpcode(self, filled: Console) -> None:
        for direction, opcode, count in [
            ("sent", "", 2),
            ("received", "", 2),
            ("event", "", 2),
            ("", "text", 2),
            ("", "binary", 2),
            ("received", "text", 1),
            ("", "", 6),
        ]:
            filled.at("#direction").select_option(direction)
            filled.at("#opcode").select_option(opcode)
            expect(filled.at("#log .row")).to_have_count(count)
        expect(filled.at("#log-bound")).to_have_text("6 rows")

    def testHoldsForRowsThatCome(self, filled: Console) -> None:
        filled.page.get_by_label("Direction").select_option("received")
        filled.sendText("one more")
        expect(filled.at("#log .preview")).to_have_text(["Apple pie", "c0 ff ee", "one more"])
        expect(filled.at("#log-bound")).to_have_text("3 of 8 rows")


class TestExport:
    def testIsOneJsonObjectARow(self, filled: Console) -> None:
        lines = filled.exported()
        assert [line["direction"] for line in lines if line["direction"] != "event"] == ["sent", "received"] * 2
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
        opened = lines[1]
        assert opened["event"] == "open"
        assert opened["extensions"].startswith("permessage-deflate")
        sent = next(line for line in lines if line["direction"] == "sent")
        assert {**sent, "time": None} == {
            "time": None, "direction": "sent", "opcode": "text", "size": 9, "text": "Apple pie",
        }  # fmt: skip

    def testHasTheRowsThatTheFilterShows(self, filled: Console) -> None:
        filled.at("#direction").select_option("received")
        filled.at("#opcode").select_option("binary")
        (line,) = filled.exported()
        assert line["base64"] == "wP/u"


class TestBound:
    def testKeepsTheNewestTenThousandRowsAndSaysSo(self, console: Console) -> None:
        console.connect("/echo?repeat=1000")
        # Ten rows sent and 10,000 received, after two events.
        console.page.evaluate(
            """() => {
                for (let i = 0; i < 10; i += 1) {
                    document.getElementById("text").value = `message ${i}`;
                    document.getElementById("panel-text").requestSubmit();
                }
            }"""
        )
        expect(console.fact("received")).to_have_text("10,000")
        expect(console.previews("received").last).to_have_text("message 9")
        expect(console.at("#log-bound")).to_have_text(
            "10,000 rows Only the newest 10,000 rows, at most 64 MiB, are kept; 12 older ones were dropped."
        )

    def testHasOnlyTheRowsInSightInThePage(self, console: Console) -> None:
        console.connect("/echo?repeat=1000")
        for _ in range(3):
            console.sendText("line")
        expect(console.at("#log-bound")).to_have_text("3,005 rows")
        assert console.at("#log .entry").count() < 80
        console.at("#log").evaluate("log => { log.scrollTop = log.scrollHeight / 2; }")
        expect(console.at("#log .entry").first).to_have_attribute("aria-posinset", re.compile(r"^14\d\d$"))
        expect(console.at("#log .entry").first).to_have_attribute("aria-setsize", "3005")
        assert console.at("#log .entry").count() < 80

    def testKeeps64MiBAtMostButTheNewestRowInAnyCase(self, console: Console) -> None:
        kept = console.page.evaluate(
            """async () => {
                const {Ledger} = await import("/_wsd/ledger.js");
                const ledger = new Ledger();
                return [32, 31, 1, 1, 100].map(size => {
                    ledger.add({direction: "sent", opcode: "binary", size: size * 1024 * 1024});
                    return [ledger.rows.length, ledger.dropped];
                });
            }"""
        )
        assert kept == [[1, 0], [2, 0], [3, 0], [3, 1], [1, 4]]

    def testIsClearedByItsButton(self, filled: Console) -> None:
        filled.press("Clear log")
        expect(filled.at("#log .row")).to_have_count(0)
        expect(filled.at("#empty")).to_contain_text("Nothing yet.")
        filled.sendText("anew")
        expect(filled.at("#log .preview")).to_have_text(["anew", "anew"])


class TestScrolling:
    def testLeavesThePageAsHighAsItWas(self, console: Console) -> None:
        height = "document.documentElement.scrollHeight"
        console.connect("/echo?repeat=200")
        before = console.page.evaluate(height)
        console.sendText("line")
        expect(console.at("#log-bound")).to_have_text("203 rows")
        assert console.page.evaluate(height) == before

    def testStaysAtTheNewestUnlessThePersonLooksBack(self, console: Console) -> None:
        console.connect("/echo?repeat=60")
        console.sendText("line")
        expect(console.at("#log-bound")).to_have_text("63 rows")
        expect(console.rows("received").last).to_be_in_viewport()
        console.at("#log").evaluate("log => { log.scrollTop = 0; }")
        newest = console.page.get_by_role("button", name="Newest ↓")
        expect(newest).to_be_visible()
        console.sendText("line")
        expect(console.at("#log-bound")).to_have_text("124 rows")
        expect(console.rows("event").first).to_be_in_viewport()
        newest.click()
        expect(console.rows("received").last).to_be_in_viewport()
        expect(newest).to_be_hidden()
