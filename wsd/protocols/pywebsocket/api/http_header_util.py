"""Reads the values of header fields: tokens, quoted strings, lists (RFC 9110 5.6), and URIs of requests."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SPACE = re.compile(r"(?:\r\n)?[ \t]+")
_QUOTED = re.compile(r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\x00-\x7f])*)"')


class ParsingState:
    """A text, and how much of it has been read."""

    def __init__(self, data: str) -> None:
        self.data = data
        self.head = 0


def peek(state: ParsingState, pos: int = 0) -> str | None:
    """The character `pos` places ahead, None beyond the end."""
    at = state.head + pos
    return state.data[at] if at < len(state.data) else None


def consume(state: ParsingState, amount: int = 1) -> str | None:
    """The next `amount` characters, None when there are fewer."""
    if state.head + amount > len(state.data):
        return None
    taken = state.data[state.head : state.head + amount]
    state.head += amount
    return taken


def consume_string(state: ParsingState, expected: str) -> bool:
    """Whether the text goes on with this, which has been read then."""
    if not state.data.startswith(expected, state.head):
        return False
    state.head += len(expected)
    return True


def consume_lws(state: ParsingState) -> bool:
    """Whether white space follows, which has been read then."""
    return _match(state, _SPACE) is not None


def consume_lwses(state: ParsingState) -> None:
    """Read over white space."""
    while consume_lws(state):
        pass


def consume_token(state: ParsingState) -> str | None:
    """A token, None when there is none."""
    found = _match(state, _TOKEN)
    return found[0] if found else None


def consume_quoted_string(state: ParsingState) -> str | None:
    """The text in a quoted string, None when there is none."""
    found = _match(state, _QUOTED)
    return re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL) if found else None


def consume_token_or_quoted_string(state: ParsingState) -> str | None:
    """A token or a quoted string's text."""
    token = consume_token(state)
    return consume_quoted_string(state) if token is None else token


def _match(state: ParsingState, pattern: re.Pattern[str]) -> re.Match[str] | None:
    found = pattern.match(state.data, state.head)
    if found is not None:
        state.head = found.end()
    return found


def quote_if_necessary(s: str) -> str:
    """A token as it is, anything else as a quoted string."""
    if _TOKEN.fullmatch(s):
        return s
    return '"' + re.sub(r'(["\\])', r"\\\1", s) + '"'


def parse_uri(uri: str) -> tuple[str | None, int | None, str | None]:
    """Host, port and resource of a request's URI; host and port are None when it is a path."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None, None, None
    if not parts.hostname:
        return None, None, uri or "/"
    if port is None:
        port = {"ws": 80, "wss": 443, "http": 80, "https": 443}.get(parts.scheme)
    path = parts.path or "/"
    path += f"?{parts.query}" if parts.query else ""
    return parts.hostname, port, path + (f"#{parts.fragment}" if parts.fragment else "")
