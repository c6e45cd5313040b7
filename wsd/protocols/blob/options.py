"""The configuration keys of a route of blobs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wsd.config import fields, stateFolder
from wsd.config.state import LOCK
from wsd.config.stores import checkStore
from wsd.config.values import GIB, MIB

_DAY = 86400.0


@dataclass(frozen=True)
class BlobOptions:
    """Where the store is, its limits, and what clients may do."""

    store: str | None = field(default=None, metadata={"path": True})
    """The folder of the store; None is "blob" in the state folder."""
    quota: int = fields.size(GIB, least=0)
    """Bytes of the whole store; 0 is no limit."""
    user_quota: int = fields.size(0, least=0)
    """Bytes of one user's files; 0 is no limit."""
    max_file: int = fields.size(GIB, least=1)
    """Bytes of one file, over a WebSocket or over HTTP."""
    max_unfinished: int = field(default=256, metadata={"unit": "files", "least": 1})
    """Unfinished uploads of one user, and from one address."""
    max_chunk: int = fields.size(MIB, least=1024)
    """Bytes of a chunk of the reliable protocol."""
    credit: int = fields.size(4 * MIB, least=65536)
    """Bytes that a client of the reliable protocol may send before they are written."""
    sync: str = field(default="interval", metadata={"choices": ("interval", "each", "end")})
    """When bytes are synced to the disk and acknowledged: at an interval, with each chunk, or at the end."""
    sync_interval: float = fields.seconds(1.0, least=0.01)
    """With an interval: seconds from one sync to the next."""
    sync_bytes: int = fields.size(32 * MIB, least=65536)
    """With an interval: bytes after which the next sync is due early."""
    expire: float = fields.seconds(_DAY, least=1)
    """Seconds for which an unfinished upload is kept after its last byte."""
    keep: float = fields.seconds(0, least=0)
    """Seconds for which a file is kept; 0 is for ever."""
    threads: int = field(default=4, metadata={"unit": "threads", "least": 1, "most": 64})
    """Threads that write, hash and read."""
    buffer: int = fields.size(8 * MIB, least=65536)
    """Bytes of all uploads together that may wait to be written."""
    list: bool = False
    """Whether users may list their files."""
    delete: bool = False
    """Whether users may remove their files over the network."""

    def check(self) -> Sequence[str]:
        """Check the store. Returns warnings. Raises ValueError if the store cannot be opened."""
        warnings = checkStore(Path(self.store or Path(stateFolder(os.environ)) / "blob") / "index.sqlite")
        if self.credit < self.max_chunk:
            warnings.append(
                f"credit ({self.credit} bytes) is less than max_chunk ({self.max_chunk}); a chunk that large "
                "can never be sent"
            )
        if 0 < self.quota < self.max_file:
            warnings.append(
                f"max_file ({self.max_file} bytes) is more than quota ({self.quota}), which is the limit then"
            )
        return warnings

    def lockFiles(self, environ: Mapping[str, str]) -> Sequence[Path]:
        """Returns the files that the daemon locks, so that no other daemon uses the same store."""
        if self.store:
            return [Path(self.store) / LOCK]
        folder = Path(stateFolder(environ))
        return [folder / LOCK, folder / "blob" / LOCK]
