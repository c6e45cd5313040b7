from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.control.controlled import Controlled


@pytest.fixture
def controlled() -> Iterator[Controlled]:
    ours = Controlled()
    yield ours
    ours.stop()
