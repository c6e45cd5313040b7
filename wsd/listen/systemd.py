"""What systemd gives and is told: inherited sockets (sd_listen_fds), readiness and the watchdog (sd_notify)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, MutableMapping

_FIRST = 3
"""The first descriptor that systemd passes (SD_LISTEN_FDS_START)."""


def inherited(environ: Mapping[str, str]) -> list[tuple[str, int]]:
    """
    The sockets passed to this process, each with its name, in order; several may have one name.

    The variables are taken out of a mutable environment, so that no child believes the sockets its own.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environ.get("LISTEN_FDS", "0"))
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += ["unknown"] * (count - len(names))
    if isinstance(environ, MutableMapping):
        for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
            environ.pop(variable, None)
    for descriptor in range(_FIRST, _FIRST + count):
        os.set_inheritable(descriptor, False)
    return [(names[number], _FIRST + number) for number in range(count)]


def notify(state: str, environ: Mapping[str, str]) -> bool:
    """Tell systemd a state, such as READY=1; False when nobody listens. A reload says when it began."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
        try:
            told.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            return False
    return True


def watchdogInterval(environ: Mapping[str, str]) -> float | None:
    """Seconds within which systemd wants a sign of life, None when it wants none."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdigit() and int(text) else None
