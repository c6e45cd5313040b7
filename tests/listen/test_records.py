"""TLS records: by OpenSSL's interface in C, and the same with Python's ssl module."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.certificates import Authority
from wsd.listen import _openssl, records
from wsd.listen.handshake import newRecords
from wsd.listen.records import reasonOf


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("records"))


@pytest.fixture(params=[_openssl.Records, records.Records], ids=["openssl", "python"])
def made(request: pytest.FixtureRequest) -> Any:
    return request.param


def serving(authority: Authority, client: str = "none") -> ssl.SSLContext:
    pair = authority.server("a", "a.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED if client == "required" else ssl.CERT_NONE
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def asking(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.path)


class Both:
    """A server's records, and a client of Python's ssl module."""

    def __init__(self, made: Any, server: ssl.SSLContext, client: ssl.SSLContext, session: Any = None) -> None:
        self.records = made(server)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self.incoming, self.outgoing, server_hostname="a.test", session=session)
        self.rest: bytes | None = None

    def shake(self) -> Both:
        """Complete the handshake. Raises ssl.SSLError of either side."""
        isClientDone = False
        while self.rest is None or not isClientDone:
            if not isClientDone:
                try:
                    self.client.do_handshake()
                    isClientDone = True
                except ssl.SSLWantReadError:
                    pass
            data = self.outgoing.read()
            if self.rest is None:
                try:
                    self.rest = self.records.handshake(data)
                finally:
                    self.incoming.write(self.records.takePending())
        return self

    def hear(self) -> bytes:
        """What the client reads."""
        found = b""
        while True:
            try:
                data = self.client.read(65536)
            except ssl.SSLWantReadError:
                return found
            if not data:
                return found
            found += data


def fault(made: Any, server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[Any, str, int]:
    """The kind and the words of the error with which a handshake fails, and the size of the alert."""
    both = Both(made, server, client)
    for _ in range(3):
        with suppress(ssl.SSLError):
            both.client.do_handshake()
        try:
            both.records.handshake(both.outgoing.read())
        except ssl.SSLError as error:
            return type(error), reasonOf(error), len(both.records.takePending())
        both.incoming.write(both.records.takePending())
    raise AssertionError("the handshake was completed")


def test_the_one_in_c_is_used() -> None:
    assert newRecords is _openssl.Records


@pytest.mark.parametrize(
    "spoiled",
    ["ssl.OPENSSL_VERSION = 'OpenSSL 9.0'", "_ssl.__file__ = '/nowhere'", "_ssl._SSLContext = lambda protocol: b''"],
)
def test_where_it_does_not_fit_python_does_it(spoiled: str) -> None:
    """Such as where Python has its OpenSSL linked in, has another library, or another structure of contexts."""
    program = f"""
import _ssl, ssl
{spoiled}
from wsd.listen import handshake, records
print(handshake.newRecords is records.Records)
"""
    root = Path(__file__).parents[2]
    said = subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)
    assert said.stdout == "True\n"


class TestAHandshake:
    def test_agrees_on_the_same(self, made: Any, authority: Authority) -> None:
        client = asking(authority)
        client.set_alpn_protocols(["h2", "http/1.1"])
        agreed = Both(made, serving(authority), client).shake().records
        assert (agreed.version(), agreed.cipher(), agreed.protocol()) == (
            "TLSv1.3",
            "TLS_AES_256_GCM_SHA384",
            "http/1.1",
        )
        assert (agreed.certificate(), agreed.isResumed()) == (None, False)

    def test_knows_the_clients_certificate(self, made: Any, authority: Authority) -> None:
        client = asking(authority)
        pair = authority.client("someone")
        client.load_cert_chain(pair.cert, pair.key)
        both = Both(made, serving(authority, "required"), client).shake()
        assert both.records.certificate() == ssl.PEM_cert_to_DER_cert(Path(pair.cert).read_text().partition("\n\n")[0])

    @pytest.mark.parametrize("data", [b"GET / HTTP/1.1", b"\x16\x03\x01\0\4abcd", b"\x15\x03\x03\x00\x02\x02\x28"])
    def test_of_something_else_fails_in_the_same_words(self, authority: Authority, data: bytes) -> None:
        told = []
        for kind in (_openssl.Records, records.Records):
            server: Any = kind(serving(authority))
            with pytest.raises(ssl.SSLError) as caught:
                server.handshake(data)
            told.append((caught.value.reason, reasonOf(caught.value), server.takePending()))
        assert told[0] == told[1]

    def test_with_a_client_that_cannot_fails_in_the_same_words(self, authority: Authority, tmp_path: Path) -> None:
        strangers = Authority(tmp_path, "strangers")
        stranger = asking(authority)
        pair = strangers.client("someone")
        stranger.load_cert_chain(pair.cert, pair.key)
        unable = asking(authority)
        unable.maximum_version = ssl.TLSVersion.TLSv1_2
        unable.set_ciphers("ECDHE-RSA-AES128-SHA")
        for server, client in (
            (serving(authority, "required"), stranger),
            (serving(authority, "required"), asking(authority)),
            (serving(authority), unable),
            (serving(authority), asking(strangers)),
        ):
            assert fault(_openssl.Records, server, client) == fault(records.Records, server, client)

    def test_is_not_disturbed_by_an_older_error(self, made: Any, authority: Authority) -> None:
        """OpenSSL keeps the errors of each thread until somebody takes them."""
        both = Both(made, serving(authority), asking(authority)).shake()
        with pytest.raises(ssl.SSLError):
            serving(authority).load_verify_locations(cadata="nothing")
        both.client.write(b"hello")
        assert both.records.decrypt(both.outgoing.read()) == b"hello"

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_resumes_a_session(self, made: Any, authority: Authority, version: ssl.TLSVersion) -> None:
        server, client = serving(authority), asking(authority)
        client.maximum_version = version
        first = Both(made, server, client).shake()
        first.hear()
        again = Both(made, server, client, first.client.session).shake()
        assert again.client.session_reused
        assert again.records.isResumed()
        assert not Both(made, serving(authority), client, first.client.session).shake().records.isResumed()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def both(request: pytest.FixtureRequest, made: Any, authority: Authority) -> Both:
    client = asking(authority)
    client.maximum_version = request.param
    return Both(made, serving(authority), client).shake()


class TestRecords:
    def test_pass_both_ways_however_they_are_cut(self, both: Both) -> None:
        @settings(deadline=None, max_examples=60)
        @given(
            st.lists(st.integers(1, 50_000), min_size=1, max_size=5),
            st.lists(st.integers(1, 70_000), min_size=1, max_size=12),
        )
        def pass_(sizes: list[int], cuts: list[int]) -> None:
            pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
            for piece in pieces:
                both.client.write(piece)
            data, got = both.outgoing.read(), b""
            for cut in cuts:
                got += both.records.decrypt(data[:cut])
                data = data[cut:]
            got += both.records.decrypt(data)
            assert got == b"".join(pieces)
            both.incoming.write(both.records.seal([piece if len(piece) % 2 else memoryview(piece) for piece in pieces]))
            assert both.hear() == got

        pass_()

    def test_of_several_pieces_are_as_few_as_of_one(self, both: Both) -> None:
        separately = len(both.records.seal([b"head", bytes(65536)]))
        assert separately == len(both.records.seal([bytes(65540)]))

    def test_that_were_changed_end_all_and_the_peer_is_told(self, both: Both) -> None:
        both.client.write(b"hello")
        data = bytearray(both.outgoing.read())
        data[-1] ^= 1
        assert both.records.decrypt(bytes(data)) == b""
        assert both.records.isOver
        assert both.records.isBroken
        both.incoming.write(both.records.takePending())
        with pytest.raises(ssl.SSLError, match="bad record mac"):
            both.client.read(10)

    def test_before_a_changed_one_are_delivered(self, both: Both) -> None:
        both.client.write(b"hello")
        good = both.outgoing.read()
        both.client.write(b"world")
        data = bytearray(both.outgoing.read())
        data[-1] ^= 1
        assert both.records.decrypt(good + data) == b"hello"
        assert both.records.isBroken

    def test_cannot_be_written_after_that(self, both: Both) -> None:
        both.records.decrypt(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError):
            both.records.seal([b"hello"])

    def test_without_data_are_nothing(self, both: Both) -> None:
        """A warning, or TLS 1.3's tickets to a client."""
        assert both.records.decrypt(b"") == b""
        assert not both.records.isOver


class TestTheEnd:
    def test_by_the_client_is_known(self, both: Both) -> None:
        both.client.write(b"last")
        with pytest.raises(ssl.SSLWantReadError):
            both.client.unwrap()
        assert both.records.decrypt(both.outgoing.read()) == b"last"
        assert both.records.isOver
        assert not both.records.isBroken
        both.incoming.write(both.records.closeNotify())
        both.client.unwrap()

    def test_by_us_is_over_once_the_client_answers(self, both: Both) -> None:
        both.incoming.write(both.records.seal([b"last"]) + both.records.closeNotify())
        assert not both.records.isOver
        assert both.client.read(10) == b"last"
        both.client.unwrap()
        both.records.decrypt(both.outgoing.read())
        assert both.records.isOver
        assert not both.records.isBroken

    def test_by_an_alert_is_a_fault(self, both: Both) -> None:
        """A client that cannot read what it got says so."""
        data = bytearray(both.records.seal([b"hello"]))
        data[-1] ^= 1
        both.incoming.write(data)
        with pytest.raises(ssl.SSLError):
            both.client.read(10)
        both.records.decrypt(both.outgoing.read())
        assert both.records.isOver
        assert both.records.isBroken


class TestASocket:
    @pytest.fixture
    def pair(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            yield ours, theirs

    def test_is_read_in_pieces(self, both: Both, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, theirs = pair
        both.client.write(b"hello")
        data = both.outgoing.read()
        theirs.send(data[:9])
        assert both.records.receive(ours) == b""
        with pytest.raises(BlockingIOError):
            both.records.receive(ours)
        theirs.send(data[9:])
        assert both.records.receive(ours) == b"hello"
        theirs.close()
        assert both.records.receive(ours) is None

    def test_takes_what_it_can(self, both: Both, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, theirs = pair
        assert both.records.send(ours, [b"hello ", b"world"]) == b""
        sent = theirs.recv(1000)
        assert both.records.sent == len(sent)
        left = b""
        while not left:
            left = both.records.send(ours, [bytes(200_000)])
        taken = both.records.sent
        while len(sent) < taken:
            sent += theirs.recv(1 << 20)
        both.incoming.write(sent + left)
        heard = both.hear()
        assert heard.startswith(b"hello world\0")
        assert len(heard) % 200_000 == 11

    def test_that_is_closed_takes_nothing(self, both: Both, pair: tuple[socket.socket, socket.socket]) -> None:
        ours, _ = pair
        ours.close()
        assert both.records.send(ours, [b"hello"])
        with pytest.raises(OSError, match="Bad file descriptor"):
            both.records.receive(ours)
        assert both.records.sent == 0
