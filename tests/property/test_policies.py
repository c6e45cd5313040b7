"""Any text at all, given to the rules that read header fields: an answer or a refusal, never another exception."""

from __future__ import annotations

import zlib
from contextlib import suppress
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from wsd.head import Headers, Refused
from wsd.policies.address import Trust, isLoopback
from wsd.policies.negotiation import acceptDeflate, choose, offeredExtensions, offeredSubprotocols
from wsd.policies.origin import checkHost, checkOrigin

_ANY = st.text(max_size=60)
_HEADERS = st.sampled_from(["forwarded", "x-forwarded-for"])
_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_TRUSTED = ("10.0.0.0/8", "::1", "unix")


def texts(*pieces: str) -> st.SearchStrategy[str]:
    """Texts that are nearly right."""
    return st.lists(st.sampled_from(pieces) | st.text(max_size=2), max_size=20).map("".join) | _ANY


_NAMES = st.sampled_from(["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"])
_HOPS = texts(
    "for=",
    "For=",
    "by=",
    "proto=",
    "host=",
    "http",
    "https",
    "10.0.0.1",
    "192.0.2.1",
    "::1",
    "[::1]",
    "[2001:db8::1]:80",
    "::ffff:10.0.0.1",
    ":80",
    ",",
    ";",
    '"',
    "\\",
    "unknown",
    "_hidden",
    "unix",
    "%eth0",
    "/8",
    ", ",
)
_ADDRESSES = (
    _ANY | st.ip_addresses().map(str) | st.sampled_from(["unix", "10.0.0.1", "::1", "127.0.0.1", "fe80::1%eth0"])
)
_ORIGINS = texts(
    "http", "https", "://", ":", "localhost", "127.0.0.1", "[::1]", "80", "@", "/", ".", "null", "example.com"
)
_OFFERS = texts(
    "permessage-deflate",
    "server_max_window_bits",
    "client_max_window_bits",
    "server_no_context_takeover",
    "client_no_context_takeover",
    "=",
    ";",
    ",",
    '"',
    "\\",
    "8",
    "10",
    "15",
    "16",
    "0",
    "foo",
    "; ",
)


@given(_HEADERS, _ADDRESSES, st.lists(st.tuples(_NAMES, _HOPS)))
def test_any_way_here_ends_at_an_address(header: str, address: str, fields: list[tuple[str, str]]) -> None:
    trust = Trust(_TRUSTED, header)
    peer = trust.peer(address, 567, False, Headers(fields))
    assert 0 <= peer.port <= 65535
    assert str(peer)
    if peer.via is None:
        assert peer.port == 567
    else:
        assert trust.trusts(address)
        assert not peer.direct
        if peer.address != peer.via:
            assert str(ip_address(peer.address)) == peer.address
    assert not (peer.direct and fields)


@given(_HEADERS, st.ip_addresses(network="203.0.113.0/24").map(str), _HOPS)
def test_a_trusted_proxys_word_counts_whatever_the_client_wrote_before_it(header: str, client: str, spoof: str) -> None:
    added = f"for={client};proto=https" if header == "forwarded" else client
    headers = Headers([(header, f"{spoof}, {added}"), ("X-Forwarded-Proto", "https")])
    peer = Trust(_TRUSTED, header).peer("10.0.0.1", 567, False, headers)
    assert (peer.address, peer.secure, peer.direct, peer.via) == (client, True, False, "10.0.0.1")


@given(_ADDRESSES)
def test_any_address_is_loopback_or_not(address: str) -> None:
    assert isLoopback(address) in (True, False)


@given(_ORIGINS | st.none(), st.sets(st.sampled_from(["same-host", "null", "https://example.com"])), _ORIGINS)
def test_any_origin_is_let_in_or_refused(origin: str | None, allowed: set[str], host: str) -> None:
    with suppress(Refused):
        checkOrigin(origin, tuple(allowed), host, _HOSTS)
        assert origin is None or origin == "null" or allowed
    with suppress(Refused):
        checkHost(host, _HOSTS)
        assert any(name.strip("[]") in host.lower() for name in _HOSTS)


@given(st.lists(_OFFERS, max_size=3))
def test_any_extensions_are_answered_declined_or_refused(values: list[str]) -> None:
    with suppress(Refused):
        agreed = acceptDeflate(offeredExtensions(Headers([("Sec-WebSocket-Extensions", value) for value in values])))
        if agreed is not None:
            [(name, parameters)] = offeredExtensions(Headers([("Sec-WebSocket-Extensions", agreed.answer)]))
            assert name == "permessage-deflate"
            assert acceptDeflate(((name, parameters),)) == agreed, "the answer is an offer that means the same"
            zlib.compressobj(6, zlib.DEFLATED, -agreed.serverBits)
            zlib.decompressobj(-agreed.clientBits)


@given(st.lists(texts("soap", "xmpp", ",", ", ", " ", '"', "="), max_size=3), st.sampled_from(["client", "server"]))
def test_any_subprotocols_are_chosen_from_or_refused(values: list[str], prefer: str) -> None:
    with suppress(Refused):
        offered = offeredSubprotocols(Headers([("Sec-WebSocket-Protocol", value) for value in values]))
        chosen = choose(offered, ("xmpp", "soap"), prefer)
        assert chosen is None or chosen in offered
        assert len(set(offered)) == len(offered)
        assert all(name.isascii() and name.isprintable() and name for name in offered)
