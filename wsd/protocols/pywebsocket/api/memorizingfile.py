"""A file that keeps the lines that were read from it, so that they can be told again."""

from __future__ import annotations

import sys
from typing import Any


class MemorizingFile:
    """Wraps a file: `read` and the rest are the file's own, `readline` also keeps what it reads."""

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
        """A line, or at most `size` bytes of one; a line is kept when it is whole."""
        line: bytes = self._file.readline(size)
        if len(self._lines) < self._most:
            self._rest += line
            if line.endswith(b"\n") or (size < 0 and self._rest) or (not line and self._rest):
                self._lines.append(self._rest)
                self._rest = b""
        return line

    def get_memorized_lines(self) -> list[bytes]:
        """The lines so far."""
        return self._lines
