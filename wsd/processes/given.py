"""
What a process gives to the one that takes over from it, when it starts it.

The descriptors are inherited, and keep their numbers. One variable of the environment has everything else, as JSON.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from wsd.processes.descriptors import closeAll

VARIABLE = "WSD_UPGRADE"


@dataclass(frozen=True, slots=True)
class Given:
    """The descriptors of an upgrade, and what belongs to them."""

    channel: int
    """The socket of the channel between the two processes."""
    bound: Sequence[tuple[int, bool]]
    """Listening sockets that the daemon has bound itself, and whether each is for TLS."""
    passed: Sequence[tuple[str, int]]
    """Those of .socket units, each with its name, in systemd's order."""
    locked: Mapping[str, int]
    """Locked files, by their paths."""
    pidFile: str | None
    """The file with the process ID that twistd has written."""
    workers: int = 1
    """The number of processes that serve. With several, the parent of the workers has started this one."""

    @property
    def descriptors(self) -> list[int]:
        """All descriptors."""
        return [
            self.channel,
            *(each for each, _ in self.bound),
            *(each for _, each in self.passed),
            *self.locked.values(),
        ]

    def put(self, environ: MutableMapping[str, str]) -> None:
        """Put everything into an environment."""
        environ[VARIABLE] = json.dumps(asdict(self))

    def channelSocket(self) -> socket.socket:
        """Returns the socket of the channel."""
        return socket.socket(fileno=self.channel)


class GivenToWorker(NamedTuple):
    """What a worker gets of an upgrade: its end of the channel to the old worker, and locked files by their paths."""

    channel: socket.socket
    locked: Mapping[str, int]

    @property
    def descriptors(self) -> list[int]:
        """All descriptors: that of the channel first."""
        return [self.channel.fileno(), *self.locked.values()]

    def close(self) -> None:
        """Close them here. The worker has its own by now."""
        self.channel.close()
        closeAll(self.locked.values())


class Takeover(Enum):
    """How far the new process has come, which decides what it does if the old one ends."""

    undecided = "it may be given up: whatever goes wrong, this process ends at once"
    committed = "connections go on here, and this process is the daemon if the old one ends"
    alone = "the old process has ended early: this one is the daemon as soon as it serves"
    main = "this process is the daemon"
    stopping = "this process stops"


class ParentPredecessor(Protocol):
    """The parent before an upgrade, as the one after it sees it."""

    @property
    def isCommitted(self) -> bool:
        """Whether connections go on here: from then on, this daemon may not just end."""

    def takeOver(self, parent: Any) -> None:
        """Called when the workers have been started."""

    def forWorker(self, number: int) -> GivenToWorker | None:
        """What a worker gets at its first start; None later."""

    def serving(self) -> None:
        """Called when all workers serve."""

    def refused(self, sentence: str) -> None:
        """Called when this daemon cannot take over. Ends all its processes."""

    def stopping(self) -> None:
        """Called when this daemon stops."""


def take(environ: MutableMapping[str, str]) -> Given | None:
    """
    Returns what this process was given; None if it was not started by an upgrade.

    The variable is removed, and the descriptors are not inherited, so that no child takes them for its own.
    """
    text = environ.pop(VARIABLE, "")
    if not text:
        return None
    fields: dict[str, Any] = json.loads(text)
    fields["bound"] = [(descriptor, secure) for descriptor, secure in fields["bound"]]
    fields["passed"] = [(name, descriptor) for name, descriptor in fields["passed"]]
    given = Given(**fields)
    for descriptor in given.descriptors:
        with suppress(OSError):
            os.set_inheritable(descriptor, False)
    return given


def workersBefore(environ: Mapping[str, str]) -> int | None:
    """The number of workers of the process before, if this one is started by an upgrade; 1 for a daemon without."""
    text = environ.get(VARIABLE, "")
    return int(json.loads(text).get("workers", 1)) if text else None


def isPassedOn(environ: Mapping[str, str]) -> bool:
    """Whether this process is started by an upgrade and gets sockets of .socket units."""
    text = environ.get(VARIABLE, "")
    return bool(text and json.loads(text)["passed"])
