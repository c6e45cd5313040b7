"""Descriptors: the room that they leave for connections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsd.listen.descriptors import descriptorsFor, roomIn


class TestDescriptors:
    """A connection is one, and other things are too."""

    @pytest.mark.parametrize(("descriptors", "room"), [(20, 1), (100, 36), (1024, 922), (65536, 58983)])
    def test_make_room_for_fewer_connections(self, descriptors: int, room: int) -> None:
        assert roomIn(descriptors) == room

    @given(st.integers(1, 1_000_000))
    def test_are_told_as_few_as_will_do(self, connections: int) -> None:
        needed = descriptorsFor(connections)
        assert roomIn(needed) >= connections
        assert connections == 1 or roomIn(needed - 1) < connections
