"""The console: its page at `/`, and below `/_wsd/` the files of the daemon's own pages."""

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
    """The files that the daemon's pages load."""

    isLeaf = True

    def __init__(self, console: PageFiles) -> None:
        super().__init__()
        self._console = console

    def render_GET(self, request: Any) -> bytes:
        """Answer with the file of that name. Raises `Refused` (404)."""
        name = "/".join(part.decode("latin-1") for part in request.postpath)
        if name not in self._console or name.endswith(".html"):
            raise Refused(404, f"there is nothing at {request.head.path[:80]}")
        return self._console.render(request, name)


class FaviconFile(Resource):
    """`/favicon.ico`, which browsers ask for if a page names no icon. Routes may have one of their own."""

    isLeaf = True

    def __init__(self, console: PageFiles) -> None:
        super().__init__()
        self._console = console

    def render_GET(self, request: Any) -> bytes:
        """Answer with the icon."""
        return self._console.render(request, "favicon.ico")


def addConsole(site: Site) -> PageFiles:
    """Put the console at `/`, and the files of all pages under `/_wsd/`. Returns the files."""
    console = PageFiles(files("wsd.web").joinpath("static"), policy=_POLICY)
    site.pages["/"] = ConsolePage(console)
    site.folders["/_wsd/"] = ConsoleFiles(console)
    site.defaults["/favicon.ico"] = FaviconFile(console)
    return console
