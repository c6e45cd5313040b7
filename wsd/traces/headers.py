"""Reads the file with the header fields for the collector."""

from __future__ import annotations

import re

from wsd.config import ConfigError

_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*:[ \t]*([!-~](?:[ -~\t]*[!-~])?)")
"""A header field (RFC 9110 5.5), of ASCII."""


def readHeaders(path: str | None) -> dict[str, str]:
    """
    The header fields in a file, by name; none without a file. Empty lines and those that begin with # are skipped.

    Raises ConfigError, which never repeats a value.
    """
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError as error:
        sentence = f"{path} cannot be read: {error.strerror}; name a file that wsd can read"
        raise ConfigError(sentence, "traces.headers_file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8; write Name: value", "traces.headers_file") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            sentence = f"line {number} of {path} is not a header field; write Name: value"
            raise ConfigError(sentence, "traces.headers_file")
        found[match[1]] = match[2]
    return found
