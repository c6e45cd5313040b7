"""The console: its page at `/`, and the page's files below `/_wsd/`."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from twisted.web.resource import Resource

from wsd.head import Refused
from wsd.resources import PAGE_POLICY, PageFiles
from wsd.resources.pages import INDEX
from wsd.web.site import Site

_POLICY = PAGE_POLICY.replace("img-src 'self'", "img-src 'self' blob: data:")
"""The console also shows images that it has received."""


class ConsolePage(Resource):
    """The page at `/`."""

    isLeaf = True

    def __init__(self, console: PageFiles) -> None:
        super().__init__()
        self._console = console

    def render_GET(self, request: Any) -> bytes:
        """Answer with `index.html`."""
        return self._console.render(request, INDEX)


class ConsoleFiles(Resource):
    """The files that the page loads."""

    isLeaf = True

    def __init__(self, console: PageFiles) -> None:
        super().__init__()
        self._console = console

    def render_GET(self, request: Any) -> bytes:
        """Answer with the file of that name. Raises `Refused` (404)."""
        name = "/".join(part.decode("latin-1") for part in request.postpath)
        if name not in self._console or name == INDEX:
            raise Refused(404, f"nothing answers at {request.head.path[:80]}")
        return self._console.render(request, name)


def addConsole(site: Site) -> None:
    """Put the console at `/`, and its files under `/_wsd/`."""
    console = PageFiles(files("wsd.web").joinpath("static"), policy=_POLICY)
    site.pages["/"] = ConsolePage(console)
    site.folders["/_wsd/"] = ConsoleFiles(console)
