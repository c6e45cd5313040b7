"""Answers HTTP below the route of the pages: the list of them, each page, and their files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from twisted.web.resource import Resource

from wsd.connection import Refused
from wsd.resources import PAGE_POLICY, PageFiles, setFields
from wsd.resources.pages import INDEX
from wsd.uses import NAMES

_POLICY = PAGE_POLICY.replace("img-src 'self'", "img-src 'self' blob: data:; media-src 'self' blob:")
"""Pages also show pictures, sounds and videos that their scripts have made or received."""

_SHARED = ("list", "shared", "lib")
"""Folders that are not pages."""


class UsesResource(Resource):
    """
    Answers at `/uses/`, `/uses/pages.json`, `/uses/NAME` and `/uses/NAME/FILE`.

    `answers` are functions by path, such as "call/ice.json": what they return is answered as JSON.
    """

    isLeaf = True

    def __init__(self, answers: Mapping[str, Callable[[], object]]) -> None:
        super().__init__()
        self._answers = answers
        folder = files("wsd.uses")
        self._folders = {
            name: PageFiles(folder.joinpath(name), policy=_POLICY)
            for name in (*NAMES, *_SHARED)
            if folder.joinpath(name).is_dir()
        }
        self._list = json.dumps(list(_listOf(folder)), ensure_ascii=False).encode() + b"\n"

    def render_GET(self, request: Any) -> bytes:
        """Answer with a page, a file, or the list. Raises `Refused` (404)."""
        name, *rest = [part.decode("utf-8", "replace") for part in request.postpath] or [""]
        if name == "" and not rest:
            return self._folders["list"].render(request, INDEX)
        if name == "pages.json" and not rest:
            setFields(request, {"Content-Type": "application/json", "Cache-Control": "no-cache"})
            return self._list
        if (answer := self._answers.get("/".join((name, *rest)))) is not None:
            setFields(request, {"Content-Type": "application/json", "Cache-Control": "no-store"})
            return json.dumps(answer()).encode() + b"\n"
        file = INDEX if rest in ([], [""]) and name not in _SHARED else "/".join(rest)
        folder = self._folders.get(name, ())
        if file not in folder:
            raise Refused(404, f"nothing answers at {request.head.path[:80]}")
        return self._folders[name].render(request, file)


def _listOf(folder: Traversable) -> Iterator[dict[str, Any]]:
    """The pages that there are, each with its name, and its title and sentence by language."""
    for name in NAMES:
        file = folder.joinpath(name, "page.json")
        if file.is_file():
            words = json.loads(file.read_text("utf-8"))
            yield {"name": name, "title": words["title"], "sentence": words["sentence"]}
