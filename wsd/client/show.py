"""Messages and URLs as text for a terminal."""

from __future__ import annotations

from wsd.config.values import printable

WIDTH = 200
"""Characters of a message that are shown where one line has to do."""

URL_HELP = "ws://HOST:PORT/PATH, or wss:// for TLS; http:// and https:// also work, and ws:// is optional"


def shown(payload: bytes, isBinary: bool) -> str:
    """A message on one line: its beginning, and its length."""
    whole = payload[:WIDTH].hex(" ") if isBinary else payload.decode()
    begin = printable(whole[:WIDTH]) + ("..." if len(whole) > WIDTH else "")
    quote = "" if isBinary else '"'
    return f"{quote}{begin}{quote} ({'binary' if isBinary else 'text'}, {size(payload)})"


def size(payload: bytes) -> str:
    """The length of a message in words."""
    return f"{len(payload)} byte{'s' * (len(payload) != 1)}"


def escaped(payload: bytes) -> str:
    """A message for a terminal: whole, with its lines and tabs, and with escapes for other unprintable characters."""
    lines = payload.decode("utf-8", "backslashreplace").split("\n")
    return "\n".join("\t".join(printable(part) for part in line.split("\t")) for line in lines)
