"""
The heap of the C library: freed memory is kept while there is traffic, and returned to the system afterwards.

By default glibc returns the end of its heap to the system with nearly every large message that is freed, and requests
it again for the next one. That makes messages of 512,000 bytes on a hundred connections 50 % more expensive.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from wsd.policies.timer import Timer

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Parameters of mallopt(3)."""

_MAPPED = 32 * 1024 * 1024
"""Blocks of this size or more get a mapping of their own. glibc itself raises its threshold up to this."""

_KEPT = 64 * 1024 * 1024
"""Free bytes kept at the end of the heap: twice `_MAPPED`, as in glibc's own rule."""

_MANY = 16 * 1024 * 1024
"""The daemon is busy if this many bytes of messages passed since the last check."""

_INTERVAL = 10.0
"""Seconds between two checks."""


def tuneMalloc() -> None:
    """Let malloc keep freed memory, in the whole process. Does nothing if the C library has no mallopt."""
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(_MMAP_THRESHOLD, _MAPPED)
        choose(_TRIM_THRESHOLD, _KEPT)


def trimHeap() -> None:
    """Return freed memory to the system, except what lies between blocks in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class HeapTrimmer:
    """Trims the heap each time that traffic ceases. `transferred` returns the bytes of all messages so far."""

    def __init__(self, timer: Timer, transferred: Callable[[], int], trimHeap: Callable[[], None] = trimHeap) -> None:
        self.due = -1
        self._timer = timer
        self._transferred = transferred
        self._trimHeap = trimHeap
        self._before = 0
        self._wasBusy = False

    def start(self) -> None:
        """Schedule the first check."""
        self._timer.schedule(self, self._timer.now + _INTERVAL)

    def visit(self, now: float) -> None:
        """Called by the timer: trim the heap if the daemon was busy at the last check and is not any more."""
        transferred = self._transferred()
        isBusy = transferred - self._before >= _MANY
        self._before = transferred
        if self._wasBusy and not isBusy:
            self._trimHeap()
        self._wasBusy = isBusy
        self._timer.schedule(self, now + _INTERVAL)
