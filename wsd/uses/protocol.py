"""uses: the route of the pages at `/uses/`."""

from __future__ import annotations

from collections.abc import Sequence
from time import time
from types import MappingProxyType
from typing import Any

from twisted.web.resource import IResource

from wsd.connection import Accept, Connection, Factory, Refused, Request
from wsd.uses.call.ice import iceServers
from wsd.uses.options import UsesOptions
from wsd.uses.pages import UsesResource
from wsd.uses.quotes.feeder import Feeder


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
        self._others: Sequence[Factory] = ()
        self._feeder: Feeder | None = None

    def meet(self, others: Sequence[Factory]) -> None:
        """The route of quotes may be among them by the time that this one starts."""
        self._others = others

    def started(self) -> None:
        """Feed the market of quotes."""
        others, self._others = self._others, ()
        path = f"{self.route.path}/quotes/topics"
        quotes: Any = next((each for each in reversed(others) if each.route.path == path), None)
        if quotes is not None:
            self._feeder = Feeder(quotes, self.clock)
            self._feeder.start()

    def retired(self) -> None:
        """Feed it no more: the daemon stops, or another factory does it."""
        if self._feeder is not None:
            self._feeder.stop()

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
