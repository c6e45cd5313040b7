"""
The heap of the C library: freed memory is kept while there is traffic, and returned to the system afterwards.

By default glibc returns the end of its heap to the system with nearly every large message that is freed, and requests
it again for the next one. That makes messages of 512,000 bytes on a hundred connections 50 % more expensive.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter

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


_BEYOND = 32 * 1024 * 1024
"""Resident bytes beyond `memory_max` above which the heap is trimmed at once, even while there is traffic."""

_PAUSE = 4.0
"""How many times as long as trimming took nothing is trimmed again: the pages are needed again soon."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


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


def residentBytes() -> int:
    """The resident bytes of this process; 0 where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
    return 0


class HeapBound:
    """
    Keeps the resident memory near `memory_max`, whatever the C library has kept of what was freed.

    The ledger knows what is in use. Blocks of many sizes leave holes in the heap, which it does not know.
    """

    def __init__(
        self,
        resident: Callable[[], int] = residentBytes,
        trimHeap: Callable[[], None] = trimHeap,
        now: Callable[[], float] = perf_counter,
    ) -> None:
        self._resident = resident
        self._trimHeap = trimHeap
        self._now = now
        self._beside = resident()
        """Resident bytes that the ledger does not count: the program, and what each connection needs anyway."""
        self._notBefore = 0.0

    def check(self, used: int, most: int) -> None:
        """Called with the bytes in use and their limit after many bytes were taken: trim the heap if need be."""
        resident = self._resident()
        self._beside = min(self._beside, resident - used)
        began = self._now()
        if resident - self._beside <= most + _BEYOND or began < self._notBefore:
            return
        self._trimHeap()
        ended = self._now()
        self._notBefore = ended + _PAUSE * (ended - began)
        # Now nothing but what is in use is left.
        self._beside = self._resident() - used
