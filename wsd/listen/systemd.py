"""systemd: inherited sockets (sd_listen_fds(3)), and messages about readiness and the watchdog (sd_notify(3))."""

from __future__ import annotations

import errno
import os
import socket
import time
from array import array
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall, IReactorTime

_FIRST = 3
"""The first descriptor that systemd passes (SD_LISTEN_FDS_START)."""

_RETRY = 0.1
"""Seconds after which a message that could not be sent is sent again."""

_TEMPORARY = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Errors of sending that go away: systemd's socket is full, or memory or descriptors have run out."""


KEPT, KEPT_TLS = "wsd-kept", "wsd-kept-tls"
"""The names under which systemd keeps our own sockets through a crash (FDNAME, sd_pid_notify_with_fds(3))."""


class NotListening(Exception):
    """A descriptor that was passed is not a listening socket. The message is one sentence."""


def recall(environ: MutableMapping[str, str]) -> None:
    """
    Restore the variables that Twisted removes from the environment when it is imported.

    Twisted's parser of endpoint strings keeps only one descriptor of each name, so that ours reads them itself.
    """
    with suppress(OSError):
        for variable in Path("/proc/self/environ").read_bytes().split(b"\0"):
            name, _, value = variable.partition(b"=")
            if name in (b"LISTEN_PID", b"LISTEN_FDS"):
                environ[name.decode()] = os.fsdecode(value)


def isPassed() -> bool:
    """
    Returns whether systemd has passed sockets of .socket units to this process, whatever the environment says by now.
    """
    passed: dict[str, str] = {}
    recall(passed)
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return passed.get("LISTEN_PID") == str(os.getpid()) and any(name not in (KEPT, KEPT_TLS) for name in names)


def inherited(environ: MutableMapping[str, str]) -> list[tuple[str, int]]:
    """
    The descriptors passed to this process, each with its name, in the order of the .socket file's streams.

    Several may have one name. The variables are removed from the environment, and the descriptors are not inherited,
    so that no child takes them for its own.
    """
    meant = environ.pop("LISTEN_PID", None) == str(os.getpid())
    count = environ.pop("LISTEN_FDS", "")
    given = environ.pop("LISTEN_FDNAMES", "")
    if not meant or not count.isdecimal():
        return []
    descriptors = range(_FIRST, _FIRST + int(count))
    for descriptor in descriptors:
        with suppress(OSError):
            os.set_inheritable(descriptor, False)
    names = given.split(":") if given else []
    names += ["unknown"] * (len(descriptors) - len(names))
    return list(zip(names, descriptors, strict=False))


def adopt(descriptor: int) -> socket.socket:
    """Returns the socket of a descriptor that was passed. Raises `NotListening`."""
    try:
        adopted = socket.socket(fileno=descriptor)
    except OSError as error:
        raise NotListening(f"descriptor {descriptor} is not a socket ({error.strerror})") from None
    if adopted.type != socket.SOCK_STREAM or adopted.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        fault = f"descriptor {descriptor} is not a stream socket; use ListenStream= in the .socket file"
    elif not adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        fault = f"descriptor {descriptor} is a single connection; use Accept=no in the .socket file"
    else:
        adopted.setblocking(False)
        return adopted
    adopted.detach()
    raise NotListening(fault)


class Systemd:
    """
    The service manager that started this process, if it wants to be notified.

    `watchdog` is the interval in seconds at which it expects a sign of life; None without a watchdog. The variables are
    removed from the environment, so that no child sends messages in our name.
    """

    def __init__(self, environ: MutableMapping[str, str], clock: IReactorTime) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        self.variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": environ.get("WATCHDOG_USEC", "")}
        """The variables that the process after an upgrade needs to notify it."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._clock = clock
        self._unsent: list[bytes] = []
        self._retry: IDelayedCall | None = None
        self.watchdog = self._watchdog(environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", ""))

    @staticmethod
    def _watchdog(microseconds: str, process: str) -> float | None:
        meant = process in ("", str(os.getpid()))
        return int(microseconds) / 1_000_000 if meant and microseconds.isdecimal() and int(microseconds) else None

    def notify(self, state: str, status: str | None = None) -> bool:
        """
        Send a state such as "READY=1", and a sentence for `systemctl status`. Returns False if nobody listens.

        "RELOADING=1" also carries the present time, as Type=notify-reload requires. Never blocks: if systemd's socket
        is full, the messages are sent later, in order. Of equal messages that are still unsent, the last is kept.
        """
        if not self._address.startswith(("/", "\0")):
            return False
        lines = [state]
        if state == "RELOADING=1":
            lines.append(f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        if status is not None:
            lines.append(f"STATUS={' '.join(status.split())}")
        message = "\n".join(lines).encode()
        self._unsent = [*(each for each in self._unsent if each != message), message]
        return self._retry is not None or self._send()

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        """
        Let systemd keep these descriptors, and pass them to the next process if this one fails (FDSTORE=1).

        Those that it keeps under this name already are dropped. It keeps none if the unit has no
        FileDescriptorStoreMax=.
        """
        if not self._address.startswith(("/", "\0")):
            return
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(f"FDSTOREREMOVE=1\nFDNAME={name}".encode(), self._address)
            if descriptors:
                sender.sendmsg([f"FDSTORE=1\nFDNAME={name}".encode()], rights, 0, self._address)

    def _send(self) -> bool:
        """Send all messages, or schedule another attempt. Returns False if nobody listens."""
        self._retry = None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                while self._unsent:
                    sender.sendto(self._unsent[0], self._address)
                    del self._unsent[0]
        except OSError as error:
            if error.errno not in _TEMPORARY:
                self._unsent.clear()
                return False
            self._retry = self._clock.callLater(_RETRY, self._send)
        return True
