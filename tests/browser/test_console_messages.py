"""What the console sends, and what it shows of what comes back."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.browser.console import Console

PICTURE = 400 * 320 * 4

WHITE, BLACK, RED = [255, 255, 255, 255], [27, 31, 36, 255], [198, 40, 40, 255]


def pixels(canvas: Locator, *points: tuple[int, int]) -> list[list[int]]:
    """The pixels of a canvas at these x, y, each as [red, green, blue, alpha]."""
    colours: list[list[int]] = canvas.evaluate(
        """(canvas, points) => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, 400, 320);
            return points.map(([x, y]) => [...data.slice((y * 400 + x) * 4, (y * 400 + x) * 4 + 4)]);
        }""",
        list(points),
    )
    return colours


class TestText:
    def testGoesThereAndBackWhateverItIs(self, console: Console) -> None:
        console.connect()
        texts = ["Ping", "发送数据", "👩‍🚀 \u202eright to left", "two\nlines", " " * 3, ""]
        for text in texts:
            console.sendText(text)
        expect(console.rows("received")).to_have_count(len(texts))
        sent = [line["text"] for line in console.exported() if line["direction"] == "sent"]
        received = [line["text"] for line in console.exported() if line["direction"] == "received"]
        assert sent == received == texts

    def testIsMeasuredInBytesOfUtf8(self, console: Console) -> None:
        console.at("#text").fill("世界!")
        expect(console.at("#text-note")).to_have_text("7 B as UTF-8. Ctrl+Enter sends.")

    def testIsSentByControlAndEnter(self, console: Console) -> None:
        console.connect()
        console.at("#text").fill("by key")
        console.at("#text").press("Control+Enter")
        console.received("by key")

    def testIsNotLostQuietlyWhenThereIsNoConnection(self, console: Console) -> None:
        console.sendText("to no one")
        expect(console.at("#send-wrong")).to_have_text("Nothing was sent: the connection is not open. Connect first.")
        expect(console.rows("sent")).to_have_count(0)
        console.connect()
        console.sendText("to someone")
        expect(console.at("#send-wrong")).to_be_hidden()


class TestJson:
    def testIsSentAsTyped(self, console: Console) -> None:
        console.connect()
        console.choose("JSON")
        console.at("#json").fill('{"a":  [1, null]}')
        console.press("Send JSON")
        console.received('{"a":  [1, null]}')

    def testThatIsNoneIsToldWithTheSentenceOfTheBrowserAndNotSent(self, console: Console) -> None:
        console.connect()
        console.choose("JSON")
        console.at("#json").fill('{"a": }')
        expect(console.at("#json-note")).to_have_text(re.compile("^Not JSON: Unexpected token '}'"))
        expect(console.at("#json")).to_have_attribute("aria-invalid", "true")
        console.press("Send JSON")
        expect(console.at("#live")).to_have_text(re.compile("^Not JSON: Unexpected token '}'"))
        expect(console.at("#json")).to_be_focused()
        expect(console.rows("sent")).to_have_count(0)

    def testCanBeTidied(self, console: Console) -> None:
        console.choose("JSON")
        console.at("#json").fill('{"a":[1]}')
        console.press("Tidy")
        expect(console.at("#json")).to_have_value('{\n  "a": [\n    1\n  ]\n}')


class TestHex:
    def testIsSentAsBytes(self, console: Console) -> None:
        console.connect()
        console.sendHex("00 ff,0x80:7F\ndeadBEEF")
        console.received("00 ff 80 7f de ad be ef")
        (line,) = [line for line in console.exported() if line["direction"] == "received"]
        assert (line["opcode"], line["size"]) == ("binary", 8)
        assert base64.b64decode(line["base64"]) == bytes.fromhex("00ff807fdeadbeef")

    def testThatIsNoneIsToldInASentence(self, console: Console) -> None:
        console.connect()
        for typed, sentence in {
            "0g": "“g” is not a hex digit; write bytes as pairs, such as 48 65 6c.",
            "012": "“012” ends in half a byte; a byte has two digits, such as 0a.",
            "0x": "“0x” ends in half a byte; a byte has two digits, such as 0a.",
        }.items():
            console.sendHex(typed)
            expect(console.at("#hex-note")).to_have_text(sentence)
            expect(console.at("#live")).to_have_text(sentence)
            expect(console.at("#hex")).to_be_focused()
        expect(console.rows("sent")).to_have_count(0)


class TestFile:
    def testIsSentAsOneBinaryMessage(self, console: Console, tmp_path: Path) -> None:
        content = bytes(range(256)) * 400
        (tmp_path / "all bytes.bin").write_bytes(content)
        console.connect()
        console.choose("File")
        console.at("#file").set_input_files(tmp_path / "all bytes.bin")
        expect(console.at("#file-note")).to_have_text("all bytes.bin, 100 KiB")
        console.press("Send file")
        expect(console.rows("received")).to_have_count(1)
        sent, received = [line for line in console.exported() if line["direction"] != "event"]
        assert sent["file"] == "all bytes.bin"
        assert base64.b64decode(sent["base64"]) == base64.b64decode(received["base64"]) == content

    def testMayBeDroppedAnywhereOnThePage(self, console: Console) -> None:
        console.connect()
        dropped = console.page.evaluate_handle(
            """() => {
                const carried = new DataTransfer();
                carried.items.add(new File(["dropped"], "<b>note</b>.txt"));
                return carried;
            }"""
        )
        console.at("h1").dispatch_event("dragover", {"dataTransfer": dropped})
        expect(console.at("body")).to_have_class("dragging")
        console.at("h1").dispatch_event("drop", {"dataTransfer": dropped})
        expect(console.at("body")).not_to_have_class("dragging")
        expect(console.page.get_by_role("tab", name="File")).to_have_attribute("aria-selected", "true")
        expect(console.at("#file-note")).to_have_text("<b>note</b>.txt, 7 B")
        console.press("Send file")
        console.received("64 72 6f 70 70 65 64")

    def testHasToBeChosenFirst(self, console: Console) -> None:
        console.connect()
        console.choose("File")
        console.press("Send file")
        expect(console.at("#send-wrong")).to_have_text("Choose a file first.")


class TestCanvas:
    def testIsDrawnWithAPointerAndComesBackAsAPicture(self, console: Console) -> None:
        console.connect()
        console.choose("Canvas")
        console.page.get_by_label("Red", exact=True).check()
        pad = console.at("#pad")
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        assert box
        left, top = box["x"] + 1, box["y"] + 1  # inside its border
        scale = (box["width"] - 2) / 400
        console.page.mouse.move(left + 100 * scale, top + 80 * scale)
        console.page.mouse.down()
        console.page.mouse.move(left + 200 * scale, top + 80 * scale)
        console.page.mouse.up()
        console.page.mouse.move(left + 200 * scale, top + 200 * scale)  # lifted: no line
        console.press("Send picture")
        picture = console.detail("received").locator("canvas")
        expect(console.at("#log .received .thumbnail")).to_have_count(1)
        for canvas in (pad, picture, console.at("#log .received .thumbnail")):
            assert pixels(canvas, (150, 80), (200, 140)) == [RED, WHITE]

    def testIsSentAsTheArrayBufferOfItsImageData(self, console: Console) -> None:
        console.connect()
        console.choose("Canvas")
        console.press("Send picture")
        expect(console.rows("received")).to_have_count(1)
        (line,) = [line for line in console.exported() if line["direction"] == "received"]
        assert (line["opcode"], line["size"]) == ("binary", PICTURE)
        assert base64.b64decode(line["base64"]) == b"\xff" * PICTURE

    def testIsDrawnWithTheKeysAndCleared(self, console: Console) -> None:
        console.choose("Canvas")
        pad = console.at("#pad")
        pad.press("ArrowRight")  # from the middle, pen up
        pad.press("Space")
        expect(console.at("#live")).to_have_text("Pen down.")
        for _ in range(4):
            pad.press("ArrowDown")
        pad.press("Shift+ArrowLeft")
        expect(console.at("#pen.down")).to_be_visible()
        pad.press("Space")
        pad.press("ArrowDown")
        pad.press("ArrowDown")
        assert pixels(pad, (208, 176), (204, 160), (207, 207)) == [BLACK, WHITE, WHITE]
        pad.press("Delete")
        assert pixels(pad, (208, 176)) == [WHITE]

    def testIsClearedByItsButton(self, console: Console) -> None:
        console.choose("Canvas")
        pad = console.at("#pad")
        pad.click(position={"x": 50, "y": 50})
        assert pixels(pad, (50, 50)) == [BLACK]
        console.press("Clear")
        assert pixels(pad, (50, 50)) == [WHITE]


class TestBinaryType:
    def testIsBlobAtFirstAndChangesAtOnce(self, console: Console) -> None:
        console.unfold("options")
        console.connect()
        console.sendHex("01")
        console.received("01")
        console.page.get_by_text("arraybuffer", exact=True).click()
        console.sendHex("02")
        console.received("01", "02")
        assert console.page.evaluate("kinds") == ["Blob", "ArrayBuffer"]

    def testHoldsForTheNextConnectionToo(self, console: Console) -> None:
        console.unfold("options")
        console.page.get_by_text("arraybuffer", exact=True).click()
        console.connect()
        console.sendHex("01")
        console.received("01")
        assert console.page.evaluate("kinds") == ["ArrayBuffer"]


class TestRoundTrip:
    def testIsMeasuredOnEveryEcho(self, console: Console) -> None:
        console.connect("/echo?delay=120")
        console.sendText("one")
        console.sendHex("02")
        expect(console.rows("received")).to_have_count(2)
        trips = [line["roundTripMs"] for line in console.exported() if line["direction"] == "received"]
        assert all(trip >= 119 for trip in trips)
        expect(console.fact("trip")).to_have_text(f"{trips[-1]:.1f} ms")
        expect(console.fact("trips")).to_have_text(re.compile(r"^\d+\.\d–\d+\.\d in 2$"))

    def testIsNotClaimedForWhatTheServerSaysUnasked(self, console: Console) -> None:
        console.connect("/echo?push=50")
        expect(console.rows("received")).not_to_have_count(0)
        assert all("roundTripMs" not in line for line in console.exported())
        expect(console.fact("trip")).to_have_text("–")

    def testIsThatOfTheFirstAnswerWhenThereAreSeveral(self, console: Console) -> None:
        console.connect("/echo?repeat=3")
        console.sendText("once")
        console.received("once", "once", "once")
        lines = [line for line in console.exported() if line["direction"] == "received"]
        assert ["roundTripMs" in line for line in lines] == [True, False, False]


class TestCounts:
    def testAreKeptOfMessagesAndBytesEachWay(self, console: Console) -> None:
        console.connect("/echo?repeat=2")
        console.sendText("four")
        console.sendHex("010203")
        expect(console.fact("sent")).to_have_text("2")
        expect(console.fact("sent-bytes")).to_have_text("· 7 B")
        expect(console.fact("received")).to_have_text("4")
        expect(console.fact("received-bytes")).to_have_text("· 14 B")
