"""How many connections the limit of open files (RLIMIT_NOFILE) allows."""

from __future__ import annotations

import resource

_OTHERS = 64
"""The least number of descriptors that are reserved for other things than connections."""


def raiseDescriptorLimit() -> int:
    """Raise the soft limit of open files to the hard limit, and return that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def roomIn(descriptors: int) -> int:
    """
    The number of connections that so many descriptors allow.

    A tenth is reserved for files, threads, other servers, and clients that are turned away.
    """
    return max(1, descriptors - max(_OTHERS, descriptors // 10))


def descriptorsFor(connections: int) -> int:
    """The number of descriptors that so many connections need."""
    return connections + max(_OTHERS, (connections - 1) // 9)
