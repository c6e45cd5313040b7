"""Clients that end their half after a request, or leave, on each kind of listener: real sockets, a real daemon."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from OpenSSL import SSL
from websockets.sync.client import connect

from tests.certificates import Authority
from tests.daemon import PATIENCE, RunningDaemon, runningDaemon
from tests.protocols.soap.talk import add, envelope

CONTENT = os.urandom(5_000_000)


class Serving:
    """The daemon, with a listener of each kind, a file in its store and a picture on its canvas."""

    def __init__(self, daemon: RunningDaemon, path: str) -> None:
        self.daemon = daemon
        self.path = path
        base = f"127.0.0.1:{daemon.port()}"
        with connect(f"ws://{base}/blob", max_size=None) as blob:
            blob.send(CONTENT)
            self.id = json.loads(blob.recv())["id"]
        with connect(f"ws://{base}/canvas/art") as canvas:
            canvas.send(bytes(400 * 320 * 4))
            canvas.recv()

    def plain(self) -> socket.socket:
        dialled = socket.create_connection(("127.0.0.1", self.daemon.port()))
        dialled.settimeout(PATIENCE)
        return dialled

    def unix(self) -> socket.socket:
        dialled = socket.socket(socket.AF_UNIX)
        dialled.connect(self.path)
        dialled.settimeout(PATIENCE)
        return dialled

    def secure(self) -> tuple[SSL.Connection, socket.socket]:
        raw = socket.create_connection(("127.0.0.1", self.daemon.port("wss")))
        connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), raw)
        connection.set_tlsext_host_name(b"a.test")
        connection.set_connect_state()
        connection.do_handshake()
        return connection, raw


def rest(receive: Callable[[int], bytes]) -> bytes:
    """All that comes until the end."""
    answer = b""
    try:
        while data := receive(1 << 20):
            answer += data
    except SSL.ZeroReturnError:
        pass
    return answer


def overTcp(serving: Serving, request: bytes) -> bytes:
    with closing(serving.plain()) as dialled:
        dialled.sendall(request)
        dialled.shutdown(socket.SHUT_WR)
        return rest(dialled.recv)


def overUnix(serving: Serving, request: bytes) -> bytes:
    with closing(serving.unix()) as dialled:
        dialled.sendall(request)
        dialled.shutdown(socket.SHUT_WR)
        return rest(dialled.recv)


def overTls(serving: Serving, request: bytes) -> bytes:
    """Its half ends with TLS's goodbye, and then below it."""
    connection, raw = serving.secure()
    with closing(raw):
        connection.sendall(request)
        connection.shutdown()
        raw.shutdown(socket.SHUT_WR)
        return rest(connection.recv)


def overTlsWithoutGoodbye(serving: Serving, request: bytes) -> bytes:
    """Its half ends below TLS only, as most clients have it."""
    connection, raw = serving.secure()
    with closing(raw):
        connection.sendall(request)
        raw.shutdown(socket.SHUT_WR)
        return rest(connection.recv)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("half")
    pair = Authority(folder).server("a", "a.test")
    path = str(folder / "wsd.sock")
    config = f"""
        port = 0
        listen = ["unix:{path}"]
        hosts = ["localhost", "127.0.0.1"]
        [tls]
        port = 0
        [[tls.certificate]]
        cert = "{pair.cert}"
        key = "{pair.key}"
    """
    with runningDaemon(config=config, environ={"STATE_DIRECTORY": str(folder / "state")}) as daemon:
        yield Serving(daemon, path)


def request(line: str, *fields: str, body: bytes = b"") -> bytes:
    lines = [
        f"{line} HTTP/1.1",
        "Host: localhost",
        *fields,
        *([f"Content-Length: {len(body)}"] if body else []),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def answered(answer: bytes) -> tuple[int, bytes]:
    """The status and the content, of which nothing may lack."""
    head, _, content = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    assert length is not None, answer[:200]
    assert int(length[1]) == len(content)
    return int(head.split()[1]), content


@pytest.fixture(params=[overTcp, overUnix, overTls, overTlsWithoutGoodbye])
def ask(request: pytest.FixtureRequest, serving: Serving) -> Callable[[bytes], bytes]:
    return lambda sent: request.param(serving, sent)


class TestAClientThatEndsItsHalfGetsItsAnswerWhole:
    @pytest.mark.parametrize("field", ["Connection: close", "Connection: keep-alive"])
    def test_a_file(self, ask: Any, serving: Serving, field: str) -> None:
        assert answered(ask(request(f"GET /blob/{serving.id}", field))) == (200, CONTENT)

    def test_an_upload_of_tus_begins_and_goes_on(self, ask: Any) -> None:
        begin = request("POST /blob/tus", "Tus-Resumable: 1.0.0", "Upload-Length: 5", "Content-Length: 0")
        answer = ask(begin)
        assert answered(answer)[0] == 201
        location = re.search(rb"(?i)location: (\S+)", answer)
        assert location is not None
        fields = "Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream"
        answer = ask(request(f"PATCH {location[1].decode()}", *fields, body=b"hello"))
        assert answer.startswith(b"HTTP/1.1 204")
        assert b"pload-Offset: 5" in answer

    def test_an_envelope(self, ask: Any) -> None:
        body = envelope(add(2, 3)).encode()
        status, content = answered(ask(request("POST /soap", "Content-Type: application/soap+xml", body=body)))
        assert status == 200
        assert b">5</" in content

    def test_a_picture(self, ask: Any) -> None:
        status, content = answered(ask(request("GET /canvas/art.png")))
        assert status == 200
        assert content.startswith(b"\x89PNG")

    def test_all_of_several_requests(self, ask: Any, serving: Serving) -> None:
        both = request("GET /describe") + request(f"GET /blob/{serving.id}") + request("GET /canvas/art.png")
        assert ask(both).count(b"HTTP/1.1 200") == 3


class TestAClientThatLeaves:
    def test_leaves_no_word_in_the_log_whatever_was_to_be_answered(self, serving: Serving) -> None:
        envelopes = envelope(add(2, 3)).encode()
        begun = len(serving.daemon.lines)
        for asked in (
            request(f"GET /blob/{serving.id}"),
            request("GET /blob"),
            request("POST /blob/tus", "Tus-Resumable: 1.0.0", "Upload-Length: 5", "Content-Length: 0"),
            request("DELETE /blob/nothing"),
            request("POST /soap", "Content-Type: application/soap+xml", body=envelopes),
            request("GET /canvas/art.png"),
        ):
            for linger in (struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)):
                for dial in (serving.plain, serving.unix):
                    with closing(dial()) as dialled:
                        dialled.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        dialled.sendall(asked)
        status, _ = answered(overTcp(serving, request("GET /describe")))
        assert status == 200
        assert [line for line in serving.daemon.lines[begun:] if "Traceback" in line or " critical " in line] == []
