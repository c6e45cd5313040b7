"""
Fields for the dataclasses of the configuration, with the metadata that `values.readValue` reads.

The tables of `schema` and the `Options` of protocols are made of them.
"""

from __future__ import annotations

from dataclasses import field
from os import sched_getaffinity
from typing import Any

from wsd.config.machine import halfOfMemory


def size(default: int, least: int = 1, daemon: bool = False) -> Any:
    """A number of bytes, which may be written "1 MiB"; `daemon` as for `count`."""
    return field(default=default, metadata={"size": True, "least": least, "daemon": daemon})


def memory() -> Any:
    """Bytes of memory for the whole daemon; "auto" means half of what the machine, or the control group, has."""
    metadata = {"size": True, "least": 1, "daemon": True, "auto": halfOfMemory, "default": "auto"}
    return field(default_factory=halfOfMemory, metadata=metadata)


def share(default: float) -> Any:
    """A share of something that the whole daemon has, from 0 to 1."""
    return field(default=default, metadata={"unit": "share", "least": 0, "most": 1, "daemon": True})


def seconds(default: float, least: float = 0.1) -> Any:
    """A time in seconds."""
    return field(default=default, metadata={"unit": "seconds", "least": least})


def count(default: int, unit: str, least: int = 1, most: int | None = None, daemon: bool = False) -> Any:
    """A number of `unit`. A `daemon` key applies to the whole daemon: a route may not override it."""
    return field(default=default, metadata={"unit": unit, "least": least, "most": most, "daemon": daemon})


def workers() -> Any:
    """A number of processes; "auto" means one for each core that this process may use (sched_getaffinity(2))."""
    metadata = {"unit": "workers", "least": 1, "most": 64, "auto": lambda: len(sched_getaffinity(0))}
    return field(default=1, metadata=metadata)


def port(default: int | None) -> Any:
    """A TCP port; 0 for any that is free."""
    return field(default=default, metadata={"unit": "port", "least": 0, "most": 65535})


def strings(*default: str, each: object = None) -> Any:
    """A list of strings. `each` parses one of them, and raises ValueError with a sentence."""
    return field(default=default, metadata={} if each is None else {"each": each})


def choice(*choices: str) -> Any:
    """One of these strings; the first is the default."""
    return field(default=choices[0], metadata={"choices": choices})


def path() -> Any:
    """The path of a file or a folder, relative to the folder of the configuration file; None by default."""
    return field(default=None, metadata={"path": True})
