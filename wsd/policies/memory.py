"""
The memory that the C library keeps: for the next messages while there is traffic, given back once it is calm.

By itself glibc gives the end of its heap back with nearly every large message that is freed, and takes it again for the
next; a message of 512,000 B to and from each of a hundred connections costs half as much again so.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from wsd.policies.timer import Timer

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
"""Of mallopt(3)."""

_MAPPED = 32 * 1024 * 1024
"""Bytes from which a piece is mapped on its own, and unmapped with it: where glibc's own rule leads in time."""

_KEPT = 64 * 1024 * 1024
"""Free bytes at the end of the heap that are kept; twice the above, as in glibc's own rule."""

_MANY = 16 * 1024 * 1024
"""Bytes of messages between two looks that are traffic, and from which something may have been kept."""

_REST = 10.0
"""Seconds between two looks."""


def tuneMalloc() -> None:
    """Keep what is freed for what is needed next, in this whole process; a library without mallopt is left alone."""
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(_MMAP_THRESHOLD, _MAPPED)
        choose(_TRIM_THRESHOLD, _KEPT)


def trimHeap() -> None:
    """Let the system have the memory that was freed; glibc keeps what lies between pieces that are in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class HeapTrimmer:
    """Gives memory back, once, when traffic has ceased; `transferred` tells the bytes of all messages so far."""

    def __init__(self, timer: Timer, transferred: Callable[[], int], trimHeap: Callable[[], None] = trimHeap) -> None:
        self.due = -1
        self._timer = timer
        self._transferred = transferred
        self._trimHeap = trimHeap
        self._before = 0
        self._wasBusy = False

    def start(self) -> None:
        """Begin to look."""
        self._timer.schedule(self, self._timer.now + _REST)

    def visit(self, now: float) -> None:
        """Compare with the last look."""
        transferred = self._transferred()
        isBusy = transferred - self._before >= _MANY
        self._before = transferred
        if self._wasBusy and not isBusy:
            self._trimHeap()
        self._wasBusy = isBusy
        self._timer.schedule(self, now + _REST)
