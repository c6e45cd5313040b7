"""A file that keeps the lines that were read from it."""

from __future__ import annotations

import sys
from typing import Any


class MemorizingFile:
    """Wraps a file. `readline` keeps what it reads; all other methods are the file's own."""

    def __init__(self, file_: Any, max_memorized_lines: int = sys.maxsize) -> None:
        self._file = file_
        self._most = max_memorized_lines
        self._lines: list[bytes] = []
        self._rest = b""

    def __getattribute__(self, name: str) -> Any:
        if name in ("_file", "_most", "_lines", "_rest", "readline", "get_memorized_lines"):
            return object.__getattribute__(self, name)
        return getattr(self._file, name)

    def readline(self, size: int = -1) -> bytes:
        """Read a line, or at most `size` bytes of one. A complete line is kept."""
        line: bytes = self._file.readline(size)
        if len(self._lines) < self._most:
            self._rest += line
            if line.endswith(b"\n") or (size < 0 and self._rest) or (not line and self._rest):
                self._lines.append(self._rest)
                self._rest = b""
        return line

    def get_memorized_lines(self) -> list[bytes]:
        """Returns the lines that were read so far."""
        return self._lines
