"""HTTP upload (XEP-0363): a slot is asked for by XMPP, the file goes to the route of blobs by HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.daemon import RunningDaemon, runningDaemon
from tests.process.xmpp import Client

CONFIG = """
[route."/xmpp"]
register = true
[route."/blob"]
enabled = {hasBlobs}
max_file = 100000
expire = 1
"""
UPLOAD = "urn:xmpp:http:upload:0"


@pytest.fixture(scope="module")
def daemon() -> Iterator[RunningDaemon]:
    with runningDaemon(config=CONFIG.format(hasBlobs="true")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def alice(daemon: RunningDaemon) -> Client:
    return Client(f"ws://127.0.0.1:{daemon.port()}/xmpp").login("alice", register=True)


def ask(client: Client, name: str = "a b.txt", size: str = "5") -> str:
    payload = f"<request xmlns='{UPLOAD}' filename='{name}' size='{size}' content-type='text/plain'/>"
    return client.ask("get", payload, "localhost").toXml()


def slot(client: Client, name: str = "a b.txt", size: int = 5) -> str:
    told = ask(client, name, str(size))
    put, get = re.findall(r'url="([^"]+)"', told)
    assert put == get
    return str(put)


def put(url: str, content: bytes) -> int:
    try:
        with urlopen(Request(url, content, {"Content-Type": "text/plain"}, method="PUT"), timeout=20) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


def test_disco_tells_of_it_and_of_the_largest_file(alice: Client) -> None:
    told = alice.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", "localhost").toXml()
    assert f'var="{UPLOAD}"' in told
    assert re.search(r'var="max-file-size">.*?<value.*?>100000</value>', told)


def test_without_a_route_of_blobs_there_is_none() -> None:
    with runningDaemon(config=CONFIG.format(hasBlobs="false")) as daemon:
        client = Client(f"ws://127.0.0.1:{daemon.port()}/xmpp").login("alice", register=True)
        assert UPLOAD not in client.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>").toXml()
        assert "service-unavailable" in ask(client)


def test_a_file_is_put_and_fetched_at_its_slot(daemon: RunningDaemon, alice: Client) -> None:
    url = slot(alice)
    assert url.startswith(f"http://127.0.0.1:{daemon.port()}/blob/slot/")
    assert url.endswith("/a%20b.txt")
    with pytest.raises(HTTPError) as missing:
        urlopen(url, timeout=20)
    assert missing.value.code == 404
    missing.value.close()
    assert put(url, b"hello") == 201
    with urlopen(url, timeout=20) as answer:
        assert answer.read() == b"hello"
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_it_is_put_once_and_as_large_as_was_said(alice: Client) -> None:
    url = slot(alice)
    assert put(url, b"world") == 201
    assert put(url, b"other") >= 400
    assert put(slot(alice), b"much more") >= 400
    assert put(slot(alice), b"less") >= 400


@pytest.mark.parametrize(
    ("name", "size", "condition"),
    [
        ("a", "100001", "file-too-large"),
        ("a", "x", "bad-request"),
        ("", "5", "bad-request"),
        ("../a", "5", "bad-request"),
    ],
)
def test_a_bad_one_is_refused(alice: Client, name: str, size: str, condition: str) -> None:
    assert condition in ask(alice, name, size)


def test_who_has_no_account_has_no_slot(daemon: RunningDaemon) -> None:
    client = Client(f"ws://127.0.0.1:{daemon.port()}/xmpp")
    client.open()
    client.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>")
    client.until("success")
    client.open()
    client.bind("")
    assert "forbidden" in ask(client)


def test_of_nothing_there_is_nothing(daemon: RunningDaemon) -> None:
    base = f"http://127.0.0.1:{daemon.port()}/blob/slot"
    assert put(f"{base}/{'x' * 32}/a", b"hello") == 404
    assert put(f"{base}/short/a", b"hello") == 404
