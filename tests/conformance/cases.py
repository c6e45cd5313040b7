"""Which cases the suite (autobahntestsuite 25.10.1) has, counted here: a report that lacks one is not believed."""

from __future__ import annotations

from collections.abc import Iterator

COUNTS = {
    "1": {"1.1": 8, "1.2": 8},
    "2": {"2": 11},
    "3": {"3": 7},
    "4": {"4.1": 5, "4.2": 5},
    "5": {"5": 20},
    "6": {
        f"6.{number}": count
        for number, count in enumerate(
            (3, 4, 2, 4, 5, 11, 4, 2, 4, 3, 5, 8, 5, 10, 1, 3, 5, 5, 5, 7, 8, 34, 7), start=1
        )
    },
    "7": {"7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2},
    "9": {"9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6},
    "10": {"10.1": 1},
    "12": {f"12.{number}": 18 for number in range(1, 6)},
    "13": {f"13.{number}": 18 for number in range(1, 8)},
}
"""Group -> section -> how many cases it has, numbered from 1. There are no groups 8 and 11."""

TITLES = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8",
    "7": "Closing",
    "9": "Limits and performance",
    "10": "Automatic fragmentation",
    "12": "permessage-deflate, by payload",
    "13": "permessage-deflate, by parameters",
}

COMPRESSION = ("12", "13")
SHORT = 7  # of the 18 sizes in each section of groups 12 and 13; the later ones take most of the time


def everyCase(most: int | None = None) -> list[str]:
    """All cases, with at most so many of each section of the compression groups."""
    return [case for group in COUNTS for case in _casesOf(group, most if group in COMPRESSION else None)]


def uncompressed() -> list[str]:
    """The cases of groups 1 to 10."""
    return [case for group in COUNTS if group not in COMPRESSION for case in _casesOf(group, None)]


def groupOf(case: str) -> str:
    """The group of a case: "12" of "12.1.3"."""
    return case.partition(".")[0]


def _casesOf(group: str, most: int | None) -> Iterator[str]:
    for section, count in COUNTS[group].items():
        for number in range(1, min(count, most or count) + 1):
            yield f"{section}.{number}"
