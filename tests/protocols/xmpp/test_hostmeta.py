"""host-meta (XEP-0156): a client that knows the domain finds the WebSocket."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.wire import Daemon
from wsd.config import Config
from wsd.protocols.xmpp.options import XmppOptions
from wsd.protocols.xmpp.protocol import XmppFactory

REL = "urn:xmpp:alt-connections:websocket"
PROXY = {"trusted_proxies": ("127.0.0.1",), "hosts": ("localhost", "chat.example.com")}


def ask(
    name: str, folder: Path, *headers: str, host: str = "localhost", behind: bool = False, url: str | None = None
) -> bytes:
    """The answer, head and all."""
    options = XmppOptions(store=str(folder / "s"), url=url)
    config = Config(**PROXY) if behind else Config()  # type: ignore[arg-type]
    daemon = Daemon({"/xmpp": XmppFactory}, options=options, config=config)
    lines = [f"GET /.well-known/{name} HTTP/1.1", f"Host: {host}", *headers]
    return daemon.connect().exchange("".join(f"{line}\r\n" for line in [*lines, ""]).encode())


def link(answer: bytes) -> str:
    (found,) = json.loads(answer.partition(b"\r\n\r\n")[2])["links"]
    assert found["rel"] == REL
    return str(found["href"])


class TestHostMeta:
    def test_as_xml(self, tmp_path: Path) -> None:
        answer = ask("host-meta", tmp_path)
        assert b"Content-Type: application/xrd+xml" in answer
        root = ElementTree.fromstring(answer.partition(b"\r\n\r\n")[2].decode())
        assert root.tag == "{http://docs.oasis-open.org/ns/xri/xrd-1.0}XRD"
        assert [child.attrib for child in root] == [{"rel": REL, "href": "ws://localhost/xmpp"}]

    def test_as_json(self, tmp_path: Path) -> None:
        answer = ask("host-meta.json", tmp_path)
        assert b"Content-Type: application/json" in answer
        assert link(answer) == "ws://localhost/xmpp"

    @pytest.mark.parametrize("name", ["host-meta", "host-meta.json"])
    def test_pages_of_any_origin_may_read_it(self, tmp_path: Path, name: str) -> None:
        assert b"Access-Control-Allow-Origin: *\r\n" in ask(name, tmp_path, "Origin: https://elsewhere.example")

    def test_the_port_that_was_asked_is_in_it(self, tmp_path: Path) -> None:
        assert link(ask("host-meta.json", tmp_path, host="localhost:9998")) == "ws://localhost:9998/xmpp"

    def test_behind_a_proxy_it_is_what_the_client_sees(self, tmp_path: Path) -> None:
        headers = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
        answer = ask("host-meta.json", tmp_path, *headers, host="chat.example.com", behind=True)
        assert link(answer) == "wss://chat.example.com/xmpp"

    def test_a_stranger_is_not_believed(self, tmp_path: Path) -> None:
        answer = ask("host-meta.json", tmp_path, "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example")
        assert link(answer) == "ws://localhost/xmpp"

    def test_what_the_configuration_says_wins(self, tmp_path: Path) -> None:
        url = "wss://chat.example.com/xmpp?a&b"
        assert link(ask("host-meta.json", tmp_path, url=url)) == url
        assert b'href="wss://chat.example.com/xmpp?a&amp;b"' in ask("host-meta", tmp_path, url=url)
