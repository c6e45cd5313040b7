"""The configuration keys of a route of yjs documents."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsd.config import fields
from wsd.config.state import stateFolder
from wsd.config.stores import checkStore

_KIB, _MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class YjsOptions:
    """Where documents are stored, how many there may be, and how large."""

    store: str | None = fields.path()
    """The SQLite file of the documents; None is yjs.sqlite in the state folder."""
    max_documents: int = fields.count(1000, "documents")
    """Documents in the store. A connection to one more is refused with 503."""
    max_document: int = fields.size(4 * _MIB, least=1024)
    """Bytes of one document. An update beyond that closes the connection with 1009."""
    max_total: int = fields.size(256 * _MIB, least=1024)
    """Bytes of all documents together."""
    max_awareness: int = fields.size(16 * _KIB, least=64)
    """Characters of the awareness state of one client, such as its name and cursor."""
    unused: float = fields.seconds(0.0, least=0)
    """Seconds after its last change when a document that nobody has open is removed; 0 keeps it forever."""

    def check(self) -> Sequence[str]:
        """Check the store. Returns warnings. Raises ValueError if it cannot be opened."""
        return checkStore(self.path(os.environ))

    def lockFiles(self, environ: Mapping[str, str]) -> Sequence[Path]:
        """Returns the files that the daemon locks, so that no other daemon uses the same store."""
        return [self.path(environ).with_suffix(".lock")]

    def path(self, environ: Mapping[str, str]) -> Path:
        """Returns the path of the store."""
        return Path(self.store or Path(stateFolder(environ)) / "yjs.sqlite")
