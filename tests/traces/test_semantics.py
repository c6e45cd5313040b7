"""The attributes of spans: what is told of a request, and what never is."""

from __future__ import annotations

import pytest

from wsd.head import parseHead
from wsd.policies.address import Peer
from wsd.traces.semantics import clientAttributes, clientName, serverAttributes, serverName

PEER = Peer("192.0.2.7", 50311)


@pytest.mark.parametrize(
    ("url", "host", "port", "full", "name"),
    [
        ("http://a.example", "a.example", 80, "http://a.example/", "GET /"),
        ("https://a.example/x?key=hidden", "a.example", 443, "https://a.example/x", "GET /x"),
        ("http://user:password@a.example:81/x/y", "a.example", 81, "http://a.example:81/x/y", "GET /x/y"),
        ("http://[::1]:8080/", "::1", 8080, "http://[::1]:8080/", "GET /"),
    ],
)
def test_a_call_tells_its_url_without_query_and_credentials(
    url: str, host: str, port: int, full: str, name: str
) -> None:
    found = clientAttributes("GET", url)
    assert (found["server.address"], found["server.port"], found["url.full"]) == (host, port, full)
    assert clientName("GET", url) == name


@pytest.mark.parametrize(
    ("host", "isSecure", "address", "port"),
    [
        ("a.example", False, "a.example", 80),
        ("a.example", True, "a.example", 443),
        ("a.example:9998", False, "a.example", 9998),
        ("[::1]", True, "::1", 443),
        ("[::1]:81", False, "::1", 81),
        ("a.example:", False, "a.example", 80),
    ],
)
def test_a_request_tells_the_host_that_it_names(host: str, isSecure: bool, address: str, port: int) -> None:
    head = parseHead(f"GET / HTTP/1.1\r\nHost: {host}".encode())
    found = serverAttributes(head, PEER._replace(secure=isSecure), None)
    assert (found["server.address"], found["server.port"]) == (address, port)


def test_a_request_tells_no_query_and_no_field() -> None:
    head = parseHead(b"GET /x?token=hidden HTTP/1.1\r\nHost: a\r\nCookie: hidden\r\nAuthorization: Bearer hidden")
    found = serverAttributes(head, PEER, "/x")
    assert "hidden" not in str(found)
    assert serverName(head, "/x") == "GET /x"


def test_a_long_path_is_cut() -> None:
    head = parseHead(b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a")
    assert len(str(serverAttributes(head, PEER, None)["url.path"])) == 200
