"""Why a connection failed: told to the page that made it, and to nobody else."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from twisted.internet.task import Clock

from tests.wire import Daemon
from wsd.config import Config
from wsd.connection import Accept, Connection, Factory, Refused, Request
from wsd.head import Head, Headers, parseHead
from wsd.policies.address import Peer
from wsd.web.attempts import Attempt, Attempts, Why, attemptOf, unmark

TOKEN, OTHER = "0123456789abcdef" * 2, "f" * 32
ORIGIN = "http://localhost:9998"
PEER = Peer("127.0.0.1", 5000)


class Seeing(Connection):
    """Refuses what asks for it, drops what asks for it, and keeps the cookies that it was sent."""

    seen: ClassVar[list[str | None]] = []

    async def opening(self, request: Request) -> Accept:
        self.seen.append(request.head.headers.get("Cookie"))
        if "refuse" in request.queries:
            raise Refused(403, "not you")
        return Accept(None)

    def received(self, payload: bytes, isBinary: bool) -> None:
        if payload == b"drop":
            self.drop()
        else:
            self.close(4000, "enough")


class SeeingFactory(Factory):
    connection = Seeing


class Site:
    """A site with one route, and the resource that pages ask."""

    def __init__(self) -> None:
        Seeing.seen.clear()
        self.daemon = Daemon({"/x": SeeingFactory}, config=Config(trusted_proxies=("127.0.0.1",)))
        self.daemon.site.pages["/_wsd/why"] = Why(self.daemon.site.attempts)

    def handshake(self, target: str = "/x", *fields: str, origin: str = ORIGIN, token: str = TOKEN) -> bytes:
        lines = [
            f"GET {target} HTTP/1.1",
            "Host: localhost:9998",
            f"Origin: {origin}",
            f"Cookie: wsd_attempt_{token}=1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            *fields,
            "",
            "",
        ]
        return self.daemon.connect().exchange("\r\n".join(lines).encode())

    def why(self, token: str = TOKEN, target: str = "/x?refuse", *fields: str) -> tuple[int, Any]:
        named = (f"Wsd-Attempt: {token}", f"Wsd-Target: {target}")
        lines = ["GET /_wsd/why HTTP/1.1", "Host: localhost:9998", *named, *fields, "", ""]
        answer = self.daemon.connect().exchange("\r\n".join(lines).encode())
        head, _, content = answer.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        return status, json.loads(content) if status == 200 else content


class TestRefusal:
    def test_is_told_to_the_page_that_was_refused(self) -> None:
        site = Site()
        assert site.handshake("/x?refuse").startswith(b"HTTP/1.1 403 ")
        assert site.why() == (200, {"status": 403, "phrase": "Forbidden", "sentence": "not you"})

    def test_of_the_door_is_told_as_well(self) -> None:
        site = Site()
        site.handshake("/nothing")
        content = site.why(target="/nothing")[1]
        assert (content["status"], content["sentence"]) == (404, "there is no WebSocket at /nothing")

    def test_is_told_under_every_token_of_a_handshake(self) -> None:
        site = Site()
        site.handshake("/x?refuse", f"Cookie: wsd_attempt_{OTHER}=1")
        assert site.why(TOKEN) == site.why(OTHER)
        assert site.why(TOKEN)[1]["status"] == 403

    def test_is_not_known_without_a_mark(self) -> None:
        site = Site()
        site.handshake("/x?refuse", token="0")
        assert site.why() == (200, {})

    @pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://localhost:3000", "http://localhost", ""])
    def test_of_a_page_of_another_origin_is_not_remembered(self, origin: str) -> None:
        site = Site()
        assert b" 403 " in site.handshake("/x?refuse", origin=origin)[:20]
        assert site.why() == (200, {})

    def test_is_not_told_for_another_token_or_target(self) -> None:
        site = Site()
        site.handshake("/x?refuse")
        assert site.why(OTHER) == (200, {})
        assert site.why(target="/x") == (200, {})

    def test_is_not_told_to_another_address(self) -> None:
        site = Site()
        site.handshake("/x?refuse", "X-Forwarded-For: 192.0.2.1")
        assert site.why(TOKEN, "/x?refuse", "X-Forwarded-For: 192.0.2.2") == (200, {})
        assert site.why(TOKEN, "/x?refuse", "X-Forwarded-For: 192.0.2.1")[1]["status"] == 403

    def test_is_not_told_to_a_page_of_another_site(self) -> None:
        site = Site()
        site.handshake("/x?refuse")
        for fetched in ("cross-site", "same-site", "none"):
            assert site.why(TOKEN, "/x?refuse", f"Sec-Fetch-Site: {fetched}")[0] == 403
        assert site.why(TOKEN, "/x?refuse", "Sec-Fetch-Site: same-origin")[0] == 200

    @pytest.mark.parametrize(("token", "target"), [("", "/x"), ("xyz", "/x"), (TOKEN + "0", "/x"), (TOKEN, "x")])
    def test_needs_a_whole_question(self, token: str, target: str) -> None:
        assert Site().why(token, target)[0] == 400


class TestEnd:
    def end(self, site: Site, message: str, seconds: float = 0.0) -> Any:
        """Opens a connection that ends itself at this message. Returns what the page learns."""
        fields = {"Cookie": f"wsd_attempt_{TOKEN}=1", "Origin": ORIGIN}
        client = site.daemon.open("/x", headers=fields)
        assert client.response is not None
        assert client.response.status_code == 101
        site.daemon.pass_(seconds)
        client.say(message)
        client.wire.close()
        return site.why(TOKEN, "/x")[1]

    def test_soon_after_opening_is_told_with_its_cause(self) -> None:
        assert self.end(Site(), "drop") == {"cause": "aborted"}

    def test_by_a_closing_handshake_is_told_too(self) -> None:
        assert self.end(Site(), "close") == {"cause": "closed"}

    def test_of_a_connection_that_has_lasted_is_not_told(self) -> None:
        assert self.end(Site(), "drop", seconds=11) == {}


class TestCookie:
    def test_is_not_seen_by_the_protocol(self) -> None:
        site = Site()
        site.handshake("/x?refuse")
        assert Seeing.seen == [None]

    def test_leaves_the_other_cookies_as_they_were(self) -> None:
        head = parseHead(
            f"GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1; wsd_attempt_{TOKEN}=1; b=2\r\nCookie: c=3\r\nX-Y: z".encode()
        )
        unmarked, tokens = unmark(head)
        assert tokens == (TOKEN,)
        assert list(unmarked.headers) == [("Host", "x"), ("Cookie", "a=1; b=2"), ("Cookie", "c=3"), ("X-Y", "z")]

    def test_of_a_head_without_one_is_not_looked_for(self) -> None:
        head = parseHead(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: a=1;  b=2")
        assert unmark(head) == (head, ())
        assert unmark(head)[0] is head

    def test_counts_only_with_a_whole_token_and_a_few_times(self) -> None:
        names = [f"wsd_attempt_{number:032x}=1" for number in range(20)]
        text = f"GET / HTTP/1.1\r\nHost: x\r\nCookie: wsd_attempt_xyz=1; {'; '.join(names)}"
        unmarked, tokens = unmark(parseHead(text.encode()))
        assert len(tokens) == 8
        assert unmarked.headers.get("Cookie") == "wsd_attempt_xyz=1"


class TestMemory:
    def attempt(self, token: str, target: str = "/") -> Attempt:
        headers = Headers([("Host", "localhost"), ("Origin", "http://localhost")])
        made = attemptOf(Head("GET / HTTP/1.1", "GET", target, "/", "", (1, 1), headers), (token,), PEER)
        assert made is not None
        return made

    def test_is_kept_for_a_minute(self) -> None:
        clock = Clock()
        attempts = Attempts(clock)
        attempts.refused(self.attempt(TOKEN), Refused(404, "no"))
        clock.advance(60)
        assert attempts.find(TOKEN, "/", PEER) is not None
        clock.advance(1)
        assert attempts.find(TOKEN, "/", PEER) is None

    def test_is_kept_of_the_newest_thousand(self) -> None:
        attempts = Attempts(Clock())
        for number in range(1500):
            attempts.refused(self.attempt(f"{number:032x}"), Refused(404, "no"))
        known = [number for number in range(1500) if attempts.find(f"{number:032x}", "/", PEER) is not None]
        assert known == list(range(500, 1500))

    def test_has_no_long_sentence(self) -> None:
        attempts = Attempts(Clock())
        attempts.refused(self.attempt(TOKEN), Refused(404, "n" * 100_000))
        found = attempts.find(TOKEN, "/", PEER)
        assert found is not None
        assert len(str(found["sentence"])) == 500

    def test_takes_both_loopback_addresses_for_one(self) -> None:
        attempts = Attempts(Clock())
        attempts.refused(self.attempt(TOKEN), Refused(404, "no"))
        assert attempts.find(TOKEN, "/", Peer("::1", 1)) is not None
