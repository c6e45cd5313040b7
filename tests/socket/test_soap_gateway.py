"""The gateway of SOAP: real backends behind it, in Python, in node, and those that do what they should not."""

from __future__ import annotations

import os
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET, create_connection
from typing import Any

import pytest
import zeep
from lxml import etree
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.certificates import Authority
from tests.commands import PATIENCE, until
from tests.daemon import ROOT, RunningDaemon, runningDaemon
from tests.ports import freePort
from tests.protocols.soap.talk import S11, S12, add, addressed, envelope, fault, text
from tests.socket.library import ENTITIES, OPERATIONS, wsdl
from wsd.protocols.soap.zeeptransport import WebSocketTransport

ANSWER = envelope("<x>it</x>")
OLD = envelope("<x>Zürich</x>", namespace=S11)
BEHAVIOURS: dict[str, tuple[int, str, bytes]] = {
    "fine": (200, "application/soap+xml; charset=utf-8", ANSWER.encode()),
    "fault": (500, "application/soap+xml", envelope("<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code>"
              '<s:Reason><s:Text xml:lang="en">no</s:Text></s:Reason></s:Fault>').encode()),
    "empty": (200, "application/soap+xml", b""),
    "accepted": (202, "text/plain", b""),
    "html": (502, "text/html", b"<html><p>Bad gateway</html>"),
    "other": (200, "text/xml", envelope("<x/>", namespace=S11).encode()),
    "mtom": (200, 'multipart/related; type="application/xop+xml"', b"--x--"),
    "huge": (200, "application/soap+xml", envelope("x" * 100_000).encode()),
    "entities": (200, "application/soap+xml", b'<!DOCTYPE x [<!ENTITY a "b">]>' + ANSWER.encode()),
    "moved": (302, "text/html", b""),
    "latin-1": (200, "text/xml; charset=ISO-8859-1", OLD.encode("latin-1")),
    "latin-1-within": (200, "text/xml", f'<?xml version="1.0" encoding="ISO-8859-1"?>{OLD}'.encode("latin-1")),
    "header-wins": (200, "text/xml; charset=utf-8", f'<?xml version="1.0" encoding="ISO-8859-1"?>{OLD}'.encode()),
    "utf-16": (200, "text/xml", f'<?xml version="1.0" encoding="UTF-16"?>{OLD}'.encode("utf-16")),
    "utf-16-be": (200, "text/xml; charset=utf-16", OLD.encode("utf-16-be")),
    "utf-8-mark": (200, "text/xml", OLD.encode("utf-8-sig")),
    "unknown": (200, "text/xml; charset=rot13", OLD.encode()),
    "wrong": (200, "text/xml; charset=iso-2022-jp", OLD.encode("latin-1")),
    "long": (200, "application/soap+xml", envelope(f"<x>{'é' * 6_000_000}</x>").encode()),
    "many": (200, "application/soap+xml", envelope('<x>' + '<y a="1"/>' * 60_000 + "</x>").encode()),
}  # fmt: skip

OF_1_1 = ("latin-1", "latin-1-within", "header-wins", "utf-16", "utf-16-be", "utf-8-mark", "unknown", "wrong")
"""Those that are asked in SOAP 1.1."""
WAITS = {"hang": 1.0, "stalls": 0.5, "patient": 60.0}
"""Those that never answer, or never all of it, and the seconds that they are given."""


class Backend(BaseHTTPRequestHandler):
    """Does what its path says, and notes what it was asked."""

    asked: list[tuple[str, dict[str, str], bytes]] = []  # noqa: RUF012 - of all requests together
    hangs = threading.Event()
    left = threading.Event()
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        name = self.path.strip("/")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((name, {key.lower(): value for key, value in self.headers.items()}, body))
        if name == "stalls":
            # It begins to answer, and that is all.
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 99\r\n\r\n<s:")
        if name in WAITS:
            self.connection.settimeout(30)
            self.hangs.set()
            # The other end resets it when it has had enough.
            with suppress(ConnectionError):
                self.connection.recv(1)
            self.left.set()
        if name == "cut" or name in WAITS:
            self.close_connection = True
            return
        status, kind, content = BEHAVIOURS[name]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if name == "moved":
            self.send_header("Location", "/fine")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """A daemon with a route for each behaviour, and one to node's backend."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    contract = tmp_path_factory.mktemp("library") / "library.wsdl"
    contract.write_text(wsdl("http://localhost/service"), "utf-8")
    node = subprocess.Popen(
        ["node", "tests/socket/soap.cjs", str(contract)],
        cwd=ROOT,
        env={**os.environ, "NODE_PATH": str(ROOT / "tests/node_modules")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert node.stdout is not None
    nodePort = int(node.stdout.readline())
    urls = {name: f"http://127.0.0.1:{server.server_port}/{name}" for name in (*BEHAVIOURS, *WAITS, "cut")}
    urls |= {"nobody": "http://127.0.0.1:1/", "node": f"http://127.0.0.1:{nodePort}/service"}
    config = "".join(
        f'[route."/{name}"]\nprotocol = "soap"\nupstream = "{url}"\n'
        + {"huge": 'max_answer = "64 KiB"\n', "long": 'max_answer = "16 MiB"\n'}.get(name, "")
        + f'upstream_headers = ["X-Tenant"]\nupstream_timeout = {WAITS.get(name, 20.0)}\n'
        for name, url in urls.items()
    )
    with runningDaemon(config=config) as daemon:
        daemon.contract = contract  # type: ignore[attr-defined]
        yield daemon
    server.shutdown()
    server.server_close()
    node.kill()
    node.wait()
    node.stdout.close()


class Line:
    """A WebSocket to a route of the gateway."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, message: str) -> None:
        self.socket.send(message)

    def hear(self, timeout: float = 10) -> Any:
        got = self.socket.recv(timeout)
        return etree.fromstring(got.encode() if isinstance(got, str) else got)

    def ask(self, message: str) -> Any:
        self.say(message)
        return self.hear()


@pytest.fixture
def line(gateway: RunningDaemon, request: pytest.FixtureRequest) -> Iterator[Line]:
    """To the route that the test's mark names, or to "fine"."""
    name = getattr(request, "param", "fine")
    kind = "text/xml" if name in OF_1_1 else "application/soap+xml"
    headers = {"X-Tenant": "one", "Cookie": "secret=1", "soap-content-type": kind}
    url = f"ws://127.0.0.1:{gateway.port()}/{name}"
    subprotocols = [Subprotocol("soap")]
    with connect(url, subprotocols=subprotocols, additional_headers=headers, max_size=1 << 24) as socket:
        Backend.asked.clear()
        yield Line(socket)


def posted(path: str, message: str) -> bytes:
    """A request of SOAP 1.2 over HTTP."""
    content = message.encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/soap+xml\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


class TestWhatIsPassedOn:
    def test_1_2_has_its_action_in_the_content_type(self, line: Line) -> None:
        line.ask(addressed(add(1, 2), "urn:n:1", "urn:act"))
        ((_, headers, body),) = Backend.asked
        assert headers["content-type"] == 'application/soap+xml; charset=utf-8; action="urn:act"'
        assert text(etree.fromstring(body), "//d:a") == "1"

    def test_of_the_clients_headers_only_those_the_route_lets_pass(self, line: Line) -> None:
        line.ask(addressed(add(1, 2), "urn:n:1", "urn:act"))
        ((_, headers, _),) = Backend.asked
        assert headers["x-tenant"] == "one"
        assert set(headers) <= {"x-tenant", "content-type", "accept", "host", "content-length", "connection"}

    def test_the_answer_relates_to_the_request(self, line: Line) -> None:
        answer = line.ask(addressed(add(1, 2), "urn:n:1", "urn:act"))
        assert text(answer, "//x") == "it"
        assert text(answer, "//a:RelatesTo") == "urn:n:1"

    def test_what_needs_no_relation_gets_none(self, line: Line) -> None:
        assert line.ask(envelope(add(1, 2))).find(f"{{{S12}}}Header") is None

    def test_an_action_that_would_break_out_of_its_header_is_refused(self, line: Line) -> None:
        answer = line.ask(addressed(add(1, 2), "urn:n:1", 'x"&#13;&#10;Evil: 1'))
        assert text(answer, "//s:Subcode/s:Value") == "a:InvalidAddressingHeader"
        assert Backend.asked == []

    def test_what_is_malformed_does_not_reach_it(self, line: Line) -> None:
        assert fault(line.ask("<!DOCTYPE x>" + ANSWER))[0] == "s:Sender"
        assert Backend.asked == []

    @pytest.mark.parametrize("line", ["fault"], indirect=True)
    def test_a_fault_passes_as_it_is(self, line: Line) -> None:
        assert fault(line.ask(envelope(add(1, 2)))) == ("s:Receiver", "no")

    @pytest.mark.parametrize("line", ["many"], indirect=True)
    def test_a_long_answer_passes_whole(self, line: Line) -> None:
        """What a request may not have, an answer may: max_answer alone bounds it."""
        assert len(line.ask(envelope(add(1, 2))).find(".//x")) == 60_000

    @pytest.mark.parametrize(
        "line", ["latin-1", "latin-1-within", "header-wins", "utf-16", "utf-16-be", "utf-8-mark"], indirect=True
    )
    def test_an_answer_in_an_old_encoding_is_read_and_passed_on_in_utf_8(self, line: Line) -> None:
        assert text(line.ask(envelope(add(1, 2), namespace=S11)), "//x") == "Zürich"

    @pytest.mark.parametrize("line", ["long"], indirect=True)
    def test_a_text_may_be_as_long_as_the_answer(self, line: Line) -> None:
        line.say(envelope(add(1, 2)))
        got = line.socket.recv(20)
        assert isinstance(got, str)
        assert got.count("é") == 6_000_000

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("unknown", "answered in the encoding 'rot13', which is not supported"),
            ("wrong", "answered with bytes that are not iso-2022-jp"),
        ],
        indirect=["line"],
    )
    def test_an_encoding_that_is_none_is_told(self, line: Line, told: str) -> None:
        assert told in fault(line.ask(envelope(add(1, 2), namespace=S11)))[1]

    @pytest.mark.parametrize("line", ["empty", "accepted"], indirect=True)
    def test_no_content_is_no_message(self, line: Line) -> None:
        line.say(envelope(add(1, 2)))
        until(lambda: Backend.asked, "the backend is asked")
        with pytest.raises(TimeoutError):
            line.hear(0.3)
        assert len(Backend.asked) == 1


class TestWhatGoesWrong:
    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("html", "answered 502 with something other than SOAP (text/html)"),
            ("other", "instead of an Envelope of SOAP 1.2"),
            ("mtom", "something other than SOAP (multipart/related): multipart/related has a boundary"),
            ("huge", "max_answer"),
            ("entities", "something other than SOAP"),
            ("moved", "answered 302 with something other than SOAP"),
            ("nobody", "cannot be reached"),
            ("cut", "cannot be reached"),
            ("hang", "did not answer within 1 seconds"),
            ("stalls", "did not answer within 0.5 seconds"),
        ],
        indirect=["line"],
    )
    def test_it_is_the_receivers_fault_and_asked_but_once(self, line: Line, told: str) -> None:
        began = time.monotonic()
        answer = line.ask(addressed(add(1, 2), "urn:n:1", "urn:act"))
        assert fault(answer)[0] == "s:Receiver"
        assert told in fault(answer)[1]
        assert text(answer, "//a:RelatesTo") == "urn:n:1"
        assert time.monotonic() - began < 15, "the other routes wait for 20 seconds"
        assert len(Backend.asked) <= 1
        assert told in fault(line.ask(addressed(add(1, 2), "urn:n:2", "urn:act")))[1]

    @pytest.mark.parametrize("line", ["patient"], indirect=True)
    def test_who_leaves_calls_it_off(self, gateway: RunningDaemon, line: Line) -> None:
        Backend.hangs.clear()
        Backend.left.clear()
        since = len(gateway.lines)
        line.say(addressed(add(1, 2), "urn:n:1", "urn:act"))
        assert Backend.hangs.wait(PATIENCE)
        line.socket.close()
        assert Backend.left.wait(WAITS["patient"] / 2)
        assert not any("cannot be reached" in each for each in gateway.lines[since:])

    def test_who_leaves_over_http_calls_it_off(self, gateway: RunningDaemon) -> None:
        Backend.hangs.clear()
        Backend.left.clear()
        since = len(gateway.lines)
        with create_connection(("127.0.0.1", gateway.port())) as client:
            client.sendall(posted("/patient", envelope(add(1, 2))))
            assert Backend.hangs.wait(PATIENCE)
            # A client that is gone resets the connection; one that closes its half may wait for the answer.
            client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        assert Backend.left.wait(WAITS["patient"] / 2)
        with create_connection(("127.0.0.1", gateway.port())) as client:
            client.sendall(posted("/nobody", envelope(add(1, 2))))
            gateway.waitFor("/nobody: the upstream service cannot be reached", since)
        assert not any("/patient: the upstream service cannot be reached" in each for each in gateway.lines[since:])

    @pytest.mark.parametrize("line", ["node"], indirect=True)
    def test_one_that_answers_1_2_in_1_1_is_not_passed_on(self, line: Line) -> None:
        answer = line.ask(envelope('<GetBook xmlns="urn:library"><id>1</id></GetBook>'))
        code = fault(answer)[0]
        assert code == "s:Receiver"


@pytest.fixture
def library(gateway: RunningDaemon) -> Iterator[Any]:
    soap = WebSocketTransport(f"ws://localhost:{gateway.port()}/node", soap11=True)
    contract: Path = gateway.contract  # type: ignore[attr-defined]
    yield zeep.Client(str(contract), transport=soap, plugins=[soap]).service
    soap.close()


class TestNode:
    def test_zeep_calls_every_operation_of_a_large_contract_typed(self, library: Any) -> None:
        assert len(OPERATIONS) >= 20
        address = [{"street": "Main", "place": {"code": "1", "city": "Zürich"}} for _ in range(2)]
        thing = {"id": 7, "name": "<&>", "price": Decimal("1.50"), "since": date(2026, 1, 31), "address": address}
        for entity in ENTITIES:
            assert library[f"Get{entity}"](id=7) == 7
            got = library[f"Put{entity}"](thing)
            assert (got.id, got.name, got.price, got.since) == (7, "<&>", Decimal("1.50"), date(2026, 1, 31))
            assert [each.place.city for each in got.address] == ["Zürich", "Zürich"]
            assert [each.name for each in library[f"List{entity}"]([thing, thing])] == ["<&>", "<&>"]
            assert library[f"Tag{entity}"](["a", "b"], thing).tag == ["a", "b"]

    def test_faults_come_through(self, library: Any) -> None:
        with pytest.raises(zeep.exceptions.Fault, match="it failed"):
            library.Fail("x")

    def test_calls_overtake_each_other(self, library: Any) -> None:
        done: list[str] = []

        def call(milliseconds: int) -> None:
            done.append(library.Slow(milliseconds, str(milliseconds)).text)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(call, [1500, 1]))
        assert done == ["1", "1500"]

    def test_a_hundred_at_a_time_each_get_their_own(self, library: Any) -> None:
        done: list[int] = []

        def call(number: int) -> str:
            answer = library.Slow((100 - number) % 10 * 5, str(number)).text
            done.append(int(answer))
            return str(answer)

        with ThreadPoolExecutor(100) as threads:
            assert list(threads.map(call, range(100))) == [str(number) for number in range(100)]
        assert done != sorted(done)


class TestABackendThatDies:
    def test_what_hangs_is_told_and_the_others_are_unharmed(self, tmp_path: Path) -> None:
        """wsd itself is the backend: one call hangs in it, it is killed, and started anew on its port."""
        waiting = (
            f'[route."/waiting"]\nprotocol = "soap"\ncontract = "{ROOT}/tests/protocols/soap/waiting.xsd"\n'
            'service = "tests.protocols.soap.waiting"\n'
        )
        hang = addressed(
            '<w:Wait xmlns:w="urn:waiting"><number>0</number><of>9000</of></w:Wait>',
            "urn:n:1",
            "urn:waiting/waiting/Wait",
        )
        quick = hang.replace("9000", "1").replace("urn:n:1", "urn:n:2")
        port = freePort()
        with runningDaemon("-p", str(port), config=waiting) as backend:
            config = (
                f'[route."/gate"]\nprotocol = "soap"\nupstream = "http://127.0.0.1:{port}/waiting"\n'
                "upstream_timeout = 3\n"
            )
            with (
                runningDaemon(config=config) as gate,
                connect(f"ws://127.0.0.1:{gate.port()}/gate", subprotocols=[Subprotocol("soap")]) as socket,
            ):
                line = Line(socket)
                line.say(hang)
                assert text(line.ask(quick), "//a:RelatesTo") == "urn:n:2"
                timedOut = line.hear()
                assert text(timedOut, "//a:RelatesTo") == "urn:n:1"
                assert "did not answer within 3 seconds" in fault(timedOut)[1]
                line.say(hang)
                time.sleep(0.2)
                backend.process.kill()
                assert fault(line.hear())[1] == "the upstream service cannot be reached"
                assert fault(line.ask(quick))[1] == "the upstream service cannot be reached"
                with runningDaemon("-p", str(port), config=waiting):
                    assert text(line.ask(quick), "//number") == "0"


class TestTls:
    def test_who_answers_must_prove_its_name(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        pair = authority.server("localhost", "localhost")
        served = f'[tls]\nport = 0\n[[tls.certificate]]\ncert = "{pair.cert}"\nkey = "{pair.key}"\n'
        with runningDaemon(config=served) as backend:
            config = "".join(
                f'[route."/{host}"]\nprotocol = "soap"\nupstream = "https://{host}:{backend.port("wss")}/soap"\n'
                for host in ("localhost", "127.0.0.1")
            )
            with runningDaemon(config=config, environ={"SSL_CERT_FILE": str(authority.path)}) as gate:
                answers = []
                for host in ("localhost", "127.0.0.1"):
                    url = f"ws://127.0.0.1:{gate.port()}/{host}"
                    with connect(url, subprotocols=[Subprotocol("soap")]) as socket:
                        answers.append(Line(socket).ask(envelope(add(1, 2))))
        assert text(answers[0], "//d:sum") == "3"
        assert fault(answers[1])[1] == "the upstream service cannot be reached"
