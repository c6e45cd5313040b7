"""The exception for a mistake in the configuration."""

from __future__ import annotations

import re

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

    def within(self, table: str) -> ConfigError:
        """The same error with the name of its table: "store: ..." within `route."/x"` is `route."/x".store: ...`."""
        if self.key.startswith(table):
            return self
        key, sentence = self.key, self.sentence
        if not key and (match := re.match(r"([a-z_]+): ", sentence)):
            key, sentence = match[1], sentence[match.end() :]
        return ConfigError(sentence, f"{table}.{key}" if key else table, self.path)
