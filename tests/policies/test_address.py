"""The true address of a client: which headers are believed, and from which proxies."""

from __future__ import annotations

import gc
import time

import pytest

from wsd.head import Headers
from wsd.policies.address import UNIX, Peer, Trust, inNetworks, isLoopback

PROXIES = ("10.0.0.0/8", "2001:db8::/32", "127.0.0.1", "unix")


def xForwarded(value: str, address: str = "10.0.0.1", scheme: str | None = None) -> Peer:
    """The peer behind a request with this X-Forwarded-For, from a trusted proxy."""
    fields = [("X-Forwarded-For", value), *([("X-Forwarded-Proto", scheme)] if scheme is not None else [])]
    return Trust(PROXIES, "x-forwarded-for").peer(address, 567, False, Headers(fields))


def forwarded(*values: str, address: str = "10.0.0.1", secure: bool = False) -> Peer:
    """The peer behind a request with these Forwarded, from a trusted proxy."""
    return Trust(PROXIES, "forwarded").peer(address, 567, secure, Headers([("Forwarded", value) for value in values]))


class TestLoopback:
    """Loopback addresses."""

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"])
    def test_is_all_of_127_and_one_of_ipv6(self, address: str) -> None:
        assert isLoopback(address)

    @pytest.mark.parametrize(
        "address",
        ["0.0.0.0", "128.0.0.1", "::", "::2", "::ffff:10.0.0.1", "localhost", "unix", "", "127.1", "0177.0.0.1"],
    )
    def test_is_nothing_else(self, address: str) -> None:
        assert not isLoopback(address)


class TestTrust:
    """Trusted networks."""

    @pytest.mark.parametrize(
        "address", ["10.0.0.1", "10.255.255.255", "::ffff:10.0.0.1", "2001:db8::7", "127.0.0.1", "unix"]
    )
    def test_is_given_to_the_addresses_and_networks_named(self, address: str) -> None:
        assert Trust(PROXIES, "forwarded").trusts(address)

    @pytest.mark.parametrize(
        "address", ["11.0.0.1", "127.0.0.2", "::1", "2001:db9::1", "::ffff:11.0.0.1", "", "nonsense"]
    )
    def test_is_given_to_nobody_else(self, address: str) -> None:
        assert not Trust(PROXIES, "forwarded").trusts(address)

    @pytest.mark.parametrize("address", ["127.0.0.1", "::1", "unix", "10.0.0.1"])
    def test_is_given_to_nobody_unasked(self, address: str) -> None:
        assert not Trust((), "x-forwarded-for").trusts(address)

    def test_of_ipv4_networks_may_be_written_as_ipv6(self) -> None:
        trust = Trust(["::ffff:10.0.0.0/104"], "forwarded")
        assert trust.trusts("10.1.2.3")
        assert not trust.trusts("11.1.2.3")

    def test_of_all_ipv6_is_not_trust_of_ipv4(self) -> None:
        assert not Trust(["::/0"], "forwarded").trusts("::ffff:10.0.0.1")

    def test_is_asked_of_allow_lists_too(self) -> None:
        assert inNetworks("10.1.2.3", ("192.0.2.7", "10.0.0.0/8"))
        assert not inNetworks("192.0.2.8", ("192.0.2.7", "10.0.0.0/8"))


class TestAStranger:
    """A peer that is not a trusted proxy."""

    def test_has_the_address_he_comes_from_whatever_he_says(self) -> None:
        headers = Headers(
            [("X-Forwarded-For", "10.9.9.9"), ("Forwarded", "for=10.9.9.9;proto=https"), ("X-Real-IP", "::1")]
        )
        for header in ("x-forwarded-for", "forwarded"):
            peer = Trust(PROXIES, header).peer("192.0.2.1", 567, False, headers)
            assert peer == Peer("192.0.2.1", 567, secure=False, direct=False, via=None)

    def test_by_tls_is_secure(self) -> None:
        assert Trust((), "forwarded").peer("192.0.2.1", 567, True, Headers()).secure

    def test_by_ipv4_through_an_ipv6_socket_has_his_ipv4_address(self) -> None:
        assert Trust((), "forwarded").peer("::ffff:192.0.2.1", 567, False, Headers()).address == "192.0.2.1"

    def test_is_not_direct(self) -> None:
        assert not Trust((), "forwarded").peer("192.0.2.1", 567, False, Headers()).direct


class TestLoopbackPrivilege:
    """Direct peers: on this machine, without a proxy."""

    @pytest.mark.parametrize("networks", [(), PROXIES])
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", UNIX])
    def test_is_for_loopback_and_unix_sockets(self, address: str, networks: tuple[str, ...]) -> None:
        assert Trust(networks, "forwarded").peer(address, 567, False, Headers([("Host", "localhost")])).direct

    @pytest.mark.parametrize("networks", [(), PROXIES])
    @pytest.mark.parametrize("address", ["127.0.0.1", UNIX])
    @pytest.mark.parametrize(
        "name",
        [
            "X-Forwarded-For",
            "x-forwarded-proto",
            "X-Forwarded-Host",
            "X-Forwarded-Anything",
            "Forwarded",
            "VIA",
            "X-Real-IP",
            "CF-Connecting-IP",
            "True-Client-IP",
        ],
    )
    def test_is_lost_with_any_header_of_a_proxy(self, name: str, address: str, networks: tuple[str, ...]) -> None:
        for value in ("127.0.0.1", "", "nonsense"):
            for header in ("x-forwarded-for", "forwarded"):
                assert not Trust(networks, header).peer(address, 567, False, Headers([(name, value)])).direct

    def test_cannot_be_claimed_through_a_proxy(self) -> None:
        assert not xForwarded("127.0.0.1").direct
        assert not forwarded("for=127.0.0.1").direct
        assert not xForwarded("127.0.0.1", "127.0.0.1").direct


class TestXForwardedFor:
    """X-Forwarded-For, which nearly all proxies send."""

    @pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", UNIX])
    def test_of_a_trusted_proxy_names_the_client(self, address: str) -> None:
        peer = xForwarded("192.0.2.1", address)
        assert peer.address == "192.0.2.1"
        assert peer.port == 0
        assert peer.via == address.removeprefix("::ffff:")

    @pytest.mark.parametrize(
        ("value", "address"),
        [
            ("127.0.0.1, 192.0.2.1", "192.0.2.1"),
            ("spoofed, 192.0.2.1", "192.0.2.1"),
            ('", 192.0.2.1', "192.0.2.1"),
            ("192.0.2.1, 10.0.0.7, 10.0.0.8", "192.0.2.1"),
            ("203.0.113.9, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
            ("10.0.0.9, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.6, 10.0.0.7", "10.0.0.6"),
        ],
    )
    def test_is_walked_from_the_right_as_far_as_proxies_are_trusted(self, value: str, address: str) -> None:
        assert xForwarded(value).address == address

    @pytest.mark.parametrize(
        ("value", "address"),
        [
            ("192.0.2.1, unknown, 10.0.0.7", "10.0.0.7"),
            ("192.0.2.1, 10.0.0.999", "10.0.0.1"),
            ("192.0.2.1, evil\\", "10.0.0.1"),
            ("nonsense", "10.0.0.1"),
            ("192.0.2.1;", "10.0.0.1"),
            ("192.0.2.1:", "10.0.0.1"),
            ("192.0.2.1:99999", "10.0.0.1"),
            ("192.0.2.1:\xb2", "10.0.0.1"),
            ("192.0.2.01", "10.0.0.1"),
            ("[192.0.2.1]", "192.0.2.1"),
            ("[2001:db9::1", "10.0.0.1"),
            ("unix", "10.0.0.1"),
            ("", "10.0.0.1"),
            (",", "10.0.0.1"),
        ],
    )
    def test_ends_the_walk_at_what_is_no_address(self, value: str, address: str) -> None:
        assert xForwarded(value).address == address

    @pytest.mark.parametrize(
        ("value", "address", "port"),
        [
            ("192.0.2.1:4711", "192.0.2.1", 4711),
            ("[2001:db9::1]:4711", "2001:db9::1", 4711),
            ("[2001:db9::1]", "2001:db9::1", 0),
            ("2001:db9::1", "2001:db9::1", 0),
            ("2001:DB9:0:0::1", "2001:db9::1", 0),
            ("::ffff:192.0.2.1", "192.0.2.1", 0),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1", 80),
            ("192.0.2.1, ::ffff:10.0.0.7", "192.0.2.1", 0),
            ("\t192.0.2.1 ,,", "192.0.2.1", 0),
        ],
    )
    def test_has_addresses_in_many_writings(self, value: str, address: str, port: int) -> None:
        peer = xForwarded(value)
        assert (peer.address, peer.port) == (address, port)

    def test_in_several_fields_is_one_list(self) -> None:
        headers = Headers([("X-Forwarded-For", "203.0.113.9"), ("x-forwarded-for", "192.0.2.1")])
        assert Trust(PROXIES, "x-forwarded-for").peer("10.0.0.1", 567, False, headers).address == "192.0.2.1"

    def test_is_not_read_where_the_proxies_set_forwarded(self) -> None:
        assert Trust(PROXIES, "forwarded").peer(
            "10.0.0.1", 567, False, Headers([("X-Forwarded-For", "192.0.2.1")])
        ) == Peer("10.0.0.1", 567)

    @pytest.mark.parametrize(
        ("scheme", "secure"),
        [
            ("https", True),
            ("HTTPS", True),
            ("wss", True),
            ("http", False),
            ("https, http", False),
            ("http, https", True),
        ],
    )
    def test_comes_with_the_scheme_that_the_nearest_proxy_saw(self, scheme: str, secure: bool) -> None:
        assert xForwarded("192.0.2.1", scheme=scheme).secure is secure


class TestForwarded:
    """RFC 7239."""

    @pytest.mark.parametrize(
        ("value", "address", "port"),
        [
            ("for=192.0.2.1", "192.0.2.1", 0),
            ("For=192.0.2.1;proto=http;by=203.0.113.43", "192.0.2.1", 0),
            ('for="192.0.2.1:4711"', "192.0.2.1", 4711),
            ('for="[2001:db9:cafe::17]"', "2001:db9:cafe::17", 0),
            ('for="[2001:db9:cafe::17]:4711"', "2001:db9:cafe::17", 4711),
            ('for="[::ffff:192.0.2.1]"', "192.0.2.1", 0),
            ('by=a;FOR="192.0.2.1" ; host=example.com', "192.0.2.1", 0),
            ("for=203.0.113.9, for=192.0.2.1", "192.0.2.1", 0),
            ("for=192.0.2.1, for=10.0.0.7, for=10.0.0.8", "192.0.2.1", 0),
            ("for=192.0.2.1,,", "192.0.2.1", 0),
        ],
    )
    def test_names_the_client(self, value: str, address: str, port: int) -> None:
        peer = forwarded(value)
        assert (peer.address, peer.port, peer.via) == (address, port, "10.0.0.1")

    @pytest.mark.parametrize(
        "value",
        [
            "for=unknown",
            "for=_hidden",
            'for="_SEVKISEK"',
            "for=192.0.2.1, for=unknown",
            "for=192.0.2.1, proto=https",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1 proto=http",
            "for=[2001:db9::1]",
            "for = 192.0.2.1",
            "for=",
            'for="',
            'for="192.0.2.1',
            "192.0.2.1",
            ";",
        ],
    )
    def test_may_name_nobody(self, value: str) -> None:
        """Unknown, obfuscated (RFC 7239 6.2, 6.3) and malformed nodes: the proxy is the peer."""
        assert forwarded(value).address == "10.0.0.1"

    @pytest.mark.parametrize(
        "spoof", ['for="', 'for="x', '"', 'for="\\', 'for=a;host="', "for=127.0.0.1,", ";;;", "for"]
    )
    def test_of_a_client_cannot_hide_what_the_proxy_adds(self, spoof: str) -> None:
        proxys = 'for="[2001:db9::17]:4711";proto=http'
        assert forwarded(f"{spoof}, {proxys}").address == "2001:db9::17"
        assert forwarded(spoof, proxys).address == "2001:db9::17"

    @pytest.mark.parametrize("host", ["x,for=127.0.0.1", "x, for=127.0.0.1;y=", ",for=", 'x\\",for=127.0.0.1;y=\\"'])
    def test_of_a_proxy_is_not_split_inside_its_quotes(self, host: str) -> None:
        assert forwarded(f'for=192.0.2.1;host="{host}"').address == "10.0.0.1"

    def test_comes_with_the_scheme_of_the_clients_own_hop(self) -> None:
        assert forwarded("for=192.0.2.1;proto=https").secure
        assert not forwarded("for=192.0.2.1;proto=http", secure=True).secure
        assert forwarded("for=192.0.2.1;proto=https, for=10.0.0.7;proto=http").secure

    def test_does_not_take_a_scheme_from_beyond_the_trusted(self) -> None:
        assert not forwarded("for=203.0.113.9;proto=https, for=192.0.2.1").secure

    def test_is_not_read_where_the_proxies_set_x_forwarded_for(self) -> None:
        headers = Headers([("Forwarded", "for=192.0.2.1")])
        assert Trust(PROXIES, "x-forwarded-for").peer("10.0.0.1", 567, False, headers).address == "10.0.0.1"


class TestTime:
    """Reading a header takes time in proportion to its length."""

    @pytest.mark.parametrize("header", ["forwarded", "x-forwarded-for"])
    @pytest.mark.parametrize(
        "text", ['"', '\\"', 'a="', ",", ";", "for=10.0.0.1,", "10.0.0.1,", " ", "a=b;", "[", "1.", "::"]
    )
    def test_is_short(self, text: str, header: str) -> None:
        headers = Headers([(header, text * (16000 // len(text)))])
        gc.collect()
        began = time.process_time()
        Trust(PROXIES, header).peer("10.0.0.1", 567, False, headers)
        assert time.process_time() - began < 0.5


class TestWriting:
    """A peer as text."""

    @pytest.mark.parametrize(
        ("peer", "text"),
        [
            (Peer("192.0.2.1", 567), "192.0.2.1:567"),
            (Peer("::1", 567), "[::1]:567"),
            (Peer("192.0.2.1", 0), "192.0.2.1"),
            (Peer("::1", 0), "[::1]"),
            (Peer(UNIX, 0), "unix"),
        ],
    )
    def test_is_an_address_and_a_port(self, peer: Peer, text: str) -> None:
        assert str(peer) == text
