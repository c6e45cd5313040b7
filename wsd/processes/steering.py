"""What the control socket of the parent may do: reload and upgrade all workers. Each worker has one of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from wsd.connection import Connection
from wsd.control.interface import CommandError, ReloadOutcome
from wsd.processes.parent import Parent
from wsd.service.multiprocess import UpgradeRefused


class ParentSteering:
    """Implements `wsd.control.interface.Steered` for the parent of workers, which itself has no connections."""

    def __init__(self, parent: Parent) -> None:
        self.clock = parent.clock
        self._parent = parent

    async def reload(self) -> ReloadOutcome:
        """Let all workers reload. If one of them cannot, none does."""
        return await self._parent.reload()

    async def upgrade(self) -> str:
        """Hand everything over to the version on the disk, worker by worker."""
        try:
            return await self._parent.upgrade()
        except UpgradeRefused as error:
            raise CommandError(f"not upgraded, this process serves on: {error}") from None

    @property
    def connections(self) -> list[Connection]:
        """Raises `CommandError`."""
        self._refuse()

    def status(self) -> dict[str, Any]:
        """Raises `CommandError`."""
        self._refuse()

    async def drain(self, patience: float | None, tell: Callable[[int], Awaitable[None]]) -> int:
        """Raises `CommandError`."""
        self._refuse()

    def resume(self) -> None:
        """Raises `CommandError`."""
        self._refuse()

    @property
    def logLevel(self) -> str:
        """Raises `CommandError`."""
        self._refuse()

    @logLevel.setter
    def logLevel(self, level: str) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        control = self._parent.control
        assert control is not None
        assert control.path is not None
        first, *_, last = (control.path.with_name(name) for name in self._parent.controlNames)
        raise CommandError(
            f"this is the parent of several workers, which reloads and upgrades; for anything else name the socket of "
            f"a worker: --socket {first} ... {last.name}"
        )
