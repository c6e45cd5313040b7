"""The errors that protocols send to their clients: a code for programs, and a sentence for people."""

from __future__ import annotations

import json
from typing import ClassVar


class ProtocolError(Exception):
    """
    An error that is sent to the client as JSON: `{"error": {"code": ..., "message": ...}}`.

    A protocol derives its own class, and lists its codes. The sentence says what was wrong and what would be right.
    """

    separators: ClassVar[tuple[str, str]] = (", ", ": ")
    """The separators of the JSON: between items, and between a key and its value."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence

    @property
    def text(self) -> str:
        """The error as JSON, the same over HTTP and over a WebSocket."""
        content = {"error": {"code": self.code, "message": self.sentence}}
        return json.dumps(content, ensure_ascii=False, separators=self.separators)
