"""Backpressure for all uploads of a route: counts bytes that are not written yet, and pauses readers."""

from __future__ import annotations

from typing import Protocol

from wsd.policies.meter import Meter


class PausedReader(Protocol):
    """An upload whose sender has stopped reading."""

    def reconsider(self) -> None:
        """Called when the backlog has become smaller: resume reading if it is small enough."""


class Backlog:
    """The bytes that have arrived and are not written yet. While there are more than `most`, nothing is read."""

    def __init__(self, most: int, meter: Meter | None = None) -> None:
        self._most = most
        self._meter = meter
        self._paused: set[PausedReader] = set()
        self.waiting = 0

    @property
    def isFull(self) -> bool:
        """Whether there are more than `most` bytes."""
        return self.waiting > self._most

    def add(self, size: int) -> bool:
        """Count bytes that have arrived. Returns whether the backlog is full."""
        self._count(size)
        return self.waiting > self._most

    def remove(self, size: int) -> None:
        """Count bytes that are written or dropped, and ask all paused readers to reconsider."""
        self._count(-size)
        for reader in list(self._paused):
            reader.reconsider()

    def _count(self, more: int) -> None:
        self.waiting += more
        if self._meter is not None:
            self._meter.put(self.waiting)

    def pause(self, reader: PausedReader) -> None:
        """Note that a reader has stopped reading."""
        self._paused.add(reader)

    def resume(self, reader: PausedReader) -> bool:
        """Note that a reader reads again, or is gone. Returns whether it was paused."""
        wasPaused = reader in self._paused
        self._paused.discard(reader)
        return wasPaused

    def isPaused(self, reader: PausedReader) -> bool:
        """Whether a reader has stopped reading."""
        return reader in self._paused
