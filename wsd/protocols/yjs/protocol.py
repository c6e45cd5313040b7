"""yjs: the route, for clients of y-websocket. A document is at the path behind the route's."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from wsd.config import Route
from wsd.connection import Connection, Factory
from wsd.protocols.yjs.connection import YjsConnection
from wsd.protocols.yjs.documents import Documents
from wsd.protocols.yjs.options import YjsOptions


class YjsFactory(Factory):
    """A route with documents below it."""

    connection = YjsConnection
    Options = YjsOptions

    def __init__(self, route: Route, options: YjsOptions, clock: IReactorTime, *arguments: Any, **named: Any) -> None:
        super().__init__(route, options, clock, *arguments, **named)
        self.below = f"{route.path.rstrip('/')}/"
        self.documents = Documents(
            options.path(os.environ), self.pool.share("yjs", route.path, threads=1), options, clock, time.time
        )

    def build(self) -> Connection:
        """Returns a new connection, which is given the documents."""
        connection = super().build()
        assert isinstance(connection, YjsConnection)
        connection.documents, connection.below = self.documents, self.below
        return connection

    def meet(self, others: Sequence[Factory]) -> None:
        """Keep the open documents over a reload, unless they are stored somewhere else now."""
        for other in others:
            if isinstance(other, YjsFactory) and not other.hasFailed and self._sharesStore(other):
                self.documents = other.documents
                return

    def _sharesStore(self, other: YjsFactory) -> bool:
        return bool(other.options.path(os.environ) == self.options.path(os.environ))

    def started(self) -> Deferred[None]:
        """Open the store, with the limits of now."""
        self.documents.options = self.options
        return self.documents.start(self)

    def ready(self) -> str | None:
        """Returns why documents cannot be stored now, or None."""
        return self.documents.ready()

    def stopped(self) -> Deferred[None]:
        """Close the store, unless another factory uses it."""
        return self.documents.stop(self)
