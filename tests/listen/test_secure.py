"""TLS on the house's own transport over loopback: by OpenSSL in C, with Python's ssl module, and all in Python."""

from __future__ import annotations

import socket
import ssl
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ISSLTransport
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.certificates import Authority
from tests.listen.test_transport import MIB, HalfClosing, Pair, Producer, Recorder
from wsd.listen import _openssl, records, sealing, secure
from wsd.metrics import TlsHandshakes

LISTEN = Path(secure.__file__).parent


def inPython(name: str) -> ModuleType:
    """A module as its source has it, whether it is compiled or not."""
    spec = spec_from_file_location(f"wsd.listen.{name}", LISTEN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pythonHandshake, pythonSecure = inPython("handshake"), inPython("secure")
pythonHandshake.newRecords = inPython("records").Records  # type: ignore[attr-defined]
pythonSecure.Handshake = pythonHandshake.Handshake  # type: ignore[attr-defined]
pythonSecure.HandshakeFailed = pythonHandshake.HandshakeFailed  # type: ignore[attr-defined]
pythonSecure.Sealer = inPython("sealing").Sealer  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", [_openssl, records, sealing, secure])
def test_it_is_compiled_from_what_the_source_says_now(module: ModuleType) -> None:
    built = Path(str(module.__file__))
    assert built.name.endswith(EXTENSION_SUFFIXES[0]), "run make test: it builds what is compiled"
    sources = list(LISTEN.glob(f"{built.name.partition('.')[0]}.p*"))
    assert max(source.stat().st_mtime for source in sources) <= built.stat().st_mtime, "run make test: it builds anew"


@pytest.fixture(params=["openssl", "compiled", "python"])
def transports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "python":
        return pythonSecure.SecureTransport
    made = _openssl.Records if request.param == "openssl" else records.Records
    monkeypatch.setattr("wsd.listen.handshake.newRecords", made)
    return secure.SecureTransport


class Talk(Pair):
    """A client of Python's ssl module at the other end; the handshake is done."""

    def __init__(self, transports: Any, authority: Authority, kind: str = "tcp", above: Any = None) -> None:
        pair = authority.server("a", "a.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        self.above: Any = above or Recorder()
        self.secure = transports(lambda hello: context, self.above, TlsHandshakes())
        super().__init__(kind, self.secure)
        self.peer.setblocking(False)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = ssl.create_default_context(cafile=authority.path)
        self.tls = client.wrap_bio(self.incoming, self.outgoing, server_hostname="a.test")
        while not self._shaken():
            self.exchange()
        self.exchange()

    def _shaken(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def exchange(self, cut: int = 1 << 20) -> None:
        """Bring over what the client has to say, in pieces of this size, and what the daemon answers."""
        data = self.outgoing.read()
        for at in range(0, len(data), cut):
            self.peer.send(data[at : at + cut])
            self.turn()
        self.take()

    def take(self) -> None:
        """What the daemon has sent."""
        while True:
            try:
                data = self.peer.recv(MIB)
            except BlockingIOError:
                return
            if not data:
                self.incoming.write_eof()
                return
            self.incoming.write(data)

    def heard(self) -> bytes:
        """What the client reads from what it has got."""
        found = b""
        while True:
            try:
                data = self.tls.read(65536)
            except (ssl.SSLWantReadError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return found
            if not data:
                return found
            found += data


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def talk(transports: Any, authority: Authority) -> Talk:
    return Talk(transports, authority)


class TestReading:
    def test_records_come_whole_and_in_order_however_they_are_cut(self, transports: Any, authority: Authority) -> None:
        @settings(deadline=None, max_examples=15)
        @given(st.lists(st.integers(1, 40_000), min_size=1, max_size=6), st.sampled_from([1, 5, 21, 1000, 16384, MIB]))
        def comeWhole(sizes: list[int], cut: int) -> None:
            if cut < 1000:
                sizes = [size % 300 + 1 for size in sizes]
            talk = Talk(transports, authority)
            for number, size in enumerate(sizes):
                talk.tls.write(bytes([number]) * size)
            talk.exchange(cut)
            while len(talk.above.got) < sum(sizes):
                talk.turn()
            assert talk.above.got == b"".join(bytes([number]) * size for number, size in enumerate(sizes))

        comeWhole()

    def test_what_was_read_at_once_is_delivered_at_once(self, talk: Talk) -> None:
        pieces: list[bytes] = []
        talk.above.dataReceived = pieces.append
        talk.secure.setReceiver(type("Receiver", (), {"dataReceived": staticmethod(pieces.append)}))
        for word in (b"one ", b"two ", b"three"):
            talk.tls.write(word)
        talk.exchange()
        assert pieces == [b"one two three"]

    def test_a_record_that_was_changed_on_its_way_ends_the_connection(self, talk: Talk) -> None:
        talk.tls.write(b"hello")
        data = bytearray(talk.outgoing.read())
        data[-1] ^= 1
        talk.peer.send(data)
        talk.turn()
        talk.reactor.advance(0)
        assert talk.above.got == b""
        assert not talk.secure.connected

    def test_an_end_without_goodbye_is_a_loss_and_one_with_it_is_an_end(
        self, transports: Any, authority: Authority
    ) -> None:
        cut, done = Talk(transports, authority), Talk(transports, authority)
        with pytest.raises(ssl.SSLWantReadError):
            done.tls.unwrap()
        done.exchange()
        for talk in (cut, done):
            talk.peer.shutdown(socket.SHUT_WR)
            while talk.secure.connected:
                talk.turn()
        assert [talk.above.reason.type for talk in (cut, done) if talk.above.reason] == [ConnectionLost, ConnectionDone]


class TestAPeerThatEndsItsHalf:
    @pytest.fixture
    def half(self, transports: Any, authority: Authority) -> Talk:
        return Talk(transports, authority, above=HalfClosing())

    @pytest.mark.parametrize("goodbye", [True, False])
    def test_still_gets_what_is_written_to_it(self, half: Talk, goodbye: bool) -> None:
        if goodbye:
            with pytest.raises(ssl.SSLWantReadError):
                half.tls.unwrap()
            half.exchange()
        half.peer.shutdown(socket.SHUT_WR)
        half.turn()
        assert half.above.halves == ["read"]
        half.secure.write(b"late")
        half.secure.loseConnection()
        while half.secure.connected:
            half.turn()
        half.take()
        assert half.heard() == b"late"
        assert half.above.reason.check(ConnectionDone)

    def test_after_our_goodbye_still_gets_what_waits(self, half: Talk) -> None:
        half.secure.write(bytes(8 * MIB))
        half.secure.loseConnection()
        half.peer.shutdown(socket.SHUT_WR)
        got = 0
        while half.secure.connected:
            half.turn()
            half.take()
            got += len(half.heard())
        half.take()
        assert got + len(half.heard()) == 8 * MIB


class TestWriting:
    def test_keeps_twisteds_interfaces(self, talk: Talk) -> None:
        for interface in (ISSLTransport, IConsumer, IPushProducer):
            verifyObject(interface, talk.secure)

    def test_answers_to_one_read_leave_as_one_record(self, talk: Talk) -> None:
        talk.above.answers = [b"one ", b"two ", b"three"]
        talk.tls.write(b"go")
        talk.exchange()
        assert talk.heard() == b"one two three"
        assert talk.secure.written() < 2000

    def test_what_the_kernel_does_not_take_waits_and_follows_in_order(self, talk: Talk) -> None:
        payload = b"".join(bytes([number]) * 65536 for number in range(200))
        talk.secure.write(payload)
        talk.secure.write(b"end")
        assert talk.secure.unsent > MIB
        got = b""
        while len(got) < len(payload) + 3:
            talk.take()
            got += talk.heard()
            talk.turn()
        assert got == payload + b"end"
        assert talk.secure.unsent == 0

    def test_a_producer_is_paused_and_resumed_by_what_waits(self, talk: Talk) -> None:
        producer = Producer()
        talk.secure.registerProducer(producer, True)
        talk.secure.write(bytes(16 * MIB))
        assert producer.told == ["pause"]
        while talk.secure.unsent:
            talk.take()
            talk.heard()
            talk.turn()
        assert producer.told == ["pause", "resume"]

    def test_a_producer_that_is_asked_each_time_gives_all(self, talk: Talk) -> None:
        class Pulled:
            left = 5

            def resumeProducing(self) -> None:
                talk.secure.write(b"x" * 1000)
                self.left -= 1
                if not self.left:
                    talk.secure.unregisterProducer()

            def stopProducing(self) -> None:
                raise AssertionError("nobody ended it")

        talk.secure.registerProducer(Pulled(), False)
        got = b""
        while len(got) < 5000:
            talk.turn()
            talk.take()
            got += talk.heard()

    def test_nothing_follows_a_goodbye(self, talk: Talk) -> None:
        talk.secure.write(b"last")
        talk.secure.loseConnection()
        talk.secure.write(b"too late")
        talk.take()
        assert talk.heard() == b"last"

    def test_only_bytes_are_written(self, talk: Talk) -> None:
        with pytest.raises(TypeError, match="a transport writes bytes, not str"):
            talk.secure.write("text")


class TestLeaving:
    def test_does_not_wait_for_the_peers_goodbye(self, talk: Talk) -> None:
        talk.secure.write(b"last")
        talk.secure.leave()
        talk.turn()
        talk.take()
        assert talk.heard() == b"last"
        assert not talk.secure.connected

    def test_before_the_handshake_is_done_is_at_once(self, transports: Any) -> None:
        secure = transports(lambda hello: None, Recorder(), TlsHandshakes())
        pair = Pair("tcp", secure)
        secure.leave()
        pair.reactor.advance(0)
        assert not secure.connected


class TestALossMeanwhile:
    """A hook may run the reactor, and the connection be lost within a call of ours."""

    def test_nothing_more_is_enciphered_when_who_is_told_to_pause_loses_it(self, talk: Talk) -> None:
        class Loser(Producer):
            def pauseProducing(self) -> None:
                super().pauseProducing()
                talk.transport.connectionLost(Failure(ConnectionDone()))

        producer = Loser()
        talk.secure.registerProducer(producer, True)
        talk.secure.write(bytes(16 * MIB))
        assert producer.told == ["pause", "stop"]
        assert not talk.secure.connected

    def test_nor_when_that_happens_with_the_last_bytes(self, talk: Talk) -> None:
        def lose(data: bytes) -> None:
            talk.secure.write(bytes(16 * MIB))
            talk.secure.loseConnection()
            talk.transport.connectionLost(Failure(ConnectionDone()))
            talk.secure.write(b"late")

        talk.secure.setReceiver(type("Receiver", (), {"dataReceived": staticmethod(lose)}))
        talk.tls.write(b"go")
        talk.exchange()
        assert not talk.secure.connected

    def test_of_a_connection_that_is_gone_nothing_is_known(self, talk: Talk) -> None:
        assert talk.secure.info.version == "TLSv1.3"
        talk.transport.connectionLost(Failure(ConnectionDone()))
        assert (talk.secure.info.version, talk.secure.getPeerCertificate()) == ("", None)
