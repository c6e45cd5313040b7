"""yjs: the route, for clients of y-websocket. A document is at the path behind the route's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from wsd.config import ConfigError, Route
from wsd.connection import Connection, Factory
from wsd.policies.budget import MemoryUse
from wsd.policies.meter import Meter
from wsd.protocols.yjs.connection import MISSING, YjsConnection
from wsd.protocols.yjs.document import isInstalled
from wsd.protocols.yjs.documents import Documents
from wsd.protocols.yjs.options import YjsOptions


class YjsFactory(Factory):
    """A route with documents below it."""

    connection = YjsConnection
    stateVersion = 1
    sharesState = True
    about = MappingProxyType(
        {
            "en": "Documents that many people edit at once, for clients of Yjs.",
            "zh": "多人同时编辑的文档，供 Yjs 客户端使用。",
        }
    )
    Options = YjsOptions

    def __init__(self, route: Route, options: YjsOptions, clock: IReactorTime, *arguments: Any, **named: Any) -> None:
        super().__init__(route, options, clock, *arguments, **named)
        self.below = f"{route.path.rstrip('/')}/"
        thread, meter = self.pool.share("yjs", route.path, threads=1), Meter(self.budget, MemoryUse.documents)
        self.documents = Documents(options.path(os.environ), thread, options, clock, time.time, meter)

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

    def check(self) -> Iterable[str]:
        """Check that documents can be named and held. Without pycrdt, the built-in route answers 501."""
        if not self.route.prefix:
            raise ConfigError(f'no document can be named below this path; write route."{self.route.path}/*"')
        if not isInstalled() and not self.route.builtIn:
            raise ConfigError(f"{MISSING}; pip install pycrdt", "protocol")
        return ()

    def started(self) -> Deferred[None]:
        """Open the store, with the limits of now."""
        self.documents.options = self.options
        return self.documents.start(self)

    def saveState(self) -> Any:
        """The open documents."""
        return self.documents.saveState()

    def restoreState(self, state: Any, version: int) -> None:
        """Go on with the open documents."""
        self.documents.restoreState(state)

    def stateComplete(self) -> None:
        """All participants have arrived."""
        self.documents.stateComplete()

    def ready(self) -> str | None:
        """Returns why documents cannot be stored now, or None."""
        return self.documents.ready()

    def stopped(self) -> Deferred[None]:
        """Close the store, unless another factory uses it."""
        return self.documents.stop(self)
