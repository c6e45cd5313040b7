"""
canvas: pictures that some clients paint and others watch.

A binary message is a frame of RGBA pixels, which is sent to all other clients of the canvas. A slow client skips
frames, and gets the newest one when it has read the one before: no more than one frame is ever unsent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.resource import IResource

from wsd.config import ConfigError, Route
from wsd.connection import Connection, Factory
from wsd.policies.budget import MemoryUse
from wsd.policies.meter import Meter
from wsd.protocols.canvas.board import Boards
from wsd.protocols.canvas.connection import CanvasConnection
from wsd.protocols.canvas.options import CanvasOptions
from wsd.protocols.canvas.pages import CanvasResource
from wsd.protocols.canvas.png import Encoder

_SWEEP = 30.0
"""Seconds between two removals of idle canvases."""

_LINE_SIZE = 65536
"""Bytes that are added to the limit of a message, so that even a route for small pictures accepts lines."""


class CanvasFactory(Factory):
    """A route with canvases below it."""

    connection = CanvasConnection
    stateVersion = 1
    sharesState = True
    about = MappingProxyType(
        {
            "en": "Pictures that one visitor paints while others watch.",
            "zh": "一人绘画、多人实时观看的画布。",
        }
    )
    Options = CanvasOptions

    def __init__(
        self, route: Route, options: CanvasOptions, clock: IReactorTime, *arguments: Any, **named: Any
    ) -> None:
        policies = route.policies
        # With these marks a connection is full while anything is unsent, so that no frame is queued behind another.
        mine = replace(policies, high_water=0, low_water=0, max_unsent=max(policies.max_unsent, 2 * _largest(options)))
        super().__init__(replace(route, policies=mine), options, clock, *arguments, **named)
        self.below = f"{route.path.rstrip('/')}/"
        self.boards = Boards(options.max_canvases, options.idle, clock, Meter(self.budget, MemoryUse.canvases))
        self.pngs = Encoder(self.pool.share("canvas", self.route.path, threads=options.threads))
        self._sweeping = LoopingCall(self.boards.dropIdle)
        self._sweeping.clock = clock

    @property
    def maxMessage(self) -> int:
        """The largest message in bytes: the largest picture, or a line."""
        return _largest(self.options)

    def build(self) -> Connection:
        """Returns a new connection, which is given the canvases."""
        connection = super().build()
        assert isinstance(connection, CanvasConnection)
        connection.boards, connection.below = self.boards, self.below
        return connection

    def saveState(self) -> Any:
        """The canvases."""
        return self.boards.saveState()

    def restoreState(self, state: Any, version: int) -> None:
        """Go on with the canvases."""
        self.boards.restoreState(state)

    def check(self) -> Iterable[str]:
        """Check that canvases can be named."""
        if not self.route.prefix:
            raise ConfigError(f'no canvas can be named below this path; write route."{self.route.path}/*"')
        return ()

    def started(self) -> None:
        """Begin to drop idle canvases."""
        self._sweeping.start(_SWEEP)

    def stopped(self) -> Deferred[None]:
        """Stop dropping idle canvases, and encoding."""
        if self._sweeping.running:
            self._sweeping.stop()
        self.boards.clear()
        return self.pngs.stop()

    def page(self) -> str | None:
        """The list of canvases is at the path above them."""
        return self.route.path

    def resource(self) -> IResource:
        """Returns the resource with the pages and pictures of the canvases."""
        return CanvasResource(self.below, self.boards, self.pngs, self.options)


def _largest(options: CanvasOptions) -> int:
    """Returns the largest message in bytes."""
    return 4 * options.max_pixels + _LINE_SIZE
