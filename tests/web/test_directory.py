"""What the daemon tells its pages that it serves: only what the visitor may open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from twisted.web.resource import IResource, Resource

from tests.wire import Daemon
from wsd.config import Route
from wsd.connection import Factory
from wsd.protocols.echo import EchoFactory
from wsd.web.console import addConsole
from wsd.web.directory import Directory
from wsd.web.route import SiteRoute


class Paged(Factory):
    """A protocol with a page at its route."""

    about = MappingProxyType({"en": "A page.", "zh": "一个页面。"})
    subprotocols = ("paged.v1",)

    def page(self) -> str | None:
        return self.route.path

    def resource(self) -> IResource:
        return Resource()


class Several(Factory):
    """A protocol that answers at some paths of its prefix only."""

    def paths(self) -> list[str]:
        return ["/a", "/b"]


def directory(
    routes: Mapping[str, type[Factory]],
    *fields: str,
    maySeeStatus: bool = False,
    host: str = "localhost:9998",
    **route: Any,
) -> tuple[str, Any]:
    daemon = Daemon(routes, **route)
    addConsole(daemon.site)
    daemon.site.pages["/_wsd/routes.json"] = Directory(daemon.site, lambda request: maySeeStatus)
    lines = ["GET /_wsd/routes.json HTTP/1.1", "Host: localhost:9998", *fields, "", ""]
    head, _, content = daemon.connect().exchange("\r\n".join(lines).encode()).decode().partition("\r\n\r\n")
    return head, json.loads(content)


class TestRoutes:
    def test_have_a_sentence_in_both_languages_and_what_to_connect_with(self) -> None:
        _, content = directory({"/": EchoFactory, "/paged": Paged})
        root, paged = content["routes"]
        assert (root["path"], root["page"], root["subprotocols"]) == ("/", None, [])
        assert set(root["about"]) == {"en", "zh"}
        assert paged == {
            "path": "/paged",
            "protocols": ["test"],
            "subprotocols": ["paged.v1"],
            "about": {"en": "A page.", "zh": "一个页面。"},
            "page": "/paged",
        }

    def test_of_own_code_tell_the_class_and_not_where_its_file_is(self) -> None:
        route = Route(path="/", single="/srv/shout.py:ShoutFactory")
        assert SiteRoute(route, {}).protocols == ["ShoutFactory"]
        several = Route(path="/", protocol={"": "echo", "shout": "/srv/shout.py:ShoutFactory"})
        assert SiteRoute(several, {}).protocols == ["ShoutFactory", "echo"]

    def test_with_a_prefix_are_one_entry_or_one_for_each_path(self) -> None:
        _, content = directory({"/": EchoFactory, "/x/*": EchoFactory, "/s/*": Several})
        assert [entry["path"] for entry in content["routes"]] == ["/", "/x/", "/a", "/b"]

    def test_are_those_whose_origins_admit_a_page_of_this_host(self) -> None:
        assert directory({"/": EchoFactory}, origins=("https://example.com",))[1]["routes"] == []
        assert len(directory({"/": EchoFactory}, origins=("http://localhost:9998",))[1]["routes"]) == 1
        assert len(directory({"/": EchoFactory}, origins=("*",))[1]["routes"]) == 1

    def test_are_those_whose_clients_admit_the_visitor(self) -> None:
        assert directory({"/": EchoFactory}, clients=("O=Doors",))[1]["routes"] == []

    def test_are_not_told_where_there_is_no_console(self) -> None:
        assert directory({"/echo": EchoFactory})[1] == {"pages": [], "routes": []}


class TestPages:
    def test_are_the_console_and_the_status_for_who_may_see_it(self) -> None:
        console, status = {"name": "console", "path": "/"}, {"name": "status", "path": "/_wsd/status"}
        assert directory({"/": EchoFactory})[1]["pages"] == [console]
        assert directory({"/": EchoFactory}, maySeeStatus=True)[1]["pages"] == [console, status]


class TestAnswer:
    def test_is_for_pages_of_this_daemon_alone(self) -> None:
        head, _ = directory({"/": EchoFactory}, "Origin: https://evil.test")
        assert "Access-Control" not in head
        assert "Cross-Origin-Resource-Policy: same-origin" in head
        assert "Cache-Control: no-store" in head
