"""Pages of others: what their scripts can reach from a visitor's browser, and what they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Frame, Page

from tests.browser.conftest import FOREIGN, tutorial

# Whether a WebSocket to the address opens.
OPENS = """url => new Promise(resolve => {
    const connection = new WebSocket(url);
    connection.onopen = () => { resolve(true); connection.close(); };
    connection.onerror = () => resolve(false);
})"""


def opens(where: Page | Frame, url: str) -> bool:
    answer = where.evaluate(OPENS, url)
    assert isinstance(answer, bool)
    return answer


class TestPageOfAnotherHost:
    @pytest.fixture
    def foreign(self, shared: Page, served: int) -> Page:
        shared.goto(f"http://{FOREIGN}:{served}/blank.html")
        assert shared.evaluate("origin") == f"http://{FOREIGN}:{served}"
        return shared

    def testIsKeptOut(self, foreign: Page, daemon: str) -> None:
        for path in ("/ws", "/echo", "/describe", "/"):
            assert opens(foreign, f"ws://{daemon}{path}") is False

    def testIsLetInWhereTheRouteAllowsIt(self, foreign: Page, daemon: str) -> None:
        assert opens(foreign, f"ws://{daemon}/open") is True

    def testCannotReachTheDaemonUnderANameOfItsOwn(self, foreign: Page, daemon: str) -> None:
        """DNS rebinding: the name is theirs and so is the origin, the address is ours; Origin and Host agree."""
        port = daemon.rpartition(":")[2]
        assert opens(foreign, f"ws://{FOREIGN}:{port}/ws") is False
        assert opens(foreign, f"ws://{FOREIGN}:{port}/open") is False

    def testIsNotGivenTheConsoleUnderANameOfItsOwn(self, shared: Page, daemon: str) -> None:
        port = daemon.rpartition(":")[2]
        response = shared.goto(f"http://{FOREIGN}:{port}/")
        assert response is not None
        assert response.status == 421


class TestSandboxedFrame:
    """Its origin is `null`, whoever's page it is in."""

    @pytest.fixture
    def frame(self, shared: Page, served: int) -> Frame:
        shared.goto(f"http://localhost:{served}/frame.html")
        frame = shared.frames[1]
        assert frame.evaluate("origin") == "null"
        return frame

    def testIsKeptOutOfARouteThatDoesNotAllowNull(self, frame: Frame, daemon: str) -> None:
        assert opens(frame, f"ws://{daemon}/ws") is False

    def testIsLetInWhereItIsHarmless(self, frame: Frame, daemon: str) -> None:
        for path in ("/echo", "/describe", "/"):
            assert opens(frame, f"ws://{daemon}{path}") is True

    def testIsWhatAPageOpenedFromAFileIsToo(self, shared: Page, daemon: str, tmp_path: Path) -> None:
        (tmp_path / "page.html").write_bytes(tutorial(daemon))
        shared.goto((tmp_path / "page.html").as_uri())
        assert opens(shared, f"ws://{daemon}/ws") is False
        assert opens(shared, f"ws://{daemon}/echo") is True


class TestPageOfThisHost:
    def testIsLetInFromAnyPort(self, shared: Page, served: int, daemon: str) -> None:
        shared.goto(f"http://localhost:{served}/blank.html")
        assert opens(shared, f"ws://{daemon}/ws") is True

    def testCannotPutTheConsoleIntoAFrame(self, page: Page, served: int, daemon: str) -> None:
        page.goto(f"http://localhost:{served}/blank.html")
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.evaluate(
            """url => new Promise(resolve => {
                const frame = document.createElement("iframe");
                frame.onload = resolve;
                frame.src = url;
                document.body.append(frame);
            })""",
            f"http://{daemon}/",
        )
        assert any("frame-ancestors 'none'" in text for text in refused)
