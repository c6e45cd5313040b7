"""What all pages share: the header, the language, the theme; and the home page, lists, status and errors as pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import FOREIGN
from tests.browser.fits import LANGUAGES, checkFits, faint, opened

PAGES = ("/", "/blob", "/canvas/one", "/soap", "/topics", "/_wsd/status", "/nothing")
NAMES = ["Console", "Canvas", "Files", "SOAP", "Topics", "Uses", "Status"]
NAMES_ZH = ["控制台", "画布", "文件", "SOAP", "主题", "示例", "状态"]

# Lists ask the daemon every few seconds, and when their page is shown again.
ASK = "document.dispatchEvent(new Event('visibilitychange'))"

Opened = Callable[..., Page]


@pytest.fixture
def openPage(browser: Browser, daemon: str) -> Iterator[Opened]:
    """Opens a page of the daemon in a context of its own; no page may log a fault or ask another host."""
    contexts, faults, hosts = [], list[str](), set[str]()

    def openPage(path: str, **options: object) -> Page:
        settings = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options}
        context = browser.new_context(**settings)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        page.goto(f"http://{daemon}{path}")
        expect(page.get_by_role("navigation").get_by_role("link").first).to_be_visible()
        return page

    yield openPage
    for context in contexts:
        context.close()
    assert faults == []
    assert hosts <= {daemon}


def links(page: Page) -> list[str]:
    return page.get_by_role("navigation").get_by_role("link").all_inner_texts()


class TestHeader:
    @pytest.mark.parametrize("path", PAGES)
    def testIsTheSameOnEveryPage(self, openPage: Opened, path: str) -> None:
        page = openPage(path)
        assert links(page) == NAMES
        expect(page.get_by_role("banner").get_by_role("link", name="wsd", exact=True)).to_have_attribute("href", "/")

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/", "Console"),
            ("/canvas/one", "Canvas"),
            ("/blob", "Files"),
            ("/soap", "SOAP"),
            ("/topics", "Topics"),
            ("/_wsd/status", "Status"),
        ],
    )
    def testMarksThePageThatIsShown(self, openPage: Opened, path: str, name: str) -> None:
        page = openPage(path)
        current = page.locator("[aria-current=page]")
        expect(current).to_have_count(1)
        expect(current).to_have_text(name)

    def testMarksNothingOnAPageOfItsOwn(self, openPage: Opened) -> None:
        expect(openPage("/nothing").locator("[aria-current=page]")).to_have_count(0)

    def testLeadsFromPageToPage(self, openPage: Opened) -> None:
        page = openPage("/")
        for name, path in (("Files", "/blob"), ("SOAP", "/soap"), ("Topics", "/topics"), ("Status", "/_wsd/status")):
            page.get_by_role("navigation").get_by_role("link", name=name).click()
            page.wait_for_url(f"**{path}")
            expect(page.locator("[aria-current=page]")).to_have_text(name)

    def testFitsIntoOneLineOfATelephone(self, openPage: Opened) -> None:
        page = openPage("/nothing", viewport={"width": 390, "height": 844})
        tops = (
            page.get_by_role("navigation")
            .get_by_role("link")
            .evaluate_all("links => links.map(link => link.getBoundingClientRect().top)")
        )
        assert len(set(tops)) == 1

    def testIsReachedByKeyboard(self, openPage: Opened) -> None:
        page = openPage("/topics")
        reached = []
        for _ in range(10):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent.trim().slice(0, 7)"))
        assert reached[:1] == ["wsd"]
        assert {"Console", "Status", "English", "简体中文"} <= set(reached)

    def testTellsWhatIsChosenInForcedColours(self, openPage: Opened) -> None:
        page = openPage("/", forced_colors="active")
        border = "link => getComputedStyle(link).borderBottomColor"
        current, other = page.locator("[aria-current=page]"), page.get_by_role("link", name="Files", exact=True)
        assert current.evaluate(border) != other.evaluate(border)
        ground = "button => getComputedStyle(button).backgroundColor"
        english, chinese = (page.get_by_role("button", name=name) for name in ("English", "简体中文"))
        assert english.evaluate(ground) != chinese.evaluate(ground)
        english.hover()
        assert faint(page) == []


class TestLanguage:
    def testIsChosenOnceForAllPages(self, openPage: Opened) -> None:
        page = openPage("/topics")
        page.get_by_role("button", name="简体中文").click()
        expect(page.locator("h1")).to_have_text("主题")
        assert links(page) == NAMES_ZH
        base = page.url.removesuffix("/topics")
        for path, heading in (("/_wsd/status", "状态"), ("/nothing", "页面不存在")):
            page.goto(base + path)
            expect(page.locator("h1:visible")).to_have_text(heading)
            expect(page.locator("html")).to_have_attribute("lang", "zh-CN")

    def testOfAnotherTabIsFollowed(self, openPage: Opened) -> None:
        page = openPage("/topics")
        other = page.context.new_page()
        other.goto(page.url)
        other.get_by_role("button", name="简体中文").click()
        expect(page.locator("h1")).to_have_text("主题")

    @pytest.mark.parametrize(("locale", "lang"), [("zh-CN", "zh-CN"), ("en-GB", "en"), ("fr-FR", "en")])
    def testIsAtFirstTheBrowsers(self, openPage: Opened, locale: str, lang: str) -> None:
        expect(openPage("/nothing", locale=locale).locator("html")).to_have_attribute("lang", lang)


class TestTheme:
    GROUND = "getComputedStyle(document.body).backgroundColor"

    def isDark(self, page: Page) -> bool:
        return sum(map(int, re.findall(r"\d+", page.evaluate(self.GROUND)))) < 3 * 64

    def testIsChosenOnceForAllPages(self, openPage: Opened) -> None:
        page = openPage("/topics", color_scheme="light")
        assert not self.isDark(page)
        page.get_by_label("Theme").select_option("dark")
        assert self.isDark(page)
        page.reload()
        assert self.isDark(page)
        expect(page.get_by_label("Theme")).to_have_value("dark")
        page.get_by_label("Theme").select_option("auto")
        assert not self.isDark(page)

    def testIsRightAtTheFirstPaint(self, openPage: Opened) -> None:
        page = openPage("/topics", color_scheme="light")
        page.get_by_label("Theme").select_option("dark")
        # The modules of the page never come: whatever is dark now was so before them.
        page.route("**/header.js", lambda route: route.abort())
        page.reload()
        assert self.isDark(page)


@pytest.mark.parametrize("language", LANGUAGES)
class TestLooks:
    """In every width and every kind of colours."""

    def testFit(self, browser: Browser, daemon: str, language: str) -> None:
        with opened(browser, language, f"http://{daemon}/") as page:
            for path, ready in (("/", "#routes li"), ("/_wsd/status", "#rows tr"), ("/nothing", "h1"), ("/echo", "h1")):
                page.goto(f"http://{daemon}{path}")
                expect(page.locator(f"{ready}:visible").first).to_be_visible()
                expect(page.get_by_role("navigation").get_by_role("link").first).to_be_visible()
                checkFits(page)

    def testOfTheListOfTopicsFit(self, browser: Browser, daemon: str, language: str) -> None:
        name = "a-long-name-of-a-topic" * 8
        with opened(browser, language, f"http://{daemon}/topics") as page:
            page.evaluate(
                """url => new Promise(resolve => { (window.kept = new WebSocket(url)).onopen = resolve; })""",
                f"ws://{daemon}/topics/{name}",
            )
            page.locator("#name").fill("a//b")
            page.locator("#open [type=submit]").click()
            expect(page.locator("#name-wrong")).to_be_visible()
            page.evaluate(ASK)
            expect(page.locator("#topics li", has_text=name)).to_be_visible()
            checkFits(page)

    def testOfADaemonThatIsNotReadyOrDoesNotAnswerFit(self, browser: Browser, daemon: str, language: str) -> None:
        with opened(browser, language, f"http://{daemon}/_wsd/status") as page:
            expect(page.locator("#rows tr").first).to_be_visible()
            page.route("**/status.json", lambda route: route.fulfill(json={**route.fetch().json(), "ready": False}))
            page.evaluate(ASK)
            expect(page.locator("#ready.bad")).to_be_visible()
            checkFits(page)


class TestHomePage:
    def testBeginsWithTheRoutesOfThisDaemon(self, openPage: Opened) -> None:
        page = openPage("/")
        shown = page.locator("#routes code").all_inner_texts()
        assert {"/", "/echo", "/describe", "/blob", "/canvas/NAME", "/topics/NAME", "/soap", "/open"} <= set(shown)
        assert all(page.locator("#routes li p:first-of-type").all_inner_texts())
        page.get_by_role("button", name="简体中文").click()
        expect(page.locator("#routes")).to_contain_text("原样返回每条消息")

    def testOpensARouteInTheConsole(self, openPage: Opened, daemon: str) -> None:
        page = openPage("/")
        page.get_by_role("link", name="Connect: /xmpp", exact=True).click()
        expect(page.locator("#url")).to_have_value(f"ws://{daemon}/xmpp")
        expect(page.locator("#routes")).not_to_have_attribute("open", "")

    def testFoldsForWhoHasUsedTheConsole(self, openPage: Opened) -> None:
        page = openPage("/")
        expect(page.locator("#routes")).to_have_attribute("open", "")
        page.get_by_role("button", name="Connect", exact=True).click()
        page.reload()
        expect(page.locator("#routes summary")).to_be_visible()
        expect(page.locator("#routes")).not_to_have_attribute("open", "")
        page.locator("#routes summary").click()
        page.reload()
        expect(page.locator("#routes")).to_have_attribute("open", "")


class TestErrors:
    def testOfAWebSocketLinkToTheConsoleWithItsUrl(self, openPage: Opened, daemon: str) -> None:
        page = openPage("/echo?delay=5")
        expect(page.locator("h1:visible")).to_have_text("This address is for WebSockets")
        page.get_by_role("link", name="Open in the console").click()
        expect(page.locator("#url")).to_have_value(f"ws://{daemon}/echo?delay=5")

    @pytest.mark.parametrize("path", ["/nothing", "/blob/nothing", "/canvas/a/b", "/soap/nothing", "/topics/a//b"])
    def testOfEveryRouteArePagesWithALinkBack(self, openPage: Opened, path: str) -> None:
        page = openPage(path)
        expect(page.locator("h1:visible")).to_have_count(1)
        page.get_by_role("link", name="Home page").click()
        expect(page.locator("#connect")).to_be_visible()

    def testFollowTheChosenLanguage(self, openPage: Opened) -> None:
        page = openPage("/nothing")
        page.get_by_role("button", name="简体中文").click()
        expect(page.locator("h1:visible")).to_have_text("页面不存在")
        page.get_by_role("button", name="English").click()
        expect(page.locator("h1:visible")).to_have_text("There is nothing at this address")

    def testAreReadableUnderAForeignNameThoughTheirFilesAreRefused(self, browser: Browser, daemon: str) -> None:
        context = browser.new_context(locale="zh-CN")
        page = context.new_page()
        response = page.goto(f"http://{FOREIGN}:{daemon.partition(':')[2]}/")
        assert response is not None
        assert response.status == 421
        expect(page.locator("h1:visible")).to_have_text("服务器不认识这个域名")
        assert page.locator("main").evaluate("main => main.getBoundingClientRect().width") < 700
        context.close()

    def testRunNothingOfTheAddress(self, openPage: Opened) -> None:
        page = openPage('/<img src=x onerror=alert(1)>?"><script>window.ran=1</script>')
        assert page.evaluate("window.ran") is None
        expect(page.locator("main img, main script")).to_have_count(0)


class TestTopics:
    def testListsThoseWithSubscribersAndOpensOne(self, openPage: Opened, daemon: str) -> None:
        page = openPage("/topics")
        page.evaluate(
            """url => new Promise((resolve, reject) => {
                window.kept = new WebSocket(url);
                window.kept.onopen = resolve;
                window.kept.onerror = reject;
            })""",
            f"ws://{daemon}/topics/site/one",
        )
        page.evaluate(ASK)
        expect(page.locator("#topics")).to_contain_text("site/one")
        expect(page.locator("#topics li", has_text="site/one")).to_contain_text("1 subscriber")
        page.get_by_role("link", name="site/one").click()
        expect(page.locator("#url")).to_have_value(f"ws://{daemon}/topics/site/one")

    @pytest.mark.parametrize("name", ["", "a//b", "a/+", "#", "$x", "x" * 201])
    def testSaysWhatANameIs(self, openPage: Opened, name: str) -> None:
        page = openPage("/topics")
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name="Open in the console").click()
        expect(page.locator("#name-wrong")).to_contain_text("Use a name of at most 200 bytes")
        expect(page.get_by_label("Name")).to_be_focused()

    def testOpensANewOne(self, openPage: Opened, daemon: str) -> None:
        page = openPage("/topics")
        page.get_by_label("Name").fill("数据/a b")
        page.get_by_role("button", name="Open in the console").click()
        expect(page.locator("#url")).to_have_value(f"ws://{daemon}/topics/%E6%95%B0%E6%8D%AE/a%20b")


class TestStatus:
    def testShowsTheDaemonAndItsRoutes(self, openPage: Opened) -> None:
        page = openPage("/_wsd/status")
        expect(page.locator("#ready")).to_have_text("Ready")
        expect(page.locator("#facts")).to_contain_text("Uptime")
        expect(page.get_by_role("rowheader", name="/echo", exact=True)).to_be_visible()
        page.get_by_role("button", name="简体中文").click()
        expect(page.locator("#ready")).to_have_text("运行正常")

    def testSaysWhenTheServerDoesNotAnswer(self, openPage: Opened) -> None:
        page = openPage("/_wsd/status")
        expect(page.locator("#ready")).to_have_text("Ready")
        page.route("**/status.json", lambda route: route.abort())
        page.evaluate(ASK)
        expect(page.locator("#ready")).to_have_text("No answer from the server")


# What openSocket tells of an attempt: the sentence and the command, or null.
WHY = """async ([url, protocols, act]) => {
    const {openSocket} = await import("/_wsd/why.js");
    const {say} = await import("/_wsd/language.js");
    const {socket, why} = openSocket(url, protocols);
    socket.onopen = () => act && socket.send(act);
    await new Promise(resolve => { socket.onclose = resolve; });
    const reason = await why();
    return reason && [say(reason.key, reason.values), reason.command];
}"""


class TestWhyAConnectionFailed:
    @pytest.mark.parametrize(
        ("path", "sentence"),
        [
            ("/nothing", "The server refused the connection with 404 Not Found: there is no WebSocket at /nothing"),
            ("/echo?x", "The server refused the connection with 400 Bad Request: 'x' is"),
            ("/echo;a?x", "The server refused the connection with 404 Not Found: there is no WebSocket at /echo;a"),
            ("/echo?abrupt", "The server ended the connection: the route dropped it"),
        ],
    )
    def testIsToldByTheDaemon(self, openPage: Opened, daemon: str, path: str, sentence: str) -> None:
        page = openPage("/topics")
        told = page.evaluate(WHY, [f"ws://{daemon}{path}", [], "go"])
        assert told[0].startswith(sentence)
        assert told[1] is None
        assert page.evaluate("document.cookie") == ""

    def testIsNothingNewAfterAClosingHandshake(self, openPage: Opened, daemon: str) -> None:
        assert openPage("/topics").evaluate(WHY, [f"ws://{daemon}/echo?close=4000", [], "go"]) is None

    def testIsToldInTheChosenLanguage(self, openPage: Opened, daemon: str) -> None:
        told = openPage("/topics", locale="zh-CN").evaluate(WHY, [f"ws://{daemon}/nothing", [], ""])
        assert told[0].startswith("服务器拒绝了连接：404 Not Found")

    def testOfAnotherHostIsForTheTerminal(self, openPage: Opened, daemon: str) -> None:
        told = openPage("/topics").evaluate(WHY, ["ws://localhost:1/it's", ["a", "b"], ""])
        origin = f"--origin http://{daemon}"
        assert told[1] == f"wsd connect {origin} --subprotocol a --subprotocol b 'ws://localhost:1/it'\\''s'"

    def testOfASilentServerIsThatItDoesNotAnswer(self, openPage: Opened, daemon: str) -> None:
        page = openPage("/topics")
        page.evaluate("import('/_wsd/why.js')")
        page.context.set_offline(True)
        told = page.evaluate(WHY, [f"ws://{daemon}/echo", [], ""])
        assert told[0].startswith(f"No server answers at {daemon}.")

    def testLeavesNoTraceInWhatTheProtocolSees(self, openPage: Opened, daemon: str) -> None:
        seen = openPage("/topics").evaluate(
            """url => import("/_wsd/why.js").then(({openSocket}) => new Promise(resolve => {
                const {socket} = openSocket(url);
                socket.onmessage = ({data}) => resolve(data);
                socket.onopen = () => socket.send("?");
            }))""",
            f"ws://{daemon}/describe",
        )
        assert "wsd_attempt" not in seen
        assert "Upgrade" in seen

    def testOfOneTabIsNotToldToAnother(self, openPage: Opened, daemon: str) -> None:
        page = openPage("/topics")
        page.evaluate(WHY, [f"ws://{daemon}/nothing", [], ""])
        other = page.context.new_page()
        other.goto(page.url)
        answer = other.evaluate(
            """token => fetch("/_wsd/why", {headers: {"Wsd-Attempt": token, "Wsd-Target": "/nothing"}})
                .then(answer => answer.json())""",
            "0" * 32,
        )
        assert answer == {}

    def testIsNotToldToAPageOfAnotherOrigin(self, page: Page, daemon: str, served: int) -> None:
        """Another port of the same host: cookies are shared, and nothing else."""
        page.goto(f"http://localhost:{served}/blank.html")
        token = "a" * 32
        answer = page.evaluate(
            """async ([host, token]) => {
                document.cookie = `wsd_attempt_${token}=1; Path=/`;
                await new Promise(resolve => { new WebSocket(`ws://${host}/nothing`).onclose = resolve; });
                const headers = {"Wsd-Attempt": token, "Wsd-Target": "/nothing"};
                return fetch(`http://${host}/_wsd/why`, {headers}).then(answer => answer.text(), error => error.name);
            }""",
            [daemon, token],
        )
        assert answer == "TypeError"
        page.goto(f"http://{daemon}/topics")
        headers = {"Wsd-Attempt": token, "Wsd-Target": "/nothing"}
        remembered = page.evaluate("headers => fetch('/_wsd/why', {headers}).then(answer => answer.json())", headers)
        assert remembered == {}
