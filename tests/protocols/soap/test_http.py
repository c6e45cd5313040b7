"""The same service over HTTP, its contract, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lxml import etree

from tests.protocols.soap.talk import DEMO, S11, S12, add, daemonOf, envelope, fault, text
from tests.protocols.soap.test_envelope import BAD
from tests.wire import Daemon, Wire
from wsd.protocols.soap.wsdl.contract import Contract
from wsd.protocols.soap.wsdl.policy import Credentials
from wsd.protocols.soap.wsdl.reader import readContract

WSDL = {
    "w": "http://schemas.xmlsoap.org/wsdl/",
    "s12": "http://schemas.xmlsoap.org/wsdl/soap12/",
    "s11": "http://schemas.xmlsoap.org/wsdl/soap/",
}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def root(self) -> Any:
        return etree.fromstring(self.body)


def ask(daemon: Daemon, line: str, *headers: str, body: str = "", host: str = "localhost:9998") -> Answer:
    """Sends one request, and returns its answer."""
    length = [f"Content-Length: {len(body.encode())}"] if body else []
    head = "\r\n".join([f"{line} HTTP/1.1", f"Host: {host}", *headers, *length])
    got = daemon.connect().exchange(f"{head}\r\n\r\n{body}".encode())
    first, _, rest = got.partition(b"\r\n\r\n")
    status, *fields = first.decode("latin-1").split("\r\n")
    told = dict(field.lower().split(": ", 1) for field in fields)
    return Answer(int(status.split()[1]), told, rest)


def exchange(wire: Wire, message: str | bytes, kind: str = "application/soap+xml") -> tuple[int, bytes]:
    """Sends a request on an open connection. Returns the status and the content of the answer."""
    said = message.encode() if isinstance(message, str) else message
    head = f"POST /soap HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(said)}\r\n\r\n"
    got = wire.exchange(head.encode() + said)
    first, _, content = got.partition(b"\r\n\r\n")
    return int(first.split()[1]), content


def post(daemon: Daemon, body: str, kind: str = "application/soap+xml; charset=utf-8", *more: str) -> Answer:
    return ask(daemon, "POST /soap", f"Content-Type: {kind}", *more, body=body)


@pytest.fixture
def daemon() -> Daemon:
    return daemonOf()


class TestPost:
    def test_1_2(self, daemon: Daemon) -> None:
        answer = post(daemon, envelope(add(1, 2)))
        assert (answer.status, answer.headers["content-type"]) == (200, "application/soap+xml; charset=utf-8")
        assert text(answer.root, "//d:sum") == "3"

    def test_1_1(self, daemon: Daemon) -> None:
        action = f'SOAPAction: "{DEMO}:Demonstration:AddRequest"'
        answer = post(daemon, envelope(add(1, 2), namespace=S11), "text/xml", action)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
        assert text(answer.root, "//d:sum") == "3"

    def test_an_action_that_is_not_ours_is_refused(self, daemon: Daemon) -> None:
        for kind, namespace, more in (
            ("text/xml", S11, ['SOAPAction: "urn:x"']),
            ('application/soap+xml; action="urn:x"', S12, []),
        ):
            assert "urn:x" in fault(post(daemon, envelope(add(1, 2), namespace=namespace), kind, *more).root)[1]

    def test_a_fault_is_500(self, daemon: Daemon) -> None:
        assert post(daemon, envelope(add("x", 2))).status == 500
        assert post(daemon, envelope(add("x", 2), namespace=S11), "text/xml").status == 500
        assert post(daemon, envelope(add(2**31 - 1, 2))).status == 500

    def test_one_way_is_202_without_a_body(self, daemon: Daemon) -> None:
        answer = post(daemon, envelope(f'<Note xmlns="{DEMO}"><text>x</text></Note>'))
        assert (answer.status, answer.body) == (202, b"")

    def test_what_would_be_pushed_is_a_typed_fault(self, daemon: Daemon) -> None:
        answer = post(daemon, envelope(f'<Watch xmlns="{DEMO}"><symbol>X</symbol><quotes>2</quotes></Watch>'))
        assert text(answer.root, "//d:PushFault/d:transport") == "http"

    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("application/soap+msbinsession1", b"a session needs a WebSocket"),
            ('multipart/related; type="text/xml"', b"MTOM"),
            ("text/plain", b"write application/soap+xml"),
        ],
    )
    def test_another_content_type_is_415(self, daemon: Daemon, kind: str, told: bytes) -> None:
        answer = post(daemon, envelope(add(1, 2)), kind)
        assert answer.status == 415
        assert told in answer.body

    def test_without_one_it_is_415_and_without_a_body_400(self, daemon: Daemon) -> None:
        assert ask(daemon, "POST /soap", body="x").status == 415
        assert ask(daemon, "POST /soap").status == 400

    def test_what_is_too_large_is_413(self, daemon: Daemon) -> None:
        assert post(daemon, envelope("x" * 1_100_000)).status == 413

    @pytest.mark.parametrize("name", [name for name, (message, *_) in BAD.items() if message])
    def test_what_is_refused_gets_its_fault_and_the_connection_stays(self, daemon: Daemon, name: str) -> None:
        message, code, reason = BAD[name]
        wire = daemon.connect()
        status, answer = exchange(wire, message)
        assert status == 500
        assert fault(etree.fromstring(answer))[0] == f"s:{code}"
        assert reason in fault(etree.fromstring(answer))[1]
        assert text(etree.fromstring(exchange(wire, envelope(add(1, 2)))[1]), "//d:sum") == "3"

    def test_after_a_wrong_content_type_the_connection_stays(self, daemon: Daemon) -> None:
        wire = daemon.connect()
        assert exchange(wire, envelope(add(1, 2)), "application/json")[0] == 415
        assert text(etree.fromstring(exchange(wire, envelope(add(1, 2)))[1]), "//d:sum") == "3"

    def test_a_page_of_another_site_is_refused(self, daemon: Daemon) -> None:
        assert post(daemon, envelope(add(1, 2)), "text/xml", "Origin: http://example.com").status == 403

    def test_other_methods_are_405(self, daemon: Daemon) -> None:
        answer = ask(daemon, "DELETE /soap")
        assert (answer.status, answer.headers["allow"]) == (405, "get, head, post")

    def test_a_slow_answer_is_waited_for_and_who_leaves_ends_it(self) -> None:
        daemon = daemonOf(contract=str(Path(__file__).with_name("waiting.xsd")), service="tests.protocols.soap.waiting")
        message = '<w:Wait xmlns:w="urn:waiting"><number>1</number><of>3</of></w:Wait>'
        said = envelope(message).encode()
        head = b"POST /soap HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/soap+xml\r\n"
        head += b"Content-Length: %d\r\n\r\n" % len(said)
        staying, leaving = daemon.connect(), daemon.connect()
        assert staying.exchange(head + said) == b""
        leaving.exchange(head + said)
        leaving.close()
        daemon.pass_(1)
        assert b"<number>1</number>" in staying.exchange(b"")

    def test_one_without_an_answer_is_500(self, monkeypatch: pytest.MonkeyPatch) -> None:
        daemon = daemonOf(contract=str(Path(__file__).with_name("waiting.xsd")), service="tests.protocols.soap.waiting")
        monkeypatch.setattr(daemon.factories["/soap"].node, "_resultAnswer", lambda *arguments: 1 // 0)
        wire = daemon.connect()
        said = envelope('<w:Wait xmlns:w="urn:waiting"><number>1</number><of>3</of></w:Wait>')
        head = f"Content-Type: application/soap+xml\r\nContent-Length: {len(said)}\r\n\r\n"
        assert wire.exchange(f"POST /soap HTTP/1.1\r\nHost: localhost\r\n{head}{said}".encode()) == b""
        daemon.pass_(1)
        assert wire.exchange(b"").startswith(b"HTTP/1.1 500 ")


class TestTheContract:
    def test_for_a_websocket_it_has_the_transport_of_ms_swsb(self, daemon: Daemon) -> None:
        answer = ask(daemon, "GET /soap?wsdl")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
        transports = {each.get("transport") for each in answer.root.findall(".//s12:binding", WSDL)}
        assert transports == {"http://schemas.microsoft.com/soap/websocket"}
        assert answer.root.find(".//s12:address", WSDL).get("location") == "ws://localhost:9998/soap"
        assert answer.root.find(".//w:portType/w:operation[@name='Quote']", WSDL) is not None

    def test_for_http_it_has_that_of_http_in_both_versions(self, daemon: Daemon) -> None:
        root = ask(daemon, "GET /soap?wsdl&transport=http").root
        bindings = [*root.findall(".//s12:binding", WSDL), *root.findall(".//s11:binding", WSDL)]
        assert {each.get("transport") for each in bindings} == {"http://schemas.xmlsoap.org/soap/http"}
        assert root.find(".//s11:address", WSDL).get("location") == "http://localhost:9998/soap"
        assert root.find(".//w:portType/w:operation[@name='Quote']", WSDL) is None

    def test_it_is_one_that_we_can_read_ourselves(self, daemon: Daemon, tmp_path: Path) -> None:
        (tmp_path / "again.wsdl").write_bytes(ask(daemon, "GET /soap?wsdl").body)
        again, ours = readContract(tmp_path / "again.wsdl"), daemon.factories["/soap"].service.contract
        assert {name: each.input and each.input.action for name, each in again.operations.items()} == {
            name: each.input and each.input.action for name, each in ours.operations.items()
        }

    def test_it_is_written_once_for_each_address_and_few_are_kept(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[str] = []

        def write(contract: Contract, location: str, credentials: Credentials) -> bytes:
            written.append(location)
            return location.encode()

        monkeypatch.setattr("wsd.protocols.soap.pages.webSocketWsdl", write)
        hosts = [f"localhost:{port}" for port in range(1, 21)]
        for host in ["localhost:1", *hosts]:
            assert ask(daemon, "GET /soap?wsdl", host=host).body == f"ws://{host}/soap".encode()
        assert written == [f"ws://{host}/soap" for host in hosts]
        ask(daemon, "GET /soap?wsdl", host="localhost:1")
        assert written[20:] == ["ws://localhost:1/soap"]

    def test_another_transport_is_400(self, daemon: Daemon) -> None:
        assert ask(daemon, "GET /soap?wsdl&transport=smtp").status == 400


class TestThePage:
    def test_it_tells_every_operation_with_a_sample(self, daemon: Daemon) -> None:
        answer = ask(daemon, "GET /soap")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        page = etree.HTML(answer.body)
        assert [each.get("id") for each in page.iter("article")] == [
            "Echo", "Add", "ReadFile", "Order", "Note", "Watch", "Quote",
        ]  # fmt: skip

    def test_it_has_the_documentation_in_both_languages(self, daemon: Daemon) -> None:
        page = etree.HTML(ask(daemon, "GET /soap").body)
        told = [each for each in page.iter("p") if each.get("class") == "about"]
        assert len(told) == 8
        assert {"data-text", "data-zh"} <= set.intersection(*(set(each.keys()) for each in told))
        assert [each.text for each in told] == [each.get("data-text") for each in told]

    def test_each_sample_is_answered(self, daemon: Daemon) -> None:
        page = etree.HTML(ask(daemon, "GET /soap").body)
        samples = [each.text for each in page.iter("pre") if each.get("class") == "sample"]
        assert [post(daemon, sample).status for sample in samples] == [200, 200, 500, 200, 202, 500]

    def test_its_files_are_there(self, daemon: Daemon) -> None:
        for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
            answer = ask(daemon, f"GET /soap/{name}")
            assert (answer.status, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
            assert ask(daemon, f"GET /soap/{name}", f"If-None-Match: {answer.headers['etag']}").status == 304
        assert ask(daemon, "GET /soap/nothing").status == 404
