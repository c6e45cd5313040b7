"""TLS in memory, against the client of Python's ssl module: names, keys, ALPN, clients' certificates, renewal."""

from __future__ import annotations

import os
import ssl
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport

from tests.certificates import Authority, keyBytes, makeKey
from wsd.config import Certificate, ConfigError, Tls
from wsd.listen import _openssl, records
from wsd.listen.proxy import ProxyFactory
from wsd.listen.tls import Certificates, tlsOf
from wsd.policies.address import TlsInfo

PEER = IPv4Address("TCP", "192.0.2.9", 4000)
HERE = IPv4Address("TCP", "10.0.0.2", 9999)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True, params=[_openssl.Records, records.Records], ids=["openssl", "python"])
def whoseRecords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsd.listen.handshake.newRecords", request.param)


class Behind(Protocol):
    """What stands behind TLS: it notes what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


class Server(Factory):
    """A listener with these certificates, in memory."""

    def __init__(self, *pairs: Certificate, environ: dict[str, str] | None = None, **tls: Any) -> None:
        self.clock = Clock()
        self.tls = Tls(certificate=pairs, **tls)
        self.certificates = Certificates(self.tls, environ or {})
        self.built: list[Behind] = []
        self.wrapped: Any = self.certificates.wrap(self)

    def buildProtocol(self, address: Any) -> Behind:
        self.built.append(Behind())
        return self.built[-1]


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.path)


class Client:
    """A connection to a server whose client is Python's; its handshake is done unless it fails."""

    def __init__(
        self,
        server: Server,
        context: ssl.SSLContext,
        name: str | None = "a.test",
        session: ssl.SSLSession | None = None,
        first: bytes = b"",
        spread: int | None = None,
    ) -> None:
        self.server = server
        self._spread = spread
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        protocol = server.wrapped.buildProtocol(PEER)
        self.transport = FakeTransport(protocol, True, HERE, PEER)
        protocol.makeConnection(self.transport)
        if first:
            protocol.dataReceived(first)
        self._until(self.tls.do_handshake)

    @property
    def behind(self) -> Behind:
        return self.server.built[-1]

    @property
    def info(self) -> TlsInfo:
        """What the server says of the connection."""
        found = tlsOf(self.behind.transport)
        assert found is not None
        return found

    @property
    def certificate(self) -> x509.Certificate:
        """What the server showed."""
        shown = self.tls.getpeercert(True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown)

    @property
    def shown(self) -> str:
        """The common name of that."""
        [name] = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(name.value)

    def exchange(self) -> bool:
        """Move what waits on both sides: whether there was something."""
        moved = False
        if data := self._outgoing.read():
            self.transport.bufferReceived(self._cut(data))
            moved = True
        self.server.clock.advance(0)
        if data := self.transport.getOutBuffer():
            self._incoming.write(data)
            moved = True
        return moved

    def _cut(self, data: bytes) -> bytes:
        """The first message of all, the hello, in records of `spread` bytes."""
        size, self._spread = self._spread, None
        if size is None:
            return data
        pieces = [data[at : at + size] for at in range(5, len(data), size)]
        return b"".join(data[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)

    def _until(self, call: Any) -> Any:
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                assert self.exchange(), "nothing moves"
            except ssl.SSLError:
                self.exchange()
                raise
            else:
                self.exchange()
                return result

    def say(self, data: bytes) -> bytes:
        """Send, and what has come behind by then."""
        self.tls.write(data)
        self.exchange()
        return self.behind.got

    def hear(self) -> bytes:
        """Read; nothing is the end as TLS has it, with its alert."""
        data = self._until(lambda: self.tls.read(1000))
        assert isinstance(data, bytes)
        return data

    def end(self) -> None:
        """Close as TLS has it: our alert and theirs."""
        self._until(self.tls.unwrap)


def knock(server: Server, data: bytes, peer: Any = PEER) -> FakeTransport:
    """A connection on which these bytes come: its transport."""
    protocol = server.wrapped.buildProtocol(peer)
    transport = FakeTransport(protocol, True, HERE, peer)
    protocol.makeConnection(transport)
    protocol.dataReceived(data)
    return transport


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def client(authority: Authority) -> ssl.SSLContext:
    return trusting(authority)


@pytest.fixture
def mute(client: ssl.SSLContext) -> ssl.SSLContext:
    """A client that takes any name for right."""
    client.check_hostname = False
    return client


class TestServerNames:
    @pytest.fixture
    def server(self, authority: Authority) -> Server:
        return Server(
            authority.server("first", "first.test", "127.0.0.1"),
            authority.server("a", "A.test", "www.a.test"),
            authority.server("wild", "*.a.test"),
        )

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("first.test", "first"),
            ("a.test", "a"),
            ("A.TEST", "a"),
            ("a.test.", "a"),
            ("www.a.test", "a"),
            ("other.a.test", "wild"),
            ("OTHER.A.TEST", "wild"),
            ("deep.other.a.test", "first"),
            ("unknown.test", "first"),
            ("test", "first"),
        ],
    )
    def test_an_exact_name_then_a_wildcard_of_one_label_then_the_first(
        self, server: Server, mute: ssl.SSLContext, name: str, shown: str
    ) -> None:
        assert Client(server, mute, name).shown == shown

    @pytest.mark.parametrize("name", [None, "127.0.0.1"])
    def test_without_a_name_it_is_the_first(self, server: Server, mute: ssl.SSLContext, name: str | None) -> None:
        reached = Client(server, mute, name)
        assert (reached.shown, reached.info.sni) == ("first", None)

    def test_the_name_is_told(self, server: Server, client: ssl.SSLContext) -> None:
        assert Client(server, client, "www.a.test").info.sni == "www.a.test"

    def test_of_two_certificates_for_a_name_the_first_holds(self, authority: Authority, client: ssl.SSLContext) -> None:
        server = Server(authority.server("one", "a.test"), authority.server("two", "a.test"))
        assert Client(server, client).shown == "one"

    def test_one_without_names_answers_when_it_is_the_first(self, authority: Authority, mute: ssl.SSLContext) -> None:
        server = Server(authority.server("nameless"), authority.server("a", "a.test"))
        assert Client(server, mute, "other.test").shown == "nameless"
        assert Client(server, mute, "a.test").shown == "a"


class TestAHelloInPieces:
    """RFC 8446 5.1: a message may be spread over several records."""

    @pytest.fixture
    def server(self, authority: Authority) -> Server:
        return Server(authority.server("first", "first.test"), authority.server("a", "a.test"))

    @pytest.mark.parametrize("size", [1, 9, 40])
    def test_chooses_the_certificate_and_the_protocol_as_a_whole_one(
        self, server: Server, client: ssl.SSLContext, size: int
    ) -> None:
        client.set_alpn_protocols(["http/1.1"])
        reached = Client(server, client, spread=size)
        assert reached.shown == "a"
        assert (reached.info.sni, reached.info.alpn) == ("a.test", "http/1.1")

    def test_is_refused_without_a_protocol_in_common_too(self, server: Server, client: ssl.SSLContext) -> None:
        client.set_alpn_protocols(["h2"])
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            Client(server, client, spread=20)

    def test_that_does_not_end_is_refused(self, server: Server) -> None:
        with capturedLogs() as events:
            transport = knock(server, b"\x16\x03\x01\x00\x00" * 60_000)
        assert transport.getOutBuffer() == b"\x15\x03\x03\x00\x02\x02\x2f"
        assert transport.disconnecting
        assert [event["reason"] for event in events] == ["no complete ClientHello within 256 KiB"]


class TestKeysAndChains:
    @pytest.mark.parametrize(
        ("ciphers", "kind"), [("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa"), ("ECDHE-RSA-AES128-GCM-SHA256", "rsa")]
    )
    @pytest.mark.parametrize("order", [("ecdsa", "rsa"), ("rsa", "ecdsa")])
    def test_both_kinds_for_one_name_are_served_as_the_client_can(
        self, authority: Authority, client: ssl.SSLContext, ciphers: str, kind: str, order: tuple[str, str]
    ) -> None:
        server = Server(*(authority.server(each, "a.test", kind=each) for each in order))
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(ciphers)
        assert Client(server, client).shown == kind

    @pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
    def test_the_whole_chain_is_sent(self, tmp_path: Path, authority: Authority, kind: str) -> None:
        between = Authority(tmp_path, "between", authority)
        server = Server(between.server("leaf", "a.test", kind=kind))
        assert Client(server, trusting(authority)).shown == "leaf"

    def test_each_kind_has_its_own_chain(self, tmp_path: Path, authority: Authority, client: ssl.SSLContext) -> None:
        one, two = Authority(tmp_path, "one", authority), Authority(tmp_path, "two", authority)
        server = Server(one.server("e", "a.test"), two.server("r", "a.test", kind="rsa"))
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        for kind, shown in (("ECDSA", "e"), ("RSA", "r")):
            client.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
            assert Client(server, client).shown == shown

    def test_the_key_may_lie_in_the_certificates_file(self, authority: Authority, client: ssl.SSLContext) -> None:
        pair = authority.server("a", "a.test")
        both = Path(pair.cert).read_bytes() + Path(pair.key).read_bytes()
        Path(pair.cert).write_bytes(both)
        assert Client(Server(Certificate(pair.cert, pair.cert)), client).shown == "a"


class TestVersionsAndCiphers:
    @pytest.fixture
    def server(self, authority: Authority) -> Server:
        return Server(authority.server("a", "a.test", kind="rsa"))

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_1_2_and_1_3_are_spoken(self, server: Server, client: ssl.SSLContext, version: ssl.TLSVersion) -> None:
        client.minimum_version = client.maximum_version = version
        reached = Client(server, client)
        assert reached.info.version == reached.tls.version() == version.name.replace("_", ".")
        assert reached.info.cipher == (reached.tls.cipher() or [""])[0]
        assert reached.say(b"hello") == b"hello"
        assert server.certificates.handshakes.counts == {reached.info.version: 1}

    def test_those_that_fail_are_counted_too(self, server: Server) -> None:
        knock(server, b"GET / HTTP/1.1\r\n\r\n")
        assert server.certificates.handshakes.counts == {"failed": 1}

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
    def test_older_ones_are_refused_and_the_log_says_why(
        self, server: Server, client: ssl.SSLContext, version: ssl.TLSVersion
    ) -> None:
        client.minimum_version = client.maximum_version = version
        client.set_ciphers("ALL:@SECLEVEL=0")
        with capturedLogs() as events, pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            Client(server, client)
        [event] = events
        assert (event["event"], event["peer"], event["reason"]) == ("tls.refused", "192.0.2.9", "unsupported protocol")

    @pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"])
    def test_in_1_2_ciphers_without_forward_secrecy_or_authentication_are_refused(
        self, server: Server, client: ssl.SSLContext, cipher: str
    ) -> None:
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(cipher)
        with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
            Client(server, client)

    def test_what_is_no_tls_at_all_is_refused(self, server: Server) -> None:
        with capturedLogs() as events:
            assert knock(server, b"GET / HTTP/1.1\r\n\r\n").disconnecting
        assert [event["reason"] for event in events] == ["http request"]
        assert server.built[0].got == b""

    def test_plain_http_is_told_so_under_the_id_of_the_line_in_the_log(self, server: Server) -> None:
        with capturedLogs() as events:
            answer = knock(server, b"GET / HTTP/1.1\r\n\r\n").getOutBuffer()
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert f"\r\nX-Request-Id: {events[0]['id']}\r\n".encode() in answer


class TestApplicationProtocols:
    @pytest.fixture
    def server(self, authority: Authority) -> Server:
        return Server(authority.server("first", "first.test"), authority.server("a", "a.test"))

    @pytest.mark.parametrize("offered", [["http/1.1"], ["h2", "http/1.1"], ["http/1.1", "h2", "http/1.0"]])
    def test_http_1_1_is_chosen_wherever_it_stands(
        self, server: Server, client: ssl.SSLContext, offered: list[str]
    ) -> None:
        client.set_alpn_protocols(offered)
        reached = Client(server, client)
        assert reached.tls.selected_alpn_protocol() == reached.info.alpn == "http/1.1"

    @pytest.mark.parametrize("name", ["first.test", "a.test"])
    def test_without_it_the_handshake_is_refused(self, server: Server, client: ssl.SSLContext, name: str) -> None:
        client.set_alpn_protocols(["h2", "http/1.0"])
        with capturedLogs() as events, pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
            Client(server, client, name)
        [event] = events
        assert event["reason"].startswith("no common application protocol")

    def test_who_offers_none_gets_none(self, server: Server, client: ssl.SSLContext) -> None:
        reached = Client(server, client)
        assert (reached.tls.selected_alpn_protocol(), reached.info.alpn) == (None, None)


class TestClientCertificates:
    @pytest.fixture
    def pair(self, authority: Authority) -> Certificate:
        return authority.server("a", "a.test")

    @pytest.fixture
    def people(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path, "people")

    def with_(self, context: ssl.SSLContext, pair: Certificate) -> ssl.SSLContext:
        context.load_cert_chain(pair.cert, pair.key)
        return context

    @pytest.mark.parametrize("auth", ["optional", "required"])
    def test_the_subject_of_a_verified_one_is_told_as_rfc_4514_writes_it(
        self, pair: Certificate, people: Authority, client: ssl.SSLContext, auth: str
    ) -> None:
        server = Server(pair, client_ca=str(people.path), client_auth=auth)
        mine = people.client("Zoë, of the door", [(NameOID.ORGANIZATION_NAME, "Doors")])
        info = Client(server, self.with_(client, mine)).info
        assert info.client == r"CN=Zoë\, of the door,O=Doors"
        assert info.clientPem == Path(mine.cert).read_bytes()

    def test_optional_lets_in_who_has_none(self, pair: Certificate, people: Authority, client: ssl.SSLContext) -> None:
        server = Server(pair, client_ca=str(people.path), client_auth="optional")
        info = Client(server, client).info
        assert (info.client, info.clientPem) == (None, None)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_required_does_not(
        self, pair: Certificate, people: Authority, client: ssl.SSLContext, version: ssl.TLSVersion
    ) -> None:
        server = Server(pair, client_ca=str(people.path), client_auth="required")
        client.maximum_version = version
        with capturedLogs() as events, pytest.raises(ssl.SSLError):
            Client(server, client).hear()
        assert [event["reason"] for event in events] == ["peer did not return a certificate"]
        assert server.built[0].got == b""

    @pytest.mark.parametrize("auth", ["optional", "required"])
    def test_one_of_another_authority_is_refused(
        self, pair: Certificate, people: Authority, authority: Authority, client: ssl.SSLContext, auth: str
    ) -> None:
        server = Server(pair, client_ca=str(people.path), client_auth=auth)
        stranger = authority.client("stranger")
        with capturedLogs() as events, pytest.raises(ssl.SSLError):
            Client(server, self.with_(client, stranger)).hear()
        [event] = events
        assert event["reason"].startswith("certificate verify failed: self-signed certificate")

    def test_a_servers_certificate_is_none(self, pair: Certificate, people: Authority, client: ssl.SSLContext) -> None:
        server = Server(pair, client_ca=str(people.path), client_auth="required")
        with pytest.raises(ssl.SSLError):
            Client(server, self.with_(client, people.server("x", "x.test"))).hear()

    def test_nobody_is_asked_without_client_auth(
        self, pair: Certificate, people: Authority, client: ssl.SSLContext
    ) -> None:
        assert Client(Server(pair), self.with_(client, people.client("me"))).info.client is None

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("name", ["a.test", "b.test"])
    def test_a_resumed_session_still_knows_who_it_is(
        self, authority: Authority, people: Authority, client: ssl.SSLContext, version: ssl.TLSVersion, name: str
    ) -> None:
        pairs = authority.server("a", "a.test"), authority.server("b", "b.test")
        server = Server(*pairs, client_ca=str(people.path), client_auth="required")
        client.maximum_version = version
        self.with_(client, people.client("me"))
        first = Client(server, client, name)
        first.behind.transport.write(b"welcome")  # type: ignore[union-attr]
        assert first.hear() == b"welcome"
        again = Client(server, client, name, first.tls.session)
        assert again.tls.session_reused
        assert again.info.client == "CN=me"
        assert list(server.certificates.handshakes.resumed.values()) == [1]

    def test_a_session_does_not_outlive_the_certificate(
        self, pair: Certificate, people: Authority, client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = Server(pair, client_ca=str(people.path), client_auth="required")
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        first = Client(server, self.with_(client, people.client("me")))
        monkeypatch.setattr("wsd.listen.handshake._hasExpired", lambda der: der is not None)
        with capturedLogs() as logs:
            assert Client(server, client, session=first.tls.session).hear() == b""
        assert "certificate verify failed: certificate has expired" in [event.get("reason") for event in logs]

    def test_no_session_outlives_a_renewal(self, pair: Certificate, people: Authority, client: ssl.SSLContext) -> None:
        server = Server(pair, client_ca=str(people.path), client_auth="required")
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        first = Client(server, self.with_(client, people.client("me")))
        assert server.certificates.reload()
        again = Client(server, client, session=first.tls.session)
        assert not again.tls.session_reused


class TestSessions:
    """RFC 8446 2.2, RFC 5077."""

    def test_are_resumed_until_the_keys_are_renewed(self, authority: Authority, client: ssl.SSLContext) -> None:
        now = [time.time()]
        server = Server(authority.server("a", "a.test"))
        server.certificates = Certificates(server.tls, {}, lambda: now[0])
        server.wrapped = server.certificates.wrap(server)
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        session = Client(server, client).tls.session
        now[0] += 11 * 3600
        server.certificates.poll()
        assert Client(server, client, session=session).tls.session_reused
        now[0] += 3600
        server.certificates.poll()
        assert not Client(server, client, session=session).tls.session_reused

    def test_a_ticket_of_tls_13_comes_with_the_first_answer(self, authority: Authority, client: ssl.SSLContext) -> None:
        server = Server(authority.server("a", "a.test"))
        first = Client(server, client)
        first.exchange()
        assert first.tls.session is None or not first.tls.session.has_ticket
        first.behind.transport.write(b"welcome")  # type: ignore[union-attr]
        assert first.hear() == b"welcome"
        assert first.tls.session
        assert first.tls.session.has_ticket
        assert Client(server, client, session=first.tls.session).tls.session_reused


class TestRevocation:
    """RFC 5280 5: `client_crl`."""

    @pytest.fixture
    def pair(self, authority: Authority) -> Certificate:
        return authority.server("a", "a.test")

    @pytest.fixture
    def people(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path, "people")

    def server(self, pair: Certificate, people: Authority, crl: str, auth: str = "required") -> Server:
        return Server(pair, client_ca=str(people.path), client_crl=crl, client_auth=auth)

    def with_(self, authority: Authority, pair: Certificate) -> ssl.SSLContext:
        context = trusting(authority)
        context.load_cert_chain(pair.cert, pair.key)
        return context

    def refusal(self, server: Server, context: ssl.SSLContext) -> str:
        """What the log says of a handshake that fails."""
        with capturedLogs() as events, pytest.raises(ssl.SSLError):
            Client(server, context).hear()
        [reason] = [event["reason"] for event in events if event.get("event") == "tls.refused"]
        return str(reason).partition(" (")[0]

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("auth", ["optional", "required"])
    def test_who_is_on_the_list_is_refused_and_who_is_not_comes_in(
        self, pair: Certificate, people: Authority, authority: Authority, auth: str, version: ssl.TLSVersion
    ) -> None:
        good, bad = people.client("good"), people.client("bad")
        server = self.server(pair, people, people.revoke(bad), auth)
        contexts = [self.with_(authority, each) for each in (good, bad)]
        for context in contexts:
            context.maximum_version = version
        assert Client(server, contexts[0]).info.client == "CN=good"
        assert self.refusal(server, contexts[1]) == "certificate verify failed: certificate revoked"

    def test_a_changed_list_is_for_the_next_handshake_and_no_session_outlives_it(
        self, pair: Certificate, people: Authority, authority: Authority
    ) -> None:
        mine = people.client("me")
        server = self.server(pair, people, people.revoke())
        context = self.with_(authority, mine)
        reached = Client(server, context)
        reached.behind.transport.write(b"x")  # type: ignore[union-attr]
        assert reached.hear() == b"x"
        people.revoke(mine)
        server.certificates.poll()
        assert reached.say(b"still here") == b"still here"
        with capturedLogs() as events, pytest.raises(ssl.SSLError):
            Client(server, context, session=reached.tls.session).hear()
        assert "certificate revoked" in events[0]["reason"]

    def test_it_is_read_on_a_reload_and_a_broken_one_leaves_what_was(
        self, pair: Certificate, people: Authority, authority: Authority
    ) -> None:
        mine = people.client("me")
        server = self.server(pair, people, people.revoke(mine))
        Path(people.path).with_suffix(".crl").write_text("nonsense")
        with capturedLogs() as events:
            assert not server.certificates.reload()
        assert "is not PEM; a revocation list begins with -----BEGIN X509 CRL-----" in events[0]["sentence"]
        assert "certificate revoked" in self.refusal(server, self.with_(authority, mine))
        people.revoke()
        assert server.certificates.reload()
        assert Client(server, self.with_(authority, mine)).info.client == "CN=me"

    def test_one_between_is_revoked_as_well(self, tmp_path: Path, pair: Certificate, authority: Authority) -> None:
        root = Authority(tmp_path, "root")
        between = Authority(tmp_path, "between", root)
        mine = between.client("me")
        lists = tmp_path / "lists"

        def put(*revoked: Certificate) -> None:
            lists.write_bytes(Path(root.revoke(*revoked)).read_bytes() + Path(between.revoke()).read_bytes())

        put()
        server = self.server(pair, root, str(lists))
        assert Client(server, self.with_(authority, mine)).info.client == "CN=me"
        put(Certificate(str(between.path), ""))
        server.certificates.poll()
        assert "certificate revoked" in self.refusal(server, self.with_(authority, mine))

    def test_when_a_list_has_ended_nobody_comes_in_and_the_log_says_so_once(
        self, pair: Certificate, people: Authority, authority: Authority
    ) -> None:
        mine = people.client("me")
        with capturedLogs() as events:
            server = self.server(pair, people, people.revoke(days=-1))
            server.certificates.poll()
        assert [event["event"] for event in events] == ["certificate.crl"]
        assert self.refusal(server, self.with_(authority, mine)) == "certificate verify failed: CRL has expired"

    def test_it_tells_when_the_first_list_ends(self, pair: Certificate, people: Authority) -> None:
        assert Server(pair).certificates.crlExpiry() is None
        end = self.server(pair, people, people.revoke(days=7)).certificates.crlExpiry()
        assert end is not None
        assert 6.9 < (end - time.time()) / 86400 < 7.1

    def test_what_cannot_be_used_is_told(self, pair: Certificate, people: Authority, tmp_path: Path) -> None:
        path = tmp_path / "lists"

        def told(content: bytes) -> str:
            path.write_bytes(content)
            with pytest.raises(ConfigError) as caught:
                self.server(pair, people, str(path))
            return str(caught.value).removeprefix(f"tls.client_crl: {path} ")

        own = Path(people.revoke()).read_bytes()
        other = Path(Authority(tmp_path, "other").revoke()).read_bytes()
        (tmp_path / "again").mkdir()
        forged = Path(Authority(tmp_path / "again", "people").revoke()).read_bytes()
        lacks = "has no revocation list for CN=people, an authority in client_ca; add the lists of all authorities"
        assert told(other) == told(forged) == lacks
        assert told(own[:100] + own[-60:]) == "is damaged; replace it with a complete copy"
        assert told(own + people.path.read_bytes()) == "contains a certificate; certificates belong in client_ca"
        path.unlink()
        with pytest.raises(ConfigError, match=r"client_crl .* cannot be read: No such file"):
            self.server(pair, people, str(path))


class TestReading:
    def test_a_protocol_may_put_another_reader_in_its_place(self, authority: Authority, client: ssl.SSLContext) -> None:
        """As the door does when a request is one of HTTP's."""
        reached, later = Client(Server(authority.server("a", "a.test")), client), Behind()
        assert reached.say(b"head") == b"head"
        reached.behind.dataReceived = later.dataReceived  # type: ignore[method-assign]
        assert reached.say(b"body") == b"head"
        assert later.got == b"body"


class TestClosing:
    @pytest.fixture
    def reached(self, authority: Authority, client: ssl.SSLContext) -> Client:
        return Client(Server(authority.server("a", "a.test")), client)

    def test_the_client_sees_all_and_then_the_end_not_a_truncation(self, reached: Client) -> None:
        above: Any = reached.behind.transport
        above.write(b"last ")
        above.write(b"words")
        above.loseConnection()
        assert reached.hear() + reached.hear() == b"last words"
        assert reached.hear() == b""

    def test_a_client_that_closes_is_answered(self, reached: Client) -> None:
        reached.end()
        reached.transport.reportDisconnect()
        assert reached.behind.lost is not None
        assert reached.behind.lost.check(ConnectionDone)

    def test_a_client_that_closes_after_its_last_words_is_heard(self, reached: Client) -> None:
        reached.tls.write(b"last words")
        reached.end()
        assert reached.behind.got == b"last words"

    def test_a_client_that_vanishes_is_no_end(self, reached: Client) -> None:
        reached.transport.protocol.connectionLost(Failure(ConnectionLost()))
        assert reached.behind.lost is not None
        assert reached.behind.lost.check(ConnectionLost)


class TestRenewal:
    @pytest.fixture
    def pair(self, authority: Authority) -> Certificate:
        return authority.server("old", "a.test")

    @pytest.fixture
    def server(self, pair: Certificate) -> Server:
        return Server(pair)

    def put(self, pair: Certificate, new: Certificate, cert: bool = True, key: bool = True) -> None:
        """Put new files in the place of the old, as a deployer does."""
        for do, source, target in ((cert, new.cert, pair.cert), (key, new.key, pair.key)):
            if do:
                Path(f"{target}.new").write_bytes(Path(source).read_bytes())
                os.replace(f"{target}.new", target)

    @pytest.fixture
    def new(self, authority: Authority) -> Certificate:
        return authority.server("new", "a.test", kind="rsa", end=99 * DAY)

    def test_a_changed_pair_is_for_the_next_handshake(
        self, server: Server, client: ssl.SSLContext, pair: Certificate, new: Certificate
    ) -> None:
        assert Client(server, client).shown == "old"
        self.put(pair, new)
        assert Client(server, client).shown == "old"
        server.certificates.poll()
        assert Client(server, client).shown == "new"

    def test_a_reload_does_not_ask_whether_it_changed(
        self, server: Server, client: ssl.SSLContext, pair: Certificate, new: Certificate
    ) -> None:
        self.put(pair, new)
        assert server.certificates.reload()
        assert Client(server, client).shown == "new"

    def test_open_connections_and_begun_handshakes_go_on(
        self, server: Server, client: ssl.SSLContext, pair: Certificate, new: Certificate
    ) -> None:
        reached = Client(server, client)
        self.put(pair, new)
        server.certificates.poll()
        assert reached.say(b"still here") == b"still here"
        reached.behind.transport.write(b"so am I")  # type: ignore[union-attr]
        assert reached.hear() == b"so am I"
        assert reached.shown == "old"

    @pytest.mark.parametrize("first", ["cert", "key"])
    def test_between_the_two_files_the_old_pair_holds(
        self, server: Server, client: ssl.SSLContext, pair: Certificate, new: Certificate, first: str
    ) -> None:
        self.put(pair, new, **{"cert": False, "key": False, first: True})
        with capturedLogs() as events:
            server.certificates.poll()
            server.certificates.poll()
        assert [event["event"] for event in events] == ["certificate.kept"]
        assert "does not match the certificate" in events[0]["sentence"]
        assert Client(server, client).shown == "old"
        self.put(pair, new)
        server.certificates.poll()
        assert Client(server, client).shown == "new"

    def test_nothing_is_read_when_nothing_changed(self, server: Server) -> None:
        with capturedLogs() as events:
            server.certificates.poll()
        assert events == []

    def test_a_file_that_went_away_changes_nothing(
        self, server: Server, client: ssl.SSLContext, pair: Certificate
    ) -> None:
        Path(pair.key).unlink()
        with capturedLogs() as events:
            server.certificates.poll()
        assert [event["event"] for event in events] == ["certificate.kept"]
        assert not server.certificates.reload()
        assert Client(server, client).shown == "old"

    def test_a_broken_one_among_several_changes_none(
        self, authority: Authority, client: ssl.SSLContext, pair: Certificate, new: Certificate
    ) -> None:
        other = authority.server("other", "b.test")
        server = Server(pair, other)
        self.put(pair, new)
        Path(other.cert).write_text("nonsense")
        server.certificates.poll()
        assert Client(server, client).shown == "old"

    def test_a_same_sized_file_with_its_old_time_is_seen(
        self, server: Server, client: ssl.SSLContext, pair: Certificate, authority: Authority
    ) -> None:
        before = os.stat(pair.cert)
        new = authority.server("new", "a.test")
        for source, target in ((new.cert, pair.cert), (new.key, pair.key)):
            Path(target).write_bytes(Path(source).read_bytes())
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
        server.certificates.poll()
        assert Client(server, client).shown == "new"

    def test_changed_authorities_of_clients_are_read_too(
        self, tmp_path: Path, pair: Certificate, client: ssl.SSLContext, authority: Authority
    ) -> None:
        people = Authority(tmp_path, "people")
        server = Server(pair, client_ca=str(people.path), client_auth="required")
        mine = authority.client("me")
        client.load_cert_chain(mine.cert, mine.key)
        people.path.write_bytes(authority.path.read_bytes())
        server.certificates.poll()
        assert Client(server, client).info.client == "CN=me"

    def test_a_reload_takes_other_certificates_and_a_broken_one_leaves_those_that_are(
        self, server: Server, client: ssl.SSLContext, pair: Certificate, new: Certificate
    ) -> None:
        broken = Certificate(new.cert, pair.key)
        with pytest.raises(ConfigError):
            server.certificates.prepare(Tls(certificate=(broken,)))
        with capturedLogs() as events:
            server.certificates.poll()
        assert events == []
        assert Client(server, client).shown == "old"
        commit = server.certificates.prepare(Tls(certificate=(new,)))
        assert Client(server, client).shown == "old"
        commit()
        assert Client(server, client).shown == "new"
        assert server.certificates.reload()
        assert Client(server, client).shown == "new"

    def test_expiry_tells_the_earliest_end_of_a_name(self, authority: Authority) -> None:
        pairs = [
            authority.server("e", "a.test", end=3 * DAY),
            authority.server("r", "a.test", kind="rsa", end=2 * DAY),
            authority.server("nameless", end=DAY),
        ]
        ends = [x509.load_pem_x509_certificate(Path(pair.cert).read_bytes()).not_valid_after_utc for pair in pairs]
        assert Server(*pairs).certificates.expiry() == {
            "a.test": ends[1].timestamp(),
            pairs[2].cert: ends[2].timestamp(),
        }

    @pytest.mark.parametrize(
        ("begin", "end", "fault"), [(-2 * DAY, -DAY, "has expired"), (DAY, 2 * DAY, "is not valid yet")]
    )
    def test_one_out_of_its_time_is_served_with_a_warning(
        self, authority: Authority, begin: timedelta, end: timedelta, fault: str
    ) -> None:
        pair = authority.server("a", "a.test", begin=begin, end=end)
        with capturedLogs() as events:
            Server(pair)
        [event] = events
        assert (event["event"], event["path"], event["fault"]) == ("certificate.expired", pair.cert, fault)


class TestWhatCannotBeUsed:
    @pytest.fixture
    def pair(self, authority: Authority) -> Certificate:
        return authority.server("a", "a.test")

    def refusal(self, *pairs: Certificate, **tls: Any) -> str:
        with pytest.raises(ConfigError) as refused:
            Server(*pairs, **tls)
        return str(refused.value)

    def test_no_certificate_at_all(self) -> None:
        assert self.refusal() == (
            "tls: has no certificate; add a [[tls.certificate]], or self_signed = true for development"
        )

    @pytest.mark.parametrize("which", ["cert", "key"])
    def test_a_file_that_is_not_there(self, pair: Certificate, which: str) -> None:
        path = getattr(pair, which)
        Path(path).unlink()
        what = "certificate" if which == "cert" else "key"
        assert self.refusal(pair) == (
            f"tls: the {what} {path} cannot be read: No such file or directory; use a file that wsd can read"
        )

    @pytest.mark.parametrize("which", ["cert", "key"])
    def test_a_file_that_is_not_pem(self, pair: Certificate, which: str) -> None:
        path = getattr(pair, which)
        Path(path).write_bytes(b"\x30\x82nonsense")
        assert f"{path} is not PEM; it begins with -----BEGIN " in self.refusal(pair)

    @pytest.mark.parametrize("which", ["cert", "key"])
    def test_a_file_that_is_cut(self, pair: Certificate, which: str) -> None:
        path = Path(getattr(pair, which))
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([lines[0], lines[1][:-9] + "\n", lines[-1]]))
        assert f"{path} is damaged; replace it with a complete copy" in self.refusal(pair)

    def test_a_key_that_is_encrypted(self, pair: Certificate) -> None:
        Path(pair.key).write_bytes(keyBytes(makeKey("rsa"), b"secret"))
        assert self.refusal(pair) == f"tls: the key {pair.key} is encrypted; save it without a passphrase"

    @pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
    def test_a_key_that_does_not_fit_names_both(self, pair: Certificate, kind: str) -> None:
        Path(pair.key).write_bytes(keyBytes(makeKey(kind)))
        assert self.refusal(pair) == (
            f"tls: the key {pair.key} does not match the certificate {pair.cert}; use a matching pair"
        )

    def test_a_key_that_is_too_short_for_openssl(self, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.certificates._rsa", lambda: rsa.generate_private_key(65537, 1024))
        pair = authority.server("weak", "a.test", kind="rsa")
        assert self.refusal(pair) == f"tls: {pair.cert} with {pair.key} cannot be used: ee key too small"

    def test_client_auth_without_authorities(self, pair: Certificate) -> None:
        assert self.refusal(pair, client_auth="optional") == (
            "tls.client_ca: is required with client_auth; name the PEM file with the authorities"
        )

    def test_authorities_that_are_none(self, tmp_path: Path, pair: Certificate) -> None:
        path = tmp_path / "ca.pem"
        assert f"{path} cannot be read" in self.refusal(pair, client_auth="optional", client_ca=str(path))
        path.write_text("nonsense")
        assert self.refusal(pair, client_auth="optional", client_ca=str(path)) == (
            f"tls.client_ca: {path} is not PEM; a certificate begins with -----BEGIN CERTIFICATE-----"
        )


class TestSelfSigned:
    def test_it_stands_behind_the_others_and_tells_what_to_trust(self, tmp_path: Path, authority: Authority) -> None:
        server = Server(authority.server("a", "a.test"), environ={"STATE_DIRECTORY": str(tmp_path)}, self_signed=True)
        path = server.certificates.selfSignedPath
        assert path is not None
        assert Client(server, trusting(authority)).shown == "a"
        assert Client(server, ssl.create_default_context(cafile=path), "localhost").shown == "localhost"

    def test_it_is_made_again_when_somebody_removed_it(self, tmp_path: Path) -> None:
        server = Server(environ={"STATE_DIRECTORY": str(tmp_path)}, self_signed=True)
        path = server.certificates.selfSignedPath
        assert path is not None
        first = Client(server, ssl.create_default_context(cafile=path), "localhost").certificate
        (tmp_path / "tls" / "localhost.crt").unlink()
        server.certificates.poll()
        assert Client(server, ssl.create_default_context(cafile=path), "localhost").certificate != first

    def test_a_folder_that_cannot_be_written_leaves_what_is(self, tmp_path: Path) -> None:
        server = Server(environ={"STATE_DIRECTORY": str(tmp_path)}, self_signed=True)
        for file in (tmp_path / "tls").iterdir():
            file.unlink()
        (tmp_path / "tls").rmdir()
        (tmp_path / "tls").write_text("in the way")
        with capturedLogs() as events:
            server.certificates.poll()
        assert [event["event"] for event in events] == ["certificate.kept"]


class TestTheTransport:
    def test_without_tls_there_is_nothing_to_tell(self) -> None:
        assert tlsOf(StringTransport()) is None

    def test_when_it_is_gone_there_is_nothing_to_tell(self, authority: Authority, client: ssl.SSLContext) -> None:
        reached = Client(Server(authority.server("a", "a.test")), client)
        above = reached.behind.transport
        reached.transport.reportDisconnect()
        assert tlsOf(above) is None

    @pytest.fixture
    def proxied(self, authority: Authority) -> Server:
        server = Server(authority.server("a", "a.test"))
        server.wrapped = ProxyFactory(server.clock, server.wrapped, lambda address: True, 10.0)
        return server

    def test_behind_a_proxy_header_it_tells_the_addresses_of_the_header(
        self, proxied: Server, client: ssl.SSLContext
    ) -> None:
        reached = Client(proxied, client, first=b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\n")
        above: Any = reached.behind.transport
        assert above.getPeer() == IPv4Address("TCP", "203.0.113.7", 51000)
        assert above.getHost() == IPv4Address("TCP", "198.51.100.1", 443)
        assert above.via == "192.0.2.9"
        assert reached.info.sni == "a.test"
        assert reached.say(b"hello") == b"hello"
        above.loseConnection()
        assert reached.hear() == b""

    def test_a_failed_handshake_names_the_true_address(self, proxied: Server) -> None:
        with capturedLogs() as events:
            knock(proxied, b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\nGET / HTTP/1.1\r\n\r\n")
        assert [event["peer"] for event in events] == ["203.0.113.7"]

    def test_a_failed_handshake_over_a_unix_socket_is_told_as_such(self, authority: Authority) -> None:
        with capturedLogs() as events:
            knock(Server(authority.server("a", "a.test")), b"GET / HTTP/1.1\r\n\r\n", UNIXAddress(None))
        assert [event["peer"] for event in events] == ["unix"]
