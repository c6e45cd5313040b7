"""What a part of the daemon prepares for a reload: a change that is made later, or never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wsd.config.schema import Config


def nothing() -> None:
    """There is nothing to undo."""


@dataclass(frozen=True, slots=True)
class PreparedChange:
    """
    A change of one part that is prepared. Either `commit` or `abort` is called, once.

    `commit` cannot fail: whatever may fail is done before. `abort` releases what was prepared.
    """

    commit: Callable[[], object]
    abort: Callable[[], object] = nothing


Prepare = Callable[[Config], PreparedChange]
"""
Prepares a part of the daemon for a new configuration, and changes nothing that is in use.

Raises ConfigError or `CannotListen` with one sentence; any other exception refuses the reload, too.
"""
