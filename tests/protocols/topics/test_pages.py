"""The list of topics at the route itself: a page for people, JSON for programs."""

from __future__ import annotations

import pytest

from tests.protocols.topics.routes import ask, at, daemonOf

HTML = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"


class TestThePage:
    @pytest.mark.parametrize("path", ["/topics", "/topics/"])
    def test_a_browser_gets_it(self, path: str) -> None:
        answer = ask(daemonOf(), f"GET {path}", HTML)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b'src="/topics/$page/page.js"' in answer.body
        assert "script-src 'self'" in answer.headers["content-security-policy"]

    def test_its_files_are_at_a_reserved_name(self) -> None:
        for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
            answer = ask(daemonOf(), f"GET /topics/$page/{name}")
            assert (answer.status, answer.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
        assert ask(daemonOf(), "GET /topics/$page/other.js").status == 404

    def test_is_read_only(self) -> None:
        for method in ("POST", "DELETE"):
            answer = ask(daemonOf(), f"{method} /topics")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


class TestTheList:
    def test_has_the_topics_with_subscribers_and_no_filters(self) -> None:
        daemon = daemonOf()
        clients = [at(daemon, topic) for topic in ("b", "a/一", "b", "a/#")]
        answer = ask(daemon, "GET /topics")
        assert answer.json == {"topics": [{"topic": "a/一", "subscribers": 1}, {"topic": "b", "subscribers": 2}]}
        clients[1].wire.close()
        assert ask(daemon, "GET /topics").json == {"topics": [{"topic": "b", "subscribers": 2}]}

    def test_has_the_topics_that_keep_messages(self) -> None:
        daemon = daemonOf()
        ask(daemon, "POST /topics/kept", "Content-Type: text/plain", body="1")
        assert ask(daemon, "GET /topics").json == {"topics": [{"topic": "kept", "subscribers": 0}]}

    def test_has_only_what_the_client_may_subscribe_to(self) -> None:
        daemon = daemonOf(subscribe=("anyone open/#", "same-origin"))
        for topic in ("open/one", "closed"):
            at(daemon, topic)
        assert [each["topic"] for each in ask(daemon, "GET /topics").json["topics"]] == ["closed", "open/one"]
        foreign = daemonOf(origins=("*",), subscribe=("anyone open/#", "same-origin"))
        for topic in ("open/one", "closed"):
            at(foreign, topic)
        listed = ask(foreign, "GET /topics", "Origin: https://example.com").json["topics"]
        assert [each["topic"] for each in listed] == ["open/one"]

    def test_is_not_for_pages_of_other_sites(self) -> None:
        assert ask(daemonOf(), "GET /topics", "Origin: https://evil.test").status == 403

    def test_says_what_is_wrong_with_a_token(self) -> None:
        assert ask(daemonOf(), "GET /topics?token=x").status == 401

    def test_is_bounded(self) -> None:
        daemon = daemonOf()
        hub = daemon.factories["/topics/*"].parts.hub
        hub.audiences = lambda: {f"t{number}": 1 for number in range(300)}
        assert len(ask(daemon, "GET /topics").json["topics"]) == 200


class TestErrorsInABrowser:
    def test_are_a_page(self) -> None:
        answer = ask(daemonOf(), "GET /topics/a//b", HTML)
        assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")

    def test_are_json_for_programs(self) -> None:
        assert ask(daemonOf(), "GET /topics/a//b").error[:2] == (404, "bad_topic")
