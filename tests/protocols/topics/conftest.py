"""Fixtures of topics."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocols.topics.backends import BACKENDS, Limits, MakeTopics, Topics


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest) -> MakeTopics:
    """Makes a backend, of each kind in turn."""

    async def makeTopics(**limits: Any) -> Topics:
        return await BACKENDS[request.param](Limits(**limits))

    return makeTopics
