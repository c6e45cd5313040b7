"""The memory of open documents, which counts as memory in use."""

from __future__ import annotations

from collections.abc import Callable

from wsd.policies.meter import Meter
from wsd.protocols.yjs.document import SharedDocument

_WEIGHT, _LEAST_WEIGHT = 8, 4096
"""Bytes of memory of an open document for each byte of its updates, and without any (measured: 8 with short edits)."""


class DocumentWeights:
    """Reports the memory to `meter`. When memory is short, `drop` is called with the largest documents."""

    def __init__(self, meter: Meter | None, drop: Callable[[SharedDocument], None]) -> None:
        self._meter = meter
        self._drop = drop
        self._weights: dict[SharedDocument, int] = {}
        self._total = 0
        if meter is not None:
            meter.relieve = self._relieve

    def weigh(self, document: SharedDocument) -> None:
        """Report the memory of a document that was opened, changed or closed."""
        before = self._weights.pop(document, 0)
        weight = 0 if document.isClosed else _LEAST_WEIGHT + _WEIGHT * document.size
        if weight:
            self._weights[document] = weight
        self._total += weight - before
        if self._meter is not None:
            self._meter.put(self._total)

    def _relieve(self, size: int) -> None:
        for document in sorted(self._weights, key=self._weights.__getitem__, reverse=True):
            if self._total <= size // 2:
                break
            self._drop(document)
