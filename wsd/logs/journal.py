"""
Writes events to systemd's journal in its native protocol: a field for each value, over a datagram socket.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/. `journalctl WSD_ID=3f9a1b2c4d` then finds all lines of a connection.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
from array import array
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from wsd.logs.lines import fieldsOf, messageOf, priorityOf, tracebackOf

JOURNAL = "/run/systemd/journal/socket"
"""Where journald receives datagrams."""

_BUFFER = 8 * 1024 * 1024
"""The size of the send buffer in bytes, as libsystemd requests it."""
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
"""Without all of them, journald does not trust the memory of a large entry."""
_NOT_IN_NAME = re.compile("[^A-Z0-9_]")


def encoded(fields: Iterable[tuple[str, Any]]) -> bytes:
    """An entry. A value with a line feed has its length, 64 bits in little endian, before it."""
    parts = []
    for name, value in fields:
        data = str(value).encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts.append(b"%b\n%b%b\n" % (name.encode(), len(data).to_bytes(8, "little"), data))
        else:
            parts.append(b"%b=%b\n" % (name.encode(), data))
    return b"".join(parts)


def entryOf(event: LogEvent) -> bytes:
    """The entry of an event: MESSAGE as in a line of text, PRIORITY, and each field of the event as WSD_FIELD."""
    name = f"[{event['id']}] " if "id" in event else ""
    traceback = tracebackOf(event)
    message = f"{name}{messageOf(event)}" + (f"\n{traceback}" if traceback else "")
    own = ((f"WSD_{_NOT_IN_NAME.sub('_', key.upper())}"[:64], value) for key, value in fieldsOf(event).items())
    return encoded(
        [("MESSAGE", message), ("PRIORITY", priorityOf(event)), ("SYSLOG_IDENTIFIER", "wsd"), *own],
    )


@implementer(ILogObserver)
class JournalObserver:
    """
    Writes each event as an entry of the journal.

    The daemon never waits for the journal. Entries that it does not take are lost; the next one says how many.
    """

    def __init__(self, path: str = JOURNAL) -> None:
        """Raises OSError if there is no journal at this path."""
        self._path = path
        self._lost = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        try:
            # Checked without a connection to it, so that a journal that restarts is found again.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
                probe.connect(path)
        except OSError:
            self._socket.close()
            raise

    def __call__(self, event: LogEvent) -> None:
        if self._lost and self._send(encoded(self._lossFields())):
            self._lost = 0
        if not self._send(entryOf(event)):
            self._lost += 1

    def _lossFields(self) -> list[tuple[str, Any]]:
        return [
            ("MESSAGE", f"the journal did not take {self._lost} earlier entries"),
            ("PRIORITY", 4),
            ("SYSLOG_IDENTIFIER", "wsd"),
            ("WSD_EVENT", "log.lost"),
            ("WSD_COUNT", self._lost),
        ]

    def _send(self, entry: bytes) -> bool:
        """Returns whether the journal has taken the entry."""
        try:
            self._socket.sendto(entry, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                return False
            with suppress(OSError):
                self._sendMemory(entry)
                return True
            return False
        return True

    def _sendMemory(self, entry: bytes) -> None:
        """Send an entry that is too large for a datagram, as a sealed file in memory."""
        file = os.memfd_create("wsd-journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(file, entry)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file]))]
            self._socket.sendmsg([], rights, 0, self._path)
        finally:
            os.close(file)

    def reopen(self) -> None:
        """Nothing to do: the journal rotates its own files."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
