"""What the console offers to start with: templates for the protocols, and a rule that replies automatically."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console

ANSWERS = [
    ("xmpp", "xmpp", r'^<open xmlns="urn:ietf:params:xml:ns:xmpp-framing"'),
    ("soap", "soap", "AddResponse"),
    ("topics", "", r"^17\.5$"),
    ("topics.wsd.v1", "topics.wsd.v1", "^subscribed  quotes/ACME"),
    ("blob.wsd.v1", "blob.wsd.v1", '"ready"'),
]


class TestTemplates:
    @pytest.mark.parametrize(("name", "protocols", "answer"), ANSWERS)
    def testSetSubprotocolAndFirstMessageThatTheDaemonAnswers(
        self, console: Console, name: str, protocols: str, answer: str
    ) -> None:
        values = console.page.eval_on_selector_all(
            "#start option[value^=template]", "options => options.map(({value}) => value)"
        )
        names = console.page.evaluate("import('/_wsd/templates.js').then(m => m.TEMPLATES.map(({name}) => name))")
        console.at("#start").select_option(values[names.index(name)])
        expect(console.at("#protocols")).to_have_value(protocols)
        assert console.page.evaluate("sockets.length") == 0
        console.press("Connect")
        console.isIn("OPEN")
        console.at("form[role=tabpanel]:visible .primary").click()
        expect(console.previews("received").filter(has_text=re.compile(answer)).first).to_be_visible()

    def testForFilesNamesTheNextBinaryMessage(self, console: Console) -> None:
        console.at("#start").select_option("template 4")
        console.press("Connect")
        console.isIn("OPEN")
        console.press("Send JSON")
        console.sendHex("68656c6c6f")
        expect(console.previews("received")).to_contain_text('"name": "hello.txt"')

    def testTheExamplesOfEchoFillInTheUrl(self, console: Console, daemon: str) -> None:
        console.at("#start").select_option(label="/echo?repeat=3 – each message comes back three times")
        expect(console.at("#url")).to_have_value(f"ws://{daemon}/echo?repeat=3")


class TestAutomaticReply:
    def rule(self, console: Console, how: str, what: str, text: str) -> None:
        console.unfold("reply")
        console.at("#reply-how").select_option(how)
        console.at("#reply-what").fill(what)
        console.at("#reply-text").fill(text)
        console.at("#reply-on").check()

    @pytest.mark.parametrize(
        ("how", "what", "matched", "other"),
        [
            ("contains", "in", "ping", "pong"),
            ("equals", "ping", "ping", "pings"),
            ("matches", r"^p\wng$", "ping", "ping!"),
        ],
    )
    def testAnswersWhatMatches(self, console: Console, how: str, what: str, matched: str, other: str) -> None:
        self.rule(console, how, what, "reply to <{{message}}>, {{counter}}")
        # What comes back of a reply may match again: the delay limits how often, until the rule is off.
        console.connect("/echo?delay=200")
        console.sendText(other)
        console.sendText(matched)
        expect(console.previews("sent").nth(2)).to_have_text(f"reply to <{matched}>, 3")
        console.at("#reply-on").uncheck()

    def testCannotGoOnWithoutEnd(self, console: Console) -> None:
        self.rule(console, "contains", "a", "a")
        console.connect()
        console.sendText("a")
        expect(console.at("#log .failed .preview")).to_contain_text("Automatic reply switched off after 100 replies")
        expect(console.at("#reply-on")).not_to_be_checked()
        expect(console.at("#reply-state")).to_be_empty()
        expect(console.at("#reply-note")).to_contain_text("100 of at most 100 replies")
        expect(console.fact("sent")).to_have_text("101")

    def testIsOffAfterAReloadAndInANewTab(self, console: Console) -> None:
        self.rule(console, "contains", "a", "a")
        console.press("New connection")
        expect(console.at("#reply-on")).not_to_be_checked()
        console.page.reload()
        console.at("#connections [role=tab]").first.click()
        expect(console.at("#reply-on")).not_to_be_checked()
        expect(console.at("#reply-what")).to_have_value("a")

    def testSaysWhatIsWrongWithAnExpression(self, console: Console) -> None:
        self.rule(console, "matches", "(", "x")
        expect(console.at("#reply-wrong")).to_have_text(re.compile("^Not a regular expression: "))
        console.connect()
        console.sendText("(")
        console.received("(")
        expect(console.fact("sent")).to_have_text("1")
