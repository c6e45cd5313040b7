"""The bodies of requests count in `memory_max`, from their first byte until the request is answered."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from tests.wire import Daemon, Wire
from wsd.config import Policies
from wsd.policies.budget import MemoryUse
from wsd.policies.shedding import Shed
from wsd.protocols.topics.posting import Body
from wsd.resources import IStreamed, decodedBody

MOST = 1_000_000


@implementer(IStreamed)
class Keeping(Resource):
    """Keeps each body, and answers when the test says so."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def bodyOf(self, request: Any) -> Any:
        return decodedBody(request.head, Body(MOST))

    def render_POST(self, request: Any) -> int:
        self.requests.append(request)
        return NOT_DONE_YET


class Site:
    def __init__(self, **policies: Any) -> None:
        self.daemon = Daemon({}, Policies(memory_max=MOST, memory_per_connection=1, **policies))
        self.resource = Keeping()
        self.daemon.site.pages["/kept"] = self.resource

    @property
    def held(self) -> int:
        assert self.daemon.budget.used == self.daemon.budget.byUse[MemoryUse.bodies]
        return self.daemon.budget.used

    def post(self, size: int, body: bytes = b"", more: str = "") -> Wire:
        """Send a request with a body of this size, as far as given."""
        wire = self.daemon.connect()
        head = f"POST /kept HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n{more}\r\n"
        wire.send(head.encode() + body)
        return wire


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_request_without_a_byte_of_its_body_holds_nothing(site: Site) -> None:
    site.post(1000)
    assert site.held == 0
    assert not site.daemon.budget._accounts


def test_what_has_come_counts(site: Site) -> None:
    wire = site.post(1000, b"x" * 600)
    assert site.held == 600
    wire.send(b"x" * 399)
    assert site.held == 999


def test_the_whole_counts_until_it_is_answered(site: Site) -> None:
    site.post(1000, b"x" * 1000)
    assert site.held == 1000
    (request,) = site.resource.requests
    request.finish()
    assert site.held == 0


def test_a_compressed_one_counts_by_what_it_becomes(site: Site) -> None:
    body = gzip.compress(bytes(500_000))
    site.post(len(body), body, "Content-Encoding: gzip\r\n")
    assert 500_000 < site.held < 600_000


@pytest.mark.parametrize("sent", [600, 1000])
def test_nothing_is_left_when_the_client_goes(site: Site, sent: int) -> None:
    site.post(1000, b"x" * sent).reset()
    assert site.held == 0


def test_nothing_is_left_when_it_becomes_too_large(site: Site) -> None:
    wire = site.post(2 * MOST, b"x" * (MOST + 1))
    wire.serve()
    assert site.held == 0
    assert b" 413 " in wire.read()


def test_nothing_is_left_when_it_does_not_come(site: Site) -> None:
    wire = site.post(1000, b"x" * 600)
    for _ in range(3):
        site.daemon.pass_(site.daemon.site.policies.http_body_timeout)
    wire.serve()
    assert b" 408 " in wire.read()
    assert site.held == 0


def test_above_the_limit_the_largest_is_refused(site: Site) -> None:
    small, large = site.post(MOST, b"x" * 300_000), site.post(MOST, b"x" * 600_000)
    small.send(b"x" * 200_000)
    site.daemon.reactor.advance(0)
    assert site.held == 500_000
    assert b" 503 " in large.read()
    assert not small.read()
    assert site.daemon.budget.shed == {Shed.large: 1}


def test_one_that_is_being_answered_is_ended(site: Site) -> None:
    answered, small = site.post(700_000, b"x" * 700_000), site.post(MOST, b"x" * 400_000)
    site.daemon.reactor.advance(0)
    assert site.held == 400_000
    answered.read()
    assert answered.ended
    small.read()
    assert not small.ended
