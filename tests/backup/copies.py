"""Makes a copy of a state folder."""

from __future__ import annotations

from pathlib import Path

from wsd.backup.folder import FolderCopy


def copied(state: Path, target: Path) -> FolderCopy:
    """A copy that has been made."""
    copy = FolderCopy(state, target)
    copy.make()
    return copy
