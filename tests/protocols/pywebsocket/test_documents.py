"""Files beside handlers that the daemon may not read: a refusal like any other, which browsers get as a page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from tests.wire import Daemon
from wsd.protocols.echo import EchoFactory
from wsd.protocols.pywebsocket.access import BasicAuth
from wsd.protocols.pywebsocket.cgi import Programs
from wsd.protocols.pywebsocket.documents import DocumentRoot


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """Serves a folder of which nothing can be read."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "secret.txt").write_text("content")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who can read everything

    class Folder(EchoFactory):
        def resource(self) -> Any:
            return DocumentRoot(str(tmp_path), (), Programs(MemoryReactorClock()), BasicAuth(None), 1000)

    return Daemon({"/*": Folder})


def get(daemon: Daemon, path: str, accept: str = "*/*") -> tuple[bytes, bytes]:
    """Returns the status line and the content of the answer."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Accept: {accept}", "Connection: close", "", ""]
    head, _, content = daemon.connect().exchange("\r\n".join(lines).encode()).partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], content


class TestWhatCannotBeRead:
    def test_is_refused(self, daemon: Daemon) -> None:
        for path in ("/secret.txt", "/closed/"):
            assert get(daemon, path) == (b"HTTP/1.1 403 Forbidden", b"the daemon has no permission to read this\n")

    def test_is_a_page_for_a_browser(self, daemon: Daemon) -> None:
        status, content = get(daemon, "/secret.txt", "text/html")
        assert status == b"HTTP/1.1 403 Forbidden"
        assert b"You do not have access to this" in content
