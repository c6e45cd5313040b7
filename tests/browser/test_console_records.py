"""What the console imports: its own export, and the WebSockets of a HAR."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console


def har(*entries: dict[str, object]) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": [{"request": {"url": "http://a/"}}, *entries]}})


def entry(url: str, *messages: tuple[str, int, str], protocol: str = "") -> dict[str, object]:
    """An entry of a HAR as Chrome saves it; messages are (type, opcode, data)."""
    headers = [{"name": "Sec-WebSocket-Protocol", "value": protocol}] if protocol else []
    return {
        "startedDateTime": "2026-11-28T10:00:00.000Z",
        "request": {"url": url, "headers": headers},
        "response": {"headers": headers},
        "_resourceType": "websocket",
        "_webSocketMessages": [
            {"type": kind, "time": 1795860000.5 + index, "opcode": opcode, "data": data}
            for index, (kind, opcode, data) in enumerate(messages)
        ],
    }


def take(console: Console, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    console.at("#import").set_input_files(tmp_path / name)


class TestExported:
    def testComesBackAsItWas(self, console: Console, tmp_path: Path) -> None:
        console.connect("/echo?delay=1", "")
        console.sendText("Apple\npie")
        console.sendHex("c0 ff ee")
        expect(console.rows("received")).to_have_count(2)
        console.press("Close")
        console.isIn("CLOSED")
        lines = console.exported()
        before = console.at("#log .row").all_text_contents()
        take(console, tmp_path, "log.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
        expect(console.at("#connections [role=tab]")).to_have_count(2)
        expect(console.at("#log .row")).to_have_text(before)
        expect(console.at("#url")).to_have_value(lines[0]["url"])
        assert console.exported() == lines
        assert console.page.evaluate("sockets.length") == 1

    def testCanBeSentAgain(self, console: Console, tmp_path: Path, daemon: str) -> None:
        row = {"time": "2026-11-28T10:00:00.000Z", "direction": "sent", "opcode": "text", "size": 5, "text": "again"}
        take(console, tmp_path, "log.jsonl", json.dumps(row))
        expect(console.previews("sent")).to_have_text("again")
        console.connect("/echo")
        console.detail("sent", 0).get_by_role("button", name="Resend").click()
        console.received("again")


class TestHar:
    def testShowsEachWebSocketInATab(self, console: Console, tmp_path: Path) -> None:
        data = base64.b64encode(b"\x00\xff").decode()
        content = har(
            entry("wss://example.com/one", ("send", 1, "hello"), ("receive", 2, data), protocol="soap"),
            entry("wss://example.com/none"),
            entry("ws://example.com/two", ("receive", 1, "<b>x</b>")),
        )
        take(console, tmp_path, "site.har", content)
        expect(console.at("#connections .name")).to_have_text(["/echo", "example.com/one", "example.com/two"])
        console.received("<b>x</b>")
        console.at("#connections [role=tab]").nth(1).click()
        expect(console.at("#url")).to_have_value("wss://example.com/one")
        expect(console.at("#protocols")).to_have_value("soap")
        expect(console.previews("sent")).to_have_text("hello")
        console.received("00 ff")
        assert console.exported()[1]["time"] == "2026-11-28T10:00:00.500Z"


class TestWhatIsNone:
    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("not json", "“x.har” is neither a HAR file nor an exported log."),
            ('{"a": 1}', "“x.har” is neither a HAR file nor an exported log."),
            ('{"log": {"entries": [{"_webSocketMessages": 5}]}}', "“x.har” has no WebSocket messages."),
            (har(), "“x.har” is neither a HAR file nor an exported log."),
            (har(entry("ws://a/")), "“x.har” has no WebSocket messages."),
            ("", "“x.har” has no WebSocket messages."),
        ],
    )
    def testIsToldInASentence(self, console: Console, tmp_path: Path, content: str, sentence: str) -> None:
        take(console, tmp_path, "x.har", content)
        expect(console.at("#import-wrong")).to_have_text(sentence)
        expect(console.at("#connections [role=tab]")).to_have_count(1)
