"""An opening whose head differs from an earlier one only in its key is treated exactly as that one was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.test_door import ACCEPT, KEY, daemon, status, upgrade
from tests.wire import Daemon
from wsd.config import Config, Policies
from wsd.web.known import KnownOpenings

OTHER = b"x3JJHMbDL1EzLkh9GBhXDw=="
OTHER_ACCEPT = b"HSmrc0sMlYUkAGmm5OPpG2HaGWk="


def opened(ours: Daemon, *fields: bytes, path: bytes = b"/echo") -> int:
    """The status of an opening handshake, which is not closed."""
    return status(ours.connect().exchange(upgrade(path, *fields)))


def withKey(key: bytes) -> bytes:
    return upgrade().replace(KEY, key)


def known(ours: Daemon) -> int:
    return len(ours.site.known)


class TestAKnownHead:
    def test_is_answered_by_its_own_key(self) -> None:
        ours = daemon()
        assert b"Sec-WebSocket-Accept: " + ACCEPT in ours.connect().exchange(upgrade()).split(b"\r\n")
        assert known(ours) == 1
        assert b"Sec-WebSocket-Accept: " + OTHER_ACCEPT in ours.connect().exchange(withKey(OTHER)).split(b"\r\n")
        assert known(ours) == 1

    def test_has_the_fields_that_it_would_have_if_it_were_new(self) -> None:
        def told(ours: Daemon) -> Any:
            answer = ours.connect().exchange(upgrade(b"/describe", b"X-A: 1", b"x-a: 2").replace(KEY, OTHER))
            described = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
            return {name: value for name, value in described.items() if name not in ("id", "peer")}

        ours = daemon()
        assert opened(ours, b"X-A: 1", b"x-a: 2", path=b"/describe") == 101
        assert json.dumps(told(ours)) == json.dumps(told(daemon()))
        connections = ours.factories["/describe"].connections
        assert {connection.request.head.headers.get("Sec-WebSocket-Key") for connection in connections} == {
            KEY.decode(),
            OTHER.decode(),
        }
        for connection in connections:
            fields = connection.request.head.headers
            assert fields.all("X-A") == ["1", "2"]
            assert len(fields) == len(list(fields)) == 7
            with pytest.raises(AttributeError):
                fields.nothing  # noqa: B018

    @pytest.mark.parametrize(
        "key",
        [b"", b"x", KEY[:-1], KEY + b"=", b"a" * 24, b"\xff" * 24, b"dGhlIHNhbXBsZSBub25jZQ=\r\n", KEY[1:] + b" "],
    )
    def test_is_refused_with_a_malformed_key_as_a_new_one_is(self, key: bytes) -> None:
        ours = daemon()
        assert opened(ours) == 101
        answers = [each.connect().exchange(withKey(key)) for each in (ours, daemon())]
        assert [status(answer) for answer in answers] == [400, 400]

    def test_is_not_one_that_has_the_key_elsewhere(self) -> None:
        """Cutting the same number of bytes out of another head may give the same rest."""
        ours, fresh = daemon(), daemon()
        assert opened(ours) == 101
        head = upgrade()
        rest = head.replace(KEY, b"")
        for start in range(len(rest) - 3):
            moved = rest[:start] + KEY + rest[start:]
            if moved != head:
                fresh.site.known = KnownOpenings()
                answers = [each.connect().exchange(moved)[:12] for each in (ours, fresh)]
                assert answers[0] == answers[1], moved

    @given(st.binary(max_size=30), st.integers(0, 200), st.integers(0, 30))
    @settings(max_examples=50, deadline=None)
    def test_with_any_change_is_answered_as_a_new_one(self, data: bytes, start: int, length: int) -> None:
        ours = daemon()
        assert opened(ours) == 101
        head = upgrade()[:-4]
        changed = head[:start] + data + head[start + length :] + b"\r\n\r\n"
        statuses = [each.connect().exchange(changed)[:12] for each in (ours, daemon())]
        assert statuses[0] == statuses[1]


class TestWhatIsCheckedEachTime:
    def test_the_limits(self) -> None:
        ours = daemon(policies=Policies(handshakes_per_second=1), config=Config(trusted_proxies=("127.0.0.1",)))
        assert [opened(ours, b"X-Forwarded-For: 203.0.113.7") for _ in range(3)] == [101, 101, 429]

    def test_whether_the_daemon_stops(self) -> None:
        ours = daemon()
        assert opened(ours) == 101
        ours.site.stopping = True
        assert opened(ours) == 503

    def test_the_routes(self) -> None:
        ours = daemon()
        assert opened(ours) == 101
        ours.site.replaceRoutes([])
        assert known(ours) == 0
        assert opened(ours) == 404

    def test_the_hosts(self) -> None:
        ours = daemon()
        assert opened(ours) == 101
        ours.site.configure(ours.site.policies, ("wsd.example",), ours.site.trust)
        assert opened(ours) == 421

    def test_the_start_of_the_route(self) -> None:
        ours = daemon()
        assert opened(ours) == 101
        ours.factories["/echo"].unusable = "it is starting"
        assert opened(ours) == 503


class TestWhatIsRemembered:
    @pytest.mark.parametrize(
        "field",
        [b"Cookie: a=b", b"Authorization: Basic YTpi", b"Proxy-Authorization: Basic YTpi", b"X-Long: " + b"x" * 2048],
    )
    def test_is_no_secret_and_nothing_large(self, field: bytes) -> None:
        ours = daemon()
        assert opened(ours, field) == 101
        assert known(ours) == 0

    def test_is_no_query(self) -> None:
        ours = daemon()
        assert opened(ours, path=b"/describe?token=secret") == 101
        assert known(ours) == 0

    def test_is_no_attempt_that_a_page_has_marked(self) -> None:
        ours = daemon()
        assert opened(ours, b"Cookie: wsd_attempt_" + b"0" * 32 + b"=1") == 101
        assert known(ours) == 0

    def test_is_nothing_that_was_refused(self) -> None:
        ours = daemon()
        assert opened(ours, b"Origin: http://other.example") == 403
        assert known(ours) == 0

    def test_are_the_newest_heads(self) -> None:
        ours = daemon()
        for number in range(100):
            assert opened(ours, b"X-Number: %d" % number) == 101
        assert known(ours) == 64
        assert opened(ours, b"X-Number: 99") == 101
        assert known(ours) == 64
