"""Small functions that handlers and their tests import from here."""

from __future__ import annotations

import logging
import traceback
from typing import Any


def get_stack_trace() -> str:
    """Returns the traceback of the exception that is being handled."""
    return traceback.format_exc()


def prepend_message_to_exception(message: str, exc: Exception) -> None:
    """Put a text before the message of an exception."""
    exc.args = (f"{message}{exc}",)


def get_class_logger(o: Any) -> logging.Logger:
    """Returns the logger of an object's class."""
    return logging.getLogger(f"{type(o).__module__}.{type(o).__name__}")


def pack_byte(b: int) -> bytes:
    """Returns a number as one byte."""
    return bytes((b,))


def hexify(s: bytes) -> str:
    """Returns bytes in hexadecimal."""
    return " ".join(f"{byte:02x}" for byte in s)


class NoopMasker:
    """Leaves bytes unmasked."""

    def mask(self, s: bytes) -> bytes:
        """Returns the same bytes."""
        return s


class RepeatedXorMasker:
    """Masks with a key of four bytes, which continues from one call to the next (RFC 6455 5.3)."""

    def __init__(self, masking_key: bytes) -> None:
        self._key = masking_key
        self._used = 0

    def mask(self, s: bytes) -> bytes:
        """Returns the bytes, masked or unmasked."""
        size, at = len(s), self._used % 4
        self._used += size
        key = (self._key[at:] + self._key[:at]) * (size // 4 + 1)
        return (int.from_bytes(s, "little") ^ int.from_bytes(key[:size], "little")).to_bytes(size, "little")
