"""The class at /uses/class: pupils see what the teacher does, and cannot do what is the teacher's."""

from __future__ import annotations

import re
import zlib

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.uses import UsesServer, Windows, checkFrame, checkHygiene, checkLooks, saveShot, server, windows

__all__ = ["server", "windows"]

# How many pixels of the whiteboard are painted.
_PAINTED = """() => {
    const canvas = document.getElementById("board");
    const copy = new OffscreenCanvas(800, 450).getContext("2d", {willReadFrequently: true});
    copy.drawImage(canvas, 0, 0);
    return copy.getImageData(0, 0, 800, 450).data.filter((value, place) => place % 4 === 3 && value > 0).length;
}"""

# What a pupil tries who knows the protocol: publish with the pupil's own token.
_PUBLISH = """async ([topic, payload, key]) => {
    const {Topics} = await import("/_wsd/wsd-topics.js");
    const {secret} = JSON.parse(sessionStorage.getItem("wsd.uses.class"));
    const headers = {Authorization: `Bearer ${secret}`};
    const {token, class: room, user} = await (await fetch(`/uses/class/token${location.search}`, {headers})).json();
    const topics = new Topics("/uses/class/topics/", {token});
    const answer = await topics.publish(topic.replace("ROOM", room).replace("ME", user), payload, {key})
        .then(() => "published", ({code}) => code);
    topics.close();
    return answer;
}"""

# The same for the whiteboard, as a painter: whether it opens.
_PAINT = """async () => {
    const {secret} = JSON.parse(sessionStorage.getItem("wsd.uses.class"));
    const headers = {Authorization: `Bearer ${secret}`};
    const {token, class: room} = await (await fetch(`/uses/class/token${location.search}`, {headers})).json();
    const socket = new WebSocket(`/uses/class/board/${room}?role=painter`, ["canvas", `bearer.${token}`]);
    return new Promise((resolve) => {
        socket.onopen = () => resolve("open");
        socket.onclose = () => resolve("refused");
    });
}"""


def begin(windows: Windows) -> tuple[Page, Page]:
    """A teacher in English and a pupil in Chinese."""
    teacher = windows.open("/uses/class")
    return teacher, come(windows, teacher, "小明")


def come(windows: Windows, teacher: Page, name: str, locale: str = "zh-CN") -> Page:
    """A pupil opens the link of the teacher's page."""
    expect(teacher).to_have_url(re.compile(r"\?class=[0-9a-f]{16}$"))
    pupil = windows.open(teacher.url[teacher.url.index("/uses") :], locale)
    pupil.locator("#name").fill(name)
    expect(person(teacher, name)).to_be_visible()
    return pupil


def person(page: Page, name: str) -> Locator:
    return page.locator("#people li").filter(has_text=name)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def drawLine(page: Page, fromX: float, fromY: float, toX: float, toY: float) -> None:
    """Drag on the whiteboard, in parts of its size."""
    page.locator("#board").scroll_into_view_if_needed()
    box = page.locator("#board").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + fromX * box["width"], box["y"] + fromY * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + toX * box["width"], box["y"] + toY * box["height"], steps=8)
    page.mouse.up()


def expectBoard(page: Page) -> None:
    """The whiteboard is connected."""
    expect(page.locator("body")).to_have_attribute("data-board", "open")


def paints(page: Page, more: int = 0) -> int:
    """Wait until more pixels than that are painted: how many."""
    page.wait_for_function(f"(more) => ({_PAINTED})() > more", arg=more)
    painted: int = page.evaluate(_PAINTED)
    return painted


def stored(server: UsesServer, room: str) -> int:
    """How many pixels of the whiteboard are painted in the state folder."""
    try:
        alpha = zlib.decompress((server.folder / "uses-class-boards" / room).read_bytes())[3::4]
    except FileNotFoundError:
        return 0
    return len(alpha) - alpha.count(0)


class TestClass:
    def testIsFollowedByPupilsOverARestart(self, server: UsesServer, windows: Windows) -> None:
        teacher, pupil = begin(windows)
        expect(teacher.locator("#role")).to_contain_text("You are the teacher.")
        expect(pupil.locator("#role")).to_contain_text("你是学生。")
        expect(pupil.locator("#number")).to_have_text("老师和 1 名学生")

        press(teacher, "Next")
        expect(pupil.locator("#place")).to_have_text("第 2 页，共 4 页")
        expect(pupil.locator(".slide-title")).to_have_text("如何开始")

        pupil.locator("#message").fill("老师好")
        pupil.keyboard.press("Enter")
        expect(teacher.locator("#messages li")).to_contain_text(["老师好"])
        teacher.locator("#name").fill("Ms Li")
        teacher.locator("#message").fill("Hello all")
        teacher.keyboard.press("Enter")
        expect(pupil.locator("#messages li").last).to_contain_text("Hello all")
        expect(pupil.locator("#messages li").last.locator(".badge")).to_have_text("老师")

        pupil.locator("#hand").click()
        expect(person(teacher, "小明").locator(".hand")).to_have_text("hand raised")

        teacher.locator("#question").fill("Which is full duplex?")
        teacher.locator("#choices").fill("WebSocket\nSSE")
        press(teacher, "Start a poll")
        pupil.locator("#options").get_by_role("button", name="WebSocket").click()
        expect(teacher.locator("#options output")).to_have_text(["1", "0"])

        for page in (teacher, pupil):
            expectBoard(page)
        drawLine(teacher, 0.2, 0.2, 0.7, 0.6)
        painted = paints(pupil, 500)
        saveShot(teacher, "class teacher")
        saveShot(pupil, "class pupil zh")
        for page in (teacher, pupil):
            checkHygiene(page)
        pupil.wait_for_timeout(1000)  # a picture is stored 0.25 s after it has changed
        painted = paints(pupil, 500)

        server.kill()
        expect(pupil.locator("#connection")).to_contain_text("服务器已断开")
        server.start()
        expect(pupil.locator("#connection")).to_contain_text("服务器已恢复")
        expect(teacher.locator("#connection")).to_contain_text("The server is back")
        press(teacher, "Next")
        expect(pupil.locator(".slide-title")).to_have_text("发送什么")
        for page in (teacher, pupil):
            expectBoard(page)
            paints(page, painted - 1)
        drawLine(teacher, 0.2, 0.8, 0.7, 0.8)
        paints(pupil, painted + 300)

        late = come(windows, teacher, "Late", "en-US")
        expect(late.locator("#place")).to_have_text("Slide 3 of 4")
        expect(late.locator("#messages li")).to_contain_text(["老师好", "Hello all"])
        expect(late.locator("#options output")).to_have_text(["1", "0"])
        expect(person(late, "小明").locator(".hand")).to_be_visible()
        paints(late, painted)

        person(teacher, "小明").get_by_role("button", name="Lower hand").click()
        expect(person(late, "小明").locator(".hand")).to_have_count(0)
        expect(pupil.locator("#hand")).to_have_text("举手")
        press(teacher, "End the poll")
        expect(late.locator("#total")).to_have_text("Ended. Votes: 1")
        expect(late.locator("#options button")).to_have_count(0)
        teacher.reload()
        expect(teacher.locator("#role")).to_contain_text("You are the teacher.")

    def testTheBoardIsThereAfterARestartThoughTheTeachersPageIsClosed(
        self, server: UsesServer, windows: Windows
    ) -> None:
        teacher, pupil = begin(windows)
        address = teacher.url[teacher.url.index("/uses") :]
        expectBoard(teacher)
        drawLine(teacher, 0.2, 0.2, 0.7, 0.6)
        painted = paints(pupil, 500)
        while stored(server, address[-16:]) < painted:
            pupil.wait_for_timeout(50)
        teacher.close()
        server.kill()
        expect(pupil.locator("body")).to_have_attribute("data-board", "")
        server.start()
        expectBoard(pupil)
        late = windows.open(address)
        assert paints(late, painted - 1) == paints(pupil, painted - 1)

    def testAPupilCannotDoWhatIsTheTeachers(self, windows: Windows, server: UsesServer) -> None:
        teacher, pupil = begin(windows)
        for control in ("#previous", "#next", "#editing", "#ask", "#clear", "#end"):
            expect(pupil.locator(control)).to_be_hidden()
        pupil.locator("#slide").focus()
        pupil.keyboard.press("ArrowRight")
        room = pupil.url[-16:]
        for topic, payload, key in (
            ("ROOM/lesson", {"at": 3}, "slide"),
            ("ROOM/lesson", "my slides", "deck"),
            ("ROOM/lesson", {"id": 1, "question": "?", "options": ["a", "b"], "isOpen": True}, "poll"),
            (f"ROOM/by/{room}/chat", {"text": "I am the teacher", "name": "Teacher", "at": 0}, "0"),
            (f"ROOM/by/{room}/vote", {"poll": 1, "choice": 0}, "vote"),
            ("ROOM/by/0123456789abcdef/hand", {"isUp": False}, "hand"),
            ("0123456789abcdef/lesson", {"at": 3}, "slide"),
        ):
            assert pupil.evaluate(_PUBLISH, [topic, payload, key]) == "forbidden", topic
        assert pupil.evaluate(_PUBLISH, ["ROOM/by/ME/chat", {"text": "hi", "name": "x", "at": 1}, "0"]) == "published"
        expect(teacher.locator("#place")).to_have_text("Slide 1 of 4")
        expect(teacher.locator("#messages li")).to_have_count(1)
        assert teacher.evaluate(_PUBLISH, ["ROOM/lesson", {"at": 1}, "slide"]) == "published"

    def testAPupilPaintsOnlyWithThePen(self, windows: Windows) -> None:
        teacher, pupil = begin(windows)
        expect(pupil.locator("#paints")).to_have_text("你正在观看。老师可以把画笔交给你。")
        drawLine(pupil, 0.1, 0.1, 0.9, 0.9)
        assert pupil.evaluate(_PAINTED) == 0
        assert pupil.evaluate(_PAINT) == "refused"
        windows.faults = [fault for fault in windows.faults if "403" not in fault]
        assert teacher.evaluate(_PAINT) == "open"

        person(teacher, "小明").get_by_role("button", name="Give the pen").click()
        expect(pupil.locator("#paints")).to_have_text("画笔交给你两分钟。")
        expect(pupil.locator("#clear")).to_be_visible()
        expectBoard(pupil)
        drawLine(pupil, 0.1, 0.1, 0.9, 0.9)
        paints(teacher, 500)

    def testTheKeyboardIsEnough(self, windows: Windows) -> None:
        teacher, pupil = begin(windows)
        expectBoard(teacher)
        teacher.locator("#board").focus()
        teacher.keyboard.press("Space")
        for _ in range(10):
            teacher.keyboard.press("ArrowRight")
        paints(pupil, 100)
        teacher.locator("#slide").focus()
        teacher.keyboard.press("ArrowRight")
        expect(pupil.locator("#place")).to_have_text("第 2 页，共 4 页")
        pupil.locator("#hand").focus()
        pupil.keyboard.press("Enter")
        button = person(teacher, "小明").get_by_role("button", name="Lower hand")
        button.focus()
        teacher.keyboard.press("Enter")
        expect(pupil.locator("#hand")).to_have_attribute("aria-pressed", "false")

    def testTheTeachersOwnSlidesReplaceTheSample(self, windows: Windows) -> None:
        teacher, pupil = begin(windows)
        teacher.locator("#editing summary").click()
        teacher.locator("#deck").fill("Fractions\nOne half\n---\nMore fractions")
        press(teacher, "Use these slides")
        expect(pupil.locator(".slide-title")).to_have_text("Fractions")
        expect(pupil.locator("#place")).to_have_text("第 1 页，共 2 页")

    def testSaysWhatTheServerLacks(self, windows: Windows, server: UsesServer) -> None:
        page = windows.open("/uses/class")
        sentence = 'a class needs PyJWT; get it with: pip install "txwsd[topics]"'
        page.route("**/uses/class/token*", lambda route: route.fulfill(status=501, body=f"{sentence}\n"))
        page.reload()
        expect(page.get_by_role("alert")).to_have_text(sentence)
        expect(page.locator("#board")).to_be_hidden()
        windows.faults = [fault for fault in windows.faults if "501" not in fault and sentence not in fault]

    def testHasItsFrame(self, windows: Windows) -> None:
        page = windows.open("/uses/class")
        page.wait_for_function("() => 'ready' in document.body.dataset")
        checkFrame(page)

    def testLooksRightEverywhere(self, browser: Browser, server: UsesServer) -> None:
        checkLooks(browser, server.url("/uses/class"), "#people li")
