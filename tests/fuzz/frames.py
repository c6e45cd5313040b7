"""Frames: every plane tells a protocol the same, and answers the same, however the bytes arrive."""

from __future__ import annotations

from itertools import accumulate

from tests.fuzz.pieces import piecesOf
from tests.property.test_frames import AnsweringFactory, JoiningFactory, outcome
from wsd.frames import PLANES


def check(data: bytes) -> None:
    """Takes the size of the pieces, and the frames of a client."""
    cuts = list(accumulate(map(len, piecesOf(data))))
    data = data[1:]
    expected = outcome(data)
    assert sum(map(len, expected[1])) < 100_000
    streamed = outcome(data, cuts, build=JoiningFactory)[1]
    for name, plane in PLANES.items():
        found = outcome(data, cuts, plane)
        assert found == expected, f"{name}: {found}, not {expected}"
        found = outcome(data, cuts, plane, AnsweringFactory)
        assert found == expected, f"{name}, returned: {found}, not {expected}"
        found = outcome(data, cuts, plane, JoiningFactory)
        assert found[1] == streamed, f"{name}, in pieces: {found[1]}, not {streamed}"
