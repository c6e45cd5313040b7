"""What can go wrong with a blob: one sentence for a person, and a code for a program."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger(namespace="wsd")

CODES = {
    "bad_message": (400, 1007),
    "bad_name": (400, 1007),
    "bad_method": (405, 1008),
    "content_type": (415, 1008),
    "tus_version": (412, 1008),
    "no_transfer": (409, 1003),
    "too_large": (413, 1009),
    "quota": (507, 1013),
    "too_many": (429, 1013),
    "offset": (409, 1008),
    "checksum": (460, 1007),
    "size": (400, 1009),
    "sha256": (460, 1007),
    "credit": (413, 1008),
    "conflict": (409, 1008),
    "busy": (423, 1013),
    "taken_over": (409, 1008),
    "unknown": (404, 1008),
    "range": (416, 1008),
    "forbidden": (403, 1008),
    "disk_full": (507, 1013),
    "read_only": (503, 1013),
    "unavailable": (503, 1013),
}
"""A code to its HTTP status (460 is tus's own), and to the close code where an error ends a connection."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class BlobError(Exception):
    """A code of `CODES` and a sentence that says what was wrong and what would be right."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence

    @property
    def status(self) -> int:
        """The HTTP status that answers it."""
        return CODES[self.code][0]

    @property
    def closeCode(self) -> int:
        """The close code where it ends a connection."""
        return CODES[self.code][1]

    @property
    def text(self) -> str:
        """As it is told, over HTTP and over a WebSocket: `{"error": {"code", "message"}}`."""
        return json.dumps({"error": {"code": self.code, "message": self.sentence}}, ensure_ascii=False)


FAULTS = frozenset(("disk_full", "read_only", "unavailable"))
"""Codes of faults of the store, not of what a client has sent."""


def blobErrorOf(failure: Failure) -> BlobError:
    """The BlobError for a failure. An unforeseen failure is logged and becomes "unavailable"."""
    if isinstance(failure.value, BlobError):
        return failure.value
    _log.failure("an operation of a blob store failed", failure, event="blob.store")
    return BlobError("unavailable", "the store failed; the server's log says more")


@contextmanager
def told() -> Iterator[None]:
    """What the disk and the index refuse becomes a `BlobError`."""
    try:
        yield
    except OSError as error:
        raise _ofSystem(error) from error
    except sqlite3.Error as error:
        raise _ofIndex(error) from error


def _ofSystem(error: OSError) -> BlobError:
    if error.errno in _FULL:
        return BlobError("disk_full", "the disk of the store is full; what was acknowledged is kept, try again later")
    if error.errno in _READ_ONLY:
        return BlobError("read_only", f"the store cannot be written ({error.strerror}); its owner has to change that")
    return BlobError("unavailable", f"the store failed ({error.strerror})")


def _ofIndex(error: sqlite3.Error) -> BlobError:
    sentence = str(error.__cause__ or error)  # without the path, which concerns only the owner
    if "full" in sentence:
        return BlobError("disk_full", "the disk of the store is full; what was acknowledged is kept, try again later")
    if "readonly" in sentence or "unable to open" in sentence:
        return BlobError("read_only", f"the store's index cannot be written ({sentence}); its owner has to change that")
    return BlobError("unavailable", f"the index of the store failed ({sentence})")
