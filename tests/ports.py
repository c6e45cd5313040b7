"""Ports of loopback for tests that must know theirs before it is bound, or have it again after a restart."""

from __future__ import annotations

import socket
from pathlib import Path
from random import shuffle

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""The ports that the kernel chooses from, for port 0 and for the near end of a connection."""

_claims: list[socket.socket] = []


def freePort() -> int:
    """
    A port at which nobody listens, and which no other test gets while this process runs.

    It is not one of the kernel's. Those may be given to any connection of another test as soon as they are closed. And
    a client that tries again and again to reach one of them while its daemon is away may even connect to itself.
    """
    first, last = map(int, _RANGE.read_text().split())
    numbers = [number for number in range(10_000, 65_536) if not first <= number <= last]
    shuffle(numbers)
    return next(number for number in numbers if _isMine(number))


def freePorts(count: int) -> list[int]:
    """So many of them."""
    return [freePort() for _ in range(count)]


def _isMine(number: int) -> bool:
    """Whether nobody has it. If so, it is claimed by an abstract socket of its name, which all processes see."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0port {number} of the tests of wsd")
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, number))
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True
