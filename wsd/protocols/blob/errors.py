"""The errors of the blob protocols, and the translation of errors of the disk and the index into them."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from twisted.logger import Logger
from twisted.python.failure import Failure

from wsd.errors import ProtocolError
from wsd.frames.codes import CloseCode

_log = Logger(namespace="wsd")

CODES: Mapping[str, tuple[int, CloseCode]] = {
    "bad_message": (400, CloseCode.INVALID_DATA),
    "bad_name": (400, CloseCode.INVALID_DATA),
    "bad_method": (405, CloseCode.POLICY_VIOLATION),
    "content_type": (415, CloseCode.POLICY_VIOLATION),
    "tus_version": (412, CloseCode.POLICY_VIOLATION),
    "no_transfer": (409, CloseCode.UNSUPPORTED_DATA),
    "too_large": (413, CloseCode.MESSAGE_TOO_BIG),
    "quota": (507, CloseCode.TRY_AGAIN_LATER),
    "too_many": (429, CloseCode.TRY_AGAIN_LATER),
    "offset": (409, CloseCode.POLICY_VIOLATION),
    "checksum": (460, CloseCode.INVALID_DATA),
    "size": (400, CloseCode.MESSAGE_TOO_BIG),
    "sha256": (460, CloseCode.INVALID_DATA),
    "credit": (413, CloseCode.POLICY_VIOLATION),
    "conflict": (409, CloseCode.POLICY_VIOLATION),
    "busy": (423, CloseCode.TRY_AGAIN_LATER),
    "taken_over": (409, CloseCode.POLICY_VIOLATION),
    "unknown": (404, CloseCode.POLICY_VIOLATION),
    "range": (416, CloseCode.POLICY_VIOLATION),
    "forbidden": (403, CloseCode.POLICY_VIOLATION),
    "disk_full": (507, CloseCode.TRY_AGAIN_LATER),
    "read_only": (503, CloseCode.TRY_AGAIN_LATER),
    "unavailable": (503, CloseCode.TRY_AGAIN_LATER),
}
"""Each code with its HTTP status (460 is defined by tus), and its close code if the error ends a connection."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class BlobError(ProtocolError):
    """An error with a code of `CODES`."""

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return CODES[self.code][0]

    @property
    def closeCode(self) -> CloseCode:
        """The close code if the error ends a connection."""
        return CODES[self.code][1]


FAULTS = frozenset(("disk_full", "read_only", "unavailable"))
"""The codes of faults of the store. All others are faults of the client."""


def blobErrorOf(failure: Failure) -> BlobError:
    """Returns the BlobError for a failure. An unforeseen failure is logged and becomes "unavailable"."""
    if isinstance(failure.value, BlobError):
        return failure.value
    _log.failure("a blob store operation failed", failure, event="blob.store")
    return BlobError("unavailable", "the store failed; see the server's log")


@contextmanager
def translateErrors() -> Iterator[None]:
    """A context that raises BlobError in place of OSError and sqlite3.Error."""
    try:
        yield
    except OSError as error:
        raise _ofSystem(error) from error
    except sqlite3.Error as error:
        raise _ofIndex(error) from error


def _ofSystem(error: OSError) -> BlobError:
    if error.errno in _FULL:
        return BlobError("disk_full", "the store's disk is full; acknowledged bytes are safe, try again later")
    if error.errno in _READ_ONLY:
        return BlobError("read_only", f"the store cannot be written ({error.strerror}); its owner must fix this")
    return BlobError("unavailable", f"the store failed ({error.strerror})")


def _ofIndex(error: sqlite3.Error) -> BlobError:
    sentence = str(error.__cause__ or error)  # without the path, which concerns only the owner
    if "full" in sentence:
        return BlobError("disk_full", "the store's disk is full; acknowledged bytes are safe, try again later")
    if "readonly" in sentence or "unable to open" in sentence:
        return BlobError("read_only", f"the store's index cannot be written ({sentence}); its owner must fix this")
    return BlobError("unavailable", f"the index of the store failed ({sentence})")
