"""Documents by clients that nobody here wrote: npm's y-websocket, and pycrdt-websocket; the daemon is killed midway."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from httpx_ws import aconnect_ws
from pycrdt import Doc, Provider, Text
from pycrdt.websocket.websocket import HttpxWebsocket

from tests.daemon import PATIENCE, ROOT, RunningDaemon, runningDaemon
from tests.ports import freePort

JAVASCRIPT = ("node", str(ROOT / "tests/process/yjs.mjs"))
"""npm's y-websocket."""
PYTHON = (sys.executable, "-m", "tests.process.yjs_client")
"""pycrdt-websocket."""

EXAMPLE = """
import * as Y from "yjs";
import { WebsocketProvider } from "y-websocket";

const doc = new Y.Doc();
const provider = new WebsocketProvider("ws://localhost:9998/yjs", "notes", doc);
doc.getText("text").insert(0, "hello");
"""
"""What docs/yjs.md shows."""


class YjsServer:
    """A daemon that can be killed and started again, on the port and with the documents that it had."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = freePort()

    def start(self) -> None:
        self._context = runningDaemon("-p", str(self.port), environ={"STATE_DIRECTORY": str(self._folder)})
        self._daemon: RunningDaemon = self._context.__enter__()

    def kill(self) -> None:
        self._daemon.stop(signal.SIGKILL)
        self._context.__exit__(None, None, None)

    @property
    def url(self) -> str:
        return f"ws://localhost:{self.port}/yjs"


class Editor:
    """A client in a process of its own."""

    def __init__(self, server: YjsServer, name: str, seed: int, client: tuple[str, ...]) -> None:
        command = [*client, server.url, name, str(seed)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def begin(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def end(self) -> Any:
        """What the command that was begun has answered."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def do(self, command: str) -> Any:
        self.begin(command)
        return self.end()

    @property
    def text(self) -> str:
        return str(self.do("text")["text"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[YjsServer]:
    server = YjsServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def editor(server: YjsServer) -> Iterator[Callable[..., Editor]]:
    with ExitStack() as stack:

        def begin(seed: int, name: str = "room", client: tuple[str, ...] = JAVASCRIPT) -> Editor:
            editor = Editor(server, name, seed, client)
            stack.callback(editor.process.communicate)
            stack.callback(editor.process.kill)
            return editor

        yield begin


def until(holds: Callable[[], bool]) -> None:
    """Wait until this holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def editAtOnce(server: YjsServer, ann: Editor, bob: Editor, newcomer: Callable[[], Editor], edits: int) -> None:
    """Two people edit at once, one is offline for a while, and the daemon is killed midway: equal documents."""
    for each in (ann, bob):
        each.do("synced")
    for each in (ann, bob):
        each.begin(f"edit {edits // 2}")
    server.kill()
    server.start()
    for each in (ann, bob):
        each.end()
    ann.do("disconnect")
    for each in (ann, bob):
        each.begin(f"edit {edits // 2}")
    for each in (ann, bob):
        each.end()
    ann.do("connect")
    for each in (ann, bob):
        each.do("synced")
    until(lambda: ann.text == bob.text)
    assert len(ann.text) > edits / 4
    # What both have seen was acknowledged: it is there after another kill, for one who had nothing.
    text = ann.text
    for each in (ann, bob):
        each.process.kill()
    server.kill()
    server.start()
    late = newcomer()
    late.do("synced")
    assert late.text == text


@pytest.mark.parametrize(
    ("one", "other"),
    [(JAVASCRIPT, JAVASCRIPT), (PYTHON, JAVASCRIPT), (PYTHON, PYTHON)],
    ids=["y-websocket", "pycrdt-websocket with y-websocket", "pycrdt-websocket"],
)
@pytest.mark.parametrize("edits", [1000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_two_edit_at_once(
    server: YjsServer, editor: Callable[..., Editor], one: tuple[str, ...], other: tuple[str, ...], edits: int
) -> None:
    ann, bob = editor(1, client=one), editor(2, client=other)
    editAtOnce(server, ann, bob, lambda: editor(3, client=one), edits)


def test_each_sees_who_is_there_and_who_goes(editor: Callable[..., Editor]) -> None:
    ann, bob = editor(1), editor(2)
    for each, name in ((ann, "Ann"), (bob, "Bob")):
        each.do("synced")
        each.do(f"state {name}")
    until(lambda: ann.do("others")["names"] == ["Bob"])
    until(lambda: bob.do("others")["names"] == ["Ann"])
    bob.process.kill()
    until(lambda: ann.do("others")["names"] == [])


def test_the_example_of_the_page_works(server: YjsServer, editor: Callable[..., Editor]) -> None:
    # Node.js has no WebSocket of its own before version 22.
    script = EXAMPLE.replace(
        "const doc", 'import { WebSocket } from "ws"; globalThis.WebSocket = WebSocket;\nconst doc'
    ).replace("ws://localhost:9998/yjs", server.url)
    with subprocess.Popen(["node", "--input-type=module", "-e", script], cwd=ROOT / "tests") as process:
        try:
            reader = editor(1, "notes")
            reader.do("synced")
            until(lambda: reader.text == "hello")
        finally:
            process.kill()


async def editInPython(url: str, text: str, last: str, found: list[str]) -> None:
    """Append to the document by the client of pycrdt-websocket, and wait until the text ends with `last`."""
    doc: Doc[Any] = Doc()
    shared = doc.get("text", type=Text)
    isOver = anyio.Event()

    def changed(_: object) -> None:
        if str(shared).endswith(last):
            isOver.set()

    subscription = shared.observe(changed)
    websocket: Any
    async with aconnect_ws(url) as websocket, Provider(doc, HttpxWebsocket(websocket, url)) as provider:
        with anyio.fail_after(PATIENCE):
            await provider.synced.wait()
            shared.insert(len(shared), text)
            await isOver.wait()
    shared.unobserve(subscription)
    found.append(str(shared))


def test_a_client_in_python_and_one_in_javascript(server: YjsServer, editor: Callable[..., Editor]) -> None:
    ann = editor(1)
    ann.do("synced")
    ann.do("append hello")
    found: list[str] = []
    python = threading.Thread(
        target=lambda: anyio.run(editInPython, f"http://localhost:{server.port}/yjs/room", ", Python", ",Ann", found)
    )
    python.start()
    until(lambda: ann.text == "hello, Python")
    ann.do("append ,Ann")
    python.join(PATIENCE)
    assert found == ["hello, Python,Ann"]
