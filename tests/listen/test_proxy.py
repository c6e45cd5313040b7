"""The PROXY header, versions 1 and 2 of HAProxy's protocol: from trusted proxies only, and before anything else."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from zope.interface import alsoProvides, directlyProvides

from wsd.listen.proxy import Malformed, ProxyFactory, ProxyHeader, readHeader
from wsd.listen.proxytlvs import ClientFacts
from wsd.policies.address import TlsInfo

PROXY = IPv4Address("TCP", "10.0.0.1", 4000)
STRANGER = IPv4Address("TCP", "192.0.2.9", 4000)
HERE = IPv4Address("TCP", "10.0.0.2", 9998)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 51000 443\r\n"


def version2(family: int, addresses: bytes, tlvs: bytes = b"", command: int = 1, version: int = 2) -> bytes:
    """A header with these addresses and TLVs."""
    body = addresses + tlvs
    return SIGNATURE + struct.pack("!BBH", version << 4 | command, family, len(body)) + body


def inet(peer: str, host: str, peerPort: int = 51000, hostPort: int = 443) -> bytes:
    return ip_address(peer).packed + ip_address(host).packed + struct.pack("!HH", peerPort, hostPort)


def paths(peer: bytes, host: bytes) -> bytes:
    return peer.ljust(108, b"\0") + host.ljust(108, b"\0")


V2 = version2(0x11, inet("203.0.113.7", "198.51.100.1"))
V2_SIX = version2(0x21, inet("2001:db8::7", "2001:db8::1"))
HEADERS = [
    V1,
    b"PROXY TCP6 2001:db8::7 2001:db8::1 51000 443\r\n",
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n",
    V2,
    V2_SIX,
    version2(0x31, paths(b"/run/client", b"/run/proxy.sock")),
    version2(0x00, b"", command=0),
    version2(0x11, inet("203.0.113.7", "198.51.100.1"), b"\x01\x00\x08http/1.1\xee\x00\x02ab"),
]


def header(data: bytes) -> ProxyHeader:
    """The content of a complete header."""
    read = readHeader(data)
    assert read is not None
    assert read[1] == len(data)
    return read[0]


class TestVersion1:
    def test_tcp4_tells_both_addresses(self) -> None:
        assert header(V1) == ProxyHeader(
            IPv4Address("TCP", "203.0.113.7", 51000), IPv4Address("TCP", "198.51.100.1", 443)
        )

    def test_tcp6_tells_both_addresses(self) -> None:
        assert header(b"PROXY TCP6 2001:db8::7 2001:DB8::1 0 65535\r\n") == ProxyHeader(
            IPv6Address("TCP", "2001:db8::7", 0), IPv6Address("TCP", "2001:db8::1", 65535)
        )

    @pytest.mark.parametrize("rest", [b"", b" ", b" 1.2.3.4 1.2.3.4 1 1", b" anything at all"])
    def test_unknown_tells_none_whatever_follows(self, rest: bytes) -> None:
        assert header(b"PROXY UNKNOWN" + rest + b"\r\n") == ProxyHeader(None, None)

    @pytest.mark.parametrize("length", [106, 107])
    def test_the_longest_line_is_107_bytes_with_its_end(self, length: int) -> None:
        line = b"PROXY UNKNOWN ".ljust(length - 2, b"x") + b"\r\n"
        assert header(line) == ProxyHeader(None, None)

    @pytest.mark.parametrize("end", [b"", b"\r", b"\r\n"])
    def test_a_longer_one_is_malformed(self, end: bytes) -> None:
        with pytest.raises(Malformed, match="does not begin with a PROXY header"):
            readHeader(b"PROXY UNKNOWN ".ljust(107, b"x") + end)

    @pytest.mark.parametrize(
        "line",
        [
            b"PROXY",
            b"PROXY ",
            b"PROXY TCP4",
            b"PROXY TCP5 1.2.3.4 1.2.3.4 1 1",
            b"PROXY tcp4 1.2.3.4 1.2.3.4 1 1",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1",
            b"PROXY TCP4  1.2.3.4 1.2.3.4 1 1",
            b"PROXY TCP4 1.2.3 1.2.3.4 1 1",
            b"PROXY TCP4 01.2.3.4 1.2.3.4 1 1",
            b"PROXY TCP4 ::1 ::1 1 1",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1",
            b"PROXY TCP6 fe80::1%eth0 ::1 1 1",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 -1",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 1",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 \xb2 1",
            b"PROXY TCP4 1.2.3.4\t1.2.3.4 1 1",
            b"proxy TCP4 1.2.3.4 1.2.3.4 1 1",
            b" PROXY TCP4 1.2.3.4 1.2.3.4 1 1",
            b"GET / HTTP/1.1",
        ],
    )
    def test_anything_else_is_malformed(self, line: bytes) -> None:
        with pytest.raises(Malformed):
            readHeader(line + b"\r\n")


class TestVersion2:
    def test_inet_tells_both_addresses(self) -> None:
        assert header(V2) == ProxyHeader(
            IPv4Address("TCP", "203.0.113.7", 51000), IPv4Address("TCP", "198.51.100.1", 443)
        )

    def test_inet6_tells_both_addresses(self) -> None:
        assert header(V2_SIX) == ProxyHeader(
            IPv6Address("TCP", "2001:db8::7", 51000), IPv6Address("TCP", "2001:db8::1", 443)
        )

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            (b"/run/client", b"/run/client"),
            (b"/run/client\0rubbish", b"/run/client"),
            (b"\0abstract", b"\0abstract"),
            (b"/" + b"x" * 107, b"/" + b"x" * 107),
            (b"", b""),
        ],
    )
    def test_unix_tells_both_paths(self, path: bytes, name: bytes) -> None:
        read = header(version2(0x31, paths(path, b"/run/proxy.sock")))
        assert [read.peer, read.host] == [UNIXAddress(name), UNIXAddress("/run/proxy.sock")]

    def test_tlvs_tell_about_the_client(self) -> None:
        about = b"\x05\0\x02id\x20\0\x0f\x01\0\0\0\0\x21\0\x07TLSv1.3"
        facts = ClientFacts(TlsInfo("TLSv1.3", ""), "id")
        assert header(version2(0x11, inet("203.0.113.7", "198.51.100.1"), about)) == replace(header(V2), facts=facts)
        assert header(version2(0x31, paths(b"/a", b"/b"), about)).facts == facts

    def test_tlvs_that_are_cut_are_malformed(self) -> None:
        with pytest.raises(Malformed, match="ends within a TLV"):
            readHeader(version2(0x11, inet("203.0.113.7", "198.51.100.1"), b"\x05\0\x02i"))

    def test_unknown_tlvs_are_skipped(self) -> None:
        data = version2(0x11, inet("203.0.113.7", "198.51.100.1"), b"\x04\x0f\x00" + b"\0" * 3840)
        assert header(data) == header(V2)

    @pytest.mark.parametrize("family", [0x00, 0x11, 0x31, 0xFF])
    def test_local_tells_none_whatever_its_family(self, family: int) -> None:
        assert header(version2(family, b"anything", command=0)) == ProxyHeader(None, None)

    def test_an_unspecified_family_tells_none(self) -> None:
        assert header(version2(0x00, b"whatever")) == ProxyHeader(None, None)

    @pytest.mark.parametrize(
        "data",
        [
            version2(0x11, inet("1.2.3.4", "1.2.3.4"), version=1),
            version2(0x11, inet("1.2.3.4", "1.2.3.4"), version=3),
            version2(0x11, inet("1.2.3.4", "1.2.3.4"), command=2),
            version2(0x12, inet("1.2.3.4", "1.2.3.4")),
            version2(0x41, inet("1.2.3.4", "1.2.3.4")),
            version2(0x11, inet("1.2.3.4", "1.2.3.4")[:-1]),
            version2(0x21, inet("::1", "::1")[:-1]),
            version2(0x31, paths(b"/a", b"/b")[:-1]),
            SIGNATURE[:-1] + b"\r" + V2[12:],
            b"\r\n\r\nGET / HTTP/1.1\r\n",
        ],
    )
    def test_anything_else_is_malformed(self, data: bytes) -> None:
        with pytest.raises(Malformed):
            readHeader(data)

    def test_a_length_beyond_4096_is_refused_before_it_is_waited_for(self) -> None:
        with pytest.raises(Malformed, match="too long"):
            readHeader(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 4097))
        assert readHeader(SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 4096)) is None


class TestAnyBytes:
    @given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: SIGNATURE + tail))
    def test_are_a_header_or_malformed_or_too_few(self, data: bytes) -> None:
        with suppress(Malformed):
            read = readHeader(data)
            assert read is None or 0 < read[1] <= len(data)

    @given(st.sampled_from(HEADERS), st.integers(0, 250))
    def test_a_piece_of_a_header_asks_for_more(self, data: bytes, length: int) -> None:
        if length < len(data):
            assert readHeader(data[:length]) is None


# -- the protocol -------------------------------------------------------------------------------------------------


class Behind(Protocol):
    """The inner protocol: notes what it receives."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


class Accepted(Factory):
    """A connection that was accepted from `peer`, with a reader of headers in front of `Behind`."""

    def __init__(self, peer: Any = PROXY, trusted: tuple[str, ...] = ("10.0.0.1", "unix")) -> None:
        self.clock = Clock()
        self.trusted = trusted
        self.asked: list[str] = []
        self.built: list[Behind] = []
        self.builtFor: Any = None
        self.transport = StringTransport(HERE, peer)
        self.reader = ProxyFactory(self.clock, self, self.trusts, 10.0).buildProtocol(peer)
        self.reader.makeConnection(self.transport)

    def trusts(self, address: str) -> bool:
        self.asked.append(address)
        return address in self.trusted

    def buildProtocol(self, address: Any) -> Behind:
        self.builtFor = address
        self.built.append(Behind())
        return self.built[0]

    def dropped(self) -> bool:
        return self.transport.disconnecting

    def half(self) -> Any:
        """The transport as half-closeable, None if it is not."""
        return IHalfCloseableProtocol(self.reader, None)

    @property
    def behind(self) -> Behind:
        [behind] = self.built
        return behind

    @property
    def above(self) -> Any:
        """The transport of the inner protocol."""
        return self.behind.transport


class Closed(Factory):
    """Builds nothing."""

    def buildProtocol(self, address: Any) -> None:
        return None


class TestATrustedProxy:
    @pytest.mark.parametrize("data", HEADERS)
    def test_what_follows_the_header_reaches_what_stands_behind(self, data: bytes) -> None:
        accepted = Accepted()
        accepted.reader.dataReceived(data + b"GET / ")
        accepted.reader.dataReceived(b"HTTP/1.1")
        assert accepted.behind.got == b"GET / HTTP/1.1"

    def test_nothing_is_built_before_the_header_is_there(self) -> None:
        accepted = Accepted()
        accepted.reader.dataReceived(V1[:-1])
        assert accepted.built == []
        accepted.reader.dataReceived(V1[-1:])
        assert len(accepted.built) == 1

    def test_the_transport_tells_the_addresses_of_the_header(self) -> None:
        accepted = Accepted()
        accepted.reader.dataReceived(V1)
        assert accepted.above.getPeer() == accepted.builtFor == IPv4Address("TCP", "203.0.113.7", 51000)
        assert accepted.above.getHost() == IPv4Address("TCP", "198.51.100.1", 443)

    @pytest.mark.parametrize("data", [b"PROXY UNKNOWN\r\n", version2(0, b"", command=0)])
    def test_without_any_they_are_the_connections_own(self, data: bytes) -> None:
        accepted = Accepted()
        accepted.reader.dataReceived(data)
        assert (accepted.above.getPeer(), accepted.above.getHost()) == (PROXY, HERE)

    def test_the_transport_tells_through_whom_it_came(self) -> None:
        accepted = Accepted()
        accepted.reader.dataReceived(V1)
        assert accepted.above.via == "10.0.0.1"

    def test_everything_else_of_the_transport_is_the_real_ones(self) -> None:
        accepted = Accepted()
        alsoProvides(accepted.transport, ITCPTransport)
        accepted.reader.dataReceived(V1)
        producer = Behind()
        alsoProvides(producer, IPushProducer)
        accepted.above.registerProducer(producer, True)
        accepted.above.write(b"a")
        accepted.above.writeSequence([b"b", b"c"])
        accepted.above.pauseProducing()
        assert accepted.transport.producer is producer
        assert accepted.transport.value() == b"abc"
        assert accepted.transport.producerState == "paused"
        assert ITCPTransport.providedBy(accepted.above)

    def test_its_end_is_told(self) -> None:
        accepted = Accepted()
        accepted.reader.dataReceived(V1)
        reason = Failure(ConnectionResetError())
        accepted.reader.connectionLost(reason)
        assert accepted.behind.lost is reason

    @pytest.mark.parametrize("lets", [True, False])
    def test_may_end_its_half_where_what_stands_behind_lets_it(self, lets: bool) -> None:
        accepted = Accepted()
        assert accepted.half() is None
        accepted.reader.dataReceived(V1)
        if lets:
            directlyProvides(accepted.behind, IHalfCloseableProtocol)
        assert accepted.half() is (accepted.behind if lets else None)

    @given(st.sampled_from(HEADERS), st.lists(st.integers(1, 40), max_size=12), st.binary(max_size=50))
    def test_where_the_header_is_cut_makes_no_difference(self, data: bytes, cuts: list[int], rest: bytes) -> None:
        whole, pieces = Accepted(), Accepted()
        stream = data + rest
        whole.reader.dataReceived(stream)
        for cut in cuts:
            if stream:
                pieces.reader.dataReceived(stream[:cut])
                stream = stream[cut:]
        if stream:
            pieces.reader.dataReceived(stream)
        assert pieces.behind.got == whole.behind.got == rest
        assert pieces.above.getPeer() == whole.above.getPeer()

    def test_over_a_unix_socket_it_is_trusted_by_the_word_unix(self) -> None:
        accepted = Accepted(UNIXAddress(None))
        assert accepted.asked == ["unix"]
        accepted.reader.dataReceived(V1)
        assert accepted.above.getPeer() == IPv4Address("TCP", "203.0.113.7", 51000)
        assert accepted.above.via == "unix"


class TestATrustedProxyWithoutAHeader:
    @pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"PROXY nonsense\r\n", b"\r\n\r\nGET"])
    def test_is_dropped_with_one_line_in_the_log(self, data: bytes) -> None:
        accepted = Accepted()
        with capturedLogs() as events:
            accepted.reader.dataReceived(data)
            accepted.reader.dataReceived(V1)
            accepted.clock.advance(20)
        assert accepted.dropped()
        assert accepted.built == []
        assert [(event["event"], event["peer"]) for event in events] == [("proxy.dropped", "10.0.0.1")]

    def test_is_dropped_when_none_comes_in_time(self) -> None:
        accepted = Accepted()
        accepted.reader.dataReceived(V2[:20])
        accepted.clock.advance(9.9)
        assert not accepted.dropped()
        with capturedLogs() as events:
            accepted.clock.advance(0.1)
        assert accepted.dropped()
        assert [event["sentence"] for event in events] == ["no PROXY header within 10 seconds"]

    def test_is_let_go_when_it_ends_before(self) -> None:
        accepted = Accepted()
        accepted.reader.connectionLost()
        assert accepted.clock.getDelayedCalls() == []

    def test_time_is_no_matter_once_the_header_is_there(self) -> None:
        accepted = Accepted()
        accepted.reader.dataReceived(V1)
        assert accepted.clock.getDelayedCalls() == []


class TestAnybodyElse:
    def test_is_who_it_is_and_what_it_sends_goes_through_untouched(self) -> None:
        accepted = Accepted(STRANGER)
        assert accepted.asked == ["192.0.2.9"]
        accepted.reader.dataReceived(V1)
        assert accepted.behind.got == V1
        assert accepted.above is accepted.transport
        assert accepted.builtFor == STRANGER
        assert accepted.clock.getDelayedCalls() == []

    def test_a_factory_that_builds_nothing_drops_the_connection(self) -> None:
        protocol = ProxyFactory(Clock(), Closed(), lambda address: False, 10.0).buildProtocol(None)
        transport = StringTransport(HERE, STRANGER)
        protocol.makeConnection(transport)
        assert transport.disconnecting
