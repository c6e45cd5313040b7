"""The list of topics at the route itself: a page for people, JSON for programs."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

from twisted.web.resource import Resource

from wsd.connection import Refused
from wsd.connection import Request as Opening
from wsd.protocols.topics.errors import TopicError
from wsd.protocols.topics.names import RESERVED, checkName
from wsd.protocols.topics.parts import TopicsParts
from wsd.protocols.topics.rules import Action
from wsd.resources import PageFiles, answerBy, finish, prefersHtml

_FILES = f"{RESERVED}page/"
"""The folder of the page's files. No topic can be there, since the name is reserved."""

_MOST = 200
"""Limit of the topics that are listed with subscribers, and of those that were published to."""


class TopicList(Resource):
    """Answers at the route itself, and at the files of its page."""

    isLeaf = True

    def __init__(self, parts: TopicsParts) -> None:
        super().__init__()
        self._parts = parts
        self._route = parts.below.rstrip("/")
        folder = files("wsd.protocols.topics").joinpath("page")
        self._page = PageFiles(folder, {"route": escape(self._route)})

    def answers(self, request: Any) -> bool:
        """Whether the path is the list's, and not that of a topic. With a slash at the end it is for browsers only."""
        path = request.head.path
        if path == self._parts.below:
            return prefersHtml(request.head)
        return bool(path == self._route or path.startswith(self._parts.below + _FILES))

    def render_GET(self, request: Any) -> int | bytes:
        """Answer with the page, one of its files, or the list. Raises `Refused` (404)."""
        name = request.head.path.removeprefix(self._route).removeprefix("/").removeprefix(_FILES)
        if name in self._page:
            return self._page.render(request, name)
        if name:
            raise Refused(404, f"there is nothing at {request.head.path[:80]}")
        request.setHeader(b"Vary", b"Accept, Origin")
        if prefersHtml(request.head):
            return self._page.render(request, "index.html")
        return answerBy(request, self._list(request))

    async def _list(self, request: Any) -> None:
        """The topics that the client may subscribe to: those with subscribers here, and those published to of late."""
        access, hub = self._parts.access, self._parts.hub
        try:
            subject = access.subjectOf(request, Opening(request.head, request.peer).queries)
            published = await hub.backend.names(_MOST)
        except TopicError as error:
            raise Refused(error.status, error.sentence) from None
        audiences = hub.audiences()
        found = []
        for topic in sorted({*list(audiences)[:_MOST], *published}):
            try:
                await access.check(Action.subscribe, topic, checkName(topic), subject)
            except TopicError:
                continue
            found.append({"topic": topic, "subscribers": audiences.get(topic, 0)})
        fields = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        finish(request, 200, fields, json.dumps({"topics": found}, ensure_ascii=False).encode() + b"\n")
