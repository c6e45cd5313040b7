"""The bytes of all uploads that have arrived and are not written yet, and who stops reading while they are too many."""

from __future__ import annotations

from typing import Protocol


class PausedReader(Protocol):
    """Somebody who has stopped reading."""

    def reconsider(self) -> None:
        """Called when fewer bytes wait than before: resume reading if they are few enough."""


class Backlog:
    """Counts the bytes of a route that wait to be written. While there are more than `most`, nobody reads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._paused: set[PausedReader] = set()
        self.waiting = 0

    @property
    def isFull(self) -> bool:
        """Whether more bytes wait than may."""
        return self.waiting > self._most

    def add(self, size: int) -> bool:
        """Count bytes that have arrived. Returns whether more bytes wait now than may."""
        self.waiting += size
        return self.waiting > self._most

    def remove(self, size: int) -> None:
        """Count bytes that wait no more, and ask all that are paused to reconsider."""
        self.waiting -= size
        for reader in list(self._paused):
            reader.reconsider()

    def pause(self, reader: PausedReader) -> None:
        """Note that this one has stopped reading."""
        self._paused.add(reader)

    def resume(self, reader: PausedReader) -> bool:
        """Note that this one reads again, or never will. Whether it was paused."""
        wasPaused = reader in self._paused
        self._paused.discard(reader)
        return wasPaused

    def isPaused(self, reader: PausedReader) -> bool:
        """Whether this one has stopped reading."""
        return reader in self._paused
