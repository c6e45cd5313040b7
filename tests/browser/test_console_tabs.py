"""The console's connections: side by side in tabs, kept for the next visit, handed over in a link."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.browser.console import Console


def tabs(console: Console) -> list[str]:
    return console.at("#connections .name").all_inner_texts()


class TestSideBySide:
    def testEachTabHasItsOwnConnectionAndLog(self, console: Console) -> None:
        console.connect("/echo?push=100")
        console.press("New connection")
        console.connect("/echo")
        console.sendText("second")
        console.received("second")
        expect(console.at("#connections [role=tab]")).to_have_count(2)
        expect(console.at("#connections .unread").first).not_to_be_empty()  # the first goes on receiving
        console.at("#connections [role=tab]").first.click()
        expect(console.at("#url")).to_have_value("/echo?push=100")
        expect(console.previews("sent")).to_have_count(0)
        expect(console.at("#connections .unread").first).to_be_empty()
        console.at("#connections [role=tab]").last.click()
        console.received("second")
        assert console.page.evaluate("sockets.map(({readyState}) => readyState)") == [1, 1]

    def testFieldsAndFilterBelongToTheTab(self, console: Console) -> None:
        console.connect("/echo")
        console.sendText("one")
        console.at("#find").fill("one")
        console.choose("Hex")
        console.press("New connection")
        expect(console.at("#find")).to_have_value("")
        console.choose("JSON")
        console.at("#connections [role=tab]").first.click()
        expect(console.at("#find")).to_have_value("one")
        expect(console.at("#panel-hex")).to_be_visible()

    def testAreWalkedByArrowsAndRemovedByDelete(self, console: Console) -> None:
        console.at("#url").fill("/one")
        console.press("New connection")
        console.at("#url").fill("/two")
        console.at("#connections [role=tab]").last.focus()
        console.page.keyboard.press("ArrowLeft")
        expect(console.at("#connections [role=tab]").first).to_be_focused()
        expect(console.at("#url")).to_have_value("/one")
        console.page.keyboard.press("Delete")
        expect(console.at("#connections [role=tab]")).to_be_focused()
        assert tabs(console) == ["/two"]

    def testRemovingATabClosesItsConnection(self, console: Console) -> None:
        console.connect("/echo")
        console.press("Remove /echo")
        console.page.wait_for_function("() => sockets[0].readyState === 3")
        expect(console.at("#url")).to_have_value("/echo")  # one tab is always there
        expect(console.at("#log .row")).to_have_count(0)

    def testALinkOfThePageOpensATabAndLeavesTheOthersOpen(self, console: Console) -> None:
        console.connect("/echo")
        console.at("#routes").evaluate("routes => { routes.open = true; }")
        console.at("#routes a[href^='/?url=']").last.click()
        expect(console.at("#connections [role=tab]")).to_have_count(2)
        assert console.page.evaluate("sockets.map(({readyState}) => readyState)") == [1]


class TestReconnectToThisUrl:
    def testIsOfferedOnceTheAddressWasChanged(self, console: Console) -> None:
        console.connect("/echo")
        console.at("#url").fill("/echo?repeat=2")
        console.press("Reconnect to this URL")
        expect(console.previews("event").nth(3)).to_have_text(re.compile("^Closed: 1000 normal"))
        console.isIn("OPEN")
        console.sendText("twice")
        console.received("twice", "twice")

    def testIsOfferedForOtherSubprotocolsToo(self, console: Console) -> None:
        console.connect("/echo")
        console.at("#protocols").fill("soap")
        expect(console.at("#connect")).to_have_text("Reconnect to this URL")
        console.at("#protocols").fill("")
        expect(console.at("#connect")).to_have_text("Connect")


class TestKept:
    def testFieldsOfAllTabsComeBackWithoutConnecting(self, console: Console) -> None:
        console.connect("/echo?delay=1", "soap, xmpp")
        console.choose("JSON")
        console.at("#json").fill("[1]")
        console.press("New connection")
        console.at("#url").fill("/describe")
        console.page.reload()
        expect(console.at("#url")).to_have_value("/describe")
        console.at("#connections [role=tab]").first.click()
        expect(console.at("#url")).to_have_value("/echo?delay=1")
        expect(console.at("#protocols")).to_have_value("soap, xmpp")
        expect(console.at("#json")).to_have_value("[1]")
        expect(console.at("#panel-json")).to_be_visible()
        assert console.page.evaluate("sockets.length") == 0

    def testAddressesAreOfferedAgain(self, console: Console, daemon: str) -> None:
        console.connect("/echo?delay=3", "soap")
        console.page.reload()
        expect(console.at("#url")).not_to_have_value("")
        console.at("#url").fill("/other")
        console.at("#start").select_option("recent 0")
        expect(console.at("#url")).to_have_value(f"ws://{daemon}/echo?delay=3")
        expect(console.at("#protocols")).to_have_value("soap")
        urls = console.page.eval_on_selector_all("#presets option", "options => options.map(option => option.value)")
        assert urls[0] == f"ws://{daemon}/echo?delay=3"

    def testNothingIsLostWhereStorageIsDamaged(self, openConsole: Opener) -> None:
        damage = """
            for (const name of ["connections", "urls", "texts", "saved"]) localStorage.setItem(`wsd.${name}`, "{");
        """
        console = openConsole(script=damage)
        console.connect()
        console.sendText("still here")
        console.received("still here")


class TestSharing:
    def testALinkFillsInUrlSubprotocolsAndMessageAndSendsNothing(self, openConsole: Opener, daemon: str) -> None:
        console = openConsole(permissions=["clipboard-read", "clipboard-write"])
        console.at("#url").fill(f"ws://{daemon}/echo?repeat=2")
        console.unfold("options")
        console.at("#protocols").fill("a, b")
        console.choose("JSON")
        console.at("#json").fill('{"x": "{{now}} & 你好"}')
        console.press("Share")
        link = console.at("#share-link").input_value()
        expect(console.at("#share")).to_have_text("Copied")
        assert console.page.evaluate("navigator.clipboard.readText()") == link
        assert set(parse_qs(urlsplit(link).query)) == {"url", "protocols", "send"}
        other = openConsole(link.removeprefix(f"http://{daemon}"))
        expect(other.at("#url")).to_have_value(f"ws://{daemon}/echo?repeat=2")
        expect(other.at("#protocols")).to_have_value("a, b")
        expect(other.at("#json")).to_have_value('{"x": "{{now}} & 你好"}')
        expect(other.at("#panel-json")).to_be_visible()
        assert other.page.evaluate("sockets.length") == 0
        other.page.reload()
        expect(other.at("#connections [role=tab]")).to_have_count(1)  # a reload adds no tab

    def testALinkAddsATabToThoseThatWereKept(self, openConsole: Opener) -> None:
        console = openConsole()
        console.at("#url").fill("/kept")
        console.open("/?url=/asked&send=hello")
        assert tabs(console) == ["/kept", "/asked"]
        expect(console.at("#text")).to_have_value("hello")


class TestHeaders:
    def testTheLineForATerminalFollowsTheFields(self, openConsole: Opener, daemon: str) -> None:
        console = openConsole(permissions=["clipboard-read", "clipboard-write"])
        console.unfold("options")
        expect(console.at("#options")).to_contain_text("A browser cannot set headers.")
        console.at("#url").fill("/echo?close=4000&reason=it's")
        console.at("#protocols").fill("soap, a|b")
        line = (
            "wsd connect -H 'Authorization: Bearer TOKEN' --subprotocol soap --subprotocol 'a|b' "
            f"'ws://{daemon}/echo?close=4000&reason=it%27s'"
        )
        expect(console.at("#connect-line")).to_have_text(line)
        console.at("#copy-line").click()
        expect(console.at("#copy-line")).to_have_text("Copied")
        assert console.page.evaluate("navigator.clipboard.readText()") == line
