"""Content types: their media type and parameters (RFC 9110, 8.3)."""

from __future__ import annotations

import re

_PARAMETER = re.compile(r";\s*([\w-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;]*))")
_ESCAPED = re.compile(r"\\(.)")


def mediaType(text: str) -> str:
    """Returns the media type of a content type, in lower case."""
    return text.partition(";")[0].strip().lower()


def parameters(text: str) -> dict[str, str]:
    """Returns the parameters of a content type, by their names in lower case."""
    return {name.lower(): _ESCAPED.sub(r"\1", quoted) or plain for name, quoted, plain in _PARAMETER.findall(text)}
