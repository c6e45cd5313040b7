"""The exception for a mistake in the configuration."""

from __future__ import annotations

from wsd.config.values import printable


class ConfigError(Exception):
    """
    One sentence on one line, for a person: what is wrong, and what would be right.

    The message is preceded by the file's `path` and by the full name of the `key`, as far as they are known.
    """

    def __init__(self, sentence: str, key: str = "", path: str = "") -> None:
        self.sentence = printable(sentence)
        self.key = printable(key)
        self.path = printable(path)
        super().__init__(": ".join(part for part in (self.path, self.key, self.sentence) if part))
