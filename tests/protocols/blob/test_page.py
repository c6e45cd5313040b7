"""The page of a route of blobs, and what else answers at the route itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.protocols.blob.stores import ask, daemonOf, told

HTML = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"


class TestThePage:
    def test_a_browser_gets_it(self, tmp_path: Path) -> None:
        answer = ask(daemonOf(tmp_path), "GET /blob", HTML)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b'src="/blob/page.js"' in answer.body
        assert "script-src 'self'" in answer.headers["content-security-policy"]

    def test_its_files_are_there_and_cached_by_their_tag(self, tmp_path: Path) -> None:
        daemon = daemonOf(tmp_path)
        for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
            answer = ask(daemon, f"GET /blob/{name}")
            assert (answer.status, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
            again = ask(daemon, f"GET /blob/{name}", f"If-None-Match: {answer.headers['etag']}")
            assert (again.status, again.body) == (304, b"")

    def test_it_makes_no_store(self, tmp_path: Path) -> None:
        ask(daemonOf(tmp_path), "GET /blob", HTML)
        assert not (tmp_path / "store").exists()


class TestTheRoute:
    def test_a_program_gets_the_list_where_the_route_allows_it(self, tmp_path: Path) -> None:
        answer = ask(daemonOf(tmp_path / "off"), "GET /blob")
        assert (answer.status, answer.error) == (403, "forbidden")
        assert ask(daemonOf(tmp_path / "on", list=True), "GET /blob").body == b'{"files": []}\n'

    def test_a_file_may_be_removed_where_the_route_allows_it(self, tmp_path: Path) -> None:
        for allowed, status in ((False, 403), (True, 404)):
            daemon = daemonOf(tmp_path / str(allowed), delete=allowed)
            assert ask(daemon, "DELETE /blob/0000").status == status

    def test_what_it_does_not_do_is_told_with_what_it_does(self, tmp_path: Path) -> None:
        answer = ask(daemonOf(tmp_path), "PUT /blob/0000", "Content-Length: 5", body=b"hello")
        assert (answer.status, answer.error) == (405, "bad_method")
        assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"
        answer = ask(daemonOf(tmp_path), "DELETE /blob")
        assert (answer.status, answer.error) == (405, "bad_method")

    def test_what_is_nowhere_is_told_as_all_errors_are(self, tmp_path: Path) -> None:
        for line in ("GET /blob/a/b", "DELETE /blob/a%00b"):
            answer = ask(daemonOf(tmp_path), line)
            assert (answer.status, answer.error) == (404, "unknown")

    def test_errors_are_pages_in_a_browser(self, tmp_path: Path) -> None:
        for path in ("/blob/a/b", "/blob/0123456789"):
            answer = ask(daemonOf(tmp_path), f"GET {path}", HTML)
            assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")

    def test_a_file_that_has_had_its_time_is_gone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1000.0]
        monkeypatch.setattr("time.time", lambda: now[0])
        daemon = daemonOf(tmp_path, keep=90.0)
        client = daemon.open("/blob")
        client.say(b"hello")
        (receipt,) = told(client)
        for seconds, status in ((60, 200), (60, 404)):
            now[0] += seconds
            daemon.reactor.advance(seconds)
            assert ask(daemon, f"GET {receipt['url']}").status == status
