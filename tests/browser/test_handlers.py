"""pywebsocket's example handlers, driven by a browser's own WebSocket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import running
from tests.process.pywebsocketpackage import unpacked

TALK = """
([path, says, code, after]) => new Promise((done) => {
  const socket = new WebSocket(`ws://${location.host}${path}`), heard = [];
  let wasOpen = false, wasClosed = false;
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    wasOpen = true;
    for (const each of says) socket.send(typeof each === "number" ? new Uint8Array(each).fill(97) : each);
    if (code && !after) socket.close(code, "that is all");
  };
  socket.onmessage = ({data}) => {
    heard.push(typeof data === "string" ? data : data.byteLength);
    if (heard.length === after) socket.close(code, "that is all");
  };
  socket.onclose = (event) => done({
    wasOpen, heard, code: event.code, reason: event.reason, wasClean: event.wasClean, extensions: socket.extensions,
    cookie: document.cookie,
  });
})
"""
"""Opens a path, says all of these (a number: so many bytes), closes after so many answers: what came of it."""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("examples")
    example = unpacked(folder) / "example"
    config = folder / "wsd.toml"
    config.write_text(
        f'[route."/"]\nenabled = false\n[route."/*"]\nprotocol = "pywebsocket"\norigins = ["*"]\n'
        f'handlers = "{example}"\ndocument_root = "{example}"\n[route."/echo"]\nenabled = false\n'
    )
    with running(folder, "-c", str(config)) as daemon:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://localhost:{daemon.port('ws')}/")
        yield page
        context.close()


def talk(page: Page, path: str, *says: str | int, code: int = 0, after: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(TALK, [path, list(says), code, after])
    return found


def test_the_folder_is_listed_without_the_handlers_sources(page: Page) -> None:
    names = [link.inner_text() for link in page.locator("a").all()]
    assert "cgi-bin/" in names
    assert not [name for name in names if name.endswith("_wsh.py")]


def test_echo_gives_back_text_and_bytes_and_says_goodbye(page: Page) -> None:
    found = talk(page, "/echo", "<&> ünï 😀", 512000, "Goodbye")
    assert found["heard"] == ["<&> ünï 😀", 512000, "Goodbye"]
    assert (found["code"], found["wasClean"]) == (1000, True)
    assert found["extensions"].startswith("permessage-deflate")


def test_echo_noext_is_not_compressed(page: Page) -> None:
    found = talk(page, "/echo_noext", "Goodbye")
    assert (found["heard"], found["extensions"]) == (["Goodbye"], "")


def test_close_closes_as_asked_and_answers_with_what_came(page: Page) -> None:
    found = talk(page, "/close", "4321 as you wish")
    assert (found["code"], found["reason"], found["wasClean"]) == (4321, "as you wish", True)
    found = talk(page, "/close", code=3456)
    assert (found["code"], found["reason"], found["wasClean"]) == (3456, "that is all", True)


def test_bench_sends_what_it_is_asked_for(page: Page) -> None:
    assert talk(page, "/bench", "0.001 20 hello")["heard"] == ["hello"] * 20


def test_benchmark_helper_receives_and_sends_blocks(page: Page) -> None:
    found = talk(page, "/benchmark_helper", "receive 100000", "send 1", 200000, code=1000, after=2)
    assert found["heard"] == [100000, "200000"]


def test_cookie_sets_cookies_and_clears_them(page: Page) -> None:
    assert talk(page, "/cookie?set")["cookie"] == "foo=bar"
    assert talk(page, "/cookie?set_httponly")["cookie"] == "foo=bar"
    assert {each["name"]: each["httpOnly"] for each in page.context.cookies()} == {"foo": False, "httpOnlyFoo": True}
    talk(page, "/cookie?clear")
    assert page.context.cookies() == []


def test_hsts_says_hello(page: Page) -> None:
    assert talk(page, "/hsts")["heard"] == ["Hello"]


def test_internal_error_is_1011(page: Page) -> None:
    assert talk(page, "/internal_error")["code"] == 1011


@pytest.mark.parametrize(("path", "wasOpen"), [("/abort", True), ("/abort_handshake", False), ("/origin_check", False)])
def test_aborts_and_refusals_are_1006(page: Page, path: str, wasOpen: bool) -> None:
    found = talk(page, path)
    assert (found["code"], found["wasClean"], found["wasOpen"]) == (1006, False, wasOpen)


def test_all_of_them_are_here(tmp_path: Path) -> None:
    names = {path.name.removesuffix("_wsh.py") for path in (unpacked(tmp_path) / "example").glob("*_wsh.py")}
    source = Path(__file__).read_text()
    assert not [name for name in names if f'"/{name}' not in source]
