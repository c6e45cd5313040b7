"""The limits of a store, and the room that is reserved for its unfinished uploads."""

from __future__ import annotations

from dataclasses import dataclass

from wsd.protocols.blob.errors import BlobError
from wsd.protocols.blob.index import BlobIndex


@dataclass(frozen=True, slots=True)
class BlobLimits:
    """How much a store accepts, and for how long it keeps it; 0 is no limit."""

    quota: int = 0
    """Bytes of the whole store, including what unfinished uploads have reserved."""
    userQuota: int = 0
    """Bytes of one user."""
    maxFile: int = 0
    """Bytes of one file."""
    expire: float = 0
    """Seconds for which an unfinished upload is kept after its last byte."""
    keep: float = 0
    """Seconds for which a finished file is kept."""
    unfinished: int = 0
    """Unfinished uploads of one user, and from one address."""


class Quota:
    """Checks the limits, and reserves room for uploads. The methods block, and raise sqlite3.Error."""

    def __init__(self, index: BlobIndex, limits: BlobLimits) -> None:
        self._index = index
        self._limits = limits

    def checkSize(self, size: int | None) -> None:
        """Raises BlobError if a file of this announced size is too large."""
        most = self._limits.maxFile
        if size is not None and most and size > most:
            raise BlobError("too_large", f"the file is {size} bytes; the upload limit is {most}")

    def checkEnd(self, end: int) -> None:
        """Raises BlobError if a file that has grown to `end` bytes is too large."""
        most = self._limits.maxFile
        if most and end > most:
            raise BlobError("too_large", f"the file is larger than the upload limit of {most} bytes")

    def checkRoom(self, user: str, more: int) -> None:
        """Raises BlobError if there is no room for `more` bytes of this user now. Reserves nothing."""
        if not self._index.fits(user, more, self._limits.quota, self._limits.userQuota):
            raise self.exceeded(user, more)

    def reserve(self, part: str, user: str, more: int, needed: int) -> bool:
        """Reserve `more` bytes for an upload. Returns False if there is no room for `more` or for `needed` bytes."""
        return self._index.reserve(part, user, more, needed, self._limits.quota, self._limits.userQuota)

    def exceeded(self, user: str, more: int) -> BlobError:
        """Returns the error for `more` bytes without room. It says which quota is exceeded, and how much is left."""
        limits = self._limits
        left = limits.quota - self._index.used() if limits.quota else more
        if more > left:
            return BlobError("quota", f"{more} more bytes do not fit: the store has room for {max(0, left)}; try later")
        left = limits.userQuota - self._index.used(user)
        return BlobError(
            "quota", f"{more} more bytes exceed your quota: {max(0, left)} bytes are left; delete some files"
        )
