"""Descriptors that processes pass to each other: duplicated to be sent, unpacked when they arrive, and closed."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress


def closeAll(descriptors: Iterable[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def duplicateAll(descriptors: Iterable[int]) -> Sequence[int]:
    """Duplicate descriptors. Raises OSError; none is left open then."""
    duplicates: list[int] = []
    try:
        duplicates.extend(map(os.dup, descriptors))
    except OSError:
        closeAll(duplicates)
        raise
    return duplicates


def unpack(packed: bytes) -> Sequence[int]:
    """The descriptors of a control message (SCM_RIGHTS, unix(7)). The last may be cut off."""
    return array("i", packed[: len(packed) // 4 * 4])
