"""`wsd ctl top`: the daemon and its busiest connections, live, in a terminal or, without one, once."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import Layout, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from prompt_toolkit.output import ColorDepth

from wsd.client.ctl.link import ControlLink
from wsd.client.ctl.shown import COLUMNS, Column, duration, milliseconds, size, table
from wsd.config import ConfigError

_KEYS = {"a": "age", "b": "bytes", "m": "messages", "r": "round_trip", "u": "unsent"}
"""The keys that choose what the connections are sorted by."""

_HEAD = 5
"""Lines above the connections."""

Rates = Mapping[str, tuple[float, float]]


class View:
    """What is shown: the newest answers, and the rates since the ones before."""

    def __init__(self, sort: str) -> None:
        self.sort = sort
        self.fault: str | None = None
        """Why there is no newer answer."""
        self._status: Mapping[str, Any] = {}
        self._rows: list[dict[str, Any]] = []
        self._total = 0
        self._at = 0.0
        self._perSecond = (0.0, 0.0)
        self._rates: Rates = {}

    def update(self, link: ControlLink, filters: Mapping[str, Any], limit: int) -> None:
        """Ask the daemon. Raises ConfigError."""
        status = link.ask("status")
        rows = list(link.items("connections", **filters, sort=self.sort, limit=limit))
        now = monotonic()
        elapsed = max(now - self._at, 1e-3)
        if self._status:
            before, after = _totals(self._status), _totals(status)
            self._perSecond = (after[0] - before[0]) / elapsed, (after[1] - before[1]) / elapsed
        known = {row["id"]: row for row in self._rows}
        self._rates = {row["id"]: _rates(known[row["id"]], row, elapsed) for row in rows if row["id"] in known}
        self._status, self._rows, self._at = status, rows, now
        self._total = int(link.last["total"])
        self.fault = None

    def lines(self, height: int) -> Iterator[str]:
        """The lines of the view."""
        status = self._status
        if status:
            messages, count = self._perSecond
            yield (
                f"wsd {status['version']} is {status['state']}, process {status['pid']}, "
                f"up {duration(status['uptime'])}, lag {milliseconds(status['lag'])}"
            )
            yield (
                f"{status['connections']} of {status['max_connections']} connections, {self._total} WebSockets, "
                f"memory {size(status['memory'])} of {size(status['memory_max'])}"
            )
            yield f"{messages:.0f} messages/s, {size(count)} bytes/s"
        yield self.fault or (f"not ready: {'; '.join(status['reasons'])}" if status.get("reasons") else "")
        yield from islice(table(self._rows, self._columns()), max(1, height - _HEAD))

    def _columns(self) -> list[Column]:
        """The columns of the list, and the rates of each connection."""
        rates = [
            Column("IN/s", lambda row: size(self._rates.get(row["id"], (0, 0))[0]), True),
            Column("OUT/s", lambda row: size(self._rates.get(row["id"], (0, 0))[1]), True),
        ]
        return [*COLUMNS, *rates]


def _totals(status: Mapping[str, Any]) -> tuple[int, int]:
    """The messages and bytes of all routes."""
    routes = status["routes"]
    return sum(route["messages"] for route in routes), sum(route["size"] for route in routes)


def _rates(before: Mapping[str, Any], after: Mapping[str, Any], elapsed: float) -> tuple[float, float]:
    """Bytes a second, received and sent."""
    received, sent = (after[name] - before[name] for name in ("bytes_received", "bytes_sent"))
    return received / elapsed, sent / elapsed


def run(link: ControlLink, filters: Mapping[str, Any], sort: str, interval: float) -> None:
    """Show the view until the user ends it; once, if standard output is no terminal."""
    view = View(sort)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        view.update(link, filters, limit=20)
        print("\n".join(view.lines(height=20 + _HEAD)))
        return
    asyncio.run(_Screen(view, link, filters, interval).show())


class _Screen:
    """The view on a terminal."""

    def __init__(self, view: View, link: ControlLink, filters: Mapping[str, Any], interval: float) -> None:
        self._view = view
        self._link = link
        self._filters = filters
        self._interval = max(0.1, interval)
        self._wake = asyncio.Event()
        self._application: Application[None] = Application(
            Layout(Window(FormattedTextControl(self._text), wrap_lines=False)),
            key_bindings=self._bindings(),
            full_screen=True,
            color_depth=ColorDepth.from_env(),
        )

    async def show(self) -> None:
        """Show it until a key ends it."""
        asking = asyncio.create_task(self._ask())
        try:
            await self._application.run_async()
        finally:
            asking.cancel()

    async def _ask(self) -> None:
        """Ask again and again, in a thread: keys work also while the daemon does not answer."""
        while True:
            self._wake.clear()
            limit = max(1, shutil.get_terminal_size().lines - _HEAD)
            try:
                await asyncio.to_thread(self._askOnce, limit)
            except ConfigError as error:
                self._view.fault = str(error)
            self._application.invalidate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._interval)

    def _askOnce(self, limit: int) -> None:
        """Ask, on a new link if the daemon was restarted."""
        if self._view.fault is not None:
            self._link.close()
            self._link = ControlLink(self._link.path)
        self._view.update(self._link, self._filters, limit)

    def _text(self) -> StyleAndTextTuples:
        size = self._application.output.get_size()
        shown: StyleAndTextTuples = []
        for number, line in enumerate(self._view.lines(size.rows - 1)):
            style = "reverse" if line.startswith("ID ") else "bold" if not number else ""
            shown.append((style, f"{line[: size.columns]}\n"))
        keys = "  ".join(f"{key} {name}" for key, name in _KEYS.items())
        shown.append(("ansigray", f"sorted by {self._view.sort}; {keys}  q quit"))
        return shown

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("q")
        @bindings.add("c-c")
        def end(event: KeyPressEvent) -> None:
            event.app.exit()

        def bind(key: str, name: str) -> None:
            @bindings.add(key)
            def sort(event: KeyPressEvent) -> None:
                self._view.sort = name
                self._wake.set()

        for key, name in _KEYS.items():
            bind(key, name)
        return bindings
