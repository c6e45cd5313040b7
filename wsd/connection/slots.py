"""Slots: what a route offers to the others where files may be put by HTTP, at a URL that is agreed on before."""

from __future__ import annotations

from typing import Protocol


class Slots(Protocol):
    """Where files are put, and fetched by who knows the URL."""

    @property
    def maxFile(self) -> int:
        """Bytes of a file."""

    async def newSlot(self, owner: str, name: str, size: int, type: str | None, source: str | None = None) -> str:
        """
        The path at which the owner's file of this name can be stored (PUT) and then fetched. Raises Refused.

        `source` is the client's address, as far as addresses are told apart.
        """
