"""The errors that protocols tell their clients: a code for a program, and a sentence for a person."""

from __future__ import annotations

import json
from typing import ClassVar


class ProtocolError(Exception):
    """
    An error that a client is told as JSON: `{"error": {"code": ..., "message": ...}}`.

    A protocol derives its own class from it, and lists its codes. The sentence says what was wrong and what would be
    right.
    """

    separators: ClassVar[tuple[str, str]] = (", ", ": ")
    """What the JSON puts between items, and between a key and its value."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code = code
        self.sentence = sentence

    @property
    def text(self) -> str:
        """The error as the client is told it, over HTTP and over a WebSocket."""
        content = {"error": {"code": self.code, "message": self.sentence}}
        return json.dumps(content, ensure_ascii=False, separators=self.separators)
