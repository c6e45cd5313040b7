"""The console as a person meets it: what can be done on the page, and what can be read from it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Dialog, Locator, Page, expect

# Keeps every WebSocket the page makes, and what kind of object each message came as.
WATCH = """
window.sockets = [];
window.kinds = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    window.sockets.push(this);
    this.addEventListener("message", ({data}) => window.kinds.push(data.constructor.name));
  }
};
"""

STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"]


class Console:
    """One page with the console in it. `faults` are its errors, `requested` the addresses that it asked for."""

    def __init__(self, page: Page, base: str, script: str = "") -> None:
        self.page = page
        self.base = base
        self.faults: list[str] = []
        self.requested: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._heard)
        page.on("request", lambda request: self._asked(request.url))
        page.on("dialog", self._alerted)
        page.add_init_script(WATCH + script)

    def _heard(self, message: ConsoleMessage) -> None:
        # A refused connection is told in the browser's console by the browser itself.
        if message.type in ("error", "warning") and not message.text.startswith("WebSocket connection to"):
            self.faults.append(message.text)

    def _alerted(self, dialog: Dialog) -> None:
        self.faults.append(f"alert: {dialog.message}")
        dialog.dismiss()

    def _asked(self, url: str) -> None:
        if not url.startswith(("blob:", "data:")):
            self.requested.append(url)

    def open(self, path: str = "/") -> None:
        self.response = self.page.goto(self.base + path)
        expect(self.page.locator("#url")).not_to_have_value("")

    def forget(self) -> None:
        self.faults.clear()
        self.requested.clear()

    def isBlameless(self) -> None:
        """Whatever was done with it, the page asked no one but its own host, and had nothing to complain of."""
        assert self.faults == []
        assert {urlsplit(url).netloc for url in self.requested} == {urlsplit(self.base).netloc}

    def at(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def unfold(self, name: str) -> None:
        """Opens what is a click away: "options", "reply" or "saved"."""
        self.at(f"#{name}").evaluate("details => { details.open = true; }")

    def connect(self, url: str | None = None, protocols: str = "") -> None:
        """Connects, and waits until it is open. A path is taken as one of the daemon's."""
        self.dial(url, protocols)
        self.isIn("OPEN")

    def dial(self, url: str | None = None, protocols: str = "") -> None:
        if url is not None:
            self.at("#url").fill(url)
        self.unfold("options")
        self.at("#protocols").fill(protocols)
        self.press("Connect")

    def isIn(self, state: str) -> None:
        """Waits until the page shows this readyState, and no other."""
        expect(self.at("#states [aria-current]")).to_have_text(f"{STATES.index(state)} {state}")

    def choose(self, tab: str) -> None:
        """Goes to one of the tabs of what to send."""
        self.page.get_by_role("tab", name=tab, exact=True).click()

    def sendText(self, text: str) -> None:
        self.choose("Text")
        self.at("#text").fill(text)
        self.press("Send text")

    def sendHex(self, text: str) -> None:
        self.choose("Hex")
        self.at("#hex").fill(text)
        self.press("Send bytes")

    def rows(self, kind: str) -> Locator:
        """The rows of a kind in the log: "sent", "received" or "event"."""
        return self.at(f"#log .{kind} .row")

    def previews(self, kind: str) -> Locator:
        return self.at(f"#log .{kind} .preview")

    def received(self, *texts: str) -> None:
        """Waits until these are what came back, in this order."""
        expect(self.previews("received")).to_have_text(list(texts))

    def detail(self, kind: str, index: int = -1) -> Locator:
        """Opens a row, and gives what opened."""
        row = self.at(f"#log .entry.{kind}").nth(index)
        row.locator(".row").click()
        return row.locator(".detail")

    def exported(self) -> list[dict[str, Any]]:
        """The lines of the file that Export saves."""
        with self.page.expect_download() as saving:
            self.at("#export").click()
        assert saving.value.suggested_filename.endswith(".jsonl")
        return [json.loads(line) for line in saving.value.path().read_text("utf-8").splitlines()]

    def fact(self, name: str) -> Locator:
        return self.at(f"#fact-{name}")
