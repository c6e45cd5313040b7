"""What the commands of the control socket need of the daemon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wsd.connection import Connection


class CommandError(Exception):
    """A command cannot be carried out: one sentence for a person."""


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """What a reload has done."""

    refused: str | None = None
    """Why the new configuration was refused, so that the old one stays in use; None if it was not."""
    changed: tuple[str, ...] = ()
    """The keys that have changed and are in force."""
    warnings: tuple[str, ...] = ()
    """Sentences about what does not work now, such as a route that could not be started."""


class Steered(Protocol):
    """The daemon, as the control socket steers it."""

    clock: Any
    """The reactor."""

    @property
    def connections(self) -> list[Connection]:
        """All WebSockets."""

    def status(self) -> dict[str, Any]:
        """What `wsd ctl status` shows, ready for JSON."""

    async def reload(self) -> ReloadOutcome:
        """Read the configuration and the certificates again, and wait until new routes have started or failed."""

    async def upgrade(self) -> str:
        """
        Hand everything over to the version on the disk, and end. Returns a sentence about what was done.

        Raises `CommandError` if the daemon serves on.
        """

    async def drain(self, patience: float | None, tell: Callable[[int], Awaitable[None]]) -> int:
        """
        Accept nothing new, close WebSockets as they become idle, and after `patience` seconds all others.

        Without `patience`, the configuration's `drain` applies. `tell` is called now and then with the number of
        WebSockets that are left. Returns the number of those that were closed. Raises `CommandError` while another
        drain is under way, or the daemon starts or stops.
        """

    def resume(self) -> None:
        """Accept connections again after a drain. Raises `CommandError` if the daemon is not draining."""

    @property
    def logLevel(self) -> str:
        """The least level that is logged. Raises `CommandError` if it is not the daemon that decides this."""

    @logLevel.setter
    def logLevel(self, level: str) -> None: ...
