"""What holds for every test."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

_MANY = 400
"""Descriptors, far below the 1,024 that `select` can take."""


@pytest.fixture(autouse=True)
def _descriptorsAreClosed() -> Iterator[None]:
    """Close what tests have left open: the garbage collector alone may let stores and sockets pile up for too long."""
    yield
    if len(os.listdir("/proc/self/fd")) > _MANY:
        gc.collect()
