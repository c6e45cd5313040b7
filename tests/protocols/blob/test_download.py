"""Files over HTTP: ranges, conditions, and labels that let no page run as ours (RFC 9110)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs

from tests.protocols.blob.stores import ask, daemonOf, told
from tests.wire import Daemon
from wsd.protocols.blob.download import Unsatisfiable, rangeOf

CONTENT = b"0123456789"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return daemonOf(tmp_path)


def put(daemon: Daemon, content: bytes = CONTENT, name: str = "digits.txt") -> Any:
    client = daemon.open("/blob")
    client.say(f'{{"name": "{name}"}}')
    client.say(content)
    return told(client)[0]


class TestAFile:
    def test_it_is_labelled(self, daemon: Daemon) -> None:
        receipt = put(daemon)
        answer = ask(daemon, f"GET {receipt['url']}")
        assert (answer.status, answer.body) == (200, CONTENT)
        assert answer.headers["content-length"] == "10"
        assert answer.headers["etag"] == f'"{receipt["sha256"]}"'
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-disposition"] == 'inline; filename="digits.txt"'
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")

    def test_head_has_the_same_labels_and_no_body(self, daemon: Daemon) -> None:
        url = put(daemon)["url"]
        answer, head = ask(daemon, f"GET {url}"), ask(daemon, f"HEAD {url}")
        assert (head.status, head.body) == (200, b"")
        assert {**head.headers, "date": ""} == {**answer.headers, "date": ""}

    def test_a_page_is_saved_and_not_shown(self, daemon: Daemon) -> None:
        url = put(daemon, b"<!DOCTYPE html><script>alert(1)</script>", "a.html")["url"]
        answer = ask(daemon, f"GET {url}")
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["content-security-policy"]

    def test_any_name_is_told_in_ascii_and_in_full(self, daemon: Daemon) -> None:
        url = put(daemon, name='größe;\\" 😀.txt')["url"]
        label = ask(daemon, f"GET {url}").headers["content-disposition"]
        assert label == (
            "inline; filename=\"gr__e__ _.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%3B%22%20%F0%9F%98%80.txt"
        )

    def test_a_large_one_comes_whole(self, daemon: Daemon) -> None:
        content = bytes(range(256)) * 10_000
        assert ask(daemon, f"GET {put(daemon, content)['url']}").body == content

    def test_one_that_is_not_there_is_404(self, daemon: Daemon) -> None:
        for path in ("/blob/none", "/blob/" + "0" * 40):
            answer = ask(daemon, f"GET {path}")
            assert (answer.status, answer.error) == (404, "unknown")

    @pytest.mark.parametrize("path", ["/blob/../store", "/blob/%2e%2e", "/blob/a/b", "/blob/a%2Fb", "/blob/%00"])
    def test_no_path_leads_out_of_the_store(self, daemon: Daemon, path: str) -> None:
        assert ask(daemon, f"GET {path}").status == 404


class TestConditions:
    def test_who_has_it_is_told_so(self, daemon: Daemon) -> None:
        receipt = put(daemon)
        answer = ask(daemon, f"GET {receipt['url']}", f'If-None-Match: "{receipt["sha256"]}"')
        assert (answer.status, answer.body) == (304, b"")

    def test_and_by_date(self, daemon: Daemon) -> None:
        url = put(daemon)["url"]
        modified = ask(daemon, f"HEAD {url}").headers["last-modified"]
        assert ask(daemon, f"GET {url}", f"If-Modified-Since: {modified}").status == 304

    def test_if_range_with_its_tag_lets_the_range_count(self, daemon: Daemon) -> None:
        receipt = put(daemon)
        answer = ask(daemon, f"GET {receipt['url']}", "Range: bytes=2-3", f'If-Range: "{receipt["sha256"]}"')
        assert (answer.status, answer.body) == (206, b"23")

    def test_if_range_with_another_gets_the_whole(self, daemon: Daemon) -> None:
        answer = ask(daemon, f"GET {put(daemon)['url']}", "Range: bytes=2-3", 'If-Range: "other"')
        assert (answer.status, answer.body) == (200, CONTENT)


class TestRanges:
    @pytest.mark.parametrize(
        ("field", "body", "told"),
        [
            ("bytes=0-0", b"0", "bytes 0-0/10"),
            ("bytes=3-5", b"345", "bytes 3-5/10"),
            ("bytes=7-", b"789", "bytes 7-9/10"),
            ("bytes=-2", b"89", "bytes 8-9/10"),
            ("bytes=-99", CONTENT, "bytes 0-9/10"),
            ("bytes=5-99", b"56789", "bytes 5-9/10"),
        ],
    )
    def test_a_part(self, daemon: Daemon, field: str, body: bytes, told: str) -> None:
        answer = ask(daemon, f"GET {put(daemon)['url']}", f"Range: {field}")
        assert (answer.status, answer.body, answer.headers["content-range"]) == (206, body, told)
        assert answer.headers["content-length"] == str(len(body))

    @pytest.mark.parametrize("field", ["bytes=10-", "bytes=99-100", "bytes=-0"])
    def test_one_behind_the_end_is_416(self, daemon: Daemon, field: str) -> None:
        answer = ask(daemon, f"GET {put(daemon)['url']}", f"Range: {field}")
        assert (answer.status, answer.headers["content-range"], answer.error) == (416, "bytes */10", "range")

    @pytest.mark.parametrize(
        "field", [None, "", "bytes=", "bytes=-", "bytes=5-3", "lines=1-2", "bytes=1-2,4-5", "bytes=a-"]
    )
    def test_what_is_no_range_counts_as_none(self, field: str | None) -> None:
        assert rangeOf(field, 10) is None

    def test_of_an_empty_file_there_is_none(self) -> None:
        with pytest.raises(Unsatisfiable):
            rangeOf("bytes=0-", 0)


class TestOtherSites:
    def test_a_page_of_another_site_is_refused(self, daemon: Daemon) -> None:
        answer = ask(daemon, f"GET {put(daemon)['url']}", "Origin: https://evil.test")
        assert (answer.status, answer.error) == (403, "forbidden")

    def test_one_that_the_route_lets_in_is_told_so(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path, origins=("https://app.test",))
        url = put(daemon)["url"]
        answer = ask(daemon, f"GET {url}", "Origin: https://app.test")
        assert answer.headers["access-control-allow-origin"] == "https://app.test"


def test_a_file_that_is_shorter_than_it_was_is_an_error_and_logs_no_traceback(daemon: Daemon, tmp_path: Path) -> None:
    receipt = put(daemon)
    (path,) = tmp_path.rglob(receipt["id"])
    path.write_bytes(b"")
    with capturedLogs() as events:
        answer = ask(daemon, f"GET {receipt['url']}")
    assert (answer.status, answer.error) == (503, "unavailable")
    assert [event for event in events if "log_failure" in event] == []
