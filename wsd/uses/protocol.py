"""uses: the route of the pages at `/uses/`."""

from __future__ import annotations

from time import time
from types import MappingProxyType
from typing import Any

from twisted.web.resource import IResource

from wsd.connection import Accept, Connection, Factory, Refused, Request
from wsd.uses.call.ice import iceServers
from wsd.uses.options import UsesOptions
from wsd.uses.pages import UsesResource


class UsesConnection(Connection):
    """Refuses every WebSocket: the pages open them at other routes."""

    async def opening(self, request: Request) -> Accept:
        """Raises `Refused` (404)."""
        raise Refused(404, "only pages are here; they open WebSockets at routes of their own")


class UsesFactory(Factory):
    """The pages of a route, read once."""

    connection = UsesConnection
    Options = UsesOptions
    about = MappingProxyType({"en": "Nine pages that show what wsd is used for.", "zh": "九个页面，展示 wsd 的用途。"})

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._secret = self.options.secret()
        self._resource = UsesResource({"call/ice.json": self._iceServers})

    def _iceServers(self) -> dict[str, object]:
        options = self.options
        return {"iceServers": iceServers(options.stun, options.turn, self._secret, time())}

    def page(self) -> str:
        """The list of the pages."""
        return f"{self.route.path}/"

    def paths(self) -> list[str]:
        """No WebSocket can be opened here."""
        return []

    def resource(self) -> IResource:
        """The pages, and their files."""
        return self._resource
