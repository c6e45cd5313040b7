"""Encodings over a WebSocket and over HTTP: which is chosen, and that the service is the same in each."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from lxml import etree

from tests.protocols.soap.talk import DEMO, S11, S12, Talker, add, addressed, daemonOf, envelope, fault, text
from tests.protocols.soap.test_http import Answer
from tests.wire import Daemon
from wsd.protocols.soap.encodings.choice import encodingOfRequest, encodingOfSocket
from wsd.protocols.soap.encodings.encoding import Encoding, MessageReader

MOST = 1 << 20
MTOM = 'multipart/related; type="application/xop+xml"; start-info="{}"; boundary="b"'
SOCKETS = {
    "UTF-8": ("application/soap+xml; charset=utf-8", None),
    "no charset": ("application/soap+xml", None),
    "UTF-16LE": ("application/soap+xml; charset=utf-16LE", None),
    "UTF-16BE": ("application/soap+xml; charset=utf-16BE", None),
    "UTF-16": ("application/soap+xml; charset=utf-16", None),
    "ISO-8859-1": ("application/soap+xml; charset=ISO-8859-1", None),
    "Windows-1252": ("application/soap+xml; charset=windows-1252", None),
    "US-ASCII": ("application/soap+xml; charset=us-ascii", None),
    "MTOM": (MTOM.format("application/soap+xml"), None),
    "msbin1": ("application/soap+msbin1", None),
    "msbin1+gzip": ("application/soap+msbin1+gzip", None),
    "msbin1+deflate": ("application/soap+msbin1+deflate", None),
    "a session": ("application/soap+msbinsession1", "Buffered"),
    "a session without a mode": ("application/soap+msbinsession1", None),
    "a session with gzip": ("application/soap+msbinsession1+gzip", "Buffered"),
    "a session with deflate": ("application/soap+msbinsession1+deflate", "Buffered"),
    "streamed": ("application/soap+msbinsession1", "Streamed"),
}


class CodedClient:
    """A client whose messages are in an encoding: its own writes them, and reads the answers."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        contentType, mode = SOCKETS[name]
        headers = {"soap-content-type": contentType}
        if mode:
            headers["microsoft-binary-transfer-mode"] = mode
        self.client = daemon.open("/soap", subprotocols=["soap"], headers=headers)
        self.encoding: Encoding = encodingOfSocket(contentType, mode, 2048)
        self.reader: MessageReader = self.encoding.reader(MOST)

    def ask(self, message: str) -> Any:
        """Sends an envelope. Returns the root of its answer."""
        (answer,) = self.client.messages(self.client.say(self.encoding.write(message)))
        return self.read(answer)

    def read(self, answer: str | bytes) -> Any:
        assert isinstance(answer, bytes)
        self.reader.feed(answer)
        return self.reader.close().root


@pytest.fixture
def daemon() -> Daemon:
    return daemonOf()


@pytest.mark.parametrize("name", SOCKETS)
class TestOverAWebSocket:
    def test_calls_are_answered_one_after_the_other(self, daemon: Daemon, name: str) -> None:
        client = CodedClient(daemon, name)
        for number in range(3):
            answer = client.ask(addressed(add(number, 2), f"urn:uuid:2495c693-e3b9-7c6f-3898-b7dd200bc11{number}"))
            assert text(answer, "//d:sum") == str(number + 2)
            assert text(answer, "//a:RelatesTo").endswith(str(number))

    def test_a_text_comes_back_as_it_was(self, daemon: Daemon, name: str) -> None:
        for said in ("", "<&>\"'", "äöü €", "\U0001f600 世界", " x\n\ty ", "x" * 70_000, "AAAA" * 500):
            message = etree.fromstring(envelope(f'<Echo xmlns="{DEMO}"><text/></Echo>'))
            message.find(f".//{{{DEMO}}}text").text = said
            answer = CodedClient(daemon, name).ask(etree.tostring(message, encoding="unicode"))
            assert text(answer, "//d:text") == said

    def test_a_fault_is_in_the_same(self, daemon: Daemon, name: str) -> None:
        client = CodedClient(daemon, name)
        assert fault(client.ask(envelope(add("x", 2))))[0] == "s:Sender"
        assert text(client.ask(envelope(add(1, 2))), "//d:sum") == "3"

    def test_what_is_pushed_is_in_the_same(self, daemon: Daemon, name: str) -> None:
        client = CodedClient(daemon, name)
        client.ask(addressed(f'<Watch xmlns="{DEMO}"><symbol>WSD</symbol><quotes>2</quotes></Watch>', "urn:x:1"))
        daemon.pass_(5)
        pushed = [client.read(each) for each in client.client.messages(client.client.exchange())]
        assert [text(each, "//d:Quote/d:symbol") for each in pushed] == ["WSD", "WSD"]

    def test_a_message_may_come_in_fragments(self, daemon: Daemon, name: str) -> None:
        client = CodedClient(daemon, name)
        said = client.encoding.write(envelope(add(1, 2)))
        protocol = client.client.protocol
        protocol.send_binary(said[:1], fin=False)
        for start in range(1, len(said), 7):
            protocol.send_continuation(said[start : start + 7], fin=False)
        protocol.send_continuation(b"", fin=True)
        (answer,) = client.client.messages(client.client.exchange())
        assert text(client.read(answer), "//d:sum") == "3"


class TestTheOpening:
    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("application/json", "write application/soap+xml (1.2), text/xml (1.1)"),
            ("application/soap+xml; charset=koi8-r", "write utf-8, or one of utf-16"),
            ("application/soap+xml+gzip", "is not spoken here"),
            ("application/soap+msbin1+br", "is not spoken here"),
            ('multipart/related; type="text/xml"', "only MTOM is spoken here"),
            (MTOM.format("application/json"), "the start-info of MTOM"),
        ],
    )
    def test_what_is_not_spoken_is_415(self, daemon: Daemon, kind: str, told: str) -> None:
        response = daemon.open("/soap", subprotocols=["soap"], headers={"soap-content-type": kind}).response
        assert response is not None
        assert response.status_code == 415
        assert told in (response.body or b"").decode()


class TestTextMessages:
    """A text message of a WebSocket is UTF-8, and so is its answer."""

    @pytest.mark.parametrize("kind", ["application/soap+xml", "application/soap+xml; charset=utf-16LE"])
    def test_whatever_the_declaration_says(self, daemon: Daemon, kind: str) -> None:
        said = '<?xml version="1.0" encoding="utf-16"?>' + envelope(f'<Echo xmlns="{DEMO}"><text>é</text></Echo>')
        (answer,) = (talker := Talker(daemon, contentType=kind)).client.messages(talker.client.say(said))
        assert isinstance(answer, str)
        assert text(etree.fromstring(answer), "//d:text") == "é"

    @pytest.mark.parametrize("name", ["msbin1", "MTOM", "msbin1+gzip"])
    def test_the_fault_of_one_that_is_no_text_is_binary(self, daemon: Daemon, name: str) -> None:
        client = CodedClient(daemon, name)
        (answer,) = client.client.messages(client.client.say(envelope(add(1, 2))))
        assert fault(client.read(answer))[0] == "s:Sender"


class TestWhatSaysTheCharset:
    """RFC 7303, 3: the byte order mark, then the content type, then the declaration."""

    SAID = envelope(f'<Echo xmlns="{DEMO}"><text>é</text></Echo>')

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("text/xml; charset=utf-8", '<?xml version="1.0" encoding="iso-8859-1"?>é'.encode()),
            ("text/xml; charset=iso-8859-1", '<?xml version="1.0" encoding="utf-8"?>é'.encode("latin-1")),
            ("text/xml; charset=iso-8859-1", "\ufeffé".encode()),
            ("text/xml; charset=utf-8", "\ufeffé".encode()),
            ("text/xml", '<?xml version="1.0" encoding="iso-8859-1"?>é'.encode("latin-1")),
            ("text/xml", '<?xml version="1.0" encoding="utf-16"?>é'.encode("utf-16")),
            ("text/xml", "é".encode("utf-16-be")),
            ("text/xml; charset=utf-16", "é".encode("utf-16-be")),
            ("text/xml; charset=utf-16", "é".encode("utf-16-le")),
            ("text/xml; charset=windows-1252", "é".encode("cp1252")),
        ],
    )
    def test_in_this_order(self, daemon: Daemon, kind: str, message: bytes) -> None:
        codec = "latin-1" if b"\xe9" in message and b"\0" not in message else "utf-8"
        if b"\0" in message:
            codec = "utf-16-le" if message[:1] in (b"<", b"\xff", b"\xe9") else "utf-16-be"
        body = message.replace("é".encode(codec), self.SAID.replace(S12, S11).encode(codec))
        answer = postBytes(daemon, kind, body)
        assert answer.status == 200, answer.body
        assert text(answer.root, "//d:text") == "é"

    def test_a_declared_one_that_is_not_spoken_is_the_senders_fault(self, daemon: Daemon) -> None:
        said = '<?xml version="1.0" encoding="koi8-r"?>' + self.SAID.replace(S12, S11)
        assert "'koi8-r' is not supported" in fault(postBytes(daemon, "text/xml", said.encode()).root)[1]

    def test_what_is_not_in_it_is_the_senders_fault(self, daemon: Daemon) -> None:
        said = self.SAID.replace(S12, S11).encode()
        answer = postBytes(daemon, "text/xml; charset=us-ascii", said)
        assert "is not valid us-ascii" in fault(encodingOf(answer))[1]


def encodingOf(answer: Answer) -> Any:
    """Returns the root of an answer, read by its content type."""
    reader = encodingOfRequest(answer.headers["content-type"]).reader(MOST)
    reader.feed(answer.body)
    return reader.close().root


def postBytes(daemon: Daemon, kind: str, body: bytes, *more: str) -> Answer:
    """Sends one request, and returns its answer."""
    lines = [
        "POST /soap HTTP/1.1",
        "Host: localhost:9998",
        f"Content-Type: {kind}",
        *more,
        f"Content-Length: {len(body)}",
    ]
    got = daemon.connect().exchange("\r\n".join([*lines, "", ""]).encode() + body)
    head, _, rest = got.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    told = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
    return Answer(int(status.split()[1]), told, rest)


HTTP = (
    "application/soap+msbin1",
    "application/soap+msbin1+gzip",
    "application/soap+msbin1+deflate",
    "application/soap+xml; charset=utf-16",
    "text/xml; charset=iso-8859-1",
)


class TestOverHttp:
    @pytest.mark.parametrize("kind", HTTP)
    def test_an_answer_has_the_encoding_of_its_request(self, daemon: Daemon, kind: str) -> None:
        encoding = encodingOfRequest(kind)
        for body, path, value in ((add(1, 2), "//d:sum", "3"), (add("x", 2), "//d:sum", "")):
            said = encoding.write(envelope(body, namespace=encoding.version.namespace))
            answer = postBytes(daemon, kind, said)
            assert answer.status == (200 if value else 500)
            assert answer.headers["content-type"] == encoding.contentType
            assert text(encodingOf(answer), path) == value

    @pytest.mark.parametrize("start", ["application/soap+xml", "text/xml"])
    def test_mtom_has_the_boundary_in_its_content_type(self, daemon: Daemon, start: str) -> None:
        client = encodingOfRequest(MTOM.format(start))
        namespace = S12 if start.endswith("soap+xml") else S11
        said = client.write(envelope(f'<Echo xmlns="{DEMO}"><text>{"AAAA" * 500}</text></Echo>', namespace=namespace))
        assert b"Content-Type: application/octet-stream" in said
        answer = postBytes(daemon, client.contentType, said)
        assert (answer.status, text(encodingOf(answer), "//d:text")) == (200, "AAAA" * 500)

    def test_the_action_may_be_in_start_info(self, daemon: Daemon) -> None:
        kind = MTOM.format('application/soap+xml; action=\\"urn:x\\"')
        said = encodingOfRequest(kind).write(envelope(add(1, 2)))
        boundary = said[2 : said.index(b"\r\n")].decode()
        answer = postBytes(daemon, kind.replace('"b"', f'"{boundary}"'), said)
        assert "urn:x" in fault(encodingOf(answer))[1]

    def test_a_session_needs_a_websocket(self, daemon: Daemon) -> None:
        answer = postBytes(daemon, "application/soap+msbinsession1", b"\0")
        assert (answer.status, b"over HTTP write application/soap+msbin1" in answer.body) == (415, True)

    def test_what_becomes_too_large_is_413(self, daemon: Daemon) -> None:
        bomb = zlib.compressobj(9, wbits=31)
        answer = postBytes(daemon, "application/soap+msbin1+gzip", bomb.compress(bytes(10 * MOST)) + bomb.flush())
        assert answer.status == 413


class TestFaultStatus:
    @pytest.mark.parametrize(("chosen", "status"), [("500", 500), ("soap12", 400)])
    def test_of_the_senders_fault_in_1_2(self, chosen: str, status: int) -> None:
        daemon = daemonOf(fault_status=chosen)
        assert postBytes(daemon, "application/soap+xml", envelope(add("x", 2)).encode()).status == status
        assert postBytes(daemon, "text/xml", envelope(add("x", 2), namespace=S11).encode()).status == 500
