"""The small functions that handlers and their tests use."""

from __future__ import annotations

import logging
import traceback
from typing import Any


def get_stack_trace() -> str:
    """The traceback of the exception that is being handled."""
    return traceback.format_exc()


def prepend_message_to_exception(message: str, exc: Exception) -> None:
    """Say more in front of what an exception says."""
    exc.args = (f"{message}{exc}",)


def get_class_logger(o: Any) -> logging.Logger:
    """The logger of an object's class."""
    return logging.getLogger(f"{type(o).__module__}.{type(o).__name__}")


def pack_byte(b: int) -> bytes:
    """A number as one byte."""
    return bytes((b,))


def hexify(s: bytes) -> str:
    """Bytes as hexadecimal pairs."""
    return " ".join(f"{byte:02x}" for byte in s)


class NoopMasker:
    """Masks nothing."""

    def mask(self, s: bytes) -> bytes:
        """The same bytes."""
        return s


class RepeatedXorMasker:
    """Masks with four bytes over and over, from one call to the next (RFC 6455 5.3)."""

    def __init__(self, masking_key: bytes) -> None:
        self._key = masking_key
        self._used = 0

    def mask(self, s: bytes) -> bytes:
        """The bytes, masked or unmasked."""
        size, at = len(s), self._used % 4
        self._used += size
        key = (self._key[at:] + self._key[:at]) * (size // 4 + 1)
        return (int.from_bytes(s, "little") ^ int.from_bytes(key[:size], "little")).to_bytes(size, "little")
